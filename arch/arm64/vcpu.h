/* A vCPU's features, registers and record of stolen time. Control thread, before it runs. */
#ifndef VIREO_ARM64_VCPU_H
#define VIREO_ARM64_VCPU_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/arch.h"

int vcpu_init(const struct vm *vm, const struct vcpu *v, bool is_first, struct err *e);
int vcpu_get(const struct vcpu *v, uint64_t reg, uint64_t *out, struct err *e); /* e may be NULL */
/* The affinity fields of its MPIDR_EL1: how the guest names it. */
int vcpu_affinity(const struct vcpu *v, uint64_t *out, struct err *e);
/* Enter at `entry` with x0 = dtb (booting.rst, section 5). */
int vcpu_set_boot(const struct vcpu *v, uint64_t entry, uint64_t dtb, struct err *e);
/* IMAGE_PAGES_*: what the guest's translation can use. */
int vcpu_page_sizes(const struct vcpu *v, unsigned *out, struct err *e);
/* Stolen time (DEN0057): a record for each vCPU, in memory of their own that no device reaches. Does nothing where KVM
 * does not offer it. */
int pvtime_create(struct arch *a, struct vm *vm, struct err *e);
int pvtime_connect(const struct arch *a, const struct vcpu *v, struct err *e);
void pvtime_destroy(struct arch *a);

#define VCPU_CORE_REG(field) (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(field))

#endif

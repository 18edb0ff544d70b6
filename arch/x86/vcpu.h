/* vCPU registers: what each vCPU starts with, and the first one's state at a kernel's entry. The others wait for INIT
 * and SIPI, which is KVM's default. */
#ifndef VIREO_X86_VCPU_H
#define VIREO_X86_VCPU_H

#include "arch/x86/load.h"
#include "vmm/base/err.h"
#include "vmm/kvm/kvm.h"

int vcpu_init_msrs(const struct vcpu *v, struct err *e);
/* Start with every extended state enabled that the guest may enable, as firmware may leave it. This matters on hosts
 * whose SVM does not intercept XSETBV (emulated ones): there KVM does not learn what the guest enables, and puts back
 * what it knows at each entry. xcr0 0: does nothing. */
int vcpu_init_xcr0(const struct vcpu *v, uint64_t xcr0, struct err *e);
int vcpu_set_entry(const struct vcpu *v, const struct loaded *k, struct err *e);

#endif

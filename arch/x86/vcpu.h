/* vCPU registers: what every one starts with, and the first one's state at a kernel's entry. The others wait for INIT
 * and SIPI, which is KVM's default for them. */
#ifndef VIREO_X86_VCPU_H
#define VIREO_X86_VCPU_H

#include "arch/x86/load.h"
#include "vmm/base/err.h"
#include "vmm/kvm/kvm.h"

int vcpu_init_msrs(const struct vcpu *v, struct err *e);
/* Start with every extended state enabled that the guest may enable, as firmware may leave it. It matters on hosts
 * whose SVM does not intercept XSETBV (emulated ones): KVM does not learn there what the guest enables, and puts back
 * what it knows at each entry. xcr0 0: nothing to do. */
int vcpu_init_xcr0(const struct vcpu *v, uint64_t xcr0, struct err *e);
int vcpu_set_entry(const struct vcpu *v, const struct loaded *k, struct err *e);

#endif

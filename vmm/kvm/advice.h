/* Why /dev/kvm can't be opened here, and the way out: found by looking, since the right advice on one host is nonsense
 * on the next. Nothing is opened but text files of /proc, /sys and /etc. */
#ifndef VIREO_KVM_ADVICE_H
#define VIREO_KVM_ADVICE_H

#include <stdbool.h>

#include "vmm/base/err.h"

/* What /proc/cpuinfo says of virtualization. All false, is_known too, where it has no flags: on ARM, without /proc. */
struct kvm_cpu {
    bool is_known, has_vmx, has_svm, has_hypervisor;
};
void kvm_read_cpu(struct kvm_cpu *out);

/* Has the kernel a KVM that runs, whether or not its device file is here? False where /sys is not to be seen. */
bool kvm_is_registered(void);
/* What makes a host without KVM have one; never NULL. */
const char *kvm_advice_to_load(const struct kvm_cpu *cpu);
/* The hint for a failed open, of -errno rc. */
void kvm_advise(struct err *e, int rc);
void kvm_advise_on_impostor(struct err *e); /* and for a file there that is no KVM device */

#endif

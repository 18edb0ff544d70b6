#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "arch/arm64/platform.h"
#include "arch/arm64/struct_arch.h"
#include "arch/arm64/vcpu.h"

#define IPA_DEFAULT_BITS 40 /* what machine type 0 means, and every KVM without KVM_CAP_ARM_VM_IPA_SIZE */

static unsigned bits_of(uint64_t top)
{
    unsigned bits = 0;
    while (bits < 64 && (top - 1) >> bits != 0) bits++;
    return bits;
}

/* Fewer bits make a shallower second-stage table. A machine gets the customary 40, unless its memory needs more or the
 * host has fewer. */
int arch_vm_type(int kvm_fd, uint64_t top, unsigned long *type, struct err *e)
{
    const int asked = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);
    const unsigned most = asked > 0 ? (unsigned)asked : IPA_DEFAULT_BITS, need = bits_of(top);
    if (need > most) {
        const uint64_t room = (1ULL << most) - ARM64_RAM_BASE;
        err_set(e, -E2BIG, "memory %lluM: this host's guests have %u address bits, enough for %lluM; ask for less",
                (unsigned long long)((top - ARM64_RAM_BASE) >> 20), most, (unsigned long long)(room >> 20));
        err_as(e, ERR_HOST);
        return -E2BIG;
    }
    if (need > IPA_DEFAULT_BITS)
        *type = KVM_VM_TYPE_ARM_IPA_SIZE(need);
    else
        *type = most < IPA_DEFAULT_BITS ? KVM_VM_TYPE_ARM_IPA_SIZE(most) : 0;
    return 0;
}

/* With this, an access that KVM can't decode comes to us with its address instead of as a bare ENOSYS. */
static int explain_odd_accesses(const struct vm *vm, struct err *e)
{
    return vm_check(vm, KVM_CAP_ARM_NISV_TO_USER) > 0 ? vm_enable_cap(vm, KVM_CAP_ARM_NISV_TO_USER, 0, e) : 0;
}

bool arch_has_steal_time(const struct vm *vm)
{
    return vm_check(vm, KVM_CAP_STEAL_TIME) > 0;
}

int arch_create(struct arch **out, const struct arch_params *p, struct err *e)
{
    if (p->irqchip != ARCH_IRQCHIP_OWN) return err_set(e, -ENOTSUP, "an arm64 machine has a GIC and nothing else");
    struct arch *a = calloc(1, sizeof(*a));
    if (!a) return err_set(e, -ENOMEM, "no memory for the arm64 machine");
    a->vm = p->vm;
    a->mem = p->mem;
    a->log = p->log;
    a->gic.fd = -1;
    a->serial_irq.fd = -1;
    int rc = gic_choose(p->vm, p->cpus, &a->gic.version, e);
    if (!rc) rc = explain_odd_accesses(p->vm, e);
    if (!rc) rc = pvtime_create(a, p->vm, e);
    if (!rc) rc = platform_create(a, p, e);
    if (rc) {
        arch_destroy(a);
        return rc;
    }
    *out = a;
    return 0;
}

int arch_init_vcpus(struct arch *a, struct vcpu *vcpus, unsigned count, struct err *e)
{
    int rc = 0;
    a->vcpu = vcpus;
    a->vcpu_count = count;
    for (unsigned i = 0; i < count && !rc; i++) {
        rc = vcpu_init(a->vm, &vcpus[i], i == 0, e);
        if (!rc) rc = vcpu_affinity(&vcpus[i], &a->mpidr[i], e);
        if (!rc) rc = pvtime_connect(a, &vcpus[i], e);
    }
    if (!rc) rc = gic_create(&a->gic, a->vm, e);
    return rc ? rc : platform_connect(a, e);
}

void arch_destroy(struct arch *a)
{
    if (!a) return;
    platform_destroy(a);
    gic_destroy(&a->gic);
    pvtime_destroy(a);
    free(a);
}

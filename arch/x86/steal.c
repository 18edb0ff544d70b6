/* Where each vCPU's guest has its record of stolen time, and what is in it (Documentation/virt/kvm/x86/msr.rst,
 * MSR_KVM_STEAL_TIME). KVM tells a vCPU's MSRs only between two KVM_RUNs, so the vCPU's own thread asks. */
#include <asm/kvm_para.h>
#include <sys/ioctl.h>

#include "arch/x86/struct_arch.h"
#include "vmm/base/endian.h"

#define READ_TRIES 8 /* KVM writes a record within nanoseconds; a guest could keep it odd for ever */

void arch_learn_steal(struct arch *a, const struct vcpu *v)
{
    union {
        struct kvm_msrs head;
        char room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
    } msrs = {.room = {0}};
    msrs.head.nmsrs = 1;
    msrs.head.entries[0].index = MSR_KVM_STEAL_TIME;
    const bool is_told = ioctl(v->fd, KVM_GET_MSRS, &msrs) == 1;
    atomic_store(&a->steal[v->id], is_told ? msrs.head.entries[0].data : 0);
}

/* version is odd while KVM writes. */
static bool read_record(const struct gmem *mem, uint64_t gpa, uint64_t *out)
{
    const char *record = gmem_slice(mem, gpa, sizeof(struct kvm_steal_time), GMEM_READ);
    for (unsigned i = 0; record && i < READ_TRIES; i++) {
        const struct le32 *version = (const void *)(record + offsetof(struct kvm_steal_time, version));
        const struct le64 *steal = (const void *)(record + offsetof(struct kvm_steal_time, steal));
        const uint32_t before = le32_load_acquire(version);
        *out = le64_load(steal);
        atomic_thread_fence(memory_order_acquire);
        if (before % 2 == 0 && le32_load(version) == before) return true;
    }
    return false;
}

bool arch_steal_ns(const struct arch *a, unsigned vcpu, uint64_t *out)
{
    const uint64_t msr = atomic_load(&a->steal[vcpu]);
    return (msr & KVM_MSR_ENABLED) && read_record(a->mem, msr & KVM_STEAL_VALID_BITS, out);
}

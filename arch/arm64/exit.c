#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "arch/arm64/struct_arch.h"
#include "arch/arm64/vcpu.h"

#define REG_ESR_EL1 ARM64_SYS_REG(3, 0, 5, 2, 0)
#define REG_FAR_EL1 ARM64_SYS_REG(3, 0, 6, 0, 0)

/* Every exit here ends the machine: arm64 has no exit of its own after which it goes on. */
enum arch_exit arch_handle_exit(struct arch *a, struct vcpu *v)
{
    (void)a;
    (void)v;
    return ARCH_EXIT_UNKNOWN;
}

static const char *why_errno(int run_errno)
{
    switch (run_errno) {
    case ENOSYS:
        return "the guest touched a device address with an instruction the processor does not describe (a pair, a "
               "vector or a write-back access); it must use plain loads and stores there";
    case EFAULT: return "KVM could not reach guest memory; is the host out of memory or huge pages?";
    case ENOMEM: return "the host is out of memory";
    case ENOEXEC: return "KVM says that the vCPU was not initialised";
    case EPERM: return "KVM says that the vCPU's features were not finalised";
    default: return strerrordesc_np(run_errno);
    }
}

static int why(const struct kvm_run *run, int run_errno, char *buf, unsigned size)
{
    if (run_errno) return snprintf(buf, size, "%s", why_errno(run_errno));
    switch (run->exit_reason) {
    case KVM_EXIT_ARM_NISV:
        return snprintf(buf, size,
                        "the guest touched device address 0x%llx with an instruction the processor does not "
                        "describe (ISS 0x%llx: a pair, a vector or a write-back access); it must use plain loads and "
                        "stores there",
                        (unsigned long long)run->arm_nisv.fault_ipa, (unsigned long long)run->arm_nisv.esr_iss);
    case KVM_EXIT_FAIL_ENTRY:
        return snprintf(buf, size, "the processor refused to enter the guest, reason 0x%llx",
                        (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
    case KVM_EXIT_INTERNAL_ERROR: return snprintf(buf, size, "KVM internal error %u", run->internal.suberror);
    case KVM_EXIT_SYSTEM_EVENT: return snprintf(buf, size, "KVM system event %u is unknown", run->system_event.type);
    default: return snprintf(buf, size, "KVM exit reason %u is unknown", run->exit_reason);
    }
}

void arch_explain_error(struct arch *a, struct vcpu *v, int run_errno, char *buf, unsigned size)
{
    (void)a;
    uint64_t pc, esr, far;
    const int used = why(v->run, run_errno, buf, size);
    if (used < 0 || (unsigned)used >= size) return;
    if (vcpu_get(v, VCPU_CORE_REG(regs.pc), &pc, NULL) || vcpu_get(v, REG_ESR_EL1, &esr, NULL) ||
        vcpu_get(v, REG_FAR_EL1, &far, NULL))
        return;
    (void)snprintf(buf + used, size - (unsigned)used,
                   " (vCPU %u at pc 0x%llx; its last exception: ESR_EL1 0x%llx, "
                   "FAR_EL1 0x%llx)",
                   v->id, (unsigned long long)pc, (unsigned long long)esr, (unsigned long long)far);
}

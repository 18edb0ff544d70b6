/* What a sandboxed program's registers say while it is out of the guest: its calls, its faults. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>

#include "arch/x86/struct_user.h"

#define MSR_FS_BASE  0xc0000100u
#define SYSCALL_SIZE 2u

#define FLAGS_TF   0x100ull
#define PF_PRESENT 0x1u /* error code of a page fault: SDM vol. 3, 4.7 */
#define PF_WRITE   0x2u
#define PF_FETCH   0x10u

void user_get_call(struct user *u, struct user_call *out)
{
    const struct kvm_regs *gp = user_gp(u);
    *out = (struct user_call){.number = gp->rax, .arg = {gp->rdi, gp->rsi, gp->rdx, gp->r10, gp->r8, gp->r9}};
}

void user_set_result(struct user *u, int64_t result)
{
    user_gp(u)->rax = (uint64_t)result;
    user_gp_changed(u);
}

void user_repeat_call(struct user *u)
{
    u->way.pc -= SYSCALL_SIZE;
}

uint64_t user_pc(struct user *u)
{
    return u->is_out_by_kick ? user_gp(u)->rip : u->way.pc;
}

uint64_t user_sp(struct user *u)
{
    return u->is_out_by_kick ? user_gp(u)->rsp : u->way.sp;
}

struct fault_kind {
    int signo, code;
    const char *what;
    bool at_pc; /* si_addr is the instruction's */
};

/* As Linux tells them: arch/x86/kernel/traps.c. */
static const struct fault_kind kinds[] = {
    [0] = {SIGFPE, FPE_INTDIV, "divide error", true},
    [1] = {SIGTRAP, TRAP_TRACE, "debug trap", true},
    [3] = {SIGTRAP, SI_KERNEL, "breakpoint", false},
    [4] = {SIGSEGV, SI_KERNEL, "overflow", false},
    [5] = {SIGSEGV, SI_KERNEL, "bounds", false},
    [6] = {SIGILL, ILL_ILLOPN, "undefined instruction", true},
    [7] = {SIGSEGV, SI_KERNEL, "no coprocessor", false},
    [11] = {SIGBUS, SI_KERNEL, "segment not present", false},
    [12] = {SIGBUS, SI_KERNEL, "stack fault", false},
    [13] = {SIGSEGV, SI_KERNEL, "general protection", false},
    [14] = {SIGSEGV, SEGV_MAPERR, "page fault", false},
    [16] = {SIGFPE, FPE_FLTINV, "floating-point error", true},
    [17] = {SIGBUS, BUS_ADRALN, "alignment check", false},
    [19] = {SIGFPE, FPE_FLTINV, "SIMD floating-point error", true},
};

static void take_page_fault(struct user *u, struct user_fault *out)
{
    struct kvm_sregs s;
    if (ioctl(u->vcpu.fd, KVM_GET_SREGS, &s) == 0) out->address = s.cr2;
    out->code = u->error_code & PF_PRESENT ? SEGV_ACCERR : SEGV_MAPERR;
    out->access = u->error_code & PF_FETCH ? USER_EXEC : u->error_code & PF_WRITE ? USER_WRITE : USER_READ;
}

/* Which floating-point error it was: the lowest one that happened and is not masked, as the processor took it (SDM
 * vol. 1, 4.9.2). The bits are at the same places in the x87 status and control words and in MXCSR, where the masks
 * are 7 bits further up. */
static int float_code(struct user *u, unsigned vector)
{
    static const int codes[] = {FPE_FLTINV, FPE_FLTUND, FPE_FLTDIV, FPE_FLTOVF, FPE_FLTUND, FPE_FLTRES};
    uint16_t control = 0, status = 0;
    uint32_t mxcsr = 0;
    uint8_t *area = calloc(1, u->xsave_size);
    if (area && !user_get_xsave(u, area)) {
        memcpy(&control, area, sizeof(control));
        memcpy(&status, area + 2, sizeof(status));
        memcpy(&mxcsr, area + 24, sizeof(mxcsr));
    }
    free(area);
    const unsigned errors = vector == 16 ? status & ~(unsigned)control & 0x3f : mxcsr & ~(mxcsr >> 7) & 0x3f;
    return errors ? codes[__builtin_ctz(errors)] : FPE_FLTINV;
}

void user_get_fault(struct user *u, struct user_fault *out)
{
    const unsigned vector = u->is_forged || u->vector < 0 ? 13 : (unsigned)u->vector;
    const bool is_known = vector < sizeof(kinds) / sizeof(kinds[0]) && kinds[vector].what;
    const struct fault_kind *kind = is_known ? &kinds[vector] : &kinds[13];
    *out = (struct user_fault){.signo = kind->signo, .code = kind->code, .pc = u->way.pc};
    if (kind->at_pc) out->address = u->way.pc;
    if (vector == 1 && !(u->way.flags & FLAGS_TF)) out->code = TRAP_BRKPT; /* INT1 */
    if (vector == 14) take_page_fault(u, out);
    if (vector == 16 || vector == 19) out->code = float_code(u, vector);
    (void)snprintf(out->what, sizeof(out->what), "%s", kind->what);
}

int user_set_tls(struct user *u, uint64_t address)
{
    union {
        struct kvm_msrs head;
        uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
    } msrs = {.head.nmsrs = 1};
    const struct kvm_msr_entry entry = {.index = MSR_FS_BASE, .data = address};
    if (address >= USER_END) return -EPERM; /* as Linux answers ARCH_SET_FS */
    memcpy(msrs.head.entries, &entry, sizeof(entry));
    const int n = ioctl(u->vcpu.fd, KVM_SET_MSRS, &msrs);
    return n == 1 ? 0 : n < 0 ? -errno : -EIO;
}

uint64_t user_tls(struct user *u)
{
    struct kvm_sregs s;
    return ioctl(u->vcpu.fd, KVM_GET_SREGS, &s) ? 0 : s.fs.base;
}

void user_flush(struct user *u)
{
    u->must_flush = true;
}

/* AT_HWCAP is CPUID.1:EDX, and KVM gives the guest the host's features. AT_HWCAP2 tells what the kernel allows beyond
 * CPUID (MWAIT and WRFSBASE at CPL 3), which this kernel does not. */
uint64_t user_hwcap(unsigned which)
{
    return which == AT_HWCAP ? getauxval(AT_HWCAP) : 0;
}

void user_set_sp(struct user *u, uint64_t sp)
{
    u->way.sp = sp;
}

bool user_settle(struct user *u)
{
    struct kvm_vcpu_events events;
    const struct kvm_regs *gp = user_gp(u);
    if (!u->is_out_by_kick) return true;
    if (gp->rip >= USER_END || ioctl(u->vcpu.fd, KVM_GET_VCPU_EVENTS, &events)) return false;
    if (events.exception.injected || events.exception.pending) return false;
    u->way = (struct user_way){.pc = gp->rip, .flags = gp->rflags, .sp = gp->rsp};
    u->is_out_by_kick = false;
    return true;
}

/* Exits that only x86 has, and what to say when KVM could not go on. */
#include <cpuid.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arch/x86/struct_arch.h"

#define INSN_MAX 15u /* SDM vol. 2, 2.3.11 */

enum arch_exit arch_handle_exit(struct arch *a, struct vcpu *v)
{
    (void)a;
    switch (v->run->exit_reason) {
    case KVM_EXIT_IOAPIC_EOI: /* nothing holds a line: see ioapic.h */
    case KVM_EXIT_HLT:        /* only without a local APIC in the kernel: go on, as if an interrupt had come */
        return ARCH_EXIT_HANDLED;
    case KVM_EXIT_X86_RDMSR: /* refused by a filter, which benches set */
        v->run->msr.data = 0;
        v->run->msr.error = 0;
        return ARCH_EXIT_HANDLED;
    default: return ARCH_EXIT_UNKNOWN;
    }
}

/* A sentence that grows in a buffer and is cut, never overrun. */
struct text {
    char *buf;
    size_t size, len;
};

static void say(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct text *t, const char *fmt, ...)
{
    va_list args;
    if (t->len + 1 >= t->size) return;
    va_start(args, fmt);
    const int n = vsnprintf(t->buf + t->len, t->size - t->len, fmt, args);
    va_end(args);
    if (n > 0) t->len += (size_t)n;
    if (t->len >= t->size) t->len = t->size - 1;
}

/* Without VMX and SVM this KVM is software: it runs the guest's kernel mode in an instruction emulator. Asked of CPUID,
 * since a seccomp filter may forbid the file system here. */
static bool is_software_kvm(void)
{
    unsigned a, b, c = 0, d, ext = 0;
    __get_cpuid(1, &a, &b, &c, &d);
    __get_cpuid(0x80000001, &a, &b, &ext, &d);
    return !(c & 1u << 5) && !(ext & 1u << 2);
}

/* The instruction's bytes as KVM gives them with an emulation failure; 0: it gives none. */
static unsigned insn_of_failure(const struct kvm_run *run, uint8_t *out)
{
    if (run->exit_reason != KVM_EXIT_INTERNAL_ERROR || run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION) return 0;
    if (run->emulation_failure.ndata < 3) return 0; /* flags, and two words of size and bytes */
    if (!(run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES)) return 0;
    const unsigned n = run->emulation_failure.insn_size;
    if (n > INSN_MAX) return 0;
    memcpy(out, run->emulation_failure.insn_bytes, n);
    return n;
}

/* Else from the guest's memory, at the place where its own page tables have the instruction. */
static unsigned insn_at(const struct arch *a, const struct vcpu *v, uint64_t rip, uint8_t *out)
{
    struct kvm_translation t = {.linear_address = rip}; /* code segments are flat where this is asked */
    if (ioctl(v->fd, KVM_TRANSLATE, &t) < 0 || !t.valid) return 0;
    const uint64_t in_page = GMEM_PAGE - (t.physical_address & (GMEM_PAGE - 1));
    const unsigned n = in_page < INSN_MAX ? (unsigned)in_page : INSN_MAX;
    return gmem_read(a->mem, t.physical_address, out, n) ? 0 : n;
}

static void say_where(struct text *t, const struct arch *a, const struct vcpu *v)
{
    struct kvm_regs regs;
    uint8_t bytes[INSN_MAX];
    const bool has_regs = ioctl(v->fd, KVM_GET_REGS, &regs) == 0;
    unsigned n = insn_of_failure(v->run, bytes);
    if (has_regs) say(t, " at rip 0x%llx", (unsigned long long)regs.rip);
    if (has_regs && n == 0) n = insn_at(a, v, regs.rip, bytes);
    if (n) say(t, ", instruction bytes");
    for (unsigned i = 0; i < n; i++) say(t, " %02x", bytes[i]);
}

static void say_internal(struct text *t, const struct arch *a, const struct vcpu *v)
{
    const uint32_t sub = v->run->internal.suberror;
    switch (sub) {
    case KVM_INTERNAL_ERROR_EMULATION: say(t, "KVM could not emulate an instruction"); break;
    case KVM_INTERNAL_ERROR_SIMUL_EX: say(t, "KVM met two exceptions at once it could not merge"); break;
    case KVM_INTERNAL_ERROR_DELIVERY_EV: say(t, "KVM was stopped while delivering an exception or interrupt"); break;
    case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON:
        say(t, "the processor left the guest for a reason KVM does not know");
        break;
    default: say(t, "KVM internal error %u", sub); break;
    }
    say_where(t, a, v);
    if (sub == KVM_INTERNAL_ERROR_EMULATION && is_software_kvm())
        say(t,
            "; this host's KVM is software and runs kernel code in an emulator that lacks this instruction: boot Linux "
            "on a host with VT-x or AMD-V");
}

void arch_explain_error(struct arch *a, struct vcpu *v, int run_errno, char *buf, unsigned size)
{
    const struct kvm_run *run = v->run;
    struct text t = {buf, size, 0};
    if (size == 0) return;
    buf[0] = '\0';
    if (run_errno) {
        say(&t, "KVM_RUN: %s", strerror(run_errno < 0 ? -run_errno : run_errno));
        say_where(&t, a, v);
        if (run_errno == EFAULT || run_errno == -EFAULT)
            say(&t, "; the host could not give the guest's memory there (is it out of memory?)");
        return;
    }
    switch (run->exit_reason) {
    case KVM_EXIT_INTERNAL_ERROR: say_internal(&t, a, v); break;
    case KVM_EXIT_FAIL_ENTRY:
        say(&t, "the processor refused to enter the guest (hardware reason 0x%llx)",
            (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
        say_where(&t, a, v);
        break;
    default:
        say(&t, "KVM exit %u, which we do not know", run->exit_reason);
        say_where(&t, a, v);
        break;
    }
}

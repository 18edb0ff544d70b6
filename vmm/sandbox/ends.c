/* How a program ended, in one sentence. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vmm/sandbox/struct_sandbox.h"

const char *sandbox_reason_name(enum sandbox_reason r)
{
    static const char *const name[] = {
        [SANDBOX_READY] = "ready",     [SANDBOX_RETURNED] = "returned", [SANDBOX_EXITED] = "exited",
        [SANDBOX_SIGNAL] = "signal",   [SANDBOX_DEADLINE] = "deadline", [SANDBOX_CPU_TIME] = "cpu-time",
        [SANDBOX_MEMORY] = "memory",   [SANDBOX_OUTPUT] = "output-max", [SANDBOX_REFUSED] = "refused",
        [SANDBOX_STOPPED] = "stopped", [SANDBOX_FAILED] = "failed",
    };
    return (unsigned)r < sizeof(name) / sizeof(name[0]) && name[r] ? name[r] : "unknown";
}

void end_as(struct sandbox_end *out, enum sandbox_reason reason, int status, const char *detail, ...)
{
    va_list args;
    *out = (struct sandbox_end){.reason = reason, .status = status};
    va_start(args, detail);
    (void)vsnprintf(out->detail, sizeof(out->detail), detail, args);
    va_end(args);
}

void end_by_return(int64_t value, struct sandbox_end *out)
{
    static const char detail[] = "the function returned";
    out->reason = SANDBOX_RETURNED;
    out->status = 0;
    out->value = value;
    out->size = out->address = out->pc = 0;
    memcpy(out->detail, detail, sizeof(detail));
}

static void name_signal(int signo, char *to, size_t size)
{
    const char *name = sigabbrev_np(signo);
    (void)snprintf(to, size, name ? "SIG%s" : "signal %.0s%d", name ? name : "", signo);
}

/* " in function+0x12", where the program's symbols tell. */
static void name_place(const struct task *t, uint64_t pc, char *to, size_t size)
{
    struct elf_symbol symbol;
    to[0] = 0;
    if (!elf_find_address(&t->sandbox->setup->elf, pc - t->sandbox->image.bias, &symbol)) return;
    char name[80];
    (void)snprintf(name, sizeof(name), "%s", symbol.name);
    for (char *c = name; *c; c++)
        if (*c < '!' || *c > '~') *c = '?';
    (void)snprintf(to, size, " in %s+0x%llx", name, (unsigned long long)(pc - t->sandbox->image.bias - symbol.va));
}

void end_by_fault(struct task *t, const struct user_fault *fault, struct sandbox_end *out)
{
    char signal[32], place[128];
    name_signal(fault->signo, signal, sizeof(signal));
    name_place(t, fault->pc, place, sizeof(place));
    const char *did = fault->access == USER_WRITE  ? "writing to"
                      : fault->access == USER_EXEC ? "running code at"
                                                   : "reading";
    if (fault->access)
        end_as(out, SANDBOX_SIGNAL, 128 + fault->signo, "the program died by %s %s address 0x%llx, at 0x%llx%s", signal,
               did, (unsigned long long)fault->address, (unsigned long long)fault->pc, place);
    else
        end_as(out, SANDBOX_SIGNAL, 128 + fault->signo, "the program died by %s (%s) at 0x%llx%s", signal, fault->what,
               (unsigned long long)fault->pc, place);
    out->value = fault->signo;
    out->address = fault->address;
    out->pc = fault->pc;
}

void end_by_signal(struct task *t, int signo, struct sandbox_end *out)
{
    char signal[32], place[128];
    const uint64_t pc = user_pc(t->user);
    name_signal(signo, signal, sizeof(signal));
    name_place(t, pc, place, sizeof(place));
    end_as(out, SANDBOX_SIGNAL, 128 + signo, "the program died by %s that it sent itself, at 0x%llx%s", signal,
           (unsigned long long)pc, place);
    out->value = signo;
    out->pc = pc;
}

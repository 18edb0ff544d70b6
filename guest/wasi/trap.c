/* How a translated module ends when it must not go on: one sentence and a status, no core file. */
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <ucontext.h>
#include <unistd.h>

#include "guest/wasi/wasi.h"
#include "include/vireo_sandbox_guest.h"

#define STATUS_TRAP  134         /* 128 + SIGABRT, as a shell says of a program that aborts */
#define STACK_MOST   (8ul << 20) /* of calls; where the system sets no limit, an endless recursion meets this */
#define STACK_REACH  65536       /* a fault so near the stack pointer is the stack's: each frame probes its pages */
#define SIGNAL_STACK 65536       /* MINSIGSTKSZ is below 12 KiB on every processor so far */

static const char *const names[] = {
    [WASM_RT_TRAP_OOB] = "out of bounds memory or table access",
    [WASM_RT_TRAP_INT_OVERFLOW] = "integer overflow",
    [WASM_RT_TRAP_DIV_BY_ZERO] = "integer divide by zero",
    [WASM_RT_TRAP_INVALID_CONVERSION] = "invalid conversion to integer",
    [WASM_RT_TRAP_UNREACHABLE] = "unreachable",
    [WASM_RT_TRAP_CALL_INDIRECT] = "indirect call type mismatch, or no function there",
    [WASM_RT_TRAP_EXHAUSTION] = "call stack exhausted",
    [WASM_RT_TRAP_MEMORY] = "no room for the memory or table that the module begins with",
    [WASM_RT_TRAP_NO_ROOM] = "no room in the module's memory for the bytes of a call",
};
static const char *program = "wasm"; /* set once, before the module runs */

void wasm_rt_trap(wasm_rt_trap_t why)
{
    char line[512]; /* a name that doesn't fit cuts the rest */
    size_t why_at = 0;
    /* Put together by hand: what a signal's handler may call is no printf. */
    const char *const part[] = {program, ": wasm trap: ", names[why], NULL};
    size_t len = 0;
    for (unsigned i = 0; part[i]; i++) {
        if (i == 1) why_at = len + strlen(": ");
        for (const char *at = part[i]; *at && len < sizeof(line) - 1; at++) line[len++] = *at;
    }
    line[len] = '\0';
    if (why_at < len) vireo_guest_why(line + why_at); /* ENOSYS where nobody is told */
    line[len++] = '\n';
    (void)!write(STDERR_FILENO, line, len);
    _exit(STATUS_TRAP);
}

static uint64_t stack_pointer(const ucontext_t *u)
{
#if defined(__x86_64__)
    return (uint64_t)u->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    return u->uc_mcontext.sp;
#else
#error "where does this processor keep its stack pointer?"
#endif
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
    const uint64_t address = (uintptr_t)info->si_addr, sp = stack_pointer(context);
    if (address + STACK_REACH >= sp && address <= sp + STACK_REACH) wasm_rt_trap(WASM_RT_TRAP_EXHAUSTION);
    /* Not the module's: it comes again when this returns, and ends the program as it would any other. */
    (void)signal(sig, SIG_DFL);
}

void trap_init(const char *name)
{
    static uint8_t stack[SIGNAL_STACK];
    const stack_t own = {.ss_sp = stack, .ss_size = sizeof(stack)};
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct rlimit limit;
    if (name && *name) program = name;
    if (getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur > STACK_MOST) {
        limit.rlim_cur = STACK_MOST;
        (void)setrlimit(RLIMIT_STACK, &limit);
    }
    (void)sigaltstack(&own, NULL);
    (void)sigaction(SIGSEGV, &action, NULL);
    (void)sigaction(SIGBUS, &action, NULL);
}

/* A program that runs random machine code at user privilege, for the sandbox's kernel: what a processor refuses comes
 * back as a signal, and the next piece of code is tried. One word in two is drawn from a table of what is privileged or
 * reaches for the kernel.
 *
 *   random_code SEED COUNT
 *
 * Exit status 0 when it came through all; it may as well have killed itself. */
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CODE 4096u

static uint64_t state;
static unsigned long tried, count; /* not main's own: they outlive a jump out of a handler */
static sigjmp_buf back;
static char other_stack[64 << 10];

static uint64_t draw(void) /* xorshift64 */
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

#if defined(__x86_64__)
struct piece {
    uint8_t size, byte[11];
};
static const struct piece pieces[] = {
    {2, {0x0f, 0x05}},                                                  /* syscall */
    {2, {0x0f, 0x34}},                                                  /* sysenter */
    {3, {0x48, 0x0f, 0x07}},                                            /* sysretq */
    {2, {0x48, 0xcf}},                                                  /* iretq */
    {2, {0xcd, 0x80}},                                                  /* int $0x80 */
    {2, {0xcd, 0x08}},                                                  /* int $8: double fault's gate */
    {2, {0xcd, 0x0e}},                                                  /* int $14 */
    {1, {0xcc}},                                                        /* int3 */
    {1, {0xf4}},                                                        /* hlt */
    {1, {0xfa}},                                                        /* cli */
    {1, {0xfb}},                                                        /* sti */
    {1, {0xee}},                                                        /* out */
    {1, {0xec}},                                                        /* in */
    {2, {0xe6, 0x10}},                                                  /* out $16 */
    {2, {0x0f, 0x30}},                                                  /* wrmsr */
    {2, {0x0f, 0x32}},                                                  /* rdmsr */
    {3, {0x0f, 0x22, 0xd8}},                                            /* mov %rax, %cr3 */
    {3, {0x0f, 0x20, 0xd8}},                                            /* mov %cr3, %rax */
    {3, {0x0f, 0x23, 0xf8}},                                            /* mov %rax, %dr7 */
    {3, {0x0f, 0x01, 0x10}},                                            /* lgdt (%rax) */
    {3, {0x0f, 0x01, 0x18}},                                            /* lidt (%rax) */
    {3, {0x0f, 0x01, 0x00}},                                            /* sgdt (%rax) */
    {3, {0x0f, 0x00, 0xd8}},                                            /* ltr %ax */
    {3, {0x0f, 0x00, 0xd0}},                                            /* lldt %ax */
    {3, {0x0f, 0x01, 0xd1}},                                            /* xsetbv */
    {3, {0x0f, 0x01, 0xf8}},                                            /* swapgs */
    {3, {0x0f, 0x01, 0xd9}},                                            /* vmmcall */
    {3, {0x0f, 0x01, 0xd8}},                                            /* vmrun */
    {2, {0x0f, 0xa2}},                                                  /* cpuid */
    {2, {0x0f, 0x0b}},                                                  /* ud2 */
    {2, {0x0f, 0x09}},                                                  /* wbinvd */
    {1, {0x9d}},                                                        /* popf */
    {2, {0x8e, 0xd8}},                                                  /* mov %eax, %ds */
    {2, {0x8e, 0xd0}},                                                  /* mov %eax, %ss */
    {2, {0x8e, 0xe0}},                                                  /* mov %eax, %fs */
    {3, {0x48, 0x0f, 0xae}},                                            /* the start of fxsave and its neighbours */
    {10, {0x48, 0xb8, 0x00, 0x00, 0xff, 0xff, 0xff, 0x7f, 0x00, 0x00}}, /* mov $kernel, %rax */
    {10, {0x48, 0xbc, 0x00, 0x10, 0xff, 0xff, 0xff, 0x7f, 0x00, 0x00}}, /* mov $kernel + 4096, %rsp */
    {10, {0x48, 0xbc, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x80}}, /* mov $noncanonical, %rsp */
    {2, {0xff, 0xe0}},                                                  /* jmp *%rax */
    {2, {0xff, 0x28}},                                                  /* ljmp *(%rax) */
    {3, {0x48, 0x89, 0x00}},                                            /* mov %rax, (%rax) */
};

static unsigned put_piece(uint8_t *to)
{
    const struct piece *p = &pieces[draw() % (sizeof(pieces) / sizeof(pieces[0]))];
    memcpy(to, p->byte, p->size);
    return p->size;
}
#define STEP 8
#elif defined(__aarch64__)
static const uint32_t pieces[] = {
    0xd4000001, /* svc #0 */
    0xd4000002, /* hvc #0 */
    0xd4000003, /* smc #0 */
    0xd4200000, /* brk #0 */
    0xd4400000, /* hlt #0 */
    0xd69f03e0, /* eret */
    0xd503207f, /* wfi */
    0xd503205f, /* wfe */
    0xd5182000, /* msr ttbr0_el1, x0 */
    0xd5181000, /* msr sctlr_el1, x0 */
    0xd518c000, /* msr vbar_el1, x0 */
    0xd5384100, /* mrs x0, sp_el0 */
    0xd53bd040, /* mrs x0, tpidr_el0 */
    0xd51bd040, /* msr tpidr_el0, x0 */
    0xd508871f, /* tlbi vmalle1 */
    0xd50b7e20, /* dc civac, x0 */
    0xd50b7420, /* dc zva, x0 */
    0xd50342df, /* msr daifset, #2 */
    0xd2bfffe0, /* movz x0, #0xffff, lsl #16 */
    0xf2cfffe0, /* movk x0, #0x7fff, lsl #32: the kernel's pages */
    0xf9000000, /* str x0, [x0] */
    0xf9400000, /* ldr x0, [x0] */
    0xd61f0000, /* br x0 */
    0x9100001f, /* mov sp, x0 */
};

static unsigned put_piece(uint8_t *to)
{
    memcpy(to, &pieces[draw() % (sizeof(pieces) / sizeof(pieces[0]))], 4);
    return 4;
}
#define STEP 4
#endif

static void leave(int sig)
{
    siglongjmp(back, sig);
}

static void fill(uint8_t *code)
{
    for (unsigned at = 0; at + 16 < CODE;) {
        const uint64_t word = draw();
        if (draw() % 2) {
            at += put_piece(code + at);
        } else {
            memcpy(code + at, &word, STEP);
            at += STEP;
        }
    }
}

int main(int argc, char **argv)
{
    static const int caught[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};
    const stack_t stack = {.ss_sp = other_stack, .ss_size = sizeof(other_stack)};
    struct sigaction action = {.sa_handler = leave, .sa_flags = SA_ONSTACK | SA_NODEFER};
    state = argc > 1 ? strtoull(argv[1], NULL, 0) * 0x9e3779b97f4a7c15 + 1 : 1;
    count = argc > 2 ? strtoul(argv[2], NULL, 0) : 100;
    uint8_t *code = mmap(NULL, CODE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (code == MAP_FAILED || sigaltstack(&stack, NULL)) return 1;
    for (unsigned i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
        if (sigaction(caught[i], &action, NULL)) return 1;
    for (; tried < count; tried++) {
        if (mprotect(code, CODE, PROT_READ | PROT_WRITE)) return 2;
        fill(code);
        if (mprotect(code, CODE, PROT_READ | PROT_EXEC)) return 2;
        __builtin___clear_cache((char *)code, (char *)code + CODE);
        if (sigsetjmp(back, 0) == 0) ((void (*)(void))(uintptr_t)(code + draw() % (CODE / 2) / 4 * 4))();
    }
    return 0;
}

/* port OFFSET VALUE: writes one byte to Vireo's debug-exit register 0xf4 + OFFSET. Offset 0 ends the machine with VALUE
 * as its status, offset 1 marks a milestone of the boot. Stock kernels have no /dev/port, hence a program; without
 * libc, since the initramfs is unpacked at every boot. Exit status 1: this machine has no ports, or none are allowed.
 */
#include <stdint.h>

#define DEBUG_EXIT_PORT 0xf4

#if defined(__x86_64__)
#define SYS_EXIT   60
#define SYS_IOPERM 173

static long syscall3(long number, long a, long b, long c)
{
    long result;

    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

static int write_port(uint16_t port, uint8_t value)
{
    if (syscall3(SYS_IOPERM, port, 1, 1) != 0) return 1;
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
    return 0;
}
#elif defined(__aarch64__)
#define SYS_EXIT 93

static long syscall3(long number, long a, long b, long c)
{
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;

    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
}

static int write_port(uint16_t port, uint8_t value)
{
    (void)port, (void)value;
    return 1;
}
#endif

static unsigned number(const char *text)
{
    unsigned n = 0;

    while (*text >= '0' && *text <= '9') n = n * 10 + (unsigned)(*text++ - '0');
    return n;
}

/* The kernel leaves argc and argv on the stack. */
__attribute__((noreturn, used)) static void run(const long *stack)
{
    const char *const *argv = (const char *const *)(stack + 1);
    const int rc =
        stack[0] == 3 ? write_port((uint16_t)(DEBUG_EXIT_PORT + number(argv[1])), (uint8_t)number(argv[2])) : 2;

    for (;;) syscall3(SYS_EXIT, rc, 0, 0);
}

#if defined(__x86_64__)
__asm__(".globl _start\n_start: mov %rsp, %rdi\n and $-16, %rsp\n call run\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n_start: mov x0, sp\n bl run\n");
#endif

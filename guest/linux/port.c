/* port OFFSET VALUE: writes one byte to Vireo's debug-exit register: x86 port 0xf4 + OFFSET, on arm64 a place in
 * memory. Offset 0 ends the machine with VALUE as its status, offset 1 marks a milestone of the boot. Stock kernels
 * have no /dev/port, hence a program; without libc, since the initramfs is unpacked at every boot. Exit status 1: this
 * machine has no such register, or its kernel does not let us write to it. */
#include <stdint.h>

#if defined(__x86_64__)
#define DEBUG_EXIT_PORT 0xf4
#define SYS_EXIT        60
#define SYS_IOPERM      173

static long syscall3(long number, long a, long b, long c)
{
    long result;

    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

static int write_register(unsigned offset, uint8_t value)
{
    const uint16_t port = (uint16_t)(DEBUG_EXIT_PORT + offset);

    if (syscall3(SYS_IOPERM, port, 1, 1) != 0) return 1;
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
    return 0;
}
#elif defined(__aarch64__)
#define DEBUG_EXIT_BASE 0x09020000
#define DEBUG_EXIT_SIZE 0x1000
/* Other machines have other things at that address. */
#define DEBUG_EXIT_NODE "/sys/firmware/devicetree/base/debug-exit@9020000"
#define SYS_OPENAT      56
#define SYS_EXIT        93
#define SYS_MMAP        222
#define AT_FDCWD        (-100L)
#define O_RDONLY        0L
#define O_RDWR_SYNC     04010002L /* O_SYNC makes /dev/mem map it as device memory */
#define PROT_RW         3L
#define MAP_SHARED      1L

static long syscall6(long number, const long arg[6])
{
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = arg[0], x1 __asm__("x1") = arg[1];
    register long x2 __asm__("x2") = arg[2], x3 __asm__("x3") = arg[3], x4 __asm__("x4") = arg[4],
                     x5 __asm__("x5") = arg[5];

    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}

static long syscall3(long number, long a, long b, long c)
{
    return syscall6(number, (const long[6]){a, b, c});
}

static int write_register(unsigned offset, uint8_t value)
{
    if (syscall3(SYS_OPENAT, AT_FDCWD, (long)DEBUG_EXIT_NODE, O_RDONLY) < 0) return 1;
    const long fd = syscall3(SYS_OPENAT, AT_FDCWD, (long)"/dev/mem", O_RDWR_SYNC);
    if (fd < 0 || offset >= DEBUG_EXIT_SIZE) return 1;
    const long at = syscall6(SYS_MMAP, (const long[6]){0, DEBUG_EXIT_SIZE, PROT_RW, MAP_SHARED, fd, DEBUG_EXIT_BASE});
    if (at < 0) return 1; /* user addresses are below the sign bit, errors are not */
    /* The plain form: KVM is told register and size of a store only if it does not change its base. */
    __asm__ volatile("strb %w0, [%1]" : : "r"(value), "r"(at + (long)offset) : "memory");
    return 0;
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
    const int rc = stack[0] == 3 ? write_register(number(argv[1]), (uint8_t)number(argv[2])) : 2;

    for (;;) syscall3(SYS_EXIT, rc, 0, 0);
}

#if defined(__x86_64__)
__asm__(".globl _start\n_start: mov %rsp, %rdi\n and $-16, %rsp\n call run\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n_start: mov x0, sp\n bl run\n");
#endif

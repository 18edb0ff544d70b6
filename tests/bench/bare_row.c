/* The yardstick of two rows of `vireo bench exits`: what their definition in docs/exit-latency.md asks for, and as
 * little beside it as KVM lets. It shares no line with the bench or its guest, so that what is superfluous there shows.
 *
 *   bare_row pio_out_user|mmio_wr_user [SAMPLES]
 *
 * A vCPU in 64-bit mode, whose local APIC is the kernel's and whose other interrupt controllers are not (split), reads
 * its TSC behind an LFENCE, does the one instruction with its operands in registers, and reads the TSC again. Then the
 * same without the instruction. Printed are the medians in ticks and, of their difference, in nanoseconds. The monitor
 * calls KVM_RUN again and does nothing else. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define CODE        0x1000ull /* guest addresses of what is in its memory */
#define TABLES      0x2000ull
#define SAMPLES_AT  0x10000ull
#define MEMORY      (2ull << 20)
#define SAMPLES_MAX 400000u /* four bytes each */
#define WARM_UP     1000u   /* of the samples, not counted */
#define PORT        0x5000u
#define REGISTER    0xd8000000ull
#define PORT_DONE   0x10u
#define DONE_TEXT   "0x10"

/* edi: where samples go, ecx: how many are left, r10d: the port, rbx: the register. RDTSC takes edx away, and OUT needs
 * it; the half of the count in eax is enough for what takes less than a second. */
#define LOOP(name, instruction)                                                                                        \
    __asm__(".pushsection .rodata\n" name "_start:\n1: lfence\nrdtsc\nmov %eax, %r8d\nmov %r10d, %edx\n" instruction   \
            "\nlfence\nrdtsc\nsub %r8d, %eax\nmov %eax, (%rdi)\nadd $4, %rdi\ndec %ecx\njnz 1b\nout %al, $" DONE_TEXT  \
            "\n" name "_end:\n.popsection")
LOOP("code_out", "out %al, %dx");
LOOP("code_store", "mov %r11d, (%rbx)");
LOOP("code_nothing", "");

struct code {
    const char *name;
    const unsigned char *start, *end;
};
extern const unsigned char code_out_start[], code_out_end[], code_store_start[], code_store_end[], code_nothing_start[],
    code_nothing_end[];
static const struct code rows[] = {
    {"pio_out_user", code_out_start, code_out_end},
    {"mmio_wr_user", code_store_start, code_store_end},
    {0},
};
static const struct code nothing = {"nothing", code_nothing_start, code_nothing_end};

struct bare {
    unsigned char *memory;
    struct kvm_run *run;
    int vcpu_fd;
};

static int checked(int rc, const char *what)
{
    if (rc >= 0) return rc;
    fprintf(stderr, "bare_row: %s: %s\n", what, strerror(errno));
    exit(126);
}

static void *map(size_t size, int flags, int fd, const char *what)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);
    (void)checked(at == MAP_FAILED ? -1 : 0, what);
    return at;
}

/* The first 4 GiB in large pages, where they are. */
static void write_tables(unsigned char *memory)
{
    uint64_t *pml4 = (void *)(memory + TABLES), *pdpt = pml4 + 512, *pd = pdpt + 512;
    pml4[0] = (TABLES + 0x1000) | 3;
    for (uint64_t i = 0; i < 4; i++) pdpt[i] = (TABLES + 0x2000 + i * 0x1000) | 3;
    for (uint64_t i = 0; i < 2048; i++) pd[i] = i << 21 | 0x83;
}

static void set_processor(int kvm_fd, int vcpu_fd)
{
    static union {
        struct kvm_cpuid2 head;
        char room[sizeof(struct kvm_cpuid2) + 256 * sizeof(struct kvm_cpuid_entry2)];
    } cpuid = {.head = {.nent = 256}};
    struct kvm_sregs s;
    checked(ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, &cpuid), "KVM_GET_SUPPORTED_CPUID");
    checked(ioctl(vcpu_fd, KVM_SET_CPUID2, &cpuid), "KVM_SET_CPUID2");
    checked(ioctl(vcpu_fd, KVM_GET_SREGS, &s), "KVM_GET_SREGS");
    s.cs = (struct kvm_segment){.limit = ~0u, .selector = 8, .type = 11, .present = 1, .s = 1, .g = 1, .l = 1};
    s.ds = s.es = s.fs = s.gs = s.ss =
        (struct kvm_segment){.limit = ~0u, .selector = 16, .type = 3, .present = 1, .s = 1, .g = 1, .db = 1};
    s.cr0 = 0x80000011; /* PG, ET, PE */
    s.cr3 = TABLES;
    s.cr4 = 0x20;   /* PAE */
    s.efer = 0x500; /* LME, LMA */
    checked(ioctl(vcpu_fd, KVM_SET_SREGS, &s), "KVM_SET_SREGS");
}

static void make(struct bare *b)
{
    const int kvm_fd = checked(open("/dev/kvm", O_RDWR | O_CLOEXEC), "open /dev/kvm");
    const int vm_fd = checked(ioctl(kvm_fd, KVM_CREATE_VM, 0ul), "KVM_CREATE_VM");
    b->memory = map(MEMORY, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, "mmap of the guest's memory");
    const struct kvm_userspace_memory_region region = {.memory_size = MEMORY, .userspace_addr = (uintptr_t)b->memory};
    const struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args = {24}};
    checked(ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
    checked(ioctl(vm_fd, KVM_ENABLE_CAP, &split), "KVM_CAP_SPLIT_IRQCHIP");
    b->vcpu_fd = checked(ioctl(vm_fd, KVM_CREATE_VCPU, 0ul), "KVM_CREATE_VCPU");
    const int size = checked(ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0ul), "KVM_GET_VCPU_MMAP_SIZE");
    b->run = map((size_t)size, MAP_SHARED, b->vcpu_fd, "mmap of kvm_run");
    write_tables(b->memory);
    set_processor(kvm_fd, b->vcpu_fd);
}

static int ascending(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* How often it left, besides the last time, is the definition's count. */
static uint32_t median(const struct bare *b, const struct code *code, uint32_t samples, uint32_t *exits)
{
    const struct kvm_regs regs = {
        .rip = CODE, .rdi = SAMPLES_AT, .rcx = WARM_UP + samples, .r10 = PORT, .rbx = REGISTER, .rflags = 2};
    uint32_t *sample = (uint32_t *)(void *)(b->memory + SAMPLES_AT) + WARM_UP;
    memcpy(b->memory + CODE, code->start, (size_t)(code->end - code->start));
    checked(ioctl(b->vcpu_fd, KVM_SET_REGS, &regs), "KVM_SET_REGS");
    for (*exits = 0;; ++*exits) {
        while (ioctl(b->vcpu_fd, KVM_RUN, 0ul) < 0) checked(errno == EINTR || errno == EAGAIN ? 0 : -1, "KVM_RUN");
        if (b->run->exit_reason == KVM_EXIT_IO && b->run->io.port == PORT_DONE) break;
        if (b->run->exit_reason == KVM_EXIT_IO || b->run->exit_reason == KVM_EXIT_MMIO) continue;
        fprintf(stderr, "bare_row: %s: the guest left for reason %u\n", code->name, b->run->exit_reason);
        exit(126);
    }
    qsort(sample, samples, sizeof(*sample), ascending);
    return sample[(samples - 1) / 2];
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int main(int argc, char **argv)
{
    const struct code *row = rows;
    struct bare b;
    uint32_t exits, none;
    const unsigned long samples = argc > 2 ? strtoul(argv[2], NULL, 10) : 2000;
    while (row->name && (argc < 2 || strcmp(argv[1], row->name) != 0)) row++;
    if (!row->name || samples < 1 || samples > SAMPLES_MAX) {
        fprintf(stderr, "usage: bare_row pio_out_user|mmio_wr_user [SAMPLES, 1 to %u]\n", SAMPLES_MAX);
        return 125;
    }
    make(&b);
    const uint64_t from = __builtin_ia32_rdtsc(), from_ns = now_ns();
    const uint32_t baseline = median(&b, &nothing, (uint32_t)samples, &none);
    const uint32_t all = median(&b, row, (uint32_t)samples, &exits);
    const double rate = (double)(__builtin_ia32_rdtsc() - from) / (double)(now_ns() - from_ns);
    if (none || exits != WARM_UP + samples) {
        fprintf(stderr, "bare_row: %s left %u times, and its baseline %u times\n", row->name, exits, none);
        return 126;
    }
    printf("%s: rtt %.1f ns, %u ticks, baseline %u ticks\n", row->name, ((double)all - baseline) / rate,
           all > baseline ? all - baseline : 0, baseline);
    return 0;
}

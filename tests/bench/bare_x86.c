/* Real mode as the processor leaves reset: at 0xfffffff0, so no register needs setting at all. The kinds that stand
 * beside `vireo bench exits` run what its guest runs between two reads of the counter, in 64-bit mode as it does. */
#include "bare.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* mov %rbx, %rdi; add %r13, %rbx; call *%r12; sub $1, %ebp; jne back; jmp back; and the op at 0x11 */
#define LOOP    0x48, 0x89, 0xdf, 0x4c, 0x01, 0xeb, 0x41, 0xff, 0xd4, 0x83, 0xed, 0x01, 0x75, 0xf2, 0xeb, 0xf0, 0x90
#define LOOP_OP 0x11

const struct bare_kind bare_kinds[] = {
    {"pio", KVM_EXIT_IO, 4, {0xe6, 0xf4, 0xeb, 0xfc}, 0},          /* out %al, $0xf4; jmp back */
    {"mmio", KVM_EXIT_MMIO, 5, {0xa2, 0x00, 0x80, 0xeb, 0xfb}, 0}, /* mov %al, 0x8000; jmp back */
    /* xor %eax, %eax; mov %edi, %edx; out %al, (%dx); ret */
    {"pio64", KVM_EXIT_IO, 23, {LOOP, 0x31, 0xc0, 0x89, 0xfa, 0xee, 0xc3}, 0x5000},
    /* movl $0, (%rdi); ret */
    {"mmio64", KVM_EXIT_MMIO, 24, {LOOP, 0xc7, 0x07, 0, 0, 0, 0, 0xc3}, 0x8000000},
    {0},
};

const uint64_t bare_page_gpa = 0xfffff000;
const uint64_t bare_memory_gpa = 0;
const uint32_t bare_code_offset = 0xff0;

/* In 64-bit mode: one GiB in large pages, from tables behind the code, where also the stack is. */
#define LONG_SLOT     2
#define CPUID_ENTRIES 256 /* KVM has some 60 */
#define LONG_GPA      0x100000ull
#define LONG_SIZE     (4 * BARE_PAGE)
#define TABLE_WORD    0x003ull /* present, writable */
#define LARGE_PAGE    0x083ull

static unsigned char *add_long_memory(int vm_fd)
{
    unsigned char *m = mmap(NULL, LONG_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const struct kvm_userspace_memory_region region = {
        .slot = LONG_SLOT, .guest_phys_addr = LONG_GPA, .memory_size = LONG_SIZE, .userspace_addr = (uintptr_t)m};

    return m == MAP_FAILED || ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? NULL : m;
}

static void write_tables(unsigned char *memory)
{
    uint64_t *pml4 = (uint64_t *)(void *)(memory + BARE_PAGE), *pdpt = pml4 + 512, *pd = pdpt + 512;

    pml4[0] = (LONG_GPA + 2 * BARE_PAGE) | TABLE_WORD;
    pdpt[0] = (LONG_GPA + 3 * BARE_PAGE) | TABLE_WORD;
    for (uint64_t i = 0; i < 512; i++) pd[i] = i << 21 | LARGE_PAGE;
}

static void set_long_mode(struct kvm_sregs *s)
{
    s->cs =
        (struct kvm_segment){.limit = 0xffffffff, .selector = 0x10, .type = 0xb, .present = 1, .s = 1, .g = 1, .l = 1};
    s->ds = s->es = s->fs = s->gs = s->ss =
        (struct kvm_segment){.limit = 0xffffffff, .selector = 0x18, .type = 3, .present = 1, .s = 1, .g = 1, .db = 1};
    s->cr0 = 0x80000011; /* PG, ET, PE */
    s->cr3 = LONG_GPA + BARE_PAGE;
    s->cr4 = 0x20;   /* PAE */
    s->efer = 0x500; /* LME, LMA */
}

/* A local APIC in the kernel, as the bench's machine has: KVM looks at it on each way into the guest. */
int bare_init_vm(int vm_fd, const struct bare_kind *kind)
{
    const struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args = {24}};

    return kind->loop_address && ioctl(vm_fd, KVM_ENABLE_CAP, &split) < 0 ? -errno : 0;
}

/* The processor that any machine shows its guest: KVM's emulators and switches look at it. */
static int set_cpuid(int vcpu_fd)
{
    union {
        struct kvm_cpuid2 head;
        char room[sizeof(struct kvm_cpuid2) + CPUID_ENTRIES * sizeof(struct kvm_cpuid_entry2)];
    } cpuid = {.head = {.nent = CPUID_ENTRIES}};
    const int kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    const bool is_set = kvm_fd >= 0 && ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, &cpuid) == 0 &&
                        ioctl(vcpu_fd, KVM_SET_CPUID2, &cpuid) == 0;
    const int rc = is_set ? 0 : -errno;

    if (kvm_fd >= 0) close(kvm_fd);
    return rc;
}

int bare_init_vcpu(int vm_fd, int vcpu_fd, const struct bare_kind *kind)
{
    struct kvm_sregs sregs;
    const struct kvm_regs regs = {.rip = LONG_GPA,
                                  .rsp = LONG_GPA + BARE_PAGE,
                                  .rbx = kind->loop_address,
                                  .r12 = LONG_GPA + LOOP_OP,
                                  .rflags = 2};

    if (!kind->loop_address) return 0;
    unsigned char *memory = add_long_memory(vm_fd);
    if (!memory) return -errno;
    memcpy(memory, kind->code, kind->code_size);
    write_tables(memory);
    const int rc = set_cpuid(vcpu_fd);
    if (rc) return rc;
    if (ioctl(vcpu_fd, KVM_GET_SREGS, &sregs) < 0) return -errno;
    set_long_mode(&sregs);
    return ioctl(vcpu_fd, KVM_SET_SREGS, &sregs) < 0 || ioctl(vcpu_fd, KVM_SET_REGS, &regs) < 0 ? -errno : 0;
}

uint64_t bare_ticks(void)
{
    uint32_t low, high;
    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

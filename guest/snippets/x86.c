/* x86 snippets. Only instructions whose bytes mean the same in 32-bit protected and in 64-bit mode:
 * edx = port, edi = address, eax = value, ecx = count, bl = status, esi = text. */
#include "guest/snippets/define.h"

#include <elf.h>
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#define END    "out %al, $0xf4\n1: hlt\njmp 1b"
#define FINISH "mov %bl, %al\n" END

SNIPPET(exit, FINISH);
SNIPPET(halt, "1: hlt\njmp 1b");
SNIPPET(spin, "1: jmp 1b");
SNIPPET(tick, "1: incl (%rdi)\njmp 1b");
SNIPPET(store, "1: mov %al, (%rdi)\nloop 1b\n" FINISH);
SNIPPET(store_forever, "1: mov %al, (%rdi)\njmp 1b");
SNIPPET(load, "1: mov (%rdi), %al\nloop 1b\n" END);
SNIPPET(out, "1: out %al, %dx\nloop 1b\n" FINISH);
SNIPPET(out_forever, "1: out %al, %dx\njmp 1b");
SNIPPET(in, "1: in %dx, %al\nloop 1b\n" END);
SNIPPET(print, "rep outsb\n" FINISH);
SNIPPET(cpuid, "mov %eax, %edi\nmov %ecx, %esi\n"
               "1: mov %edi, %eax\nxor %ecx, %ecx\ncpuid\nsub $1, %esi\njnz 1b\n" FINISH);
SNIPPET(steal, "mov %edi, %eax\nor $1, %eax\nxor %edx, %edx\nmov $0x4b564d03, %ecx\nwrmsr\n1: jmp 1b");
SNIPPET(clock, "mov %edi, %eax\nor $1, %eax\nxor %edx, %edx\nmov $0x4b564d01, %ecx\nwrmsr\n1: jmp 1b");
SNIPPET(triple_fault, "ud2");

const struct snippet *const snippet_list[] = {
    &snippet_exit,  &snippet_halt,  &snippet_spin,         &snippet_tick, &snippet_store, &snippet_store_forever,
    &snippet_load,  &snippet_out,   &snippet_out_forever,  &snippet_in,   &snippet_print, &snippet_cpuid,
    &snippet_steal, &snippet_clock, &snippet_triple_fault, NULL,
};

static struct kvm_segment flat_segment(uint16_t selector, uint8_t type)
{
    return (struct kvm_segment){
        .limit = 0xffffffff, .selector = selector, .type = type, .present = 1, .db = 1, .s = 1, .g = 1};
}

int snippet_start(int vm_fd, int vcpu_fd, uint64_t gpa, const struct snippet_args *args)
{
    struct kvm_sregs s;
    const struct kvm_regs r = {
        .rip = gpa,
        .rflags = 2, /* the bit that is always set */
        .rax = args->value,
        .rbx = args->status,
        .rcx = args->count,
        .rdx = args->target,
        .rdi = args->target,
        .rsi = args->text,
    };

    (void)vm_fd;
    if (ioctl(vcpu_fd, KVM_GET_SREGS, &s) < 0) return -errno;
    s.cs = flat_segment(0x08, 0xb); /* code, readable, accessed */
    s.ds = s.es = s.fs = s.gs = s.ss = flat_segment(0x10, 0x3);
    s.cr0 = 0x11; /* PE, ET */
    s.idt.limit = 0;
    if (ioctl(vcpu_fd, KVM_SET_SREGS, &s) < 0 || ioctl(vcpu_fd, KVM_SET_REGS, &r) < 0) return -errno;
    return 0;
}

/* mov $value, %reg: the register's number is the low part of the opcode; prefix 0 for the 32-bit form. */
static unsigned char *put_mov(unsigned char *at, unsigned char prefix, unsigned char opcode, uint64_t value)
{
    const size_t size = prefix ? 8 : 4;

    if (prefix) *at++ = prefix;
    *at++ = opcode;
    memcpy(at, &value, size);
    return at + size;
}

size_t snippet_image(const struct snippet *s, const struct snippet_args *args, unsigned char out[SNIPPET_IMAGE_MAX])
{
    const uint64_t base = 0x100000, code = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr);
    const Elf64_Ehdr ehdr = {
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_EXEC,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_entry = base + code,
        .e_phoff = sizeof(ehdr),
        .e_ehsize = sizeof(ehdr),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = 1,
    };
    unsigned char *at = out + code;

    at = put_mov(at, 0x48, 0xba, args->target);
    at = put_mov(at, 0x48, 0xbf, args->target);
    at = put_mov(at, 0x48, 0xbe, args->text);
    at = put_mov(at, 0, 0xb8, args->value);
    at = put_mov(at, 0, 0xb9, args->count);
    at = put_mov(at, 0, 0xbb, args->status);
    const size_t length = (size_t)(s->end - s->code);
    memcpy(at, s->code, length);
    const size_t size = (size_t)(at - out) + length;
    const Elf64_Phdr phdr = {
        .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_vaddr = base, .p_paddr = base, .p_filesz = size, .p_memsz = size};
    memcpy(out, &ehdr, sizeof(ehdr));
    memcpy(out + sizeof(ehdr), &phdr, sizeof(phdr));
    return size;
}

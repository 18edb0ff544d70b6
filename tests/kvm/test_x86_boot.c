/* Kernels of each boot protocol on /dev/kvm. Each is a few instructions that check what they were handed, and end the
 * machine with status 0, or the number of the check that failed. */
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/kvm/guest.h"
#include "tests/unit/unit.h"
#include "vmm/base/endian.h"
#include "vmm/machine/machine.h"

#define LOAD_AT  0x1000000u /* where kernels here are linked that say nothing else, their code CODE_AT bytes in */
#define CODE_AT  0x200u
#define FILE_LEN 0x2000u
#define LARGE    (8 << 20) /* bytes of a file whose kernel is loaded while the VM is made */

#define CODE(name, asm_text)                                                                                           \
    extern const uint8_t name[], name##_end[];                                                                         \
    __asm__(".pushsection .rodata\n" #name ":\n" asm_text #name "_end:\n.code64\n.popsection\n")
#define END_WITH_BX "mov %bl, %al\nout %al, $0xf4\n1: jmp 1b\n"

/* Zero page at rsi: the header's magic, a memory map, command line "t". The LAPIC's page and long mode are there. */
CODE(linux64, ".code64\n"
              "mov $1, %bl\ncmpl $0x53726448, 0x202(%rsi)\njne 9f\n"
              "mov $2, %bl\ncmpb $3, 0x1e8(%rsi)\njb 9f\n"
              "mov $3, %bl\nmov 0x228(%rsi), %eax\ncmpw $0x74, (%rax)\njne 9f\n"
              "mov $4, %bl\nmov $0xc0000080, %ecx\nrdmsr\ntest $0x400, %eax\njz 9f\n"
              "mov $5, %bl\nmov $0xfee00020, %eax\nmov (%rax), %eax\nshr $24, %eax\njnz 9f\n"
              "mov $6, %bl\ncmpl $0x20445352, 0xe0000\njne 9f\n" /* "RSD " */
              "mov $7, %bl\nmov $0x10000, %esp\npushf\npop %rax\ntest $0x200, %eax\njnz 9f\n"
              "xor %ebx, %ebx\n9: " END_WITH_BX);
/* Start info at ebx, paging off, segments usable. */
CODE(pvh, ".code32\n"
          "mov %ebx, %esi\n"
          "mov $1, %bl\ncmpl $0x336ec578, (%esi)\njne 9f\n"
          "mov $2, %bl\ncmpl $1, 4(%esi)\njne 9f\n"
          "mov $3, %bl\nmov 0x18(%esi), %eax\ncmpw $0x74, (%eax)\njne 9f\n"
          "mov $4, %bl\nmov 0x20(%esi), %eax\ncmpl $0x20445352, (%eax)\njne 9f\n"
          "mov $5, %bl\ncmpl $3, 0x30(%esi)\njb 9f\n"
          "mov $6, %bl\nmov %cr0, %eax\ntest %eax, %eax\njs 9f\n"
          "mov $7, %bl\ntest $1, %al\njz 9f\n"
          "xor %ebx, %ebx\n9: " END_WITH_BX);
/* The magic in eax, info at ebx: a map, and a command line that begins with the kernel's name. */
CODE(multiboot, ".code32\n"
                "mov %ebx, %esi\n"
                "mov $1, %bl\ncmp $0x2badb002, %eax\njne 9f\n"
                "mov $2, %bl\ntestl $0x40, (%esi)\njz 9f\n"
                "mov $3, %bl\nmov 16(%esi), %eax\ncmpb $0x20, 1(%eax)\njne 9f\n" /* "3 t": /proc/self/fd/3 */
                "mov $4, %bl\ncmpw $0x74, 2(%eax)\njne 9f\n"
                "mov $5, %bl\nmov %cr0, %eax\ntest %eax, %eax\njs 9f\n"
                "xor %ebx, %ebx\n9: " END_WITH_BX);
/* The same in low memory, with an initrd, edi at the image: it is whole (from 4 KiB on all bytes are 0xaa), the module
 * has its bytes and an empty string, and the segments' table can be used. */
CODE(low_multiboot, ".code32\n"
                    "mov %ebx, %esi\n"
                    "mov $1, %bl\ncmp $0x2badb002, %eax\njne 9f\n"
                    "mov $2, %bl\nmov 16(%esi), %eax\ncmpw $0x2033, (%eax)\njne 9f\ncmpw $0x74, 2(%eax)\njne 9f\n"
                    "mov $3, %bl\ntestl $8, (%esi)\njz 9f\ncmpl $1, 20(%esi)\njne 9f\n"
                    "mov $4, %bl\nmov 24(%esi), %edx\nmov (%edx), %eax\ncmpl $0x74696e69, (%eax)\njne 9f\n"
                    "mov $5, %bl\nmov 8(%edx), %eax\ntest %eax, %eax\njz 9f\ncmpb $0, (%eax)\njne 9f\n"
                    "mov $6, %bl\nmov 64(%esi), %eax\ncmpl $0x65726956, (%eax)\njne 9f\n" /* "Vire" */
                    "mov $7, %bl\nmov $0x1000, %ecx\n2: cmpb $0xaa, (%edi,%ecx)\njne 9f\n"
                    "add $1, %ecx\ncmp $0x2000, %ecx\njne 2b\n"
                    "mov $0x18, %eax\nmov %eax, %ds\nmov %eax, %ss\n"
                    "xor %ebx, %ebx\n9: " END_WITH_BX);
/* No exception handler: the first exception is the last. */
CODE(triple_fault, ".code64\nud2\n");

static void put_code(uint8_t *file, uint32_t at, const uint8_t *code, const uint8_t *end)
{
    assert_true(at + (size_t)(end - code) <= FILE_LEN);
    memcpy(file + at, code, (size_t)(end - code));
}

/* An ELF64 file whose one segment is the file itself, for this address; with a note when has_pvh. */
static void make_elf_at(uint8_t *file, uint32_t at, bool has_pvh)
{
    *(Elf64_Ehdr *)(void *)file = (Elf64_Ehdr){
        .e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_EXEC,
        .e_machine = EM_X86_64,
        .e_entry = at + CODE_AT,
        .e_phoff = sizeof(Elf64_Ehdr),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = has_pvh ? 2 : 1,
    };
    Elf64_Phdr *p = (Elf64_Phdr *)(void *)(file + sizeof(Elf64_Ehdr));
    p[0] = (Elf64_Phdr){PT_LOAD, PF_R | PF_X, 0, at, at, FILE_LEN, FILE_LEN, 0x1000};
    if (!has_pvh) return;
    p[1] = (Elf64_Phdr){PT_NOTE, PF_R, 0x1000, 0, 0, 20, 20, 4};
    memcpy(file + 0x1000, &(Elf64_Nhdr){4, 4, 18}, sizeof(Elf64_Nhdr));
    memcpy(file + 0x1000 + sizeof(Elf64_Nhdr), "Xen", 4);
    le32_write(file + 0x1000 + sizeof(Elf64_Nhdr) + 4, at + CODE_AT);
}

static void make_elf(uint8_t *file, bool has_pvh)
{
    make_elf_at(file, LOAD_AT, has_pvh);
}

struct given {
    const uint8_t *file;
    off_t file_size; /* with zeros after FILE_LEN; 0: none */
    bool has_acpi;
    const char *initrd; /* its bytes, or NULL */
};

/* 0, or what machine_create refused it with. */
static int run(const struct given *g, struct ending *end, struct err *refusal)
{
    struct machine *m = NULL;
    struct config c;
    struct err e = {0};
    guest_needs_kvm();
    const int fd = guest_file(g->file, FILE_LEN);
    assert_int_equal(dup2(fd, 3), 3); /* a name of one character */
    if (g->file_size) assert_int_equal(ftruncate(3, g->file_size), 0);
    config_init(&c, machine_devices);
    guest_set(&c, "kernel", "/proc/self/fd/3");
    guest_set(&c, "memory", "32M");
    guest_set(&c, "console", "off");
    guest_set(&c, "cmdline", "t");
    const int initrd = g->initrd ? guest_file(g->initrd, strlen(g->initrd)) : -1;
    if (g->initrd) guest_set(&c, "initrd", "/proc/self/fd/%d", initrd);
    c.has_acpi = g->has_acpi;
    const int rc = machine_create(&m, &c, NULL, refusal ? refusal : &e);
    if (rc && !refusal) fail_msg("%s", e.text);
    if (!rc && machine_start(m, &e)) fail_msg("%s", e.text);
    if (!rc) assert_int_equal(machine_wait(m, GUEST_END_MS, end), 0);
    machine_destroy(m);
    config_fini(&c);
    close(3);
    if (fd != 3) close(fd);
    if (initrd >= 0) close(initrd);
    return rc;
}

static void assert_checks_pass_of(const struct given *g)
{
    struct ending end;
    (void)run(g, &end, NULL);
    if (end.reason != END_GUEST_STATUS || end.value != 0)
        fail_msg("ended by %d with value %u: %s", (int)end.reason, end.value, end.detail);
}

static void assert_checks_pass(const uint8_t *file)
{
    assert_checks_pass_of(&(struct given){.file = file, .has_acpi = true});
}

static void elf64_is_entered_in_long_mode_with_its_zero_page(void **state)
{
    static uint8_t file[FILE_LEN];
    (void)state;
    make_elf(file, false);
    put_code(file, CODE_AT, linux64, linux64_end);
    assert_checks_pass(file);
}

static void pvh_is_entered_in_protected_mode_with_its_start_info(void **state)
{
    static uint8_t file[FILE_LEN];
    (void)state;
    make_elf(file, true);
    put_code(file, CODE_AT, pvh, pvh_end);
    assert_checks_pass(file);
}

static void multiboot_is_entered_in_protected_mode_with_its_info(void **state)
{
    static uint8_t file[FILE_LEN];
    static const uint32_t header[] = {
        0x1badb002,         1u << 16,         0u - 0x1badb002u - (1u << 16), LOAD_AT, LOAD_AT, 0,
        LOAD_AT + FILE_LEN, LOAD_AT + CODE_AT};
    (void)state;
    memcpy(file, header, sizeof(header));
    put_code(file, CODE_AT, multiboot, multiboot_end);
    assert_checks_pass(file);
}

static void multiboot_kernels_run_wherever_in_low_memory_they_are_linked(void **state)
{
    static uint8_t file[FILE_LEN];
    static const uint32_t places[] = {0, 0x800, 0x1000, 0x2000, 0x3000, 0x7c00, 0x8000, 0x9000, 0x10000, 0x9dc00};
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(places); i++) {
        const uint32_t at = places[i];
        const uint32_t header[] = {0x1badb002,    1u << 16,    0u - 0x1badb002u - (1u << 16), at, at, 0,
                                   at + FILE_LEN, at + CODE_AT};
        memset(file, 0xaa, sizeof(file));
        memcpy(file, header, sizeof(header));
        file[CODE_AT] = 0xbf; /* mov $at, %edi */
        le32_write(file + CODE_AT + 1, at);
        put_code(file, CODE_AT + 5, low_multiboot, low_multiboot_end);
        assert_checks_pass_of(&(struct given){.file = file, .has_acpi = true, .initrd = "initrd"});
    }
}

static void pvh_kernels_run_wherever_in_low_memory_they_are_linked(void **state)
{
    static uint8_t file[FILE_LEN];
    static const uint32_t places[] = {0x1000, 0x2000, 0x8000, 0x9d000};
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(places); i++) {
        make_elf_at(file, places[i], true);
        put_code(file, CODE_AT, pvh, pvh_end);
        assert_checks_pass(file);
    }
}

/* Xen's own reader steps by 4 whatever a segment says, so the note is where it finds it. */
static void pvh_is_booted_when_its_note_lies_in_a_segment_aligned_to_8(void **state)
{
    static uint8_t file[FILE_LEN];
    (void)state;
    make_elf(file, true);
    put_code(file, CODE_AT, pvh, pvh_end);
    memmove(file + 0x1000 + 20, file + 0x1000, 20); /* before it one that is as long, which 8 does not divide */
    le32_write(file + 0x1008, 6);
    Elf64_Phdr *note = (Elf64_Phdr *)(void *)(file + sizeof(Elf64_Ehdr)) + 1;
    note->p_filesz = note->p_memsz = 40;
    note->p_align = 8;
    assert_checks_pass(file);
}

static void a_kernel_for_multiboot_2_is_refused_and_not_entered_in_long_mode(void **state)
{
    static uint8_t file[FILE_LEN];
    static const uint32_t header[] = {0xe85250d6, 0, 24, 0u - 0xe85250d6u - 24u, 0, 8};
    struct ending end;
    struct err e = {0};
    (void)state;
    make_elf(file, false);
    put_code(file, CODE_AT, linux64, linux64_end);
    memcpy(file + 0x1000, header, sizeof(header));
    assert_int_equal(run(&(struct given){.file = file, .has_acpi = true}, &end, &e), -ENOEXEC);
    assert_contains(e.text, "has a Multiboot 2 header");
}

static void bzimage_is_entered_0x200_bytes_in(void **state)
{
    static uint8_t file[FILE_LEN];
    (void)state;
    file[0x1f1] = 1;                                   /* setup_sects: the kernel is at 0x400 */
    le32_write(file + 0x1f4, (FILE_LEN - 0x400) / 16); /* syssize */
    le16_write(file + 0x1fe, 0xaa55);
    le16_write(file + 0x200, 0x66eb);
    memcpy(file + 0x202, "HdrS", 4);
    le16_write(file + 0x206, 0x20f);
    file[0x211] = 1;                      /* loaded high */
    le32_write(file + 0x22c, 0x7fffffff); /* initrd_addr_max */
    le32_write(file + 0x230, 0x200000);   /* alignment */
    le16_write(file + 0x236, 1);          /* 64-bit entry */
    le32_write(file + 0x238, 255);        /* command line */
    le64_write(file + 0x258, LOAD_AT);    /* preferred address */
    le32_write(file + 0x260, 0x100000);   /* needs this much */
    put_code(file, 0x400 + 0x200, linux64, linux64_end);
    assert_checks_pass(file);
}

static void a_triple_fault_is_a_crash(void **state)
{
    static uint8_t file[FILE_LEN];
    (void)state;
    make_elf(file, false);
    put_code(file, CODE_AT, triple_fault, triple_fault_end);
    struct ending end;
    (void)run(&(struct given){.file = file, .has_acpi = true}, &end, NULL);
    assert_int_equal(end.reason, END_CRASH);
    assert_contains(end.detail, "triple fault");
}

static void without_acpi_there_is_no_rsdp(void **state)
{
    static uint8_t file[FILE_LEN];
    (void)state;
    make_elf(file, false);
    put_code(file, CODE_AT, linux64, linux64_end);
    struct ending end;
    (void)run(&(struct given){.file = file}, &end, NULL);
    assert_int_equal(end.reason, END_GUEST_STATUS);
    assert_int_equal(end.value, 6); /* the check that looks for it, and only that one */
}

static void a_large_kernel_runs_though_it_was_loaded_beside(void **state)
{
    static uint8_t file[FILE_LEN];
    (void)state;
    make_elf(file, false);
    put_code(file, CODE_AT, linux64, linux64_end);
    assert_checks_pass_of(&(struct given){.file = file, .file_size = LARGE, .has_acpi = true});
}

static void a_large_kernel_is_refused_by_its_name(void **state)
{
    static const uint8_t nothing[FILE_LEN];
    struct ending end;
    struct err e = {0};
    (void)state;
    assert_int_equal(run(&(struct given){.file = nothing, .file_size = LARGE}, &end, &e), -ENOEXEC);
    assert_int_equal(e.kind, ERR_KERNEL);
    assert_contains(e.text, "kernel /proc/self/fd/3: is no kernel we know");
}

UNIT_MAIN(UNIT(elf64_is_entered_in_long_mode_with_its_zero_page),
          UNIT(pvh_is_entered_in_protected_mode_with_its_start_info),
          UNIT(multiboot_is_entered_in_protected_mode_with_its_info),
          UNIT(multiboot_kernels_run_wherever_in_low_memory_they_are_linked),
          UNIT(pvh_kernels_run_wherever_in_low_memory_they_are_linked),
          UNIT(pvh_is_booted_when_its_note_lies_in_a_segment_aligned_to_8),
          UNIT(a_kernel_for_multiboot_2_is_refused_and_not_entered_in_long_mode),
          UNIT(bzimage_is_entered_0x200_bytes_in), UNIT(a_triple_fault_is_a_crash), UNIT(without_acpi_there_is_no_rsdp),
          UNIT(a_large_kernel_runs_though_it_was_loaded_beside), UNIT(a_large_kernel_is_refused_by_its_name))

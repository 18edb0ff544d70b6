/* Kernels and initrds that a program has at hand, in memory or as open files, instead of paths: through vireo.h, on
 * /dev/kvm. The kernel looks at the initrd it was handed and ends the machine with what it finds. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vireo.h>

#include "tests/kvm/guest.h"
#include "tests/unit/unit.h"

#define LOAD_AT  0x1000000u
#define CODE_AT  0x200u
#define FILE_LEN 0x1000u
#define LARGE    (8u << 20) /* its kernel is loaded by a thread while the VM is made */
#define STATUS   42
#define WITHOUT  7 /* no initrd there */

/* 64-bit entry, the zero page at rsi (boot.rst): ramdisk_image, ramdisk_size. */
extern const uint8_t looks_at_initrd[];
extern const uint64_t looks_at_initrd_size;
__asm__(".pushsection .rodata\nlooks_at_initrd:\n"
        "mov $7, %bl\nmov 0x218(%rsi), %eax\ntest %eax, %eax\njz 9f\n"
        "mov $8, %bl\ncmpl $4, 0x21c(%rsi)\njne 9f\n"
        "mov $9, %bl\ncmpl $0x74696e69, (%rax)\njne 9f\n" /* "init" */
        "mov $42, %bl\n"
        "9: mov %bl, %al\nout %al, $0xf4\n1: jmp 1b\n"
        ".balign 8\nlooks_at_initrd_size: .quad . - looks_at_initrd\n.popsection\n");

static uint8_t kernel[LARGE]; /* its first page is the file, or all of it */

static int make_kernel(void **state)
{
    (void)state;
    *(Elf64_Ehdr *)(void *)kernel = (Elf64_Ehdr){
        .e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_EXEC,
        .e_machine = EM_X86_64,
        .e_entry = LOAD_AT + CODE_AT,
        .e_phoff = sizeof(Elf64_Ehdr),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = 1,
    };
    *(Elf64_Phdr *)(void *)(kernel + sizeof(Elf64_Ehdr)) =
        (Elf64_Phdr){PT_LOAD, PF_R | PF_X, 0, LOAD_AT, LOAD_AT, FILE_LEN, FILE_LEN, 0x1000};
    memcpy(kernel + CODE_AT, looks_at_initrd, looks_at_initrd_size);
    return 0;
}

static struct vireo_config *new_config(void)
{
    struct vireo_config *c = vireo_config_create();
    struct vireo_error e;
    assert_non_null(c);
    assert_int_equal(vireo_config_set(c, "console", "off", &e), 0);
    assert_int_equal(vireo_config_set(c, "memory", "64M", &e), 0);
    return c;
}

static void must_end_with(const struct vireo_config *c, int status)
{
    struct vireo_error e;
    struct vireo_end end;
    struct vireo_vm *vm = NULL;
    if (vireo_vm_create(&vm, c, NULL, &e) || vireo_vm_start(vm, &e)) fail_msg("%s", e.text);
    assert_int_equal(vireo_vm_wait(vm, GUEST_END_MS, &end), 0);
    vireo_vm_destroy(vm);
    if (end.reason != VIREO_END_GUEST_STATUS || end.status != status) fail_msg("%s, not %d", end.detail, status);
}

static void an_image_may_be_bytes_in_memory(void **state)
{
    static const uint32_t sizes[] = {FILE_LEN, LARGE};
    (void)state;
    guest_needs_kvm();
    struct vireo_config *c = new_config();
    struct vireo_error e;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(vireo_config_set_image(c, "kernel", kernel, sizes[i], &e), 0);
        must_end_with(c, i == 0 ? WITHOUT : STATUS);
        assert_int_equal(vireo_config_set_image(c, "initrd", "init", 4, &e), 0);
        must_end_with(c, STATUS);
        must_end_with(c, STATUS); /* a configuration can be used again */
    }
    vireo_config_destroy(c);
}

/* Read from its start wherever its offset is, which stays there; the descriptor stays open. */
static void an_image_may_be_an_open_file(void **state)
{
    static const uint32_t sizes[] = {FILE_LEN, LARGE};
    (void)state;
    guest_needs_kvm();
    struct vireo_config *c = new_config();
    struct vireo_error e;
    const int initrd = guest_file("init", 4);
    assert_int_equal(vireo_config_set_image_fd(c, "initrd", initrd, &e), 0);
    for (unsigned i = 0; i < 2; i++) {
        const int file = guest_file(kernel, sizes[i]);
        assert_int_equal(lseek(file, 100, SEEK_SET), 100);
        assert_int_equal(vireo_config_set_image_fd(c, "kernel", file, &e), 0);
        must_end_with(c, STATUS);
        must_end_with(c, STATUS);
        assert_int_equal(lseek(file, 0, SEEK_CUR), 100);
        close(file);
    }
    close(initrd);
    vireo_config_destroy(c);
}

static void the_last_one_set_counts(void **state)
{
    (void)state;
    guest_needs_kvm();
    struct vireo_config *c = new_config();
    struct vireo_error e;
    struct vireo_vm *vm = NULL;
    assert_int_equal(vireo_config_set_image(c, "kernel", kernel, FILE_LEN, &e), 0);
    assert_int_equal(vireo_config_set(c, "kernel", "/no/such/kernel", &e), 0);
    assert_int_equal(vireo_vm_create(&vm, c, NULL, &e), -ENOENT);
    assert_contains(e.text, "kernel /no/such/kernel: ");
    assert_int_equal(vireo_config_set_image(c, "kernel", kernel, FILE_LEN, &e), 0);
    must_end_with(c, WITHOUT);
    vireo_config_destroy(c);
}

static void what_is_no_image_is_refused_with_a_sentence(void **state)
{
    (void)state;
    guest_needs_kvm();
    struct vireo_config *c = new_config();
    struct vireo_error e;
    struct vireo_vm *vm = NULL;
    int ends[2];
    assert_int_equal(vireo_config_set_image(c, "cmdline", "a", 1, &e), -ENOENT);
    assert_contains(e.text, "kernel and initrd");
    assert_int_equal(vireo_config_set_image(c, "kernel", NULL, 5, &e), -EINVAL);
    assert_int_equal(vireo_config_set_image(c, "kernel", kernel, 0, &e), -EINVAL);
    assert_int_equal(vireo_config_set_image_fd(c, "kernel", -1, &e), -EBADF);
    assert_int_equal(e.exit_status, 125);
    assert_int_equal(vireo_config_set_image(c, "initrd", "init", 4, &e), 0);
    assert_int_equal(vireo_vm_create(&vm, c, NULL, &e), -EINVAL); /* without a kernel */
    assert_contains(e.text, "initrd in memory: there is no kernel");

    assert_int_equal(vireo_config_set_image(c, "kernel", "neither this nor that", 20, &e), 0);
    assert_int_equal(vireo_vm_create(&vm, c, NULL, &e), -ENOEXEC);
    assert_contains(e.text, "kernel (memory): is no kernel");
    assert_int_equal(e.exit_status, 127);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0); /* which can't be read twice, nor from its start */
    assert_int_equal(vireo_config_set_image_fd(c, "kernel", ends[0], &e), 0);
    assert_int_equal(vireo_vm_create(&vm, c, NULL, &e), -EINVAL);
    assert_contains(e.text, "kernel (descriptor): is no regular file");
    assert_int_equal(e.exit_status, 127);
    close(ends[0]);
    close(ends[1]);
    assert_null(vm);
    vireo_config_destroy(c);
}

#define T(promise) cmocka_unit_test_setup(promise, make_kernel)
UNIT_MAIN(T(an_image_may_be_bytes_in_memory), T(an_image_may_be_an_open_file), T(the_last_one_set_counts),
          T(what_is_no_image_is_refused_with_a_sentence))

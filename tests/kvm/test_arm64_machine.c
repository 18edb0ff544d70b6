/* What only an arm64 machine has, each with a few instructions as its kernel. */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "arch/arm64/fdt.h"
#include "arch/arm64/layout.h"
#include "arch/arm64/load_image.h"
#include "tests/kvm/guest.h"
#include "tests/unit/unit.h"
#include "vmm/base/endian.h"
#include "vmm/machine/state.h"

/* A64 instructions. */
#define MOVZ_X1_HIGH(v) (0xd2a00001u | (uint32_t)(v) << 5) /* movz x1, #v, lsl #16 */
#define MOVZ_W2(v)      (0x52800002u | (uint32_t)(v) << 5)
#define LDP_X3_X4_X1    0xa9401023u /* ldp x3, x4, [x1] */
#define STR_W2_X1       0xb9000022u
#define STRB_W2_X1      0x39000022u
#define STRB_W2_X1_1    0x39000422u /* strb w2, [x1, #1] */
#define LDR_W2_X1       0xb9400022u
#define SELF            0x14000000u /* b . */

static struct machine *build(const uint32_t *code, size_t words, const char *cpus)
{
    struct machine *m = NULL;
    struct config c;
    struct err e = {0};
    uint8_t image[64];

    guest_needs_kvm();
    assert_true(words * 4 <= sizeof(image));
    for (size_t i = 0; i < words; i++) le32_write(image + 4 * i, code[i]);
    const int fd = guest_file(image, words * 4);
    config_init(&c, machine_devices);
    guest_set(&c, "kernel", "/proc/self/fd/%d", fd);
    guest_set(&c, "memory", "4M");
    guest_set(&c, "cpus", "%s", cpus);
    guest_set(&c, "console", "off");
    if (machine_create(&m, &c, NULL, &e)) fail_msg("%s", e.text);
    config_fini(&c);
    close(fd);
    return m;
}

static struct ending run(struct machine *m)
{
    struct ending end = {0};
    struct err e = {0};
    if (machine_start(m, &e)) fail_msg("%s", e.text);
    assert_int_equal(machine_wait(m, GUEST_END_MS, &end), 0);
    return end;
}

static struct ending run_code(const uint32_t *code, size_t words)
{
    struct machine *m = build(code, words, "1");
    const struct ending end = run(m);
    machine_destroy(m);
    return end;
}

static void debug_exit_ends_with_a_32_bit_status(void **state)
{
    (void)state;
    const uint32_t code[] = {MOVZ_X1_HIGH(ARM64_DEBUG_EXIT_BASE >> 16), MOVZ_W2(42), STR_W2_X1, SELF};
    const struct ending end = run_code(code, COUNT_OF(code));
    assert_int_equal(end.reason, END_GUEST_STATUS);
    assert_int_equal(end.value, 42);
}

static void debug_exit_notes_a_milestone_and_goes_on(void **state)
{
    (void)state;
    const uint32_t code[] = {MOVZ_X1_HIGH(ARM64_DEBUG_EXIT_BASE >> 16), MOVZ_W2(9), STRB_W2_X1_1, STR_W2_X1, SELF};
    struct machine *m = build(code, COUNT_OF(code), "1");
    const struct ending end = run(m);
    bool was_marked = false;
    struct machine_milestone mark;
    for (unsigned i = 0; machine_milestone(m, i, &mark); i++)
        was_marked = was_marked || strcmp(mark.name, "guest 9") == 0;
    machine_destroy(m);
    assert_true(was_marked);
    assert_int_equal(end.reason, END_GUEST_STATUS);
}

static void panic_device_ends_the_machine(void **state)
{
    (void)state;
    const uint32_t code[] = {MOVZ_X1_HIGH(ARM64_PVPANIC_BASE >> 16), MOVZ_W2(1), STRB_W2_X1, SELF};
    assert_int_equal(run_code(code, COUNT_OF(code)).reason, END_PANIC);
}

/* A pair of registers leaves no syndrome: KVM can't say what was to be read. */
static void device_access_without_a_syndrome_is_explained(void **state)
{
    (void)state;
    const uint32_t code[] = {MOVZ_X1_HIGH(ARM64_SERIAL_BASE >> 16), LDP_X3_X4_X1, SELF};
    char pc[64];
    const struct ending end = run_code(code, COUNT_OF(code));
    (void)snprintf(pc, sizeof(pc), "pc 0x%llx", ARM64_RAM_BASE + IMAGE_FLAT_OFFSET + 4);
    assert_int_equal(end.reason, END_KVM_ERROR);
    assert_int_equal(end.vcpu, 0);
    assert_contains(end.detail, "it must use plain loads and stores there");
    assert_contains(end.detail, pc);
}

/* x0 is the tree, and the tree begins with its magic, big-endian. */
static void kernel_finds_the_device_tree_in_x0(void **state)
{
    (void)state;
    const uint32_t code[] = {0xaa0003e5u /* mov x5, x0 */,
                             0xb94000a2u /* ldr w2, [x5] */,
                             0x5ac00842u /* rev w2, w2 */,
                             MOVZ_X1_HIGH(ARM64_DEBUG_EXIT_BASE >> 16),
                             STR_W2_X1,
                             SELF};
    assert_int_equal(run_code(code, COUNT_OF(code)).value, 0xd00dfeedu);
}

static void dump_is_the_tree_the_guest_gets(void **state)
{
    (void)state;
    const uint32_t code[] = {SELF};
    struct machine *m = build(code, COUNT_OF(code), "2");
    struct err e = {0};
    uint8_t dump[4096], *tree;
    char path[64];
    const int fd = memfd_create("dump", MFD_CLOEXEC);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    const struct arch_boot boot = {.kernel = {.data = code, .size = sizeof(code)}, .cmdline = "a", .dump_path = path};
    if (arch_load(m->arch, &boot, &e)) fail_msg("%s", e.text);
    const ssize_t size = pread(fd, dump, sizeof(dump), 0);
    assert_in_range(size, 1000, sizeof(dump) - 1);
    tree = gmem_slice(&m->mem, ARM64_RAM_BASE + gmem_total(&m->mem) - FDT_MAX_BYTES, (uint64_t)size, GMEM_READ);
    assert_non_null(tree);
    assert_memory_equal(dump, tree, (size_t)size);

    const struct arch_boot nowhere = {
        .kernel = {.data = code, .size = sizeof(code)}, .cmdline = "a", .dump_path = "/no/such/folder/dtb"};
    assert_int_equal(arch_load(m->arch, &nowhere, &e), -ENOENT);
    assert_string_equal(e.text, "dump-dtb /no/such/folder/dtb: No such file or directory");
    close(fd);
    machine_destroy(m);
}

static void clock_shows_the_time_of_day(void **state)
{
    (void)state;
    const uint32_t code[] = {MOVZ_X1_HIGH(ARM64_RTC_BASE >> 16), LDR_W2_X1, MOVZ_X1_HIGH(ARM64_DEBUG_EXIT_BASE >> 16),
                             STR_W2_X1, SELF};
    const uint32_t before = (uint32_t)time(NULL);
    const uint32_t shown = run_code(code, COUNT_OF(code)).value;
    assert_in_range(shown, before, time(NULL));
}

UNIT_MAIN(UNIT(debug_exit_ends_with_a_32_bit_status), UNIT(debug_exit_notes_a_milestone_and_goes_on),
          UNIT(panic_device_ends_the_machine), UNIT(device_access_without_a_syndrome_is_explained),
          UNIT(kernel_finds_the_device_tree_in_x0), UNIT(dump_is_the_tree_the_guest_gets),
          UNIT(clock_shows_the_time_of_day))

/* The device trees of three machines against their texts in tests/unit/golden. dtc turns the blob into text and must
 * not warn. When a tree is meant to change: UPDATE_GOLDEN=1 writes the texts anew, and the diff is what to review. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "arch/arm64/fdt.h"
#include "arch/arm64/layout.h"

#define GOLDEN   "tests/unit/golden/"
#define TEXT_MAX 65536
#define MIB      (UINT64_C(1) << 20)

/* Affinities as KVM numbers them: sixteen to a cluster. */
static const uint64_t mpidr[64] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x100, 0x101};

static struct arch_slot slots[ARCH_MAX_SLOTS];

static struct fdt_machine machine(unsigned cpus, enum gic_version gic, unsigned slot_count)
{
    struct fdt_machine m = {.ram_base = arch_info.ram_base,
                            .ram_size = 256 * MIB,
                            .mpidr = mpidr,
                            .cpus = cpus,
                            .gic = gic,
                            .slots = slots,
                            .slot_count = slot_count,
                            .cmdline = "console=ttyS0"};
    for (unsigned i = 0; i < ARCH_MAX_SLOTS; i++)
        slots[i] = (struct arch_slot){
            .base = arch_info.virtio_base + i * 0x1000, .size = 0x1000, .gsi = arch_info.virtio_gsi + i};
    for (unsigned i = 0; i < FDT_SEED_BYTES; i++) m.seed[i] = (uint8_t)i;
    return m;
}

static void *build(const struct fdt_machine *m, int *size)
{
    struct err e = {0};
    void *blob = calloc(1, FDT_MAX_BYTES);
    assert_non_null(blob);
    *size = fdt_build(blob, FDT_MAX_BYTES, m, &e);
    if (*size < 0) fail_msg("%s", e.text);
    return blob;
}

static void read_all(FILE *f, char *text)
{
    const size_t n = fread(text, 1, TEXT_MAX - 1, f);
    text[n] = '\0';
}

/* The blob as dtc reads it, warnings and all. */
static void decompile(const void *blob, int size, char *text)
{
    char path[] = "/tmp/vireo-fdt-XXXXXX", command[128];
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, blob, (size_t)size), size);
    close(fd);
    (void)snprintf(command, sizeof(command), "dtc -I dtb -O dts %s 2>&1", path);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    read_all(f, text);
    const int status = pclose(f);
    unlink(path);
    if (status != 0) fail_msg("dtc: %s", text);
}

static void assert_golden(const struct fdt_machine *m, const char *path)
{
    static char is[TEXT_MAX], should[TEXT_MAX];
    int size;
    if (system("dtc --version > /dev/null 2>&1") != 0) {
        print_message("dtc does not run here (package device-tree-compiler)\n");
        skip();
    }
    void *blob = build(m, &size);
    decompile(blob, size, is);
    free(blob);
    const bool is_update = getenv("UPDATE_GOLDEN") != NULL;
    FILE *f = fopen(path, is_update ? "w" : "r");
    if (!f) fail_msg("%s can't be opened; run from the top of the tree", path);
    if (is_update)
        (void)fputs(is, f);
    else
        read_all(f, should);
    (void)fclose(f);
    if (!is_update && strcmp(is, should) != 0) fail_msg("not as in %s:\n%s", path, is);
}

static void minimal_machine_is_described_as_agreed(void **state)
{
    (void)state;
    const struct fdt_machine m = machine(1, GIC_V3, 0);
    assert_golden(&m, GOLDEN "arm64_1cpu.dts");
}

static void four_cpus_with_gicv3_and_three_devices_are_described_as_agreed(void **state)
{
    (void)state;
    struct fdt_machine m = machine(4, GIC_V3, 3);
    m.ram_size = 8192 * MIB;
    m.cmdline = "console=ttyS0 root=/dev/vda ro \"quoted words\"";
    m.initrd_start = 0x4e000000;
    m.initrd_end = 0x4fff0123;
    assert_golden(&m, GOLDEN "arm64_4cpu_gicv3.dts");
}

static void eight_cpus_with_gicv2_are_described_as_agreed(void **state)
{
    (void)state;
    const struct fdt_machine m = machine(8, GIC_V2, 1);
    assert_golden(&m, GOLDEN "arm64_8cpu_gicv2.dts");
}

static void largest_machine_fits(void **state)
{
    (void)state;
    char cmdline[FDT_CMDLINE_MAX + 1];
    memset(cmdline, 'x', sizeof(cmdline));
    cmdline[FDT_CMDLINE_MAX] = '\0';
    struct fdt_machine m = machine(64, GIC_V3, ARCH_MAX_SLOTS);
    uint64_t affinity[64];
    for (unsigned i = 0; i < 64; i++) affinity[i] = i % 16 | i / 16 << 8;
    m.mpidr = affinity;
    m.cmdline = cmdline;
    int size;
    void *blob = build(&m, &size);
    assert_int_equal(fdt_check_full(blob, (size_t)size), 0);
    assert_true(size < FDT_MAX_BYTES / 2);
    free(blob);
}

static void cpus_carry_the_affinity_kvm_gave_them(void **state)
{
    (void)state;
    const uint64_t odd[] = {0x100, 0xab00000102};
    struct fdt_machine m = machine(2, GIC_V3, 0);
    m.mpidr = odd;
    int size, len;
    void *blob = build(&m, &size);
    const int node = fdt_path_offset(blob, "/cpus/cpu@ab00000102");
    assert_true(node >= 0);
    const fdt64_t *reg = fdt_getprop(blob, node, "reg", &len);
    assert_int_equal(len, 8);
    assert_true(fdt64_to_cpu(*reg) == odd[1]);
    free(blob);
}

static void too_long_a_command_line_is_refused(void **state)
{
    (void)state;
    char cmdline[FDT_CMDLINE_MAX + 2];
    memset(cmdline, 'x', sizeof(cmdline));
    cmdline[FDT_CMDLINE_MAX + 1] = '\0';
    struct fdt_machine m = machine(1, GIC_V3, 0);
    struct err e;
    uint8_t blob[8];
    m.cmdline = cmdline;
    assert_int_equal(fdt_build(blob, sizeof(blob), &m, &e), -E2BIG);
    assert_string_equal(e.text, "cmdline: 2048 bytes, and kernels take at most 2047; shorten it");
}

/* Every size that is too small, and never a byte beyond it. */
static void tree_too_large_is_refused(void **state)
{
    (void)state;
    const struct fdt_machine m = machine(2, GIC_V3, 2);
    int size;
    uint8_t *blob = build(&m, &size);
    for (int room = 0; room < size; room += 13) {
        struct err e;
        memset(blob, 0x5a, FDT_MAX_BYTES);
        assert_int_equal(fdt_build(blob, (size_t)room, &m, &e), -E2BIG);
        assert_contains(e.text, "device tree: 2 vCPUs, 2 devices");
        assert_int_equal(blob[room], 0x5a);
    }
    free(blob);
}

UNIT_MAIN(UNIT(minimal_machine_is_described_as_agreed),
          UNIT(four_cpus_with_gicv3_and_three_devices_are_described_as_agreed),
          UNIT(eight_cpus_with_gicv2_are_described_as_agreed), UNIT(largest_machine_fits),
          UNIT(cpus_carry_the_affinity_kvm_gave_them), UNIT(too_long_a_command_line_is_refused),
          UNIT(tree_too_large_is_refused))

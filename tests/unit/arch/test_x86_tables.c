/* What tells a guest which hardware there is: ACPI tables, checked byte by byte and by ACPICA's own disassembler; the
 * MP table; the words for kernels without ACPI; the AML encoder beneath. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arch/x86/aml.h"
#include "arch/x86/layout.h"
#include "arch/x86/platform.h"
#include "arch/x86/tables.h"
#include "vmm/base/endian.h"

#define RAM_SIZE (2u << 20)
#define TEXT_MAX (1u << 20) /* of a disassembled table */

struct rig {
    uint8_t *ram;
    struct gmem mem;
    struct arch_slot slot[ARCH_MAX_SLOTS];
    uint64_t rsdp;
    struct err err;
};

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof(*r));
    assert_non_null(r);
    r->ram = calloc(1, RAM_SIZE);
    assert_non_null(r->ram);
    gmem_init(&r->mem);
    assert_int_equal(gmem_add_host(&r->mem, 0, RAM_SIZE, r->ram, NULL), 0);
    gmem_freeze(&r->mem);
    for (unsigned i = 0; i < ARCH_MAX_SLOTS; i++)
        r->slot[i] = (struct arch_slot){arch_info.virtio_base + i * 0x1000ull, 0x1000, arch_info.virtio_gsi + i};
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;
    gmem_fini(&r->mem);
    free(r->ram);
    free(r);
    return 0;
}

static void write_acpi(struct rig *r, unsigned cpus, unsigned slots)
{
    const struct machine_map map = {cpus, r->slot, slots};
    assert_int_equal(acpi_write(&r->mem, &map, &r->rsdp, &r->err), 0);
}

static unsigned sum(const uint8_t *p, size_t len)
{
    unsigned s = 0;
    while (len--) s += *p++;
    return s & 0xff;
}

/* A table found by the way a guest goes: RSDP, XSDT, signature; the DSDT by the FADT. */
static const uint8_t *find(const struct rig *r, const char *signature)
{
    const uint8_t *xsdt = r->ram + le64_read(r->ram + r->rsdp + 24);
    for (uint32_t off = 36; off < le32_read(xsdt + 4); off += 8) {
        const uint8_t *t = r->ram + le64_read(xsdt + off);
        if (memcmp(t, signature, 4) == 0) return t;
        if (memcmp(t, "FACP", 4) == 0 && memcmp(signature, "DSDT", 4) == 0) return r->ram + le64_read(t + 140);
    }
    fail_msg("no table %s", signature);
    return NULL;
}

static const char *const all_tables[] = {"FACP", "APIC", "DSDT"};

static void acpi_tables_add_up_to_zero(void **state)
{
    struct rig *r = *state;
    for (unsigned slots = 0; slots <= ARCH_MAX_SLOTS; slots += 4) {
        memset(r->ram, 0, RAM_SIZE);
        write_acpi(r, 1 + slots * 2 > 64 ? 64 : 1 + slots * 2, slots);
        assert_memory_equal(r->ram + r->rsdp, "RSD PTR ", 8);
        assert_int_equal(sum(r->ram + r->rsdp, 20), 0);
        assert_int_equal(sum(r->ram + r->rsdp, 36), 0);
        const uint8_t *xsdt = r->ram + le64_read(r->ram + r->rsdp + 24);
        assert_int_equal(sum(xsdt, le32_read(xsdt + 4)), 0);
        for (unsigned i = 0; i < COUNT_OF(all_tables); i++) {
            const uint8_t *t = find(r, all_tables[i]);
            assert_int_equal(sum(t, le32_read(t + 4)), 0);
        }
    }
}

static void acpi_root_is_where_a_scan_looks(void **state)
{
    struct rig *r = *state;
    write_acpi(r, 1, 0);
    assert_true(r->rsdp >= 0xe0000 && r->rsdp < 0x100000 && r->rsdp % 16 == 0);
}

static void acpi_of_a_small_machine_fits_one_page(void **state)
{
    struct rig *r = *state;
    write_acpi(r, 4, 4);
    for (uint32_t a = X86_ACPI + GMEM_PAGE; a < X86_ACPI + X86_ACPI_ROOM; a++) assert_int_equal(r->ram[a], 0);
}

static void fadt_says_what_is_not_there(void **state)
{
    struct rig *r = *state;
    write_acpi(r, 1, 0);
    const uint8_t *fadt = find(r, "FACP");
    assert_int_equal(le32_read(fadt + 4), 276);
    assert_true(le32_read(fadt + 112) & 1u << 20); /* hardware-reduced */
    assert_true(le32_read(fadt + 112) & 1u << 10); /* reset register */
    assert_int_equal(le16_read(fadt + 109), 0x24); /* no VGA, no CMOS clock; no 8042, no legacy devices */
    assert_int_equal(le32_read(fadt + 36), 0);     /* no FACS */
    assert_int_equal(le64_read(fadt + 120), X86_PORT_POWER + POWER_RESET);
    assert_int_equal(fadt[128], POWER_RESET_VALUE);
    assert_int_equal(le64_read(fadt + 248), X86_PORT_POWER + POWER_SLEEP_CONTROL);
    assert_int_equal(le64_read(fadt + 260), X86_PORT_POWER + POWER_SLEEP_STATUS);
}

static void madt_lists_every_vcpu_and_one_ioapic(void **state)
{
    struct rig *r = *state;
    write_acpi(r, 64, 0);
    const uint8_t *madt = find(r, "APIC");
    unsigned cpus = 0, ioapics = 0;
    assert_int_equal(le32_read(madt + 36), X86_LAPIC);
    assert_int_equal(le32_read(madt + 40), 0); /* no dual 8259 */
    for (uint32_t off = 44; off < le32_read(madt + 4); off += madt[off + 1]) {
        assert_true(madt[off + 1] >= 6);
        if (madt[off] == 0) {
            assert_int_equal(madt[off + 3], cpus++);
            assert_int_equal(le32_read(madt + off + 4), 1);
        }
        if (madt[off] == 1) {
            ioapics++;
            assert_int_equal(madt[off + 2], 64);
            assert_int_equal(le32_read(madt + off + 4), X86_IOAPIC);
            assert_int_equal(le32_read(madt + off + 8), 0);
        }
    }
    assert_int_equal(cpus, 64);
    assert_int_equal(ioapics, 1);
}

/* ---- what ACPICA reads in them ---- */

static bool has_iasl(void)
{
    return system("command -v iasl > /dev/null 2>&1") == 0; /* NOLINT(cert-env33-c): a fixed command */
}

static void write_file(const char *path, const void *bytes, size_t len)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    close(fd);
}

/* Disassembled with iasl (and compiled again where that is asked); the text of it, to be freed. */
static char *disassemble(const uint8_t *table, bool again)
{
    static const char *const check[] = {"! grep -iE 'error|warning|invalid' log",
                                        "iasl -vs -p again t.dsl >> log 2>&1 && grep -q ' 0 Errors, 0 Warnings' log"};
    char dir[] = "/tmp/vireo-iasl-XXXXXX", path[64], command[256];
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/t.aml", dir);
    write_file(path, table, le32_read(table + 4));
    (void)snprintf(command, sizeof(command), "cd %s && iasl -d t.aml > log 2>&1 && %s || { cat log; false; }", dir,
                   check[again]);
    const int rc = system(command); /* NOLINT(cert-env33-c) */
    (void)snprintf(path, sizeof(path), "%s/t.dsl", dir);
    char *text = calloc(1, TEXT_MAX);
    FILE *f = fopen(path, "r");
    assert_true(text && f);
    assert_true(fread(text, 1, TEXT_MAX - 1, f) > 0);
    (void)fclose(f);
    (void)snprintf(command, sizeof(command), "rm -r %s", dir);
    (void)!system(command); /* NOLINT(cert-env33-c) */
    if (rc) fail_msg("iasl finds fault with %.4s", (const char *)table);
    return text;
}

static void iasl_reads_every_table_without_complaint(void **state)
{
    struct rig *r = *state;
    if (!has_iasl()) {
        print_message("no iasl here: install acpica-tools\n");
        skip();
    }
    write_acpi(r, 3, 2);
    for (unsigned i = 0; i < COUNT_OF(all_tables); i++) free(disassemble(find(r, all_tables[i]), false));
}

static void iasl_finds_the_devices_in_the_dsdt(void **state)
{
    static const char *const parts[] = {
        "Scope (\\_SB)",
        "Device (COM1)",
        "EisaId (\"PNP0501\")",
        "Device (PEVT)",
        "\"QEMU0001\"",
        "Device (VR00)",
        "Device (VR1F)",
        "\"LNRO0005\"",
        "Memory32Fixed (ReadWrite,\n                    0xD001F000,",
        "Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive, ,, )",
        "0x00000024,", /* the last slot's GSI, 36 */
        "Name (_S5, Package (0x02)",
    };
    struct rig *r = *state;
    if (!has_iasl()) {
        print_message("no iasl here: install acpica-tools\n");
        skip();
    }
    write_acpi(r, 1, ARCH_MAX_SLOTS);
    char *text = disassemble(find(r, "DSDT"), true);
    for (unsigned i = 0; i < COUNT_OF(parts); i++) assert_contains(text, parts[i]);
    free(text);
}

/* ---- the encoder ---- */

static void aml_integers_are_as_short_as_they_can_be(void **state)
{
    static const struct {
        uint32_t value;
        uint8_t bytes[5];
        size_t len;
    } row[] = {
        {0, {0x00}, 1},
        {1, {0x01}, 1},
        {2, {0x0a, 2}, 2},
        {0xff, {0x0a, 0xff}, 2},
        {0x100, {0x0b, 0x00, 0x01}, 3},
        {0xffff, {0x0b, 0xff, 0xff}, 3},
        {0x10000, {0x0c, 0x00, 0x00, 0x01, 0x00}, 5},
        {0xffffffff, {0x0c, 0xff, 0xff, 0xff, 0xff}, 5},
    };
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(row); i++) {
        uint8_t buf[8];
        struct aml a = {.buf = buf, .size = sizeof(buf)};
        aml_integer(&a, row[i].value);
        assert_int_equal(a.len, row[i].len);
        assert_memory_equal(buf, row[i].bytes, row[i].len);
    }
}

static void aml_names_the_serial_port_as_acpi_compresses_it(void **state)
{
    (void)state;
    assert_int_equal(aml_eisa_id("PNP0501"), 0x0105d041);
    assert_int_equal(aml_eisa_id("PNP0C0F"), 0x0f0cd041);
}

static void aml_that_does_not_fit_is_told_and_never_overruns(void **state)
{
    (void)state;
    for (size_t size = 0; size < 64; size++) {
        uint8_t buf[80];
        memset(buf, 0xee, sizeof(buf));
        struct aml a = {.buf = buf, .size = size};
        const size_t dev = aml_device_begin(&a, "DEV0");
        aml_name_string(&a, "_HID", "LNRO0005");
        const size_t crs = aml_resources_begin(&a);
        aml_resource_memory32(&a, 0xd0000000, 0x1000);
        aml_resource_edge(&a, 5);
        aml_resources_end(&a, crs);
        aml_end(&a, dev);
        assert_int_equal(a.is_full, size < 59);
        for (size_t i = size; i < sizeof(buf); i++) assert_int_equal(buf[i], 0xee);
    }
}

/* ---- without ACPI ---- */

static void mptable_adds_up_and_counts_its_entries(void **state)
{
    struct rig *r = *state;
    static const uint8_t size_of[] = {20, 8, 8, 8, 8}; /* MP 1.4, table 4-3 */
    const struct machine_map map = {16, r->slot, 5};
    assert_int_equal(mptable_write(&r->mem, &map, &r->err), 0);
    const uint8_t *f = r->ram + X86_MPTABLE;
    assert_memory_equal(f, "_MP_", 4);
    assert_int_equal(sum(f, 16), 0);
    const uint8_t *t = r->ram + le32_read(f + 4);
    assert_memory_equal(t, "PCMP", 4);
    assert_int_equal(sum(t, le16_read(t + 4)), 0);
    unsigned count[5] = {0}, off = 44, last = 0;
    for (unsigned i = 0; i < le16_read(t + 34); i++) {
        const uint8_t type = t[off];
        assert_true(type < 5);
        assert_true(type >= last); /* MP 1.4, 4.3: sorted by type */
        last = type;
        count[type]++;
        off += size_of[type];
    }
    assert_int_equal(off, le16_read(t + 4));
    assert_int_equal(count[0], 16);
    assert_int_equal(count[1], 1);
    assert_int_equal(count[2], 1);
    assert_int_equal(count[3], 1 + 5);
    assert_int_equal(count[4], 2);
}

static void mptable_of_the_greatest_machine_stays_in_its_room(void **state)
{
    struct rig *r = *state;
    const struct machine_map map = {X86_MAX_VCPUS, r->slot, ARCH_MAX_SLOTS};
    assert_int_equal(mptable_write(&r->mem, &map, &r->err), 0);
    for (uint32_t a = X86_HIMEM; a < X86_HIMEM + 64; a++) assert_int_equal(r->ram[a], 0);
}

static void cmdline_without_acpi_names_every_window(void **state)
{
    struct rig *r = *state;
    char out[256];
    const struct machine_map map = {1, r->slot, 2};
    assert_int_equal(mptable_cmdline(&map, "quiet", out, sizeof(out), &r->err), 0);
    assert_string_equal(out, "quiet virtio_mmio.device=4K@0xd0000000:5 virtio_mmio.device=4K@0xd0001000:6");
    assert_int_equal(mptable_cmdline(&map, "", out, sizeof(out), &r->err), 0);
    assert_string_equal(out, "virtio_mmio.device=4K@0xd0000000:5 virtio_mmio.device=4K@0xd0001000:6");
}

static void cmdline_without_acpi_that_does_not_fit_is_refused(void **state)
{
    struct rig *r = *state;
    char out[80];
    const struct machine_map map = {1, r->slot, 2};
    assert_int_equal(mptable_cmdline(&map, "1234567", out, sizeof(out), &r->err), 0);
    for (size_t size = 0; size < 70; size++)
        assert_int_equal(mptable_cmdline(&map, "", out, size, &r->err), size > 69 ? 0 : -E2BIG);
    assert_contains(r->err.text, "shorten it");
}

#define RIGGED(promise) cmocka_unit_test_setup_teardown(promise, setup, teardown)

UNIT_MAIN(RIGGED(acpi_tables_add_up_to_zero), RIGGED(acpi_root_is_where_a_scan_looks),
          RIGGED(acpi_of_a_small_machine_fits_one_page), RIGGED(fadt_says_what_is_not_there),
          RIGGED(madt_lists_every_vcpu_and_one_ioapic), RIGGED(iasl_reads_every_table_without_complaint),
          RIGGED(iasl_finds_the_devices_in_the_dsdt), UNIT(aml_integers_are_as_short_as_they_can_be),
          UNIT(aml_names_the_serial_port_as_acpi_compresses_it), UNIT(aml_that_does_not_fit_is_told_and_never_overruns),
          RIGGED(mptable_adds_up_and_counts_its_entries), RIGGED(mptable_of_the_greatest_machine_stays_in_its_room),
          RIGGED(cmdline_without_acpi_names_every_window), RIGGED(cmdline_without_acpi_that_does_not_fit_is_refused))

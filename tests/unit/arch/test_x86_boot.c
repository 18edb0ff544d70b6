/* What a kernel finds at its entry: zero page, PVH start info, Multiboot info, command line, tables. And how the
 * machine ends and explains itself. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "arch/x86/bootparams.h"
#include "arch/x86/layout.h"
#include "arch/x86/platform.h"
#include "arch/x86/struct_arch.h"
#include "vmm/base/endian.h"

#define MIB      (1ull << 20)
#define RAM_SIZE (16 * MIB)

struct rig {
    uint8_t *ram;
    struct gmem mem;
    struct err err;
};

static int setup_with(void **state, uint64_t high)
{
    struct rig *r = calloc(1, sizeof(*r));
    assert_non_null(r);
    r->ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(r->ram, MAP_FAILED);
    gmem_init(&r->mem);
    assert_int_equal(gmem_add_host(&r->mem, 0, RAM_SIZE, r->ram, NULL), 0);
    if (high) assert_int_equal(gmem_add_host(&r->mem, X86_HOLE_END, high, r->ram, NULL), 0);
    gmem_freeze(&r->mem);
    *state = r;
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, 0);
}

static int setup_high(void **state)
{
    return setup_with(state, 2 * MIB);
}

static int teardown(void **state)
{
    struct rig *r = *state;
    gmem_fini(&r->mem);
    munmap(r->ram, RAM_SIZE);
    free(r);
    return 0;
}

static struct loaded kernel(enum boot_protocol protocol)
{
    struct loaded l = {.protocol = protocol, .cmdline_max = LOAD_CMDLINE_MAX, .info = X86_BOOT_INFO};
    l.header.header = 0x53726448;
    return l;
}

static uint8_t *write_info(struct rig *r, enum boot_protocol protocol, uint64_t initrd_size)
{
    const struct loaded k = kernel(protocol);
    const struct boot_info b = {.kernel = &k, .initrd = 0xe00000, .initrd_size = initrd_size, .rsdp = X86_ACPI};
    assert_int_equal(boot_write_info(&r->mem, &b, &r->err), 0);
    return r->ram + X86_BOOT_INFO;
}

static void memory_map_covers_ram_and_nothing_else(void **state)
{
    struct rig *r = *state;
    struct memmap m;
    memmap_build(&r->mem, &m);
    uint64_t ram = 0, last = 0;
    for (unsigned i = 0; i < m.count; i++) {
        assert_true(m.entry[i].addr >= last && m.entry[i].size > 0); /* sorted, apart */
        last = m.entry[i].addr + m.entry[i].size;
        if (m.entry[i].type != E820_RAM) continue;
        ram += m.entry[i].size;
        assert_true(m.entry[i].addr >= X86_HOLE_END || last <= RAM_SIZE);
        assert_true(last <= X86_BASE_END || m.entry[i].addr >= X86_HIMEM); /* our tables are not the guest's RAM */
    }
    assert_int_equal(ram, gmem_total(&r->mem) - (X86_HIMEM - X86_BASE_END));
}

static void zero_page_names_what_was_loaded(void **state)
{
    struct rig *r = *state;
    const struct boot_params *bp = (const void *)write_info(r, BOOT_LINUX64, 12345);
    assert_int_equal(bp->hdr.header, 0x53726448);
    assert_int_equal(bp->hdr.cmd_line_ptr, X86_CMDLINE);
    assert_int_equal(bp->hdr.ramdisk_image, 0xe00000);
    assert_int_equal(bp->hdr.ramdisk_size, 12345);
    assert_int_equal(bp->acpi_rsdp_addr, X86_ACPI);
    assert_int_equal(bp->sentinel, 0);
    assert_int_equal(bp->e820_entries, 5);
    assert_int_equal(bp->e820_table[4].addr, X86_HOLE_END);
    assert_int_equal(bp->e820_table[4].size, 2 * MIB);
}

static void pvh_start_info_names_what_was_loaded(void **state)
{
    struct rig *r = *state;
    const uint8_t *p = write_info(r, BOOT_PVH, 12345);
    assert_int_equal(le32_read(p), 0x336ec578);
    assert_int_equal(le32_read(p + 4), 1);
    assert_int_equal(le32_read(p + 12), 1);
    const uint8_t *module = r->ram + le64_read(p + 16);
    assert_int_equal(le64_read(module), 0xe00000);
    assert_int_equal(le64_read(module + 8), 12345);
    assert_int_equal(le64_read(p + 24), X86_CMDLINE);
    assert_int_equal(le64_read(p + 32), X86_ACPI);
    assert_int_equal(le32_read(p + 48), 4);
    const uint8_t *map = r->ram + le64_read(p + 40);
    assert_int_equal(le64_read(map + 3 * 24), X86_HIMEM);
    assert_int_equal(le64_read(map + 3 * 24 + 8), RAM_SIZE - X86_HIMEM);
    assert_int_equal(le32_read(map + 3 * 24 + 16), E820_RAM);
}

static void multiboot_info_names_what_was_loaded(void **state)
{
    struct rig *r = *state;
    const uint8_t *p = write_info(r, BOOT_MULTIBOOT, 12345);
    assert_int_equal(le32_read(p), 0x24d);
    assert_int_equal(le32_read(p + 4), X86_BASE_END / 1024);
    assert_int_equal(le32_read(p + 8), (RAM_SIZE - X86_HIMEM) / 1024);
    assert_int_equal(le32_read(p + 16), X86_CMDLINE);
    assert_int_equal(le32_read(p + 20), 1);
    const uint8_t *module = r->ram + le32_read(p + 24);
    assert_int_equal(le32_read(module), 0xe00000);
    assert_int_equal(le32_read(module + 4), 0xe00000 + 12345);
    assert_true(le32_read(module + 8) >= X86_BOOT_INFO && le32_read(module + 8) < X86_BOOT_INFO + X86_BOOT_ROOM);
    assert_string_equal((const char *)r->ram + le32_read(module + 8), "");
    const uint8_t *map = r->ram + le32_read(p + 48), *end = map + le32_read(p + 44);
    unsigned entries = 0;
    for (; map < end; map += le32_read(map) + 4) entries++;
    assert_ptr_equal(map, end);
    assert_int_equal(entries, 4);
    assert_string_equal((const char *)r->ram + le32_read(p + 64), "Vireo");
}

/* Every pointer in it is followed to where it says, and where it lies by default nothing is written. */
static void information_lies_where_the_kernel_leaves_room(void **state)
{
    struct rig *r = *state;
    static const enum boot_protocol protocols[] = {BOOT_PVH, BOOT_MULTIBOOT};
    for (unsigned i = 0; i < COUNT_OF(protocols); i++) {
        struct loaded k = kernel(protocols[i]);
        k.info = 0x300000;
        const struct boot_info b = {.kernel = &k, .initrd = 0xe00000, .initrd_size = 1, .rsdp = X86_ACPI};
        memset(r->ram, 0, RAM_SIZE);
        assert_int_equal(boot_write_info(&r->mem, &b, &r->err), 0);
        assert_int_equal(boot_write_cmdline(&r->mem, &k, "k", "words", &r->err), 0);
        assert_int_equal(boot_write_tables(&r->mem, &k, &r->err), 0);
        const uint8_t *p = r->ram + k.info;
        const bool is_pvh = k.protocol == BOOT_PVH;
        const uint64_t cmdline = is_pvh ? le64_read(p + 24) : le32_read(p + 16);
        const uint64_t module = is_pvh ? le64_read(p + 16) : le32_read(p + 24);
        const uint64_t map = is_pvh ? le64_read(p + 40) : le32_read(p + 48);
        assert_string_equal((const char *)r->ram + cmdline, is_pvh ? "words" : "k words");
        assert_int_equal(le32_read(r->ram + module), 0xe00000);
        assert_int_equal(le32_read(r->ram + map + (is_pvh ? 8 : 12)), X86_BASE_END);
        if (!is_pvh) assert_string_equal((const char *)r->ram + le32_read(p + 64), "Vireo");
        assert_int_equal(le64_read(r->ram + 0x300000 + X86_GDT - X86_BOOT_INFO + X86_SEL_CODE) >> 53 & 3, 2);
        for (uint64_t a = 0; a < 0x300000; a++) assert_int_equal(r->ram[a], 0);
        for (uint64_t a = 0x302000; a < RAM_SIZE; a++) assert_int_equal(r->ram[a], 0);
    }
}

static void without_an_initrd_no_protocol_speaks_of_one(void **state)
{
    struct rig *r = *state;
    assert_int_equal(le32_read(write_info(r, BOOT_PVH, 0) + 12), 0);
    memset(r->ram, 0, X86_LOW_END);
    assert_int_equal(le32_read(write_info(r, BOOT_MULTIBOOT, 0)) & 8, 0);
    memset(r->ram, 0, X86_LOW_END);
    assert_int_equal(((struct boot_params *)(void *)write_info(r, BOOT_LINUX64, 0))->hdr.ramdisk_size, 0);
}

static void command_line_is_the_kernels_own_but_for_multiboot(void **state)
{
    struct rig *r = *state;
    const char *at = (const char *)r->ram + X86_CMDLINE;
    struct loaded k = kernel(BOOT_LINUX64);
    assert_int_equal(boot_write_cmdline(&r->mem, &k, "/boot/test.flat", "a b", &r->err), 0);
    assert_string_equal(at, "a b");
    k = kernel(BOOT_MULTIBOOT);
    assert_int_equal(boot_write_cmdline(&r->mem, &k, "/boot/test.flat", "a b", &r->err), 0);
    assert_string_equal(at, "test.flat a b");
}

static void command_line_longer_than_the_kernel_takes_is_refused(void **state)
{
    struct rig *r = *state;
    static char line[5000];
    struct loaded k = kernel(BOOT_LINUX64);
    memset(line, 'x', LOAD_CMDLINE_MAX);
    assert_int_equal(boot_write_cmdline(&r->mem, &k, "k", line, &r->err), 0);
    line[LOAD_CMDLINE_MAX] = 'x';
    assert_int_equal(boot_write_cmdline(&r->mem, &k, "k", line, &r->err), -E2BIG);
    assert_contains(r->err.text, "at most 2047 characters and this one has 2048");
    k.protocol = BOOT_MULTIBOOT; /* a name that leaves no room */
    k.cmdline_max = sizeof(line);
    memset(line, 'x', sizeof(line) - 1);
    assert_int_equal(boot_write_cmdline(&r->mem, &k, line, "", &r->err), -E2BIG);
    for (uint64_t a = X86_GDT; a < X86_PML4; a++) assert_int_equal(r->ram[a], 0);
}

/* What the processor finds walking the tables (SDM vol. 3, 4.5), or 0. */
static uint64_t translate(const struct rig *r, uint64_t va)
{
    uint64_t table = X86_PML4;
    for (unsigned shift = 39; shift >= 21; shift -= 9) {
        const uint64_t e = le64_read(r->ram + table + (va >> shift & 511) * 8);
        if (!(e & 1)) return 0;
        if (e & 0x80) return (e & ~0x1fffffull) + (va & 0x1fffff);
        table = e & ~0xfffull;
    }
    return 0;
}

static void long_mode_maps_ram_and_devices_one_to_one(void **state)
{
    struct rig *r = *state;
    const struct loaded k = kernel(BOOT_LINUX64);
    assert_int_equal(boot_write_tables(&r->mem, &k, &r->err), 0);
    for (uint64_t a = 0x1234; a < RAM_SIZE; a += 2 * MIB) assert_int_equal(translate(r, a), a);
    assert_int_equal(translate(r, X86_VIRTIO), X86_VIRTIO);
    assert_int_equal(translate(r, X86_LAPIC + 0x20), X86_LAPIC + 0x20);
    assert_int_equal(translate(r, X86_HOLE_END - 1), X86_HOLE_END - 1);
    assert_int_equal(translate(r, X86_HOLE_END), 0);
    assert_int_equal(le64_read(r->ram + X86_GDT + X86_SEL_CODE) >> 53 & 3, 1); /* L set, D clear */
}

static void protected_mode_has_flat_segments_and_no_page_tables(void **state)
{
    struct rig *r = *state;
    const struct loaded k = kernel(BOOT_PVH);
    assert_int_equal(boot_write_tables(&r->mem, &k, &r->err), 0);
    assert_int_equal(le64_read(r->ram + X86_GDT + X86_SEL_CODE) >> 53 & 3, 2); /* L clear, D set */
    for (uint64_t a = X86_PML4; a < X86_LOW_END; a += 8) assert_int_equal(le64_read(r->ram + a), 0);
}

/* ---- the power registers ---- */

struct end_seen {
    unsigned count;
    enum end_reason reason;
};

static void see_end(void *arg, enum end_reason reason, uint32_t value, const char *detail)
{
    struct end_seen *s = arg;
    (void)value, (void)detail;
    s->count++;
    s->reason = reason;
}

static void power_registers_end_the_machine_on_exactly_their_values(void **state)
{
    (void)state;
    for (uint64_t off = 0; off < POWER_SIZE; off++) {
        for (unsigned value = 0; value <= 0xff; value++) {
            struct end_seen seen = {0};
            struct power p = {.sink = {.fn = see_end, .arg = &seen}};
            power_bus_ops.write(&p, off, 1, value);
            const bool is_off = off == POWER_SLEEP_CONTROL && (value & 0x20) && (value >> 2 & 7) == POWER_S5;
            const bool is_reset = off == POWER_RESET && value == POWER_RESET_VALUE;
            assert_int_equal(seen.count, is_off || is_reset);
            if (seen.count) assert_int_equal(seen.reason, is_off ? END_POWEROFF : END_RESET);
            assert_int_equal(power_bus_ops.read(&p, off, 1), 0);
        }
    }
}

/* ---- sentences about what KVM could not do ---- */

static const char *explain(struct rig *r, struct kvm_run *run, int run_errno)
{
    static char text[END_DETAIL_MAX];
    struct arch a = {.mem = &r->mem};
    struct vcpu v = {.fd = -1, .run = run}; /* no registers to be had: the sentence must do without */
    arch_explain_error(&a, &v, run_errno, text, sizeof(text));
    return text;
}

static void emulation_failures_name_the_instruction(void **state)
{
    struct rig *r = *state;
    struct kvm_run run = {.exit_reason = KVM_EXIT_INTERNAL_ERROR};
    run.emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
    assert_contains(explain(r, &run, 0), "could not emulate an instruction");
    assert_null(strstr(explain(r, &run, 0), "instruction bytes"));
    run.emulation_failure.ndata = 3;
    run.emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
    run.emulation_failure.insn_size = 4;
    memcpy(run.emulation_failure.insn_bytes, "\xf0\x48\x0f\xc7", 4);
    assert_contains(explain(r, &run, 0), "instruction bytes f0 48 0f c7");
    run.emulation_failure.insn_size = 16; /* more than an instruction has */
    assert_null(strstr(explain(r, &run, 0), "instruction bytes"));
}

static void other_failures_say_what_kvm_said(void **state)
{
    struct rig *r = *state;
    struct kvm_run run = {.exit_reason = KVM_EXIT_INTERNAL_ERROR};
    run.internal.suberror = 99;
    assert_contains(explain(r, &run, 0), "KVM internal error 99");
    run.exit_reason = KVM_EXIT_FAIL_ENTRY;
    run.fail_entry.hardware_entry_failure_reason = 0x80000021;
    assert_contains(explain(r, &run, 0), "hardware reason 0x80000021");
    run.exit_reason = 77;
    assert_contains(explain(r, &run, 0), "KVM exit 77");
    assert_contains(explain(r, &run, EFAULT), "Bad address");
}

static void sentences_are_cut_never_overrun(void **state)
{
    struct rig *r = *state;
    struct kvm_run run = {.exit_reason = KVM_EXIT_INTERNAL_ERROR};
    struct arch a = {.mem = &r->mem};
    struct vcpu v = {.fd = -1, .run = &run};
    for (unsigned size = 0; size < 64; size++) {
        char text[80];
        memset(text, 'z', sizeof(text));
        arch_explain_error(&a, &v, 0, text, size);
        for (unsigned i = size; i < sizeof(text); i++) assert_int_equal(text[i], 'z');
        if (size) assert_true(strlen(text) < size);
    }
}

#define RIGGED(promise)      cmocka_unit_test_setup_teardown(promise, setup, teardown)
#define RIGGED_HIGH(promise) cmocka_unit_test_setup_teardown(promise, setup_high, teardown)

UNIT_MAIN(RIGGED(memory_map_covers_ram_and_nothing_else), RIGGED_HIGH(memory_map_covers_ram_and_nothing_else),
          RIGGED_HIGH(zero_page_names_what_was_loaded), RIGGED(pvh_start_info_names_what_was_loaded),
          RIGGED(multiboot_info_names_what_was_loaded), RIGGED(information_lies_where_the_kernel_leaves_room),
          RIGGED(without_an_initrd_no_protocol_speaks_of_one),
          RIGGED(command_line_is_the_kernels_own_but_for_multiboot),
          RIGGED(command_line_longer_than_the_kernel_takes_is_refused),
          RIGGED(long_mode_maps_ram_and_devices_one_to_one),
          RIGGED(protected_mode_has_flat_segments_and_no_page_tables),
          UNIT(power_registers_end_the_machine_on_exactly_their_values),
          RIGGED(emulation_failures_name_the_instruction), RIGGED(other_failures_say_what_kvm_said),
          RIGGED(sentences_are_cut_never_overrun))

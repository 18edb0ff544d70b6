/* The arm64 machine's platform devices by their bus: accesses of every width at the borders of every register range. */
#include "tests/unit/unit.h"

#include <stdio.h>

#include "arch/arm64/layout.h"
#include "arch/arm64/platform.h"
#include "arch/arm64/struct_arch.h"

#define SCRATCH 7    /* the serial port's register without a side effect */
#define RTC_ID  0x31 /* the first of its identification registers, at its range's end all but 0x20 bytes */

struct rig {
    struct arch arch;
    struct bus mmio;
    struct chario *console;
    enum end_reason reason;
    uint32_t value;
    unsigned ends, marks;
};

static void on_end(void *arg, enum end_reason reason, uint32_t value, const char *detail)
{
    struct rig *r = arg;
    (void)detail;
    r->reason = reason;
    r->value = value;
    r->ends++;
}

static void on_mark(void *arg, uint32_t value)
{
    struct rig *r = arg;
    (void)value;
    r->marks++;
}

static void make(struct rig *r)
{
    const struct chario_params off = {.kind = CHARIO_OFF, .in_fd = -1, .out_fd = -1};
    struct err e = {0};
    *r = (struct rig){.ends = 0};
    bus_init(&r->mmio);
    assert_int_equal(chario_create(&r->console, &off, NULL), 0);
    const struct arch_params p = {
        .mmio = &r->mmio, .console = r->console, .sink = {.fn = on_end, .mark = on_mark, .arg = r}};
    if (platform_create(&r->arch, &p, &e)) fail_msg("%s", e.text);
    bus_freeze(&r->mmio);
}

static void take_down(struct rig *r)
{
    platform_destroy(&r->arch);
    chario_destroy(r->console);
}

static void reads_at_every_border_mix_the_device_with_ones(void **state)
{
    static const struct {
        uint64_t addr;
        unsigned size;
        uint64_t want;
    } row[] = {
        {ARM64_SERIAL_BASE + SCRATCH, 1, 0x5a},
        {ARM64_SERIAL_BASE + SCRATCH, 2, 0xff5a},
        {ARM64_SERIAL_BASE + SCRATCH, 4, 0xffffff5a},
        {ARM64_SERIAL_BASE + SCRATCH, 8, 0xffffffffffffff5a},
        {ARM64_SERIAL_BASE + SCRATCH - 1, 2, 0x5ab0},
        {ARM64_SERIAL_BASE + SCRATCH - 1, 3, 0xff5ab0},
        {ARM64_SERIAL_BASE + SERIAL_SIZE, 8, UINT64_MAX},
        {ARM64_SERIAL_BASE - 4, 4, UINT32_MAX},
        {ARM64_RTC_BASE + 0xfe0, 4, RTC_ID},
        {ARM64_RTC_BASE + 0xfe0, 8, RTC_ID | UINT64_C(0x10) << 32}, /* two registers */
        {ARM64_RTC_BASE + 0xfe0, 5, RTC_ID | UINT64_C(0x10) << 32},
        {ARM64_RTC_BASE + 0xffc, 4, 0xb1},
        {ARM64_RTC_BASE + 0xffc, 8, UINT64_C(0xffffffff000000b1)},
        {ARM64_RTC_BASE + 0x1000, 4, UINT32_MAX},
        {ARM64_DEBUG_EXIT_BASE - 1, 1, 0xff},
        {ARM64_DEBUG_EXIT_BASE, 8, 0},
        {ARM64_DEBUG_EXIT_BASE - 1, 2, 0x00ff},
        {ARM64_DEBUG_EXIT_BASE + ARM64_DEBUG_EXIT_SIZE - 4, 8, UINT64_C(0xffffffff00000000)},
        {ARM64_PVPANIC_BASE, 1, 3},
        {ARM64_PVPANIC_BASE, 2, 0xff03},
        {ARM64_PVPANIC_BASE, 4, 0xffffff03},
        {ARM64_PVPANIC_BASE, 8, 0xffffffffffffff03},
        {ARM64_PVPANIC_BASE - 1, 2, 0x03ff},
        {ARM64_PVPANIC_BASE - 7, 8, 0x03ffffffffffffff},
        {UINT64_MAX, 8, UINT64_MAX},
    };
    struct rig r;
    (void)state;
    make(&r);
    bus_write(&r.mmio, ARM64_SERIAL_BASE + SCRATCH, 1, 0x5a);
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        const uint64_t got = bus_read(&r.mmio, row[i].addr, row[i].size);
        if (got != row[i].want)
            fail_msg("0x%llx, %u bytes: 0x%llx, not 0x%llx", (unsigned long long)row[i].addr, row[i].size,
                     (unsigned long long)got, (unsigned long long)row[i].want);
    }
    assert_int_equal(r.ends, 0);
    take_down(&r);
}

static void a_write_of_any_width_that_reaches_a_register_has_its_effect(void **state)
{
    static const struct {
        uint64_t addr;
        unsigned size;
        uint64_t value;
        enum end_reason reason; /* END_NONE: it goes on */
        uint32_t status;
    } row[] = {
        {ARM64_DEBUG_EXIT_BASE, 1, 42, END_GUEST_STATUS, 42},
        {ARM64_DEBUG_EXIT_BASE, 2, 43, END_GUEST_STATUS, 43},
        {ARM64_DEBUG_EXIT_BASE, 4, 44, END_GUEST_STATUS, 44},
        {ARM64_DEBUG_EXIT_BASE, 8, 45, END_GUEST_STATUS, 45},
        {ARM64_DEBUG_EXIT_BASE, 8, UINT64_C(1) << 32, END_GUEST_STATUS, UINT32_MAX},
        {ARM64_DEBUG_EXIT_BASE - 1, 2, 0x2eff, END_GUEST_STATUS, 46},
        {ARM64_DEBUG_EXIT_BASE + ARM64_DEBUG_EXIT_SIZE - 4, 8, UINT64_MAX, END_NONE, 0},
        {ARM64_PVPANIC_BASE, 1, 1, END_PANIC, 1},
        {ARM64_PVPANIC_BASE, 2, 1, END_PANIC, 1},
        {ARM64_PVPANIC_BASE, 4, 1, END_PANIC, 1},
        {ARM64_PVPANIC_BASE, 8, 1, END_PANIC, 1},
        {ARM64_PVPANIC_BASE - 3, 4, 0x01000000, END_PANIC, 1},
        {ARM64_PVPANIC_BASE + 1, 4, UINT32_MAX, END_NONE, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct rig r;
        make(&r);
        bus_write(&r.mmio, row[i].addr, row[i].size, row[i].value);
        if (r.ends != (row[i].reason != END_NONE) || r.reason != row[i].reason || r.value != row[i].status)
            fail_msg("row %zu: %u ends, reason %d, value 0x%x", i, r.ends, (int)r.reason, r.value);
        take_down(&r);
    }
}

static void a_wide_write_to_the_clock_is_a_write_to_two_registers(void **state)
{
    struct rig r;
    (void)state;
    make(&r);
    bus_write(&r.mmio, ARM64_RTC_BASE + 4, 8, UINT64_C(0x1000) << 32 | 0x7000); /* match, then load */
    assert_int_equal(bus_read(&r.mmio, ARM64_RTC_BASE + 4, 4), 0x7000);
    assert_int_equal(bus_read(&r.mmio, ARM64_RTC_BASE + 8, 4), 0x1000);
    take_down(&r);
}

UNIT_MAIN(UNIT(reads_at_every_border_mix_the_device_with_ones),
          UNIT(a_write_of_any_width_that_reaches_a_register_has_its_effect),
          UNIT(a_wide_write_to_the_clock_is_a_write_to_two_registers))

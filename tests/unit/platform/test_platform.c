#include "tests/unit/unit.h"

#include <stdio.h>

#include "devices/platform/platform.h"

struct told {
    unsigned ends, marks;
    enum end_reason reason;
    uint32_t value, mark;
    char detail[END_DETAIL_MAX];
};

static void on_end(void *arg, enum end_reason reason, uint32_t value, const char *detail)
{
    struct told *t = arg;
    t->ends++;
    t->reason = reason;
    t->value = value;
    snprintf(t->detail, sizeof(t->detail), "%s", detail);
}
static void on_mark(void *arg, uint32_t value)
{
    struct told *t = arg;
    t->marks++;
    t->mark = value;
}
static struct end_sink sink_of(struct told *t)
{
    return (struct end_sink){.fn = on_end, .mark = on_mark, .arg = t};
}

/* ---- debug exit ---- */

static void debug_exit_ends_with_the_value_written(void **state)
{
    static const struct {
        unsigned size;
        uint64_t value;
    } writes[] = {{1, 0}, {1, 119}, {2, 0x1234}, {4, 0xdeadbeef}, {8, UINT32_MAX}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(writes); i++) {
        struct told t = {0};
        struct debug_exit d = {.sink = sink_of(&t)};
        debug_exit_bus_ops.write(&d, 0, writes[i].size, writes[i].value);
        assert_int_equal(t.ends, 1);
        assert_int_equal(t.reason, END_GUEST_STATUS);
        assert_int_equal(t.value, writes[i].value);
        assert_true(t.detail[0]);
    }
}

static void debug_exit_takes_a_status_too_large_for_32_bits_for_a_large_one(void **state)
{
    struct told t = {0};
    struct debug_exit d = {.sink = sink_of(&t)};
    (void)state;
    debug_exit_bus_ops.write(&d, 0, 8, UINT64_C(1) << 32);
    assert_int_equal(t.value, UINT32_MAX);
}

static void debug_exit_marks_milestones_and_goes_on(void **state)
{
    struct told t = {0};
    struct debug_exit d = {.sink = sink_of(&t)};
    (void)state;
    debug_exit_bus_ops.write(&d, 1, 1, 7);
    assert_int_equal(t.marks, 1);
    assert_int_equal(t.mark, 7);
    assert_int_equal(debug_exit_bus_ops.read(&d, 0, 1), 0);
    d.sink.mark = NULL; /* nobody cares */
    debug_exit_bus_ops.write(&d, 1, 1, 8);
    assert_int_equal(t.ends, 0);
}

/* ---- panic device ---- */

static void pvpanic_offers_two_events_and_ends_for_one(void **state)
{
    static const struct {
        uint8_t written;
        unsigned ends;
        enum end_reason reason;
        uint32_t value;
    } cases[] = {
        {0x01, 1, END_PANIC, 1}, {0x03, 1, END_PANIC, 3}, {0xfd, 1, END_PANIC, 1},
        {0x02, 1, END_NONE, 2},  {0x04, 0, END_NONE, 0},  {0x00, 0, END_NONE, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct told t = {0};
        struct pvpanic p = {.sink = sink_of(&t)};
        assert_int_equal(pvpanic_bus_ops.read(&p, 0, 1), PVPANIC_PANICKED | PVPANIC_CRASH_LOADED);
        pvpanic_bus_ops.write(&p, 0, 1, cases[i].written);
        assert_int_equal(t.ends, cases[i].ends);
        assert_int_equal(t.reason, cases[i].reason);
        assert_int_equal(t.value, cases[i].value);
    }
}

static void a_crash_kernel_is_told_of_once_and_does_not_hide_a_panic(void **state)
{
    struct told t = {0};
    struct pvpanic p = {.sink = sink_of(&t)};
    (void)state;
    for (unsigned i = 0; i < 10; i++) pvpanic_bus_ops.write(&p, 0, 1, PVPANIC_CRASH_LOADED);
    assert_int_equal(t.ends, 1);
    assert_int_equal(t.reason, END_NONE);
    pvpanic_bus_ops.write(&p, 0, 1, PVPANIC_PANICKED);
    assert_int_equal(t.reason, END_PANIC);
}

UNIT_MAIN(UNIT(debug_exit_ends_with_the_value_written),
          UNIT(debug_exit_takes_a_status_too_large_for_32_bits_for_a_large_one),
          UNIT(debug_exit_marks_milestones_and_goes_on), UNIT(pvpanic_offers_two_events_and_ends_for_one),
          UNIT(a_crash_kernel_is_told_of_once_and_does_not_hide_a_panic))

#include "tests/unit/unit.h"

#include "devices/platform/platform.h"

enum { DATA = 0x00, MATCH = 0x04, LOAD = 0x08, CONTROL = 0x0c, MASK = 0x10, RAW = 0x14, MASKED = 0x18, CLEAR = 0x1c };

static uint64_t host_time;

static uint64_t now(void)
{
    return host_time;
}

static struct pl031 rtc;

static int setup(void **state)
{
    (void)state;
    host_time = 1700000000;
    pl031_init(&rtc, now);
    return 0;
}

static uint32_t get(uint64_t offset)
{
    return (uint32_t)pl031_bus_ops.read(&rtc, offset, 4);
}

static void set(uint64_t offset, uint32_t value)
{
    pl031_bus_ops.write(&rtc, offset, 4, value);
}

static void clock_shows_the_hosts_time(void **state)
{
    (void)state;
    assert_int_equal(get(DATA), 1700000000);
    host_time += 5;
    assert_int_equal(get(DATA), 1700000005);
    assert_int_equal(get(CONTROL), 1);
}

static void clock_that_was_set_runs_on(void **state)
{
    (void)state;
    set(LOAD, 100);
    assert_int_equal(get(LOAD), 100);
    assert_int_equal(get(DATA), 100);
    host_time += 7;
    assert_int_equal(get(DATA), 107);
    set(LOAD, UINT32_MAX);
    host_time += 2;
    assert_int_equal(get(DATA), 1);
}

static void clock_cannot_be_written_or_stopped(void **state)
{
    (void)state;
    set(DATA, 3);
    set(CONTROL, 0);
    assert_int_equal(get(DATA), 1700000000);
    assert_int_equal(get(CONTROL), 1);
}

static void drivers_recognise_the_part(void **state)
{
    (void)state;
    static const uint8_t id[] = {0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};
    for (unsigned i = 0; i < COUNT_OF(id); i++) assert_int_equal(get(0xfe0 + 4 * i), id[i]);
    set(0xfe0, 0xff);
    assert_int_equal(get(0xfe0), 0x31);
}

static void alarm_fires_when_its_second_comes_and_not_before(void **state)
{
    (void)state;
    set(MATCH, 1700000010);
    host_time += 9;
    assert_int_equal(get(RAW), 0);
    host_time += 1;
    assert_int_equal(get(RAW), 1);
    assert_int_equal(get(MASKED), 0);
    set(MASK, 1);
    assert_int_equal(get(MASKED), 1);
    set(CLEAR, 1);
    assert_int_equal(get(RAW), 0);
    host_time += 1000;
    assert_int_equal(get(RAW), 0);
}

static void alarm_missed_between_two_looks_has_fired(void **state)
{
    (void)state;
    set(MATCH, 1700000010);
    host_time += 5000;
    assert_int_equal(get(RAW), 1);
}

static void setting_the_clock_keeps_an_alarm(void **state)
{
    (void)state;
    set(MATCH, 120);
    set(LOAD, 100);
    host_time += 19;
    assert_int_equal(get(RAW), 0);
    host_time += 1;
    assert_int_equal(get(RAW), 1);
}

static void every_offset_and_size_can_be_touched(void **state)
{
    (void)state;
    for (uint64_t offset = 0; offset < 2 * PL031_SIZE; offset++) {
        for (unsigned size = 1; size <= 8; size *= 2) {
            pl031_bus_ops.write(&rtc, offset, size, UINT64_MAX);
            (void)pl031_bus_ops.read(&rtc, offset, size);
        }
    }
    assert_int_equal(get(0x20), 0);
    assert_int_equal(get(0xfdc), 0);
}

#define RTC(promise) cmocka_unit_test_setup(promise, setup)
UNIT_MAIN(RTC(clock_shows_the_hosts_time), RTC(clock_that_was_set_runs_on), RTC(clock_cannot_be_written_or_stopped),
          RTC(drivers_recognise_the_part), RTC(alarm_fires_when_its_second_comes_and_not_before),
          RTC(alarm_missed_between_two_looks_has_fired), RTC(setting_the_clock_keeps_an_alarm),
          RTC(every_offset_and_size_can_be_touched))

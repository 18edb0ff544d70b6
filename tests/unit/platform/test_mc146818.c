#include "tests/unit/unit.h"

#include <time.h>

#include "devices/platform/platform.h"

#define NS_PER_S UINT64_C(1000000000)

static uint64_t now_ns;

static uint64_t now(void)
{
    return now_ns;
}

static unsigned reg(struct mc146818 *c, uint8_t index)
{
    mc146818_bus_ops.write(c, 0, 1, index);
    return (unsigned)mc146818_bus_ops.read(c, 1, 1);
}

static unsigned number(struct mc146818 *c, uint8_t index)
{
    const unsigned value = reg(c, index);
    assert_true((value & 15) < 10 && value >> 4 < 10);
    return (value >> 4) * 10 + (value & 15);
}

static void assert_tells(struct mc146818 *c, time_t t)
{
    struct tm want;
    now_ns = (uint64_t)t * NS_PER_S;
    assert_non_null(gmtime_r(&t, &want));
    assert_int_equal(number(c, 0), want.tm_sec);
    assert_int_equal(number(c, 2), want.tm_min);
    assert_int_equal(number(c, 4), want.tm_hour);
    assert_int_equal(number(c, 6), want.tm_wday + 1);
    assert_int_equal(number(c, 7), want.tm_mday);
    assert_int_equal(number(c, 8), want.tm_mon + 1);
    assert_int_equal(number(c, 0x32) * 100 + number(c, 9), want.tm_year + 1900);
}

static void it_tells_date_and_time_of_every_day_for_centuries(void **state)
{
    struct mc146818 c;
    (void)state;
    mc146818_init(&c, now);
    const time_t days = 365 * 450; /* to 2419: leap years that are none, 2100 to 2300, and one that is, 2400 */
    for (time_t day = 0; day < days; day++) assert_tells(&c, day * 86400 + day % 86400);
    assert_tells(&c, 951782399); /* the end of 28 February 2000 */
    assert_tells(&c, 951782400);
    assert_tells(&c, INT32_MAX);
    assert_tells(&c, (time_t)INT32_MAX + 1);
}

static void an_update_is_announced_before_the_second_ends(void **state)
{
    struct mc146818 c;
    (void)state;
    mc146818_init(&c, now);
    now_ns = 5 * NS_PER_S;
    assert_int_equal(reg(&c, 0x0a), 0x26);
    now_ns = 6 * NS_PER_S - 244001;
    assert_int_equal(reg(&c, 0x0a), 0x26);
    now_ns = 6 * NS_PER_S - 244000;
    assert_int_equal(reg(&c, 0x0a), 0xa6);
    now_ns = 6 * NS_PER_S - 1;
    assert_int_equal(reg(&c, 0x0a), 0xa6);
}

static void it_says_how_it_is_to_be_read_and_that_it_is_valid(void **state)
{
    struct mc146818 c;
    (void)state;
    mc146818_init(&c, now);
    assert_int_equal(reg(&c, 0x0b), 0x02); /* packed decimals, 24 hours, no interrupt */
    assert_int_equal(reg(&c, 0x0c), 0);
    assert_int_equal(reg(&c, 0x0d), 0x80);
    assert_int_equal(reg(&c, 0x8d), 0x80); /* with the NMI switch */
    assert_int_equal(mc146818_bus_ops.read(&c, 0, 1), 0x0d);
}

static void what_is_written_changes_nothing(void **state)
{
    struct mc146818 c;
    (void)state;
    mc146818_init(&c, now);
    now_ns = 12 * 3600 * NS_PER_S;
    for (unsigned index = 0; index < 256; index++) {
        const unsigned before = reg(&c, (uint8_t)index);
        mc146818_bus_ops.write(&c, 1, 1, 0xa5);
        assert_int_equal(reg(&c, (uint8_t)index), before);
    }
    assert_tells(&c, 12 * 3600);
}

static void it_is_the_hosts_time_when_nothing_else_is_said(void **state)
{
    struct mc146818 c;
    (void)state;
    mc146818_init(&c, NULL);
    const time_t t = time(NULL);
    struct tm tm;
    assert_non_null(gmtime_r(&t, &tm));
    const unsigned year = number(&c, 0x32) * 100 + number(&c, 9);
    assert_in_range(year, tm.tm_year + 1900, tm.tm_year + 1901); /* New Year may come in between */
}

UNIT_MAIN(UNIT(it_tells_date_and_time_of_every_day_for_centuries), UNIT(an_update_is_announced_before_the_second_ends),
          UNIT(it_says_how_it_is_to_be_read_and_that_it_is_valid), UNIT(what_is_written_changes_nothing),
          UNIT(it_is_the_hosts_time_when_nothing_else_is_said))

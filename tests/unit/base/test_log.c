#include "tests/unit/unit.h"

#include "vmm/base/log.h"

#define LONG_LINE 4096

struct seen {
    unsigned count;
    enum log_level level;
    char line[LONG_LINE];
};

static void keep(void *arg, enum log_level level, const char *line)
{
    struct seen *s = arg;
    s->count++;
    s->level = level;
    assert_true(strlen(line) < sizeof(s->line));
    strcpy(s->line, line);
}

static void line_reaches_the_callback(void **state)
{
    (void)state;
    struct seen seen = {0};
    const struct log log = {.fn = keep, .arg = &seen, .level = LOG_DEBUG};
    log_write(&log, LOG_WARN, "queue %d: %s", 2, "stuck");
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.level, LOG_WARN);
    assert_string_equal(seen.line, "queue 2: stuck");
}

static void lines_above_the_level_are_dropped(void **state)
{
    (void)state;
    for (int limit = LOG_ERROR; limit <= LOG_DEBUG; limit++) {
        for (int level = LOG_ERROR; level <= LOG_DEBUG; level++) {
            struct seen seen = {0};
            const struct log log = {.fn = keep, .arg = &seen, .level = (enum log_level)limit};
            log_write(&log, (enum log_level)level, "x");
            assert_int_equal(seen.count, level <= limit ? 1 : 0);
        }
    }
}

static void long_line_is_cut(void **state)
{
    (void)state;
    struct seen seen = {0};
    const struct log log = {.fn = keep, .arg = &seen, .level = LOG_DEBUG};
    log_write(&log, LOG_INFO, "%0*d", LONG_LINE * 2, 0);
    assert_int_equal(seen.count, 1);
    assert_true(strlen(seen.line) > 512);
}

static void no_log_is_silence(void **state)
{
    (void)state;
    const struct log deaf = {.level = LOG_DEBUG};
    log_write(NULL, LOG_ERROR, "x");
    log_write(&deaf, LOG_ERROR, "x");
}

static void a_bucket_lets_a_burst_through_and_then_one_a_refill(void **state)
{
    (void)state;
    struct log_bucket b = {0};
    uint64_t missed, now = 5;
    for (unsigned i = 0; i < LOG_BURST; i++) assert_true(log_bucket_take(&b, now, &missed));
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 7; i++) assert_false(log_bucket_take(&b, now, &missed));
        now += LOG_REFILL_NS - 1;
        assert_false(log_bucket_take(&b, now, &missed));
        now += 1;
        assert_true(log_bucket_take(&b, now, &missed));
        assert_int_equal(missed, 8);
    }
    now += LOG_BURST * LOG_REFILL_NS * 100; /* a long silence fills it, and no more than that */
    for (unsigned i = 0; i < LOG_BURST; i++) assert_true(log_bucket_take(&b, now, &missed));
    assert_false(log_bucket_take(&b, now, &missed));
}

static void what_a_bucket_left_out_is_told_once(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct log_bucket b = {0};
    const struct log log = {.fn = keep, .arg = &seen, .level = LOG_DEBUG};
    log_rest(&log, &b, LOG_WARN, "disk 0");
    assert_int_equal(seen.count, 0);
    for (unsigned i = 0; i < LOG_BURST + 3; i++) log_limited(&log, &b, LOG_WARN, "line %u", i);
    assert_int_equal(seen.count, LOG_BURST);
    assert_string_equal(seen.line, "line 7");
    log_rest(&log, &b, LOG_WARN, "disk 0");
    log_rest(&log, &b, LOG_WARN, "disk 0");
    assert_int_equal(seen.count, LOG_BURST + 1);
    assert_string_equal(seen.line, "disk 0: 3 more like those above not logged");
}

UNIT_MAIN(UNIT(line_reaches_the_callback), UNIT(lines_above_the_level_are_dropped), UNIT(long_line_is_cut),
          UNIT(no_log_is_silence), UNIT(a_bucket_lets_a_burst_through_and_then_one_a_refill),
          UNIT(what_a_bucket_left_out_is_told_once))

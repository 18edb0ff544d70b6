/* `vireo bench sandbox` as a worker runs it: every row is measured on this host, in the lines that results are made of,
 * and its yardstick beside it. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "bench/sandbox/sandbox.h"
#include "tests/unit/unit.h"

#define LINES_MAX 64

struct lines {
    json_t *line[LINES_MAX];
    unsigned count;
};

static void on_line(void *arg, const char *json)
{
    struct lines *l = arg;
    assert_true(l->count < LINES_MAX);
    l->line[l->count] = json_loads(json, 0, NULL);
    assert_non_null(l->line[l->count]);
    l->count++;
}

static void set(void *options, const char *key, const char *value)
{
    struct err e = {0};
    for (const struct setting *o = bench_sandbox.options; o->name; o++)
        if (strcmp(o->name, key) == 0) {
            assert_int_equal(o->set(options, value, &e), 0);
            return;
        }
    fail_msg("no option %s", key);
}

static void run(struct lines *l, const char *rows, const char *samples)
{
    struct err e = {0};
    const struct bench_sink sink = {.line = on_line, .arg = l};
    void *o = calloc(1, bench_sandbox.options_size);
    assert_non_null(o);
    bench_sandbox.init(o);
    set(o, "rows", rows);
    set(o, "samples", samples);
    const int rc = bench_sandbox.run(o, &sink, &e);
    if (rc) print_error("%s\n", e.text);
    assert_int_equal(rc, 0);
    bench_sandbox.fini(o);
    free(o);
}

static void forget(struct lines *l)
{
    for (unsigned i = 0; i < l->count; i++) json_decref(l->line[i]);
    l->count = 0;
}

static const char *text_of(const json_t *line, const char *key)
{
    const char *text = json_string_value(json_object_get(line, key));
    return text ? text : "";
}

static json_int_t number_of(const json_t *line, const char *phase, const char *key)
{
    return json_integer_value(json_object_get(json_object_get(json_object_get(line, "phases"), phase), key));
}

static void every_row_is_measured_beside_its_yardstick(void **state)
{
    (void)state;
    struct lines l = {.count = 0};
    run(&l, "all", "2");
    unsigned rows = 0;
    assert_string_equal(text_of(l.line[0], "type"), "environment");
    for (unsigned i = 1; i < l.count; i += 2) {
        assert_string_equal(text_of(l.line[i], "type"), "begin");
        assert_string_equal(text_of(l.line[i], "item"), sandbox_rows[rows].id);
        const json_t *row = l.line[i + 1];
        assert_string_equal(text_of(row, "row"), sandbox_rows[rows++].id);
        if (strcmp(text_of(row, "status"), "ok") != 0)
            fail_msg("%s: %s: %s", text_of(row, "row"), text_of(row, "status"), text_of(row, "detail"));
        assert_int_equal(json_integer_value(json_object_get(row, "samples")), 2);
        assert_int_equal(number_of(row, "rtt", "count"), 2);
        assert_int_equal(number_of(row, "yardstick", "count"), 2);
        assert_true(number_of(row, "rtt", "min") > 0 && number_of(row, "yardstick", "min") > 0);
        assert_true(json_integer_value(json_object_get(row, "baseline")) >= number_of(row, "yardstick", "min"));
    }
    assert_null(sandbox_rows[rows].id);
    forget(&l);
}

static void what_is_asked_for_is_measured_and_nothing_else(void **state)
{
    (void)state;
    struct lines l = {.count = 0};
    run(&l, "call,reset_1", "5");
    assert_int_equal(l.count, 5);
    assert_string_equal(text_of(l.line[2], "row"), "call");
    assert_string_equal(text_of(l.line[4], "row"), "reset_1");
    assert_int_equal(number_of(l.line[4], "rtt", "count"), 5);
    forget(&l);
}

static void more_bytes_take_longer(void **state)
{
    (void)state;
    struct lines l = {.count = 0};
    run(&l, "call,call_1m", "9");
    /* A mebibyte twice is tens of microseconds anywhere, and the least of nine is hardly disturbed. */
    assert_true(number_of(l.line[4], "rtt", "min") > number_of(l.line[2], "rtt", "min"));
    assert_true(number_of(l.line[4], "yardstick", "min") > number_of(l.line[2], "yardstick", "min"));
    forget(&l);
}

static void a_row_that_is_not_there_has_its_nearest_named(void **state)
{
    (void)state;
    struct err e = {0};
    void *o = calloc(1, bench_sandbox.options_size);
    assert_non_null(o);
    bench_sandbox.init(o);
    assert_int_equal(bench_sandbox.options[0].set(o, "calls", &e), -EINVAL);
    assert_contains(e.hint, "call");
    free(o);
}

UNIT_MAIN(UNIT(every_row_is_measured_beside_its_yardstick), UNIT(what_is_asked_for_is_measured_and_nothing_else),
          UNIT(more_bytes_take_longer), UNIT(a_row_that_is_not_there_has_its_nearest_named))

/* Recordings read: what their lines say, and lines that say nothing. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/report/recording.h"
#include "tests/unit/unit.h"

#define HEADER                                                                                                         \
    "{\"schema\": \"vireo-recording-1\", \"time\": \"2026-01-31T00:00:00Z\", \"interval_ns\": 1000000000, "            \
    "\"host\": {\"name\": \"here\", \"cpu\": \"a <CPU>\"}}\n"
#define VM "{\"type\": \"vm\", \"t_ns\": 0, \"vm\": 0, \"name\": \"web\", \"uuid\": \"u\", \"vcpus\": 1}\n"
#define SAMPLE(t, classes)                                                                                             \
    "{\"type\": \"sample\", \"t_ns\": " t                                                                              \
    ", \"vm\": 0, \"interval_ns\": 2000000000, \"saved\": 10, \"classes\": [" classes                                  \
    "], \"vcpus\": [{\"vcpu\": 0, \"cpu_ns\": 500000000, \"run_delay_ns\": 1000000000}], "                             \
    "\"disks\": [{\"name\": \"disk 0\", \"requests\": 4, \"requests_ns\": 8000}]}\n"
#define OUT "{\"name\": \"port out\", \"count\": 200, \"handler_p50_ns\": 2000, \"handler_p99_ns\": 9000}"
#define END "{\"type\": \"end\", \"t_ns\": 9000000000}\n"
#define ALARM(event, t)                                                                                                \
    "{\"type\": \"alarm\", \"t_ns\": " t ", \"vm\": 0, \"event\": \"" event "\", \"metric\": \"exit_rate\", \"of\": "  \
    "\"port out\", \"unit\": \"1/s\", \"since_ns\": 3000000000, \"value\": 2000, \"median\": 100, \"mad\": 1, "        \
    "\"samples\": 120, \"is_slow\": false, \"odds\": 5e6}\n"

static int read_text(struct recording_seen **out, const char *text, size_t len, struct err *e)
{
    char *copy = malloc(len + 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    FILE *f = fmemopen(copy, len, "r");
    assert_non_null(f);
    const int rc = recording_read(out, f, e);
    (void)fclose(f);
    free(copy);
    return rc;
}

static struct recording_seen *seen(const char *text)
{
    struct recording_seen *r = NULL;
    struct err e = {0};
    if (read_text(&r, text, strlen(text), &e)) fail_msg("%s", e.text);
    return r;
}

static void must_hold(const struct recording_seen *r, enum recording_kind kind, const char *of, unsigned step,
                      double value)
{
    const struct recording_curve *c = recording_curve(r, 0, kind, of);
    assert_non_null(c);
    if (!(fabs(recording_value(c, step) - value) < 1e-6)) fail_msg("%g, not %g", recording_value(c, step), value);
}

static void curves_hold_what_the_lines_say(void **state)
{
    struct recording_seen *r = seen(HEADER VM SAMPLE("2000000000", OUT) SAMPLE("4000000000", "") END);
    (void)state;
    assert_string_equal(r->note, "");
    assert_string_equal(r->vm[0].name, "web");
    assert_string_equal(r->cpu, "a <CPU>");
    assert_int_equal(r->samples, 2);
    assert_int_equal(r->end_ns, 9000000000);
    must_hold(r, CURVE_EXITS, "port out", 2, 100);
    must_hold(r, CURVE_EXITS, "port out", 4, 0); /* it did not come */
    must_hold(r, CURVE_HANDLER_P99, "port out", 2, 9000);
    assert_true(isnan(recording_value(recording_curve(r, 0, CURVE_HANDLER_P50, "port out"), 4)));
    must_hold(r, CURVE_CPU, "vCPU 0", 4, 0.25);
    must_hold(r, CURVE_DELAY, "vCPU 0", 4, 0.5);
    must_hold(r, CURVE_DOORBELLS, "", 4, 5);
    must_hold(r, CURVE_DISK_TIME, "disk 0", 4, 2000);
    assert_null(recording_curve(r, 0, CURVE_STEAL, "vCPU 0")); /* not told is not zero */
    assert_null(recording_curve(r, 1, CURVE_CPU, "vCPU 0"));
    recording_destroy(r);
}

/* 480 steps of a second; at the 960th second each is four. */
static void a_long_time_is_folded_into_the_same_steps(void **state)
{
    struct recording_seen *r =
        seen(HEADER VM SAMPLE("2000000000", OUT) SAMPLE("3000000000", "") SAMPLE("960000000000", OUT) END);
    (void)state;
    assert_int_equal(r->step_ns, 4000000000);
    must_hold(r, CURVE_EXITS, "port out", 0, 50);
    must_hold(r, CURVE_EXITS, "port out", 240, 100);
    must_hold(r, CURVE_HANDLER_P99, "port out", 0, 9000);
    recording_destroy(r);
}

static void an_alarm_lasts_from_its_beginning_to_its_end(void **state)
{
    struct recording_seen *r = seen(HEADER VM ALARM("ends", "4000000000") ALARM("begins", "5000000000")
                                        ALARM("ends", "8000000000") ALARM("begins", "8500000000") END);
    (void)state;
    assert_int_equal(r->alarms, 2);
    assert_int_equal(r->alarm[0].since_ns, 3000000000);
    assert_int_equal(r->alarm[0].until_ns, 8000000000);
    assert_int_equal(r->alarm[1].until_ns, 0);
    assert_true(r->alarm[1].value == 2000 && r->alarm[1].median == 100);
    recording_destroy(r);
}

static void what_is_cut_says_so_and_keeps_what_is_whole(void **state)
{
    static const char text[] = HEADER VM SAMPLE("2000000000", OUT) SAMPLE("4000000000", OUT) END;
    (void)state;
    for (size_t len = strlen(HEADER VM); len < strlen(text); len++) {
        struct recording_seen *r = NULL;
        struct err e = {0};
        assert_int_equal(read_text(&r, text, len, &e), 0);
        if (len < strlen(text) - 1) assert_true(strstr(r->note, "cut"));
        assert_int_equal(r->samples,
                         (len >= strlen(HEADER VM SAMPLE("2000000000", OUT))) +
                             (len >= strlen(HEADER VM SAMPLE("2000000000", OUT) SAMPLE("4000000000", OUT))));
        recording_destroy(r);
    }
}

static void a_line_that_is_none_ends_it_with_its_number(void **state)
{
    static const struct {
        const char *line, *says;
    } lines[] = {
        {"{\n", "Line 3 is no JSON object"},
        {"[]\n", "Line 3 has no type"},
        {"{\"type\": \"sample\", \"vm\": 0}\n", "Line 3 has no time"},
        {"{\"type\": \"sample\", \"t_ns\": 1, \"vm\": 64}\n", "Line 3 names no VM"},
        {"{\"type\": \"sample\", \"t_ns\": 1, \"vm\": 1}\n", "that no line before it names"},
        {"{\"type\": \"sample\", \"t_ns\": 1, \"vm\": 0, \"interval_ns\": 0}\n", "has no interval"},
        {"{\"type\": \"alarm\", \"t_ns\": 1, \"vm\": 0, \"event\": \"begins\"}\n", "an alarm without its evidence"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        char text[2048];
        (void)snprintf(text, sizeof(text), "%s%s%s", HEADER VM, lines[i].line, SAMPLE("2000000000", OUT));
        struct recording_seen *r = seen(text);
        assert_contains(r->note, lines[i].says);
        assert_int_equal(r->samples, 0);
        recording_destroy(r);
    }
}

static void a_type_of_a_later_version_is_let_through(void **state)
{
    struct recording_seen *r =
        seen(HEADER VM "{\"type\": \"weather\", \"t_ns\": 1, \"vm\": 0}\n" SAMPLE("2000000000", OUT) END);
    (void)state;
    assert_string_equal(r->note, "");
    assert_int_equal(r->samples, 1);
    recording_destroy(r);
}

static void what_is_no_recording_of_this_version_is_refused(void **state)
{
    static const struct {
        const char *text, *says;
    } texts[] = {
        {"x", "no recording"},
        {"{}\n", "no recording"},
        {"{\"schema\": \"vireo-recording-2\", \"interval_ns\": 1}\n", "another version, vireo-recording-2"},
        {"{\"schema\": \"vireo-recording-1\", \"interval_ns\": 0}\n", "interval_ns"},
        {"{\"schema\": \"vireo-recording-1\", \"interval_ns\": 1e18}\n", "interval_ns"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct recording_seen *r = NULL;
        struct err e = {0};
        assert_int_equal(read_text(&r, texts[i].text, strlen(texts[i].text), &e), -EINVAL);
        assert_contains(e.text, texts[i].says);
        assert_null(r);
    }
}

static void a_line_without_end_is_bounded(void **state)
{
    const size_t len = strlen(HEADER) + 2 * RECORDING_LINE_MAX;
    char *text = malloc(len + 1);
    struct recording_seen *r = NULL;
    struct err e = {0};
    (void)state;
    assert_non_null(text);
    memset(text, ' ', len);
    memcpy(text, HEADER, strlen(HEADER));
    assert_int_equal(read_text(&r, text, len, &e), 0);
    assert_contains(r->note, "Line 2 is longer than a line may be");
    recording_destroy(r);
    free(text);
}

/* A page that lacks what was recorded says so. */
static void figures_without_room_are_told_of(void **state)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    (void)state;
    assert_non_null(f);
    fputs(HEADER VM, f);
    for (unsigned i = 0; i <= RECORDING_OF_VM_MAX; i++)
        fprintf(f, SAMPLE("2000000000", "{\"name\": \"n%u\", \"count\": 1}"), i);
    fputs(END, f);
    assert_int_equal(fclose(f), 0);
    struct recording_seen *r = seen(text);
    assert_int_equal(r->vm[0].curves, RECORDING_OF_VM_MAX);
    assert_contains(r->note, "more curves than are drawn");
    recording_destroy(r);
    free(text);
}

UNIT_MAIN(UNIT(curves_hold_what_the_lines_say), UNIT(a_long_time_is_folded_into_the_same_steps),
          UNIT(an_alarm_lasts_from_its_beginning_to_its_end), UNIT(what_is_cut_says_so_and_keeps_what_is_whole),
          UNIT(a_line_that_is_none_ends_it_with_its_number), UNIT(a_type_of_a_later_version_is_let_through),
          UNIT(what_is_no_recording_of_this_version_is_refused), UNIT(a_line_without_end_is_bounded),
          UNIT(figures_without_room_are_told_of))

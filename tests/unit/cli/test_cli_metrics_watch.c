/* What the page of `vireo metrics --listen` says of changes, on made-up pages of VMs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/unit.h"
#include "vmm/cli/anomaly.c"
#include "vmm/cli/metrics_page.c"
#include "vmm/cli/metrics_watch.c"
#include "vmm/cli/series.c"
#undef NS_PER_S
#include "vmm/cli/top_draw.c"
#include "vmm/cli/top_sample.c"

#define S UINT64_C(1000000000)

/* ---- in place of the rest of the program ---- */

int client_fetch(const char *name, const char *target, struct page *out, struct vireo_error *e)
{
    (void)name;
    (void)target;
    (void)out;
    (void)e;
    return -EIO;
}

int bad_command(struct vireo_error *e, const char *fmt, ...)
{
    (void)e;
    (void)fmt;
    return -EINVAL;
}

int bad_call(struct vireo_error *e, int error, const char *fmt, ...)
{
    (void)e;
    (void)fmt;
    return -error;
}

/* ---- the tests' own ---- */

struct scrape {
    struct metrics_page page;
    char *text;
};

static void end(struct scrape *x)
{
    free(x->text);
    metrics_page_fini(&x->page);
    *x = (struct scrape){0};
}

static void must_say(const struct scrape *x, const char *line)
{
    if (!strstr(x->text, line)) fail_msg("no %s in\n%s", line, x->text);
}

/* One scrape, in which the VM is so old and made so many exits of a kind; its page is in x until end. */
static void scrape(struct metrics_watch *w, struct scrape *x, const char *kind, uint64_t seconds, uint64_t outs)
{
    char text[512];
    size_t len;
    const int n = snprintf(text, sizeof(text),
                           "{\"schema\": \"vireo-stats-1\", \"uuid\": \"u\", \"age_ns\": %lu, "
                           "\"vcpus\": [{\"vcpu\": 0, \"cpu_ns\": %lu, \"run_delay_ns\": 0}], \"rows\": ["
                           "{\"kind\": \"class\", \"vcpu\": 0, \"name\": \"%s\", \"count\": %lu}]}",
                           (unsigned long)(seconds * S), (unsigned long)(seconds * S / 10), kind, (unsigned long)outs);
    end(x);
    metrics_watch_begin(w);
    assert_true(metrics_watch_name(w, "web"));
    metrics_watch_take(w, &x->page, "web", text, (size_t)n);
    metrics_watch_end(w);
    x->text = metrics_page_end(&x->page, &len);
    assert_non_null(x->text);
}

static void a_storm_is_on_the_page_with_its_evidence_and_is_counted(void **state)
{
    struct metrics_watch *w = metrics_watch_create();
    struct scrape x = {0};
    uint64_t outs = 0, t = 1;
    (void)state;
    assert_non_null(w);
    scrape(w, &x, "port out", t, outs);
    must_say(&x, "vireo_watched{vm=\"web\"} 1\n");
    assert_null(strstr(x.text, "vireo_alarm{")); /* one look is no interval */
    for (; t < 60; t++) scrape(w, &x, "port out", t + 1, outs += 100);
    must_say(&x, "vireo_alarm{vm=\"web\",figure=\"exit_rate\",of=\"port out\"} 0\n");
    must_say(&x, "vireo_alarms_total{vm=\"web\",figure=\"exit_rate\",of=\"port out\"} 0\n");
    assert_null(strstr(x.text, "vireo_alarm_value{"));
    for (unsigned i = 0; i < 6; i++, t++) scrape(w, &x, "port out", t + 1, outs += 5000);
    must_say(&x, "# TYPE vireo_alarm gauge\nvireo_alarm{vm=\"web\",figure=\"exit_rate\",of=\"port out\"} 1\n");
    must_say(&x, "vireo_alarm_value{vm=\"web\",figure=\"exit_rate\",of=\"port out\"} 5000\n");
    must_say(&x, "vireo_alarm_usual{vm=\"web\",figure=\"exit_rate\",of=\"port out\"} 100\n");
    for (unsigned i = 0; i < 6; i++, t++) scrape(w, &x, "port out", t + 1, outs += 100);
    must_say(&x, "vireo_alarm{vm=\"web\",figure=\"exit_rate\",of=\"port out\"} 0\n");
    must_say(&x, "# TYPE vireo_alarms_total counter\n"
                 "vireo_alarms_total{vm=\"web\",figure=\"exit_rate\",of=\"port out\"} 1\n");
    end(&x);
    metrics_watch_destroy(w);
}

static void a_vm_that_has_gone_is_forgotten_and_one_that_is_silent_is_not(void **state)
{
    struct metrics_watch *w = metrics_watch_create();
    struct scrape x = {0};
    (void)state;
    assert_non_null(w);
    for (uint64_t t = 1; t < 4; t++) scrape(w, &x, "halt", t, t * 10);
    must_say(&x, "vireo_alarm{");
    end(&x);
    metrics_watch_begin(w);
    assert_true(metrics_watch_name(w, "web"));
    metrics_watch_take(w, &x.page, "web", NULL, 0);
    metrics_watch_end(w);
    size_t len;
    x.text = metrics_page_end(&x.page, &len);
    must_say(&x, "vireo_watched{vm=\"web\"} 0\n");
    assert_int_equal(w->count, 1);
    metrics_watch_begin(w);
    metrics_watch_end(w);
    assert_int_equal(w->count, 0);
    end(&x);
    metrics_watch_destroy(w);
}

static void names_that_would_break_the_page_do_not(void **state)
{
    struct metrics_watch *w = metrics_watch_create();
    struct scrape x = {0};
    (void)state;
    assert_non_null(w);
    for (uint64_t t = 1; t < 4; t++) scrape(w, &x, "a\\\"} 7\\n\\\\\\u001b", t, t * 10);
    must_say(&x, "of=\"a\\\"} 7?\\\\?\"} 0\n");
    end(&x);
    metrics_watch_destroy(w);
}

static void more_vms_than_can_be_watched_are_said_to_be_unwatched(void **state)
{
    struct metrics_watch *w = metrics_watch_create();
    char name[16];
    (void)state;
    assert_non_null(w);
    metrics_watch_begin(w);
    for (unsigned i = 0; i <= METRICS_WATCHED_MAX; i++) {
        (void)snprintf(name, sizeof(name), "vm%u", i);
        assert_int_equal(metrics_watch_name(w, name), i < METRICS_WATCHED_MAX);
    }
    struct scrape x = {0};
    size_t len;
    metrics_watch_take(w, &x.page, name, "{}", 2);
    x.text = metrics_page_end(&x.page, &len);
    must_say(&x, "vireo_watched{vm=\"vm64\"} 0\n");
    end(&x);
    metrics_watch_destroy(w);
}

UNIT_MAIN(UNIT(a_storm_is_on_the_page_with_its_evidence_and_is_counted),
          UNIT(a_vm_that_has_gone_is_forgotten_and_one_that_is_silent_is_not),
          UNIT(names_that_would_break_the_page_do_not), UNIT(more_vms_than_can_be_watched_are_said_to_be_unwatched))

/* What is watched of a VM, on made-up pages: what is told, and what a pause, a restart or a page that lacks figures
 * does not bring about. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/unit.h"
#include "vmm/cli/anomaly.c"
#include "vmm/cli/series.c"
#include "vmm/cli/top_draw.c"
#include "vmm/cli/top_sample.c"

#define PAGE_MAX 4096
#define S        UINT64_C(1000000000)

/* A VM as its page tells of it: counts since it began. */
static struct {
    const char *uuid;
    uint64_t age, outs, reads, delay, cpu, throttled, requests, requests_ns;
    bool has_reads, is_untold;
} vm;

/* ---- in place of the rest of the program ---- */

int client_fetch(const char *name, const char *target, struct page *out, struct vireo_error *e)
{
    char figures[256] = "null, \"run_delay_ns\": null";
    char reads[256] = "";
    (void)name;
    (void)target;
    (void)e;
    if (!vm.is_untold)
        (void)snprintf(figures, sizeof(figures), "%lu, \"run_delay_ns\": %lu", (unsigned long)vm.cpu,
                       (unsigned long)vm.delay);
    if (vm.has_reads)
        (void)snprintf(reads, sizeof(reads),
                       ", {\"kind\": \"class\", \"vcpu\": 0, \"name\": \"mmio read\", \"count\": %lu}",
                       (unsigned long)vm.reads);
    out->text = malloc(PAGE_MAX);
    assert_non_null(out->text);
    out->len = (size_t)snprintf(
        out->text, PAGE_MAX,
        "{\"schema\": \"vireo-stats-1\", \"uuid\": \"%s\", \"pid\": 7, \"age_ns\": %lu, \"throttled_ns\": %lu,"
        " \"vcpus\": [{\"vcpu\": 0, \"cpu_ns\": %s}], \"rows\": ["
        "{\"kind\": \"class\", \"vcpu\": 0, \"name\": \"port out\", \"count\": %lu}%s,"
        "{\"kind\": \"device\", \"device\": \"disk 0\", \"name\": \"requests\", \"count\": %lu},"
        "{\"kind\": \"device\", \"device\": \"disk 0\", \"name\": \"requests_ns\", \"count\": %lu}]}",
        vm.uuid, (unsigned long)vm.age, (unsigned long)vm.throttled, figures, (unsigned long)vm.outs, reads,
        (unsigned long)vm.requests, (unsigned long)vm.requests_ns);
    return 0;
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

struct told {
    unsigned begins, ends;
    char what[128]; /* the last one */
};

static void on_event(void *arg, const struct series_metric *m, enum anomaly_event event, const struct anomaly_alarm *a)
{
    struct told *t = arg;
    (void)a;
    t->ends += event == ANOMALY_ENDS;
    if (event != ANOMALY_BEGINS) return;
    t->begins++;
    (void)snprintf(t->what, sizeof(t->what), "%s %s", m->kind->name, m->of);
}

/* A second passes, in which so much happens. */
struct second {
    uint64_t outs, reads, delay, throttled, requests, request_ns;
    bool is_paused;
};

static int pass(struct series *s, const struct second *x, struct told *told)
{
    struct vireo_error e;
    vm.age += S;
    vm.cpu += x->is_paused ? 0 : S / 10;
    vm.outs += x->outs;
    vm.reads += x->reads;
    vm.delay += x->delay;
    vm.throttled += x->throttled;
    vm.requests += x->requests;
    vm.requests_ns += x->requests * x->request_ns;
    const int rc = series_look(s, "web", &e);
    assert_true(rc >= 0);
    assert_true(series_judge(s, vm.age, on_event, told));
    return rc;
}

static void usual(struct series *s, unsigned seconds, struct told *told)
{
    for (unsigned i = 0; i < seconds; i++)
        (void)pass(s,
                   &(struct second){.outs = 100 + i % 7, .delay = S / 100, .requests = 50 + i % 3, .request_ns = 20000},
                   told);
}

static void begin(struct series *s, struct told *told)
{
    memset(&vm, 0, sizeof(vm));
    vm.uuid = "u";
    vm.outs = 1000000; /* what was before the first look is no storm */
    memset(s, 0, sizeof(*s));
    memset(told, 0, sizeof(*told));
}

static void each_planted_change_is_told_within_eight_seconds(void **state)
{
    static const struct {
        struct second x;
        const char *what;
    } plants[] = {
        {{.outs = 5000, .delay = S / 100, .requests = 50, .request_ns = 20000}, "exit_rate port out"},
        {{.outs = 100, .delay = S / 2, .requests = 50, .request_ns = 20000}, "run_delay vCPU 0"},
        {{.outs = 100, .delay = S / 100, .throttled = S / 2, .requests = 50, .request_ns = 20000}, "throttled "},
        {{.outs = 100, .delay = S / 100, .requests = 1, .request_ns = 20000000}, "disk_time disk 0"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(plants); i++) {
        struct series s;
        struct told told;
        begin(&s, &told);
        usual(&s, 130, &told);
        assert_int_equal(told.begins, 0);
        for (unsigned k = 0; k < 8; k++) (void)pass(&s, &plants[i].x, &told);
        assert_int_equal(told.begins, 1);
        assert_string_equal(told.what, plants[i].what);
        series_fini(&s);
    }
}

/* Of a guest that always wants to run, and one that makes its exits at each tick that it gets: a tenth of the CPU for
 * two minutes, then all of it, and back. */
static void a_guest_that_gets_the_cpu_it_lacked_has_not_changed(void **state)
{
    static const struct {
        struct second scarce, plenty;
    } guests[] = {
        {{.outs = 5000, .delay = 9 * S / 10}, {.outs = 50000, .delay = 0}},
        {{.outs = 3000, .delay = 85 * S / 100}, {.outs = 10000, .delay = S / 10}},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(guests); i++) {
        struct series s;
        struct told told;
        begin(&s, &told);
        for (unsigned k = 0; k < 300; k++) {
            struct second x = k / 60 % 2 ? guests[i].plenty : guests[i].scarce;
            x.outs += k % 7;
            (void)pass(&s, &x, &told);
            if (told.begins > 0) assert_memory_equal(told.what, "run_delay", 9);
        }
        series_fini(&s);
    }
}

/* It waits less than before, too; that does not explain it all. */
static void a_storm_beside_less_waiting_is_told_and_ends(void **state)
{
    struct series s;
    struct told told;
    (void)state;
    begin(&s, &told);
    for (unsigned i = 0; i < 60; i++) (void)pass(&s, &(struct second){.outs = 100 + i % 7, .delay = S / 2}, &told);
    for (unsigned i = 0; i < 8; i++) (void)pass(&s, &(struct second){.outs = 5000, .delay = S / 10}, &told);
    assert_int_equal(told.begins, 1);
    assert_string_equal(told.what, "exit_rate port out");
    assert_int_equal(told.ends, 0);
    for (unsigned i = 0; i < 8; i++) (void)pass(&s, &(struct second){.outs = 100, .delay = S / 10}, &told);
    assert_int_equal(told.ends, 1);
    assert_int_equal(told.begins, 1);
    series_fini(&s);
}

static void a_storm_of_a_kind_that_never_came_is_told(void **state)
{
    struct series s;
    struct told told;
    (void)state;
    begin(&s, &told);
    usual(&s, 60, &told);
    vm.has_reads = true;
    for (unsigned k = 0; k < 8; k++) (void)pass(&s, &(struct second){.outs = 100, .reads = 5000}, &told);
    assert_int_equal(told.begins, 1);
    assert_string_equal(told.what, "exit_rate mmio read");
    series_fini(&s);
}

static void after_a_pause_what_was_usual_is_usual(void **state)
{
    struct series s;
    struct told told;
    (void)state;
    begin(&s, &told);
    for (unsigned i = 0; i < 60; i++) (void)pass(&s, &(struct second){.outs = 5000 + i % 7, .delay = S / 5}, &told);
    for (unsigned i = 0; i < 600; i++) (void)pass(&s, &(struct second){.is_paused = true}, &told);
    for (unsigned i = 0; i < 60; i++) (void)pass(&s, &(struct second){.outs = 5000 + i % 7, .delay = S / 5}, &told);
    assert_int_equal(told.begins, 0);
    series_fini(&s);
}

static void a_vm_that_sleeps_from_the_start_and_then_storms_is_told(void **state)
{
    struct series s;
    struct told told;
    (void)state;
    begin(&s, &told);
    for (unsigned i = 0; i < 60; i++) (void)pass(&s, &(struct second){.is_paused = true}, &told);
    for (unsigned i = 0; i < 8; i++) (void)pass(&s, &(struct second){.outs = 5000}, &told);
    assert_int_equal(told.begins, 1);
    series_fini(&s);
}

static void another_vm_of_the_name_is_learned_anew(void **state)
{
    struct series s;
    struct told told;
    (void)state;
    begin(&s, &told);
    usual(&s, 60, &told);
    vm.uuid = "v";
    vm.outs = vm.age = 0;
    assert_int_equal(pass(&s, &(struct second){.outs = 90000}, &told), SERIES_NEW);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(pass(&s, &(struct second){.outs = 90000}, &told), SERIES_GOES_ON);
    assert_int_equal(told.begins, 0);
    series_fini(&s);
}

static void what_is_not_told_is_not_watched(void **state)
{
    struct series s;
    struct told told;
    (void)state;
    begin(&s, &told);
    vm.is_untold = true;
    usual(&s, 5, &told);
    for (unsigned i = 0; i < s.metrics; i++) assert_string_not_equal(s.metric[i].kind->name, "run_delay");
    assert_true(s.host_change.vcpu[0][FIGURE_CPU_NS] == SERIES_UNTOLD);
    assert_true(s.host_change.vcpu[0][FIGURE_STEAL_NS] == SERIES_UNTOLD);
    series_fini(&s);
}

static void the_sentence_has_the_evidence(void **state)
{
    struct series s;
    struct told told;
    char *text = NULL;
    size_t len;
    (void)state;
    begin(&s, &told);
    for (unsigned i = 0; i < 130; i++) (void)pass(&s, &(struct second){.outs = 100 + i % 5}, &told);
    for (unsigned i = 0; i < 4; i++) (void)pass(&s, &(struct second){.outs = 5000}, &told);
    FILE *f = open_memstream(&text, &len);
    assert_int_equal(series_put_alarms(f, &s, vm.age), 1);
    assert_int_equal(fclose(f), 0);
    assert_string_equal(text,
                        "alarm: exits by port out: 5000 1/s for 3 s; usual was 102 1/s (spread 1 1/s, 120 samples); "
                        "by chance once in 9.4e+06\n");
    free(text);
    series_fini(&s);
}

UNIT_MAIN(UNIT(each_planted_change_is_told_within_eight_seconds),
          UNIT(a_guest_that_gets_the_cpu_it_lacked_has_not_changed), UNIT(a_storm_beside_less_waiting_is_told_and_ends),
          UNIT(a_storm_of_a_kind_that_never_came_is_told), UNIT(after_a_pause_what_was_usual_is_usual),
          UNIT(a_vm_that_sleeps_from_the_start_and_then_storms_is_told), UNIT(another_vm_of_the_name_is_learned_anew),
          UNIT(what_is_not_told_is_not_watched), UNIT(the_sentence_has_the_evidence))

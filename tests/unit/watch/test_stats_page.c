/* Pages of statistics of a machine that is made up: every figure on them is known. Defining machine_* here keeps the
 * real machine out of this program. */
#include <errno.h>
#include <jansson.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vmm/kvm/stats.h"
#include "vmm/machine/machine.h"
#include "vmm/watch/figures.h"
#include "vmm/watch/page.h"

#define HZ 2e9 /* two ticks a nanosecond */

static struct fake {
    struct hist run, handler;
    _Atomic uint64_t bucket[2][HIST_BUCKETS], group[2][HIST_GROUPS];
    int rc;
    bool has_switches, is_single, has_all, had_own_locale;
} fake;

static void tell_class(void (*fn)(void *arg, const struct stats_row *row), void *arg, int vcpu)
{
    struct stats_row row = {.vcpu = vcpu, .name = vcpu < 0 ? "all vCPUs" : "vCPU", .count = 1000};
    row.run.total = 3000000;
    row.handler.total = 500000;
    fn(arg, &row);
    row.kind = STATS_CLASS;
    row.class = RECORD_MMIO_WRITE;
    row.name = "mmio write";
    row.run = (struct stats_times){.total = 3000000, .min = 1, .p50 = 3000, .p90 = 3001, .p99 = 3002, .max = 3004};
    row.handler = (struct stats_times){.total = 500000, .p50 = 500, .p99 = 502, .max = 503};
    row.run_hists = &(const struct hists){(const struct hist *[]){&fake.run}, 1};
    row.handler_hists = &(const struct hists){(const struct hist *[]){&fake.handler}, 1};
    fn(arg, &row);
}

/* A kick's handler is the time that a VM was paused, which is no latency. What counts is the class, whatever it is
 * called. */
static void tell_kick(void (*fn)(void *arg, const struct stats_row *row), void *arg)
{
    const struct stats_row row = {.kind = STATS_CLASS,
                                  .class = RECORD_KICK,
                                  .name = "port of call",
                                  .count = 9,
                                  .handler = {.total = 7000000000},
                                  .run_hists = &(const struct hists){(const struct hist *[]){&fake.run}, 1},
                                  .handler_hists = &(const struct hists){(const struct hist *[]){&fake.handler}, 1}};
    fn(arg, &row);
}

/* One of each type and unit, and names that end as a part of a histogram does. */
static const struct kvm_stat kernel_stats[] = {
    {.name = "exits", .unit = "", .value = 5000},
    {.name = "halt_wait_ns", .unit = "ns", .value = 2500000000},
    {.name = "blocking", .unit = "bool", .type = KVM_STAT_INSTANT, .value = 1},
    {.name = "Odd-bytes.sum", .unit = "bytes", .type = KVM_STAT_PEAK, .value = 4096},
    {.name = "pages_count", .unit = "", .type = KVM_STAT_INSTANT, .value = 12},
    {.name = "seen_total", .unit = "cycles", .value = 99},
};
static const uint64_t waits[] = {0, 1, 2, 3}, spins[] = {5, 6, 7};
static const struct kvm_stat kernel_hists[] = {
    {.name = "halt_wait_hist", .unit = "ns", .type = KVM_STAT_LOG, .bucket = waits, .bucket_count = 4},
    {.name = "spins", .unit = "", .type = KVM_STAT_LINEAR, .bucket = spins, .bucket_count = 3, .bucket_size = 10},
};

static void tell_kernel(void (*fn)(void *arg, const struct stats_row *row), void *arg)
{
    const unsigned vcpus = fake.has_all && !fake.is_single ? 2 : 1;
    for (unsigned vcpu = 0; vcpu < vcpus; vcpu++) {
        for (size_t i = 0; i < (fake.has_all ? COUNT_OF(kernel_stats) : 1); i++) {
            const struct kvm_stat *k = &kernel_stats[i];
            fn(arg, &(const struct stats_row){.kind = STATS_KERNEL,
                                              .vcpu = (int)vcpu,
                                              .name = k->name,
                                              .unit = k->unit,
                                              .count = k->value,
                                              .kernel = k});
        }
        for (size_t i = 0; fake.has_all && i < COUNT_OF(kernel_hists); i++)
            fn(arg, &(const struct stats_row){
                        .kind = STATS_KERNEL, .vcpu = (int)vcpu, .unit = "", .kernel = &kernel_hists[i]});
    }
}

int machine_stats(struct machine *m, enum stats_scope scope, struct stats_info *info,
                  void (*fn)(void *arg, const struct stats_row *row), void *arg)
{
    fake.has_all = scope == STATS_ALL;
    (void)m;
    if (fake.rc) return fake.rc;
    fake.had_own_locale = uselocale((locale_t)0) != LC_GLOBAL_LOCALE;
    *info = (struct stats_info){.counter = "TSC", .hz = HZ, .cost_ns = 30.5, .vcpus = fake.is_single ? 1 : 2};
    if (!fn) return 0;
    if (!fake.is_single) tell_class(fn, arg, -1);
    tell_class(fn, arg, 0);
    tell_kick(fn, arg);
    const struct stats_row reg = {.kind = STATS_REGISTER,
                                  .name = "mmio write",
                                  .device = "a \"b\\\n",
                                  .addr = 0xd0000050,
                                  .offset = 0x50,
                                  .count = 900};
    fn(arg, &reg);
    tell_kernel(fn, arg);
    const struct stats_row bell = {
        .kind = STATS_DOORBELL, .vcpu = -1, .name = "doorbell", .device = "disk 0 (root)", .addr = 1, .count = 77};
    fn(arg, &bell);
    const struct stats_row dropped = {
        .kind = STATS_DEVICE, .vcpu = -1, .name = "output_dropped", .device = "console 0", .count = 4321};
    fn(arg, &dropped);
    const struct stats_row took = {
        .kind = STATS_DEVICE, .vcpu = -1, .name = "requests_ns", .device = "disk 0 (root)", .count = 25732637};
    fn(arg, &took);
    return 0;
}

void machine_usage(struct machine *m, struct machine_usage *out)
{
    (void)m;
    *out = (struct machine_usage){.age_ns = 2000000000,
                                  .memory_bytes = 256 << 20,
                                  .resident = 9 << 20,
                                  .guest_resident = 4 << 20,
                                  .io_cpu_ns = 100000000,
                                  .has_resident = true};
}

/* The second vCPU's figures are what a kernel without CONFIG_SCHED_INFO and the file `sched` tells. */
unsigned machine_vcpus(struct machine *m, struct machine_vcpu out[CONFIG_MAX_CPUS])
{
    (void)m;
    for (unsigned i = 0; i < 2; i++) {
        out[i].tid = 4700 + (int)i;
        out[i].steal_ns = i ? THREAD_UNTOLD : 240000000;
        out[i].host = (struct thread_counts){.cpu_ns = 1500000000,
                                             .run_delay_ns = i ? THREAD_UNTOLD : 250000000,
                                             .voluntary = fake.has_switches ? 150 : THREAD_UNTOLD,
                                             .involuntary = 50,
                                             .migrations = i ? THREAD_UNTOLD : 7,
                                             .guest_ns = 1000000000,
                                             .kernel_ns = 400000000,
                                             .cpu = i ? -1 : 3};
    }
    return fake.is_single ? 1 : 2;
}

bool machine_thread(struct machine *m, unsigned index, struct machine_thread *out)
{
    (void)m;
    if (index > 0) return false;
    *out = (struct machine_thread){.kind = MACHINE_THREAD_IO, .vcpu = -1, .tid = 4711, .name = "web:io"};
    return true;
}

static int fresh(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof(fake));
    fake.has_switches = true;
    hist_init(&fake.run, fake.bucket[0], fake.group[0]);
    hist_init(&fake.handler, fake.bucket[1], fake.group[1]);
    for (unsigned i = 0; i < 990; i++) hist_record(&fake.run, 6000);
    for (unsigned i = 0; i < 10; i++) hist_record(&fake.run, 60000);
    for (unsigned i = 0; i < 1000; i++) hist_record(&fake.handler, 1000);
    return 0;
}

/* The caller frees it. */
static char *page(enum stats_format format, const char *weights, bool has_steps)
{
    struct figures *figures = figures_create();
    const struct stats_subject subject = {.name = "web", .uuid = "u-u", .figures = figures};
    const struct stats_request request = {.format = format, .weights = weights, .has_steps = has_steps};
    struct err e = {0};
    char *text = NULL;
    size_t len = 0;
    if (stats_page(&subject, &request, &text, &len, &e)) fail_msg("%s", e.text);
    assert_int_equal(strlen(text), len);
    figures_destroy(figures);
    return text;
}

static json_t *object(const char *weights, bool has_steps)
{
    char *text = page(STATS_JSON, weights, has_steps);
    json_error_t why;
    json_t *o = json_loads(text, JSON_REJECT_DUPLICATES, &why);
    if (!o) fail_msg("%s in %s", why.text, text);
    free(text);
    return o;
}

static json_t *row_of(json_t *o, const char *kind)
{
    json_t *row;
    size_t i;
    json_array_foreach(json_object_get(o, "rows"), i, row)
    {
        if (strcmp(json_string_value(json_object_get(row, "kind")), kind) == 0) return row;
    }
    fail_msg("no row of kind %s", kind);
    return NULL;
}

static double number(const json_t *o, const char *key)
{
    const json_t *value = json_object_get(o, key);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static double figure(json_t *o, unsigned i, const char *name)
{
    json_t *f = json_array_get(json_object_get(o, "figures"), i);
    assert_string_equal(json_string_value(json_object_get(f, "name")), name);
    return number(f, "value");
}

static void must_be(double value, double expected)
{
    if (fabs(value - expected) > 1e-6 * fabs(expected)) fail_msg("%g is not %g", value, expected);
}

static void json_has_every_row_and_who_the_vm_is(void **state)
{
    (void)state;
    json_t *o = object(NULL, false);
    assert_string_equal(json_string_value(json_object_get(o, "schema")), "vireo-stats-1");
    assert_string_equal(json_string_value(json_object_get(o, "name")), "web");
    assert_string_equal(json_string_value(json_object_get(o, "uuid")), "u-u");
    must_be(number(o, "pid"), getpid());
    must_be(number(row_of(o, "class"), "count"), 1000);
    must_be(number(json_object_get(row_of(o, "class"), "run"), "p99_ns"), 3002);
    assert_string_equal(json_string_value(json_object_get(row_of(o, "register"), "device")), "a \"b\\\n");
    must_be(number(row_of(o, "register"), "address"), 0xd0000050);
    must_be(number(row_of(o, "kernel"), "count"), 5000);
    must_be(number(row_of(o, "doorbell"), "queue"), 1);
    must_be(number(row_of(o, "doorbell"), "count"), 77);
    must_be(number(row_of(o, "device"), "count"), 4321);
    assert_string_equal(json_string_value(json_object_get(row_of(o, "device"), "device")), "console 0");
    must_be(number(json_array_get(json_object_get(o, "threads"), 0), "tid"), 4711);
    assert_null(json_object_get(row_of(o, "class"), "run_steps"));
    json_decref(o);
}

static void json_has_every_vcpu_and_null_where_the_kernel_does_not_tell(void **state)
{
    static const struct {
        const char *key;
        double value;
        bool is_told_of_both;
    } keys[] = {
        {"cpu", 3, false},          {"cpu_ns", 1.5e9, true},           {"run_delay_ns", 2.5e8, false},
        {"steal_ns", 2.4e8, false}, {"switches_voluntary", 150, true}, {"switches_involuntary", 50, true},
        {"migrations", 7, false},   {"guest_ns", 1e9, true},           {"kernel_ns", 4e8, true},
    };
    (void)state;
    json_t *o = object(NULL, false), *vcpus = json_object_get(o, "vcpus");
    assert_int_equal(json_array_size(vcpus), 2);
    for (unsigned i = 0; i < 2; i++) {
        const json_t *vcpu = json_array_get(vcpus, i);
        must_be(number(vcpu, "vcpu"), i);
        must_be(number(vcpu, "tid"), 4700 + i);
        for (size_t k = 0; k < COUNT_OF(keys); k++) {
            if (i && !keys[k].is_told_of_both)
                assert_true(json_is_null(json_object_get(vcpu, keys[k].key)));
            else
                must_be(number(vcpu, keys[k].key), keys[k].value);
        }
    }
    /* Without the seven seconds of a kick, which are a pause. */
    must_be(number(json_array_get(vcpus, 0), "handler_ns"), 500000);
    must_be(number(json_array_get(vcpus, 1), "handler_ns"), 0);
    must_be(number(o, "voluntary_switches"), 300);
    must_be(number(o, "involuntary_switches"), 100);
    json_decref(o);
}

static void the_six_figures_follow_their_definitions(void **state)
{
    (void)state;
    json_t *o = object(NULL, false);
    must_be(figure(o, 0, "vm_exit_count"), 2500);  /* 5000 in 2 s */
    must_be(figure(o, 1, "vm_exit_latency"), 500); /* 500 us for 1000; the sum of all is not counted again */
    must_be(figure(o, 2, "memory_overhead"), 5 << 20);
    must_be(figure(o, 3, "io_overhead"), (0.1 + 0.0005) / 2); /* the I/O thread's and the handlers' seconds in two */
    must_be(figure(o, 4, "context_switch_count"), 200);
    const json_t *misses = json_array_get(json_object_get(o, "figures"), 5);
    assert_true(json_is_null(json_object_get(misses, "value")));
    assert_string_equal(json_string_value(json_object_get(misses, "unavailable")), "no vCPU runs");
    must_be(number(o, "weighted_sum"), 0.025 + 0.5 + 1 + 0.5025 + 0.2);
    json_decref(o);
}

static void weights_weigh_and_what_is_unavailable_is_left_out(void **state)
{
    (void)state;
    fake.has_switches = false;
    json_t *o =
        object("vm_exit_count=2,io_overhead=0,memory_overhead=1e1,context_switch_count=99,cache_miss_rate=9", false);
    must_be(number(o, "weighted_sum"), 2 * 0.025 + 0.5 + 10);
    json_decref(o);
}

static void bad_weights_are_a_sentence(void **state)
{
    static const struct {
        const char *text, *sentence, *hint;
    } rows[] = {
        {"vm_exit_cuont=1", "there is no figure \"vm_exit_cuont\"", "did you mean \"vm_exit_count\"?"},
        {"xyzzy=1", "no figure \"xyzzy\"", "the figures are"},
        {"io_overhead", "has no number", ""},
        {"io_overhead=", "io_overhead=: must be a number", ""},
        {"io_overhead=-1", "must be a number from 0 to 1000000", ""},
        {"io_overhead=nan", "must be a number", ""},
        {"io_overhead=inf", "must be a number", ""},
        {"io_overhead=1x", "must be a number", ""},
        {"io_overhead=1,,memory_overhead=2", "has no number", ""},
        {"io_overhead=0000000000000000000000000000000000000000000000000000000000000001", "is no NAME=NUMBER", ""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        double weight[FIGURES];
        struct err e = {0};
        assert_int_equal(figures_weights(rows[i].text, weight, &e), -EINVAL);
        assert_contains(e.text, rows[i].sentence);
        assert_contains(e.hint, rows[i].hint);
    }
}

/* 990 of 3 us and 10 of 30 us: the step that ends just above each holds them, 2^(93/8) = 3158 and 2^(119/8) = 30048. */
static void steps_hold_the_durations_where_they_belong(void **state)
{
    (void)state;
    json_t *o = object(NULL, true), *steps = json_object_get(row_of(o, "class"), "run_steps");
    assert_int_equal(json_array_size(steps), 2);
    assert_int_equal(json_integer_value(json_array_get(json_array_get(steps, 0), 0)), 93);
    assert_int_equal(json_integer_value(json_array_get(json_array_get(steps, 0), 1)), 990);
    assert_int_equal(json_integer_value(json_array_get(json_array_get(steps, 1), 0)), 119);
    assert_int_equal(json_integer_value(json_array_get(json_array_get(steps, 1), 1)), 10);
    json_decref(o);
}

static void prometheus_gets_families_with_cumulative_buckets(void **state)
{
    static const char *const lines[] = {
        "# TYPE vireo_exits_total counter\nvireo_exits_total{vm=\"web\",vcpu=\"0\",class=\"mmio write\"} 1000\n",
        "vireo_exit_run_seconds_bucket{vm=\"web\",class=\"mmio write\",le=\"2.048e-06\"} 0\n",
        "vireo_exit_run_seconds_bucket{vm=\"web\",class=\"mmio write\",le=\"4.096e-06\"} 990\n",
        "vireo_exit_run_seconds_bucket{vm=\"web\",class=\"mmio write\",le=\"3.2768e-05\"} 1000\n",
        "vireo_exit_run_seconds_bucket{vm=\"web\",class=\"mmio write\",le=\"+Inf\"} 1000\n",
        "vireo_exit_run_seconds_sum{vm=\"web\",class=\"mmio write\"} 0.003\n",
        "vireo_exits_saved_total{vm=\"web\",device=\"disk 0 (root)\",queue=\"1\"} 77\n",
        "vireo_device_events_total{vm=\"web\",device=\"console 0\",event=\"output_dropped\"} 4321\n",
        "vireo_vcpu_run_delay_seconds_total{vm=\"web\",vcpu=\"0\"} 0.25\n",
        "vireo_vcpu_context_switches_total{vm=\"web\",vcpu=\"0\",kind=\"involuntary\"} 50\n",
        "# TYPE vireo_vcpu_on_cpu gauge\nvireo_vcpu_on_cpu{vm=\"web\",vcpu=\"0\"} 3\n",
        "vireo_vm_info{vm=\"web\",uuid=\"u-u\",",
    };
    (void)state;
    for (unsigned single = 0; single < 2; single++) {
        fake.is_single = single;
        char *text = page(STATS_PROMETHEUS, NULL, false);
        for (size_t i = 0; i < COUNT_OF(lines); i++) assert_contains(text, lines[i]);
        assert_null(strstr(text, "cache_miss")); /* unavailable: no sample, and never zero */
        assert_null(strstr(text, "migrations_total{vm=\"web\",vcpu=\"1\"}"));
        assert_null(strstr(text, "0xd0000050"));
        free(text);
    }
}

static void prometheus_gets_the_kernels_statistics_by_type_and_unit(void **state)
{
    static const char *const lines[] = {
        "# HELP vireo_kvm_exits_total KVM's own exits of a vCPU, cumulative.\n# TYPE vireo_kvm_exits_total counter\n"
        "vireo_kvm_exits_total{vm=\"web\",vcpu=\"0\"} 5000\nvireo_kvm_exits_total{vm=\"web\",vcpu=\"1\"} 5000\n",
        "# TYPE vireo_kvm_halt_wait_seconds_total counter\n"
        "vireo_kvm_halt_wait_seconds_total{vm=\"web\",vcpu=\"0\"} 2.5\n",
        "# TYPE vireo_kvm_blocking gauge\nvireo_kvm_blocking{vm=\"web\",vcpu=\"0\"} 1\n",
        "# TYPE vireo_kvm__dd_bytes_sum_bytes gauge\nvireo_kvm__dd_bytes_sum_bytes{vm=\"web\",vcpu=\"0\"} 4096\n",
        "# TYPE vireo_kvm_pages_count_value gauge\nvireo_kvm_pages_count_value{vm=\"web\",vcpu=\"0\"} 12\n",
        "# TYPE vireo_kvm_seen_cycles_total counter\nvireo_kvm_seen_cycles_total{vm=\"web\",vcpu=\"0\"} 99\n",
        /* Both vCPUs' together: 1, 2, 4 and more nanoseconds are the ends of the buckets, and belong to the next. */
        "# TYPE vireo_kvm_halt_wait_hist_seconds histogram\n"
        "vireo_kvm_halt_wait_hist_seconds_bucket{vm=\"web\",le=\"0\"} 0\n"
        "vireo_kvm_halt_wait_hist_seconds_bucket{vm=\"web\",le=\"1e-09\"} 2\n"
        "vireo_kvm_halt_wait_hist_seconds_bucket{vm=\"web\",le=\"3e-09\"} 6\n"
        "vireo_kvm_halt_wait_hist_seconds_bucket{vm=\"web\",le=\"+Inf\"} 12\n"
        "vireo_kvm_halt_wait_hist_seconds_count{vm=\"web\"} 12\nvireo_kvm_halt_wait_hist_seconds_sum{vm=\"web\"} 5\n",
        "# TYPE vireo_kvm_spins histogram\nvireo_kvm_spins_bucket{vm=\"web\",le=\"9\"} 10\n"
        "vireo_kvm_spins_bucket{vm=\"web\",le=\"19\"} 22\nvireo_kvm_spins_bucket{vm=\"web\",le=\"+Inf\"} 36\n"
        "vireo_kvm_spins_count{vm=\"web\"} 36\n# HELP",
    };
    (void)state;
    char *text = page(STATS_PROMETHEUS, NULL, false);
    for (size_t i = 0; i < COUNT_OF(lines); i++) assert_contains(text, lines[i]);
    free(text);
}

static void text_has_the_table_the_doorbells_the_threads_and_the_figures(void **state)
{
    static const char *const parts[] = {
        "vireo: where the time went\nweb, VM u-u, process ",
        "vCPU 0: 1000 exits, 3.000 ms in KVM_RUN, 0.500 ms in the monitor\n",
        "  scheduler: 1.500 s on a CPU (sampled: 1.000 s guest, 0.400 s kernel), waited 0.250 s for one"
        " (its guest was told 0.240 s),\n             switched 150 times to wait, 50 times for another, moved 7 times,"
        " on CPU 3\n",
        "  kernel: exits 5000\n",
        "  disk 0 (root), queue 1: 77\n",
        "  console 0: 4321 output_dropped\n",
        "  disk 0 (root): 25.733 ms in requests\n",
        "  4711 web:io\n",
        "unavailable: no vCPU runs\n",
        "recording an exit takes 30 ns here",
    };
    (void)state;
    char *text = page(STATS_TEXT, NULL, false);
    for (size_t i = 0; i < COUNT_OF(parts); i++) assert_contains(text, parts[i]);
    free(text);
}

/* So its numbers have a point whatever locale the program set; no machine need have one with a comma to try. */
static void a_page_is_written_in_a_locale_of_its_own(void **state)
{
    (void)state;
    char *text = page(STATS_JSON, "vm_exit_count=1.5", false);
    assert_contains(text, "\"weight\": 1.5");
    free(text);
    assert_true(fake.had_own_locale);
    assert_true(uselocale((locale_t)0) == LC_GLOBAL_LOCALE); /* and the thread has its own back */
}

static void without_a_recorder_there_is_a_sentence(void **state)
{
    struct figures *figures = figures_create();
    const struct stats_subject subject = {.name = "", .uuid = "", .figures = figures};
    const struct stats_request request = {.format = STATS_TEXT};
    struct err e = {0};
    char *text = NULL;
    size_t len;
    (void)state;
    fake.rc = -ENODATA;
    assert_int_equal(stats_page(&subject, &request, &text, &len, &e), -ENODATA);
    assert_contains(e.text, "record is off");
    assert_null(text);
    figures_destroy(figures);
}

#define T(promise) cmocka_unit_test_setup(promise, fresh)
UNIT_MAIN(T(json_has_every_row_and_who_the_vm_is), T(json_has_every_vcpu_and_null_where_the_kernel_does_not_tell),
          T(the_six_figures_follow_their_definitions), T(weights_weigh_and_what_is_unavailable_is_left_out),
          T(bad_weights_are_a_sentence), T(steps_hold_the_durations_where_they_belong),
          T(prometheus_gets_families_with_cumulative_buckets),
          T(prometheus_gets_the_kernels_statistics_by_type_and_unit),
          T(text_has_the_table_the_doorbells_the_threads_and_the_figures), T(a_page_is_written_in_a_locale_of_its_own),
          T(without_a_recorder_there_is_a_sentence))

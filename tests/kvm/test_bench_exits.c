/* What `bench exits` says of this host, whatever host it is: every row once, few samples, and what must hold of them
 * anywhere. Durations are compared by their least or their median, which a busy machine moves little. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/arch/arch.h"
#include "bench/bench.h"
#include "tests/unit/unit.h"

#define SAMPLES  "200"
#define ROW_TIME "4s" /* of a row: on an emulated host, too, all but those that hang are done in a fraction of it */
#define DELAY    "20us"
#define DELAY_NS 20000.0
#define TURNS    20

/* The lines of a run; of a row, its line. */
struct found {
    json_t *lines;
    atomic_bool stop;
    const char *stop_at; /* a row, once it has begun; or NULL */
};

static void take(void *arg, const char *text)
{
    struct found *f = arg;
    json_t *line = json_loads(text, 0, NULL);
    assert_non_null(line);
    const char *item = json_string_value(json_object_get(line, "item"));
    if (item && f->stop_at && strcmp(item, f->stop_at) == 0) atomic_store(&f->stop, true);
    json_array_append_new(f->lines, line);
}

static int set(void *options, const char *name, const char *value, struct err *e)
{
    for (const struct setting *o = bench_exits.options; o->name; o++)
        if (strcmp(o->name, name) == 0) return o->set(options, value, e);
    fail();
    return -EINVAL;
}

/* options: name, value, ..., NULL. */
static int run(struct found *f, const char *const *options)
{
    const struct bench_sink sink = {.line = take, .arg = f, .is_stopped = &f->stop};
    struct err e = {0};
    void *o = calloc(1, bench_exits.options_size);
    assert_non_null(o);
    bench_exits.init(o);
    f->lines = json_array();
    for (; *options; options += 2) assert_int_equal(set(o, options[0], options[1], &e), 0);
    const int rc = bench_exits.run(o, &sink, &e);
    if (rc && rc != -ECANCELED) print_message("%s\n", e.text);
    bench_exits.fini(o);
    free(o);
    return rc;
}

static void forget(struct found *f)
{
    json_decref(f->lines);
    f->lines = NULL;
}

static const json_t *line_of(const struct found *f, const char *type, const char *key, const char *value)
{
    size_t i;
    const json_t *line;
    json_array_foreach(f->lines, i, line)
    {
        const char *its = key ? json_string_value(json_object_get(line, key)) : value;
        if (strcmp(json_string_value(json_object_get(line, "type")), type) == 0 && its && strcmp(its, value) == 0)
            return line;
    }
    return NULL;
}

static const json_t *row_of(const struct found *f, const char *id)
{
    return line_of(f, "row", "row", id);
}

static const char *status_of(const json_t *row)
{
    return json_string_value(json_object_get(row, "status"));
}

static const json_t *environment(const struct found *f)
{
    return line_of(f, "environment", NULL, "");
}

static json_int_t number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static const json_t *phase(const json_t *row, const char *name)
{
    return json_object_get(json_object_get(row, "phases"), name);
}

/* ---- all rows, run once, pinned: KVM keeps a clock shared that is shared while the vCPU stays ---- */

static const char *own_cpu(void)
{
    static char text[16];
    cpu_set_t here;
    unsigned cpu = 0;
    assert_int_equal(sched_getaffinity(0, sizeof(here), &here), 0);
    while (!CPU_ISSET(cpu, &here)) cpu++;
    (void)snprintf(text, sizeof(text), "%u", cpu);
    return text;
}

static int run_all(void **state)
{
    static struct found all;
    const char *const options[] = {"samples", SAMPLES, "batch", "1", "timeout", ROW_TIME, "pin", own_cpu(), NULL};
    *state = &all;
    return run(&all, options);
}

static int forget_all(void **state)
{
    forget(*state);
    return 0;
}

static void environment_names_host_counter_and_costs(void **state)
{
    const json_t *env = environment(*state);
    const json_t *cost = json_object_get(env, "cost");
    const char *nature = json_string_value(json_object_get(json_object_get(env, "host"), "nature"));
    assert_non_null(nature);
    print_message("host: %s\n", nature);
    assert_true(json_number_value(json_object_get(json_object_get(env, "counter"), "hz")) > 1e5);
    assert_true(number(cost, "vm_ioctl") > 0);
    assert_true(number(cost, "kvm_run_immediate") > number(cost, "vm_ioctl"));
    assert_true(json_number_value(json_object_get(cost, "recorder_ns")) > 0);
}

static void every_row_begins_and_ends_with_a_status(void **state)
{
    const struct arch_bench_row *what;
    for (unsigned i = 0; (what = arch_bench_row(i)) != NULL; i++) {
        if (what->row == BENCH_never_exits) continue;
        const json_t *begin = line_of(*state, "begin", "item", what->id), *row = row_of(*state, what->id);
        assert_non_null(begin);
        assert_true(number(begin, "timeout_ms") > 0);
        assert_non_null(row);
        const char *status = status_of(row), *detail = json_string_value(json_object_get(row, "detail"));
        print_message("  %-21s %-11s %s\n", what->id, status, detail);
        const bool is_ok = strcmp(status, "ok") == 0;
        assert_true(is_ok || strcmp(status, "no-exit") == 0 || strcmp(status, "timeout") == 0 ||
                    strcmp(status, "unsupported") == 0);
        if (is_ok)
            assert_true(number(phase(row, "rtt"), "count") > 0);
        else
            assert_true(detail[0] != '\0');
    }
}

static void controls_show_no_exit(void **state)
{
    const struct arch_bench_row *what;
    for (unsigned i = 0; (what = arch_bench_row(i)) != NULL; i++) {
        if (what->group != BENCH_CONTROL) continue;
        const json_t *row = row_of(*state, what->id);
        assert_string_equal(status_of(row), "ok");
        const json_t *exits = json_object_get(row, "exits");
        if (json_is_null(exits)) continue; /* a kernel that does not count */
        assert_int_equal(number(exits, "expected"), 0);
        const char *verdict = json_string_value(json_object_get(exits, "verdict"));
        print_message("  %-16s %lld of 0 exits: %s\n", what->id, (long long)number(exits, "counted"), verdict);
        assert_true(strcmp(verdict, "agrees") == 0 || strcmp(verdict, "explained") == 0);
    }
}

/* Where the kernel counts this kind of exit alone. */
static void counts_agree_exactly(void **state)
{
    const struct arch_bench_row *what;
    unsigned exact = 0;
    for (unsigned i = 0; (what = arch_bench_row(i)) != NULL; i++) {
        const json_t *row = row_of(*state, what->id), *exits = json_object_get(row, "exits");
        const char *source = json_string_value(json_object_get(exits, "source"));
        if (what->more || !what->counter || !source || strcmp(source, what->counter) != 0) continue;
        if (strcmp(status_of(row), "ok") != 0) continue;
        assert_int_equal(number(exits, "counted"), number(exits, "expected"));
        exact++;
    }
    assert_true(exact > 0 || json_is_null(json_object_get(row_of(*state, "nop"), "exits")));
}

static void rows_that_want_other_interrupt_controllers_have_them(void **state)
{
    const struct arch_bench_row *what;
    for (unsigned i = 0; (what = arch_bench_row(i)) != NULL; i++) {
        if (what->irqchip == ARCH_IRQCHIP_OWN) continue;
        assert_int_equal(number(phase(row_of(*state, what->id), "rtt"), "count"), atoi(SAMPLES));
        if (what->group == BENCH_USER) assert_string_equal(status_of(row_of(*state, what->id)), "ok");
    }
}

/* A row that the kernel answers; where it emulates the guest anyway, none is an exit, and then there is none to
 * compare. */
static const json_t *kernel_row(const struct found *f)
{
    static const char *const in_kernel[] = {"cpuid", "hypercall_null", "psci_version"};
    for (unsigned i = 0; i < sizeof(in_kernel) / sizeof(in_kernel[0]); i++) {
        const json_t *row = row_of(f, in_kernel[i]);
        if (row && strcmp(status_of(row), "ok") == 0) return row;
    }
    return NULL;
}

#define ORDER_TRIES 5 /* a busy host may slow one row and not the other; the kernel's is half as long as ours */

/* The least of each: what else a busy host does lies in the others, and may be more than an exit. */
static bool has_order(const struct found *f)
{
    const json_t *kernel = kernel_row(f);
    const json_int_t nop = number(phase(row_of(f, "nop"), "rtt"), "min");
    const json_int_t user = number(phase(row_of(f, "mmio_wr_user"), "rtt"), "min");
    const json_int_t trapped = kernel ? number(phase(kernel, "rtt"), "min") : user;
    print_message("  least ticks: nop %lld, in the kernel %lld, to us %lld\n", (long long)nop,
                  kernel ? (long long)trapped : -1ll, (long long)user);
    return nop < trapped && (trapped < user || !kernel);
}

static void what_never_leaves_costs_less_than_the_kernel_and_that_less_than_us(void **state)
{
    static const char rows[] = "nop,hypercall_null,mmio_wr_user";
    bool has = has_order(*state);
    for (unsigned i = 1; i < ORDER_TRIES && !has; i++) {
        struct found again = {0};
        const char *const options[] = {"rows", rows, "samples", SAMPLES, "timeout", ROW_TIME, "pin", own_cpu(), NULL};
        assert_int_equal(run(&again, options), 0);
        has = has_order(&again);
        forget(&again);
    }
    assert_true(has);
}

static void legs_add_up_to_the_round_trip(void **state)
{
    const struct arch_bench_row *what;
    const char *nature = json_string_value(json_object_get(json_object_get(environment(*state), "host"), "nature"));
    assert_true(json_is_object(json_object_get(row_of(*state, "mmio_wr_user"), "identity")));
    for (unsigned i = 0; (what = arch_bench_row(i)) != NULL; i++) {
        const json_t *row = row_of(*state, what->id), *identity = json_object_get(row, "identity");
        if (what->more || !json_is_object(identity)) continue;
        assert_int_equal(number(phase(row, "exit_leg"), "count"), number(phase(row, "entry_leg"), "count"));
        if (!json_is_true(json_object_get(identity, "holds"))) assert_string_equal(nature, "emulated");
    }
}

/* ---- runs of their own ---- */

static void guest_that_never_exits_is_stopped_and_the_next_row_runs(void **state)
{
    const char *const options[] = {"rows", "never_exits,nop", "samples", SAMPLES, "timeout", "500ms", NULL};
    struct found f = {0};
    (void)state;
    assert_int_equal(run(&f, options), 0);
    assert_string_equal(status_of(row_of(&f, "never_exits")), "timeout");
    /* The order of the table, not of the list: nop came first. Again, after it. */
    assert_non_null(row_of(&f, "nop"));
    forget(&f);
    const char *const again[] = {"rows", "nop", "samples", SAMPLES, NULL};
    assert_int_equal(run(&f, again), 0);
    assert_string_equal(status_of(row_of(&f, "nop")), "ok");
    forget(&f);
}

/* The shortest that each part has been, in ns, in all runs with one delay. */
struct parts {
    double user, exit_leg, entry_leg;
};

static void shorten(double *part, const struct found *f, const char *name)
{
    const json_t *h = phase(row_of(f, "mmio_wr_user"), name);
    const double hz = json_number_value(json_object_get(json_object_get(environment(f), "counter"), "hz"));
    assert_non_null(h);
    const double ns = (double)number(h, "min") * 1e9 / hz;
    if (ns < *part) *part = ns;
}

static void measure(struct parts *p, const char *delay)
{
    const char *const options[] = {"rows", "mmio_wr_user", "samples", SAMPLES, "pin", own_cpu(), "delay", delay, NULL};
    struct found f = {0};
    assert_int_equal(run(&f, options), 0);
    shorten(&p->user, &f, "user");
    shorten(&p->exit_leg, &f, "exit_leg");
    shorten(&p->entry_leg, &f, "entry_leg");
    forget(&f);
}

/* In turns, until the shortest show it: on a busy machine, above all an emulated one, a whole run may be slower than
 * the next by more than the delay. A delay in another part lengthens that one's shortest in every run. */
static void made_up_delay_shows_in_our_part_and_nowhere_else(void **state)
{
    struct parts plain = {INFINITY, INFINITY, INFINITY}, delayed = plain;
    const double half = DELAY_NS / 2;
    bool shown = false;
    (void)state;
    for (int turn = 0; turn < TURNS && !shown; turn++) {
        measure(&plain, "0ns");
        measure(&delayed, DELAY);
        const double ours = delayed.user - plain.user, out = delayed.exit_leg - plain.exit_leg,
                     back = delayed.entry_leg - plain.entry_leg;
        print_message("  20 us more: user %.0f ns, exit_leg %.0f ns, entry_leg %.0f ns\n", ours, out, back);
        shown = ours >= DELAY_NS * 0.97 && ours < DELAY_NS + half && fabs(out) < half && fabs(back) < half;
    }
    assert_true(shown);
}

static void bench_that_is_stopped_ends_soon(void **state)
{
    const char *const options[] = {"rows", "nop,never_exits", "timeout", "60s", "samples", SAMPLES, NULL};
    struct found f = {.stop_at = "never_exits"};
    (void)state;
    assert_int_equal(run(&f, options), -ECANCELED);
    assert_null(row_of(&f, "never_exits"));
    forget(&f);
}

static void bad_options_are_named(void **state)
{
    static const struct {
        const char *name, *value, *text;
    } bad[] = {
        {"rows", "nop,mmio_wr_usr", "mmio_wr_usr"},
        {"rows", "", "no row \"\""},
        {"samples", "0", "samples: \"0\""},
        {"samples", "1000000000000", "from 1 to"},
        {"batch", "0", "batch: \"0\""},
        {"pin", "1023", "CPU 1023"},
        {"pin", "first", "first"},
        {"timeout", "1ms", "100ms"},
        {"delay", "20", "delay: \"20\""},
    };
    void *o = calloc(1, bench_exits.options_size);
    (void)state;
    assert_non_null(o);
    bench_exits.init(o);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct err e = {0};
        assert_int_equal(set(o, bad[i].name, bad[i].value, &e), -EINVAL);
        if (!strstr(e.text, bad[i].text)) print_message("%s\n", e.text);
        assert_non_null(strstr(e.text, bad[i].text));
    }
    bench_exits.fini(o);
    free(o);
}

int main(void)
{
    const struct CMUnitTest all_rows[] = {
        cmocka_unit_test(environment_names_host_counter_and_costs),
        cmocka_unit_test(every_row_begins_and_ends_with_a_status),
        cmocka_unit_test(controls_show_no_exit),
        cmocka_unit_test(counts_agree_exactly),
        cmocka_unit_test(rows_that_want_other_interrupt_controllers_have_them),
        cmocka_unit_test(what_never_leaves_costs_less_than_the_kernel_and_that_less_than_us),
        cmocka_unit_test(legs_add_up_to_the_round_trip),
    };
    const struct CMUnitTest own_runs[] = {
        cmocka_unit_test(guest_that_never_exits_is_stopped_and_the_next_row_runs),
        cmocka_unit_test(made_up_delay_shows_in_our_part_and_nowhere_else),
        cmocka_unit_test(bench_that_is_stopped_ends_soon),
        cmocka_unit_test(bad_options_are_named),
    };
    const int failed = cmocka_run_group_tests_name("all rows", all_rows, run_all, forget_all);
    return failed + cmocka_run_group_tests_name("runs of their own", own_runs, NULL, NULL);
}

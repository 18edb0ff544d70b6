/* Fairness on this host, by real threads. Other programs run here too, so what is held against it are identities, who
 * gets more than whom, and three times the bounds; `vireo bench fairness` on a quiet host judges by the bounds. */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/fair/judge.h"
#include "bench/result/result.h"
#include "tests/unit/unit.h"

#define SLACK 3 /* times the bound */
/* A busy host may take as much from another vCPU as is held back, or give a vCPU no turn for a second. */
#define TRIES 4

static struct fair_options o;
static struct fair_plan p;
static struct fair_record r;
static struct fair_report found;
static struct err e;

static const struct bench_sink nowhere;

static void ask(const char *name, const char *value)
{
    const struct setting *i = fair_option;
    while (i->name && strcmp(i->name, name) != 0) i++;
    assert_non_null(i->name);
    if (i->set(&o, value, &e)) fail_msg("%s", e.text);
}

static int fresh(void **state)
{
    (void)state;
    o = (struct fair_options){0};
    r = (struct fair_record){0};
    memset(&e, 0, sizeof(e));
    fair_options_init(&o);
    ask("duration", "3s");
    return 0;
}

static int gone(void **state)
{
    (void)state;
    fair_record_free(&r);
    fair_options_fini(&o);
    return 0;
}

/* Make the variant of the experiment, run it and judge. false: this host can't, and it was said why. */
static bool try_run(const char *id, unsigned variant)
{
    unsigned item = 0;

    if (access("/dev/kvm", R_OK | W_OK)) {
        print_message("no /dev/kvm to run a guest on\n");
        return false;
    }
    if (fair_options_check(&o, &e)) fail_msg("%s", e.text);
    while (fair_item[item].id && strcmp(fair_item[item].id, id) != 0) item++;
    assert_true(fair_plan_make(&o, item, variant, &p));
    if (p.lacks[0]) {
        print_message("%s\n", p.lacks);
        return false;
    }
    const int rc = fair_run(&o, &p, &nowhere, &r, &e);
    if (rc == -ENOTSUP) {
        print_message("%s\n", e.text);
        return false;
    }
    if (rc) fail_msg("%s: %s", p.variant, e.text);
    fair_judge(&o, &p, &r, &found);
    return true;
}

static void run(const char *id, unsigned variant)
{
    if (!try_run(id, variant)) skip();
}

static const struct fair_finding *finding(enum fair_property property)
{
    for (unsigned i = 0; i < found.count; i++)
        if (found.finding[i].property == property) return &found.finding[i];
    fail_msg("%s was not judged", fair_properties[property].id);
    return NULL;
}

static void holds(enum fair_property property)
{
    const struct fair_finding *f = finding(property);
    if (f->verdict == FAIR_FAIL) fail_msg("%s: %s", fair_properties[property].id, f->text);
}

static void holds_with_slack(enum fair_property property)
{
    const struct fair_finding *f = finding(property);
    if (f->figures.statistic > SLACK * f->figures.bound && f->verdict == FAIR_FAIL)
        fail_msg("%s: %s", fair_properties[property].id, f->text);
}

static uint64_t charged(unsigned vcpu)
{
    return fair_at(&r, r.samples - 1, vcpu)->charged - fair_at(&r, 0, vcpu)->charged;
}

static uint64_t progress(unsigned vcpu)
{
    return fair_at(&r, r.samples - 1, vcpu)->progress - fair_at(&r, 0, vcpu)->progress;
}

static void time_adds_up_and_equal_vcpus_get_equal_parts(void **state)
{
    (void)state;
    ask("vcpus", "4");
    run("E1", 0);
    holds(FAIR_C1);
    holds(FAIR_C2);
    holds(FAIR_C4);
    holds_with_slack(FAIR_F1);
    holds_with_slack(FAIR_F3);
    holds_with_slack(FAIR_F13);
    for (unsigned i = 0; i < 4; i++) {
        assert_true(progress(i) > 0);
        assert_true(r.guest[i].longest > 0);
    }
}

static bool got_least(unsigned vcpu)
{
    for (unsigned i = 0; i < p.vcpu_count; i++)
        if (i != vcpu && charged(i) <= charged(vcpu)) return false;
    return true;
}

static void a_vcpu_held_back_by_a_tenth_is_named(void **state)
{
    (void)state;
    ask("vcpus", "4");
    ask("hold-back", "2:10");
    const struct fair_finding *f = NULL;
    bool is_named = false;
    for (unsigned i = 0; i < TRIES && !is_named; i++) {
        fair_record_free(&r);
        run("E1", 0);
        f = finding(FAIR_F13);
        is_named = f->vcpu == 2 && f->figures.statistic > f->figures.bound && got_least(2);
    }
    if (is_named) return;
    if (f->figures.statistic <= f->figures.bound) fail_msg("F13: %s", f->text);
    if (f->vcpu == 2 && !found.disturbed[0]) fail_msg("vCPU 2 did not get least: F13: %s", f->text);
    print_message("this host took more from another vCPU, in each of %d runs: %s\n", TRIES, f->text);
    skip();
}

/* ---- somebody makes a vCPU nicer than the others ---- */

#define NICER 5 /* a third of the others' weight, which shows beside any load */

struct meddler {
    pthread_t thread;
    atomic_bool may_end;
    bool is_done;
};

/* The thread of that name, 0: there is none yet. */
static pid_t find_thread(const char *name)
{
    DIR *tasks = opendir("/proc/self/task");
    pid_t tid = 0;
    for (const struct dirent *d; !tid && tasks && (d = readdir(tasks)) != NULL;) {
        char path[300], text[32] = "";
        (void)snprintf(path, sizeof(path), "/proc/self/task/%s/comm", d->d_name);
        FILE *f = fopen(path, "re");
        if (f && fgets(text, sizeof(text), f) && strcmp(text, name) == 0) tid = (pid_t)atoi(d->d_name);
        if (f) (void)fclose(f);
    }
    if (tasks) closedir(tasks);
    return tid;
}

static void *make_nicer(void *arg)
{
    struct meddler *m = arg;
    while (!m->is_done && !atomic_load(&m->may_end)) {
        const pid_t tid = find_thread("vireo:vcpu1\n");
        if (tid && setpriority(PRIO_PROCESS, (id_t)tid, getpriority(PRIO_PROCESS, 0) + NICER) == 0)
            m->is_done = true;
        else
            usleep(1000);
    }
    return NULL;
}

static void a_vcpu_that_somebody_made_nicer_is_named_with_the_reason(void **state)
{
    (void)state;
    struct meddler m = {0};
    char wanted[64];
    const int nice = getpriority(PRIO_PROCESS, 0);

    (void)snprintf(wanted, sizeof(wanted), "vCPU 1 runs at nice %d, the others at %d", nice + NICER, nice);
    ask("vcpus", "4");
    assert_int_equal(pthread_create(&m.thread, NULL, make_nicer, &m), 0);
    const bool has_run = try_run("E1", 0);
    atomic_store(&m.may_end, true);
    assert_int_equal(pthread_join(m.thread, NULL), 0);
    if (!has_run) skip();
    assert_true(m.is_done);
    const struct fair_finding *f = finding(FAIR_F1);
    if (f->verdict != FAIR_FAIL) fail_msg("F1: %s; %s", f->text, f->reason);
    assert_int_equal(f->vcpu, 1);
    assert_contains(f->reason, wanted);
}

static void heavier_vcpus_get_more(void **state)
{
    (void)state;
    run("E2", 0);
    holds(FAIR_C1);
    holds_with_slack(FAIR_F2);
    for (unsigned i = 1; i < 4; i++) assert_true(charged(i) > charged(i - 1));
}

static void a_vms_cgroup_comes_before_its_vcpus(void **state)
{
    (void)state;
    ask("duration", "2s");
    run("E7", 1);
    holds_with_slack(FAIR_F10);
    assert_true(charged(0) > charged(1) && charged(0) > charged(2) && charged(0) > charged(3));
}

static void a_cap_is_kept(void **state)
{
    (void)state;
    ask("duration", "2s");
    run("E8", 0);
    holds_with_slack(FAIR_F11);
    assert_true(charged(0) + charged(1) > 0);
}

static void an_interactive_vcpu_sleeps_and_wakes_up(void **state)
{
    (void)state;
    uint64_t woken = 0;
    ask("duration", "1s");
    run("E5", 0);
    for (unsigned b = 0; b < FAIR_BUCKETS; b++) woken += r.guest[0].late[b];
    assert_in_range(progress(0), 1, 55); /* fifty periods */
    assert_in_range(woken, 1, 55);
    assert_true(charged(0) < charged(1) + charged(2) + charged(3));
}

static void asleep_at_every_tick_a_vcpu_gains_nothing(void **state)
{
    (void)state;
    ask("duration", "2s");
    run("E6", 0);
    holds_with_slack(FAIR_F9);
    assert_true(progress(0) > 0);
}

static void every_other_work_gets_on(void **state)
{
    (void)state;
    static const struct {
        const char *id;
        unsigned variant;
    } rows[] = {{"E10", 1}, {"E11", 0}, {"E12", 1}};
    ask("duration", "1s");
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bool has_progress = false;
        for (unsigned k = 0; k < TRIES && !has_progress; k++) {
            fair_record_free(&r);
            run(rows[i].id, rows[i].variant);
            has_progress = progress(0) > 0 && progress(1) > 0;
        }
        if (!has_progress)
            fail_msg("%s, %s: %llu and %llu loops in %.1f and %.1f charged ms", p.id, p.variant,
                     (unsigned long long)progress(0), (unsigned long long)progress(1), (double)charged(0) / 1e6,
                     (double)charged(1) / 1e6);
    }
}

static void a_pause_is_nobodys_gain(void **state)
{
    (void)state;
    ask("duration", "2s");
    run("E15", 0);
    assert_int_equal(r.pause_sample, r.samples / 2);
    assert_true(r.paused_ns >= p.pause_ns);
    holds(FAIR_C1);
    holds_with_slack(FAIR_F1);
    for (unsigned i = 0; i < 2; i++) {
        const struct fair_count *before = fair_at(&r, r.pause_sample - 1, i), *after = fair_at(&r, r.pause_sample, i);
        assert_true(after->charged - before->charged < p.pause_ns / 2);
        assert_true(fair_at(&r, r.samples - 1, i)->progress > after->progress);
    }
}

/* ---- as a bench ---- */

struct lines {
    struct result *result;
    unsigned count;
    atomic_bool is_stopped;
    bool stops; /* at the first line */
};

static void take_line(void *arg, const char *json)
{
    struct lines *l = arg;
    if (result_add(l->result, json, strlen(json), &e)) fail_msg("%s: %s", e.text, json);
    l->count++;
    if (l->stops) atomic_store(&l->is_stopped, true);
}

static void lines_make_a_result(void **state)
{
    (void)state;
    struct lines l = {.result = result_create("fairness")};
    const struct bench_sink sink = {.line = take_line, .arg = &l, .is_stopped = &l.is_stopped};

    if (access("/dev/kvm", R_OK | W_OK)) skip();
    ask("duration", "1s");
    ask("experiments", "E14,E15");
    assert_int_equal(bench_fairness.run(&o, &sink, &e), 0);
    assert_int_equal(l.count, 5); /* the environment, and of each experiment its beginning and what was found */
    result_destroy(l.result);
}

static void a_stop_ends_it_soon(void **state)
{
    (void)state;
    struct lines l = {.result = result_create("fairness"), .stops = true};
    const struct bench_sink sink = {.line = take_line, .arg = &l, .is_stopped = &l.is_stopped};

    if (access("/dev/kvm", R_OK | W_OK)) skip();
    ask("duration", "600s");
    assert_int_equal(bench_fairness.run(&o, &sink, &e), -ECANCELED);
    result_destroy(l.result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fresh, gone)
        T(time_adds_up_and_equal_vcpus_get_equal_parts),
        T(a_vcpu_held_back_by_a_tenth_is_named),
        T(a_vcpu_that_somebody_made_nicer_is_named_with_the_reason),
        T(heavier_vcpus_get_more),
        T(a_vms_cgroup_comes_before_its_vcpus),
        T(a_cap_is_kept),
        T(an_interactive_vcpu_sleeps_and_wakes_up),
        T(asleep_at_every_tick_a_vcpu_gains_nothing),
        T(every_other_work_gets_on),
        T(a_pause_is_nobodys_gain),
        T(lines_make_a_result),
        T(a_stop_ends_it_soon),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

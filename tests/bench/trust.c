/* What a verdict on fairness is worth: how often the judges find what was planted, and how often they accuse somebody
 * where nothing was. By made-up noise, which is the same everywhere, and by vCPUs that run on this host beside programs
 * that want its processors. Docs: docs/fairness.md.
 *
 *   trust model            the table of the made-up noise
 *   trust host [LOAD [RUNS]]  E1's four vCPUs beside LOAD busy programs: RUNS each with 10 % and 5 % planted, twice as
 *                          many with nothing */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/bench/noise_rig.h"

#define MODEL_RUNS 100u
#define LOAD_MAX   64
#define LOAD       6 /* with the four vCPUs ten threads want a processor */
#define RUNS       10
#define SETTLE_S   2

static struct fair_options o;

static void set(const char *name, const char *value)
{
    struct err e = {0};
    const struct setting *i = fair_option;
    while (strcmp(i->name, name) != 0) i++;
    if (i->set(&o, value, &e) == 0) return;
    (void)fprintf(stderr, "trust: %s\n", e.text);
    exit(2);
}

static void prepare(void)
{
    struct err e = {0};
    if (fair_options_check(&o, &e) == 0) return;
    (void)fprintf(stderr, "trust: %s\n", e.text);
    exit(2);
}

/* ---- made-up noise ---- */

/* How many of the runs found the planted one and named it, were inconclusive, or accused somebody else alone. */
struct tally {
    unsigned found, open, wrong;
};

static struct tally model_runs(unsigned level, enum planted planted, double part)
{
    static struct fair_plan p;
    static struct fair_record r;
    static struct fair_report found;
    struct tally t = {0};

    for (unsigned seed = 1; seed <= MODEL_RUNS; seed++) {
        struct noise_model m = {.level = &noise_levels[level], .planted = planted, .part = part, .seed = seed};
        bool is_named;
        if (noise_make(&m, &p, &r)) exit(1);
        fair_judge(&o, &p, &r, &found);
        const enum fair_verdict v = noise_judge(&found, &is_named);
        fair_record_free(&r);
        t.found += is_named;
        t.open += v == FAIR_INCONCLUSIVE;
        t.wrong += v == FAIR_FAIL && !is_named;
    }
    return t;
}

static void model(void)
{
    static const double parts[] = {0, 0.02, 0.05, 0.1, 0.2, 0.5};
    static const char *const names[] = {[PLANT_WEIGHT] = "gets so much less of its share",
                                        [PLANT_SLOW] = "makes so much less progress",
                                        [PLANT_SLEEP] = "is stopped for so much of the time"};
    (void)printf("Of %u runs: a property failed and named vCPU 1 / no property failed, but some are inconclusive / "
                 "somebody else was accused.\n\n",
                 MODEL_RUNS);
    for (unsigned planted = 0; planted < PLANT_COUNT; planted++) {
        (void)printf("| vCPU 1 %s |", names[planted]);
        for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) (void)printf(" %.0f %% |", parts[i] * 100);
        (void)printf("\n|---|---|---|---|---|---|---|\n");
        for (unsigned level = 0; level < NOISE_LEVELS; level++) {
            (void)printf("| %s |", noise_levels[level].name);
            for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
                const struct tally t = model_runs(level, planted, parts[i]);
                (void)printf(" %u / %u / %u |", t.found, t.open, t.wrong);
                (void)fflush(stdout);
            }
            (void)printf("\n");
        }
        (void)printf("\n");
    }
}

/* ---- this host ---- */

static void be_busy(void)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) __asm__ volatile("");
}

/* One run of E1 with four vCPUs. Returns 1 if a property failed that names the vCPU, 0 if none failed, -1 if one did
 * that names another or nobody. */
static int run_once(int planted_vcpu)
{
    static struct fair_plan p;
    static struct fair_record r;
    static struct fair_report found;
    static const struct bench_sink nowhere;
    struct err e = {0};
    bool is_named = false, is_failed = false;

    (void)fair_plan_make(&o, 0, 0, &p);
    const int rc = fair_run(&o, &p, &nowhere, &r, &e);
    if (rc) {
        (void)fprintf(stderr, "trust: %s\n", e.text);
        exit(1);
    }
    fair_judge(&o, &p, &r, &found);
    for (unsigned i = 0; i < found.count; i++) {
        const struct fair_finding *f = &found.finding[i];
        if (f->verdict != FAIR_FAIL) continue;
        is_failed = true;
        is_named |= f->vcpu == planted_vcpu;
        (void)printf("    %s: %s; %s\n", fair_properties[f->property].id, f->text, f->reason);
    }
    fair_record_free(&r);
    return is_named ? 1 : is_failed ? -1 : 0;
}

static void runs(const char *what, const char *hold, int planted_vcpu, unsigned count)
{
    unsigned found = 0, wrong = 0;
    o.has_hold = false;
    if (hold) set("hold-back", hold);
    (void)printf("%s:\n", what);
    for (unsigned i = 0; i < count; i++) {
        const int verdict = run_once(planted_vcpu);
        found += verdict == 1;
        wrong += verdict == -1;
        (void)printf("  run %u: %s\n", i + 1,
                     verdict == 1   ? "found"
                     : verdict == 0 ? "nothing failed"
                                    : "somebody else accused");
        (void)fflush(stdout);
    }
    (void)printf("== %s: %u of %u found and named, %u false alarms\n\n", what, found, count, wrong);
}

static void host(unsigned load, unsigned count)
{
    pid_t busy[LOAD_MAX];
    double average[1] = {0};

    set("vcpus", "4");
    prepare();
    for (unsigned i = 0; i < load; i++)
        if ((busy[i] = fork()) == 0) be_busy();
    (void)sleep(SETTLE_S);
    (void)printf("%u busy programs beside 4 vCPUs, on %ld processors; runs of %.0f s\n\n", load,
                 sysconf(_SC_NPROCESSORS_ONLN), (double)o.duration_ns / 1e9);
    runs("10 % held back", "1:10", 1, count);
    runs("5 % held back", "1:5", 1, count);
    runs("nothing planted", NULL, -2, 2 * count);
    if (getloadavg(average, 1) == 1) (void)printf("load average at the end: %.1f\n", average[0]);
    for (unsigned i = 0; i < load; i++) {
        (void)kill(busy[i], SIGKILL);
        (void)waitpid(busy[i], NULL, 0);
    }
}

int main(int argc, char **argv)
{
    const unsigned long load = argc > 2 ? strtoul(argv[2], NULL, 10) : LOAD,
                        count = argc > 3 ? strtoul(argv[3], NULL, 10) : RUNS;

    fair_options_init(&o);
    prepare();
    if (argc == 2 && strcmp(argv[1], "model") == 0) {
        model();
    } else if (argc >= 2 && argc <= 4 && strcmp(argv[1], "host") == 0 && load <= LOAD_MAX && count > 0 &&
               count <= 1000) {
        host((unsigned)load, (unsigned)count);
    } else {
        (void)fprintf(stderr, "usage: trust model | trust host [LOAD (at most %d) [RUNS]]\n", LOAD_MAX);
        return 2;
    }
    fair_options_fini(&o);
    return 0;
}

/* Real runs are runs of the kick protocol: machines that are paused, resumed, kicked and stopped by several threads at
 * once tell each step, and the checker replays them. Traces that were made up wrong are refused.
 *
 *   test_conformance --check VCPUS < TRACE      accept or refuse a trace in text (conformance_parse): status 0 or 1
 *
 * Telling a step counts it with an atomic that orders memory, so a fence that the runner lacks would not show here:
 * that is the models' work (tests/proof). What shows is whether the code takes the steps that the models proved. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest/snippets/snippets.h"
#include "tests/kvm/conformance.h"
#include "tests/kvm/guest.h"
#include "tests/kvm/mini.h"
#include "tests/unit/unit.h"
#include "vmm/machine/lab.h"
#include "vmm/machine/state.h"

#define STEPS_MAX   400000     /* some 20 a pause and vCPU */
#define PAUSES      60         /* a machine's, if nobody ends it before */
#define MACHINES    12         /* of each kind */
#define STARTS      150        /* that race with a stop */
#define WORD_OFFSET 0x180000   /* in RAM, behind a snippet's image */
#define ARM64_EXIT  0x09020000 /* debug exit there */

/* ---- recording ---- */

struct recording {
    _Atomic size_t count;
    struct step step[STEPS_MAX];
};

static void on_step(void *arg, enum runner_step step, int vcpu, int value)
{
    struct recording *r = arg;
    const size_t i = atomic_fetch_add(&r->count, 1);
    if (i < STEPS_MAX) r->step[i] = (struct step){(uint8_t)step, (int8_t)vcpu, (int16_t)value};
}

/* snippet NULL: the built-in guest, which starts every vCPU and powers off. */
static struct machine *build(const struct snippet *s, const char *cpus, const struct runner_trace *trace)
{
    const struct snippet_args args = {.target = arch_info.ram_base + WORD_OFFSET, .status = 7, .exit_at = ARM64_EXIT};
    struct machine *m = NULL;
    struct config c;
    struct err e = {0};

    guest_needs_kvm();
    const int fd = s ? guest_file_of(s, &args) : -1;
    config_init(&c, machine_devices);
    if (s) guest_set(&c, "kernel", "/proc/self/fd/%d", fd);
    guest_set(&c, "memory", "%s", s ? "4M" : "64M");
    guest_set(&c, "cpus", "%s", cpus);
    guest_set(&c, "console", "off");
    guest_set(&c, "timeout", "60"); /* an I/O thread too, and an end whatever happens */
    if (machine_create(&m, &c, NULL, &e)) fail_msg("%s", e.text);
    config_fini(&c);
    close(fd);
    for (unsigned i = 0; i < m->vcpu_count && trace; i++) m->runner[i].trace = trace;
    return m;
}

/* ---- several threads at one machine ---- */

struct troubler {
    struct machine *m;
    unsigned kicks; /* before it stops the machine */
};

static void *kick_then_stop(void *arg)
{
    const struct troubler *t = arg;
    for (unsigned i = 0; i < t->kicks; i++) {
        machine_kick(t->m, i % t->m->vcpu_count);
        usleep(i % 7 * 30);
    }
    machine_end(t->m, END_STOPPED, "asked");
    return NULL;
}

/* One machine's whole life, hammered; its steps are in r. */
static void live(struct recording *r, const struct snippet *s, const char *cpus, unsigned round)
{
    const struct runner_trace trace = {.step = on_step, .arg = r};
    struct machine *m = build(s, cpus, &trace);
    struct troubler troubler[2] = {{m, round * 60}, {m, round * 70 + 1}};
    pthread_t thread[2];
    struct ending end;
    struct err e = {0};

    atomic_store(&r->count, 0);
    if (machine_start(m, &e)) fail_msg("%s", e.text);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, kick_then_stop, &troubler[i]), 0);
    for (unsigned i = 0; i < PAUSES && machine_pause(m) == 0; i++) {
        if (i % 5 == 0) usleep(50);
        (void)machine_resume(m);
        if (i % 3 == 0) usleep(i * 5);
    }
    for (unsigned i = 0; i < 2; i++) pthread_join(thread[i], NULL);
    assert_int_equal(machine_wait(m, GUEST_END_MS, &end), 0);
    assert_int_not_equal(end.reason, END_TIMEOUT);
    machine_destroy(m);
}

static size_t times(const struct recording *r, enum runner_step step)
{
    size_t n = 0;
    for (size_t i = 0; i < r->count; i++) n += r->step[i].step == (uint8_t)step;
    return n;
}

static void hammer(const struct snippet *s, const char *cpus)
{
    struct recording *r = malloc(sizeof(*r));
    size_t at, pauses = 0, halts = 0;

    assert_non_null(r);
    for (unsigned round = 0; round < MACHINES; round++) {
        live(r, s, cpus, round);
        assert_true(r->count < STEPS_MAX);
        const char *why = conformance_check(r->step, r->count, (unsigned)atoi(cpus), &at);
        if (why) fail_msg("round %u, step %zu of %zu: %s", round, at, r->count, why);
        pauses += times(r, RUNNER_PAUSED);
        halts += times(r, RUNNER_HALTED);
    }
    print_message("%zu pauses, %zu halts\n", pauses, halts);
    free(r);
    if (s) assert_true(pauses > MACHINES && halts > MACHINES); /* it was about something */
}

static void runs_of_a_busy_guest_keep_to_the_protocol(void **state)
{
    (void)state;
    hammer(&snippet_tick, "2");
}

static void runs_of_a_guest_that_only_exits_keep_to_the_protocol(void **state)
{
    (void)state;
    hammer(&snippet_store_forever, "3");
}

static void runs_of_a_sleeping_guest_keep_to_the_protocol(void **state)
{
    (void)state;
    hammer(&snippet_halt, "2");
}

static void runs_of_four_vcpus_that_end_by_themselves_keep_to_the_protocol(void **state)
{
    (void)state;
    hammer(NULL, "4");
}

/* ---- a stop that comes while the machine starts ---- */

static void *stop_now(void *arg)
{
    const struct troubler *t = arg;
    usleep(t->kicks);
    machine_end(t->m, END_STOPPED, "asked");
    return NULL;
}

static void a_stop_while_it_starts_ends_it(void **state)
{
    (void)state;
    for (unsigned i = 0; i < STARTS; i++) {
        struct machine *m = build(&snippet_tick, "2", NULL);
        struct troubler t = {m, i % 50 * 4};
        pthread_t thread;
        struct ending end;

        assert_int_equal(pthread_create(&thread, NULL, stop_now, &t), 0);
        (void)machine_start(m, NULL); /* refused when the stop came first */
        pthread_join(thread, NULL);
        assert_int_equal(machine_wait(m, GUEST_END_MS, &end), 0);
        assert_int_equal(end.reason, END_STOPPED);
        machine_destroy(m);
    }
}

/* ---- made-up traces ---- */

#define KICK(want) "w0" want " x0 s0 "
#define READ(want) "e0 c0 r0" want " "
#define END        "E01 " KICK("E") READ("E") "g0"

static const struct {
    const char *trace, *refused; /* NULL: accepted */
} made_up[] = {
    {END, NULL},
    {KICK("P") READ("P") "h0 p0 w0R u0R r0R " END, NULL},
    /* Halted still when the next pause comes: what it finds when it wakes is the pause. */
    {KICK("P") READ("P") "h0 p0 w0R w0P x0 s0 p0 w0R u0R r0R " END, NULL},
    /* It reads while the kick is under way: the old want is as good, the kick is still to come. */
    {KICK("R") "e0 w0P c0 r0R x0 s0 " READ("P") "h0 E01 w0E x0 u0E r0E g0", NULL},
    {KICK("P") READ("R"), "kick is lost"},
    {KICK("P") READ("P") "h0 p0 w0R u0R r0P", "kick is lost"},
    {"x0 w0P", "before want is stored"},
    {"w0P s0", "before immediate_exit is set"},
    {KICK("P") "e0 r0P", "read before immediate_exit is cleared"},
    {KICK("P") "c0", "cleared before EINTR"},
    {"e0", "nobody had kicked"},
    {KICK("R") READ("R") READ("R") "e0", "nobody had kicked"},
    {KICK("P") "e0 e0", "EINTR outside KVM_RUN"},
    {KICK("P") "h0", "half done"},
    {"E01 " KICK("E") READ("E") "h0", "none was wanted"},
    {KICK("P") READ("P") "p0", "not halted"},
    {KICK("P") READ("P") "h0 p0 " KICK("P"), "machine that is paused"},
    {KICK("P") READ("P") "h0 u0P", "pause is wanted"},
    {KICK("P") READ("P") "h0 u0R", "not the newest"},
    {KICK("P") READ("P") "u0P", "pause is wanted"},
    {"u0R", "without a halt"},
    {"E01 E02", "second reason"},
    {"E00", "without a reason"},
    {KICK("P") READ("P") "h0 E01 w0R", "end is forgotten"},
    {"E01 w0P", "machine that has ended"},
    {"E01 p0", "after the end"},
    {"w0E", "before there is a reason"},
    {KICK("P") "g0", "goes on"},
    {"E01 " KICK("E") "e0 g0", "middle of a step"},
    {END " e0", "has gone"},
    {"E01 " KICK("E") READ("E"), "has not gone"},
    {KICK("P") READ("P") "h0", "stops before its end"},
    {"w1P", "not there"},
};

static void made_up_traces_are_accepted_or_refused_for_the_right_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(made_up) / sizeof(made_up[0]); i++) {
        struct step steps[64];
        size_t at;
        const size_t n = conformance_parse(made_up[i].trace, steps, 64);
        const char *why = n ? conformance_check(steps, n, 1, &at) : "not a trace";
        if (!why != !made_up[i].refused || (why && !strstr(why, made_up[i].refused)))
            fail_msg("%s: %s", made_up[i].trace, why ? why : "accepted");
    }
}

/* Every single step left out of a good trace is missed. */
static void a_trace_with_a_step_left_out_is_refused(void **state)
{
    static const char whole[] = KICK("P") READ("P") "h0 p0 w0R u0R r0R " KICK("P") READ("P") "h0 p0 w0R u0R r0R " END;
    struct step steps[64], fewer[64];
    size_t at;
    const size_t n = conformance_parse(whole, steps, 64);

    (void)state;
    assert_null(conformance_check(steps, n, 1, &at));
    for (size_t i = 0; i < n; i++) {
        /* The signal leaves nothing behind, and of two EINTRs that a kick may cause one is enough. What was said to the
         * caller is a promise, not a step. */
        if (steps[i].step == RUNNER_SIGNALLED || steps[i].step == RUNNER_PAUSED) continue;
        memcpy(fewer, steps, i * sizeof(*steps));
        memcpy(fewer + i, steps + i + 1, (n - i - 1) * sizeof(*steps));
        if (!conformance_check(fewer, n - 1, 1, &at)) fail_msg("accepted without its step %zu", i);
    }
}

/* ---- */

static int check_file(unsigned vcpus)
{
    static char text[STEPS_MAX * 4];
    static struct step steps[STEPS_MAX];
    size_t at = 0;

    text[fread(text, 1, sizeof(text) - 1, stdin)] = '\0';
    const size_t n = conformance_parse(text, steps, STEPS_MAX);
    const char *why = n ? conformance_check(steps, n, vcpus, &at) : "not a trace";
    (void)printf("%s: step %zu of %zu\n", why ? why : "accepted", at, n);
    return why ? 1 : 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        UNIT(made_up_traces_are_accepted_or_refused_for_the_right_reason),
        UNIT(a_trace_with_a_step_left_out_is_refused),
        UNIT(runs_of_a_busy_guest_keep_to_the_protocol),
        UNIT(runs_of_a_guest_that_only_exits_keep_to_the_protocol),
        UNIT(runs_of_a_sleeping_guest_keep_to_the_protocol),
        UNIT(runs_of_four_vcpus_that_end_by_themselves_keep_to_the_protocol),
        UNIT(a_stop_while_it_starts_ends_it),
    };
    if (argc == 3 && strcmp(argv[1], "--check") == 0) return check_file((unsigned)atoi(argv[2]));
    return cmocka_run_group_tests(tests, NULL, NULL);
}

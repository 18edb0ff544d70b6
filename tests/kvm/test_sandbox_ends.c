/* Sandboxes whose program will not end, or will not stop taking: each has its end in time, nothing of the embedder's is
 * lost, and a reset makes all of it as it was. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <vireo_sandbox.h>

#include "tests/unit/unit.h"
#include "vmm/base/clock.h"
#include "vmm/sandbox/space.h"
#include "vmm/sandbox/struct_sandbox.h"

#define MS       1000000ull
#define MEMORY   "16M"
#define LATEST   (2000 * MS) /* a deadline is judged as missed: this machine may have far too much to do */
#define SPINNERS 4

static struct vireo_error error;

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        error.text[0] = 0;                                                                                             \
        const int rc_ = (call);                                                                                        \
        if (rc_) print_error("%s: %s\n", #call, error.text);                                                           \
        assert_int_equal(rc_, 0);                                                                                      \
    } while (0)

static int sleeps(void *arg, const void *in, size_t in_size, void *out, size_t *out_size)
{
    const struct timespec t = {.tv_nsec = 300000000};
    (void)in, (void)in_size, (void)out;
    ++*(unsigned *)arg;
    *out_size = 0;
    return nanosleep(&t, NULL);
}
static unsigned slept;

static struct vireo_sandbox_template *open_template(void)
{
    struct vireo_sandbox_config *c = vireo_sandbox_config_create();
    struct vireo_sandbox *s = NULL;
    struct vireo_sandbox_end end;
    struct vireo_sandbox_template *t = NULL;
    assert_non_null(c);
    OK(vireo_sandbox_config_set(c, "memory", MEMORY, &error));
    OK(vireo_sandbox_config_set(c, "call", "true", &error));
    OK(vireo_sandbox_config_set(c, "output-max", "64K", &error));
    OK(vireo_sandbox_config_add_host(c, "twice", sleeps, &slept, &error));
    OK(vireo_sandbox_create(&s, c, INSIDE, NULL, &error));
    vireo_sandbox_config_destroy(c);
    OK(vireo_sandbox_run(s, &end));
    assert_int_equal(end.reason, VIREO_SANDBOX_READY);
    OK(vireo_sandbox_template_create(&t, s, &error));
    vireo_sandbox_destroy(s);
    return t;
}

static struct vireo_sandbox *clone_of(struct vireo_sandbox_template *t)
{
    struct vireo_sandbox *s = NULL;
    OK(vireo_sandbox_clone(&s, t, &error));
    return s;
}

static struct vireo_sandbox_end call(struct vireo_sandbox *s, const char *name, uint64_t a, uint64_t timeout_ns)
{
    struct vireo_sandbox_fn fn;
    struct vireo_sandbox_end end;
    const uint64_t arg[6] = {a};
    struct vireo_error e;
    assert_int_equal(vireo_sandbox_function(s, name, &fn, &e), 0);
    assert_int_equal(vireo_sandbox_call_numbers(s, &fn, arg, timeout_ns, &end), 0);
    return end;
}

static void works_after_a_reset(struct vireo_sandbox *s)
{
    struct vireo_sandbox_fn fn;
    struct vireo_sandbox_end end;
    OK(vireo_sandbox_reset(s, &error));
    OK(vireo_sandbox_function(s, "count", &fn, &error));
    const uint64_t none[6] = {0};
    assert_int_equal(vireo_sandbox_call_numbers(s, &fn, none, 20000 * MS, &end), 0);
    assert_int_equal(end.reason, VIREO_SANDBOX_RETURNED);
    assert_int_equal(end.value, 1);
}

/* ---- deadlines ---- */

struct spinner {
    struct vireo_sandbox *s;
    uint64_t late_ns;
    enum vireo_sandbox_reason reason;
};

static void *spin(void *arg)
{
    struct spinner *spinner = arg;
    const uint64_t began = now_ns();
    const struct vireo_sandbox_end end = call(spinner->s, "spin", 0, 100 * MS);
    const uint64_t took = now_ns() - began;
    spinner->late_ns = took > 100 * MS ? took - 100 * MS : 0;
    spinner->reason = end.reason;
    return NULL;
}

static void sandboxes_that_spin_end_at_their_deadlines_beside_others(void **state)
{
    (void)state;
    struct vireo_sandbox_template *t = open_template();
    struct spinner spinner[SPINNERS];
    pthread_t thread[SPINNERS];
    uint64_t latest = 0;
    for (unsigned i = 0; i < SPINNERS; i++) spinner[i] = (struct spinner){.s = clone_of(t)};
    for (unsigned i = 0; i < SPINNERS; i++) assert_int_equal(pthread_create(&thread[i], NULL, spin, &spinner[i]), 0);
    for (unsigned i = 0; i < SPINNERS; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
        assert_int_equal(spinner[i].reason, VIREO_SANDBOX_DEADLINE);
        if (spinner[i].late_ns > latest) latest = spinner[i].late_ns;
        works_after_a_reset(spinner[i].s);
        vireo_sandbox_destroy(spinner[i].s);
    }
    print_message("the latest of %d deadlines came %.2f ms late\n", SPINNERS, (double)latest / 1e6);
    assert_true(latest < LATEST);
    vireo_sandbox_template_destroy(t);
}

static void a_host_function_that_sleeps_ends_the_call_when_it_comes_back(void **state)
{
    (void)state;
    struct vireo_sandbox_template *t = open_template();
    struct vireo_sandbox *s = clone_of(t);
    slept = 0;
    const struct vireo_sandbox_end end = call(s, "ask_host", 1, 50 * MS);
    assert_int_equal(end.reason, VIREO_SANDBOX_DEADLINE);
    assert_int_equal(slept, 1);
    works_after_a_reset(s);
    vireo_sandbox_destroy(s);
    vireo_sandbox_template_destroy(t);
}

/* ---- taking ---- */

static void a_flood_of_output_ends_at_its_limit(void **state)
{
    (void)state;
    struct vireo_sandbox_template *t = open_template();
    struct vireo_sandbox *s = clone_of(t);
    assert_int_equal(call(s, "flood", 0, 20000 * MS).reason, VIREO_SANDBOX_OUTPUT);
    works_after_a_reset(s);
    vireo_sandbox_destroy(s);
    vireo_sandbox_template_destroy(t);
}

static void memory_ends_where_the_limit_is_and_the_program_goes_on(void **state)
{
    (void)state;
    struct vireo_sandbox_template *t = open_template();
    struct vireo_sandbox *s = clone_of(t);
    struct vireo_sandbox_usage u;
    const struct vireo_sandbox_end end = call(s, "fill_all", 0x5a, 60000 * MS);
    assert_int_equal(end.reason, VIREO_SANDBOX_RETURNED);
    assert_in_range(end.value, 1 << 20, 16 << 20);
    vireo_sandbox_usage(s, &u);
    assert_true(u.memory_peak <= 16 << 20);
    works_after_a_reset(s);
    vireo_sandbox_destroy(s);
    vireo_sandbox_template_destroy(t);
}

static void endless_recursion_meets_the_end_of_the_stack(void **state)
{
    (void)state;
    struct vireo_sandbox_template *t = open_template();
    struct vireo_sandbox *s = clone_of(t);
    const struct vireo_sandbox_end end = call(s, "recurse", 1, 60000 * MS);
    assert_int_equal(end.reason, VIREO_SANDBOX_SIGNAL);
    assert_int_equal(end.value, SIGSEGV);
    assert_contains(end.detail, "recurse");
    works_after_a_reset(s);
    vireo_sandbox_destroy(s);
    vireo_sandbox_template_destroy(t);
}

/* ---- the embedder ---- */

/* The child makes a sandbox of its own; what the parent has is the parent's. */
static void the_embedder_may_fork(void **state)
{
    (void)state;
    struct vireo_sandbox_template *t = open_template();
    struct vireo_sandbox *s = clone_of(t);
    int status = -1;
    assert_int_equal(call(s, "count", 0, 20000 * MS).value, 1);
    const pid_t child = fork();
    if (child == 0) {
        struct vireo_sandbox_config *c = vireo_sandbox_config_create();
        struct vireo_sandbox *own = NULL;
        struct vireo_sandbox_end end = {0};
        const bool is_good = c && vireo_sandbox_config_set(c, "call", "true", NULL) == 0 &&
                             vireo_sandbox_create(&own, c, INSIDE, NULL, NULL) == 0 &&
                             vireo_sandbox_run(own, &end) == 0 && end.reason == VIREO_SANDBOX_READY;
        vireo_sandbox_destroy(own);
        _exit(is_good ? 0 : 1);
    }
    assert_true(child > 0);
    assert_int_equal(call(s, "count", 0, 20000 * MS).value, 2);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(call(s, "count", 0, 20000 * MS).value, 3);
    works_after_a_reset(s);
    vireo_sandbox_destroy(s);
    vireo_sandbox_template_destroy(t);
}

static void a_template_is_the_same_whatever_its_clones_do(void **state)
{
    (void)state;
    struct vireo_sandbox_template *t = open_template();
    const struct sandbox_template *inner = (const struct sandbox_template *)(const void *)t;
    const uint64_t before = space_template_hash(inner->space);
    for (unsigned i = 0; i < 20; i++) {
        struct vireo_sandbox *s = clone_of(t);
        (void)call(s, i % 2 ? "write_all_pages" : "fill_all", i, 60000 * MS);
        OK(vireo_sandbox_reset(s, &error));
        (void)call(s, "crash", 0, 20000 * MS);
        works_after_a_reset(s);
        vireo_sandbox_destroy(s);
    }
    assert_true(space_template_hash(inner->space) == before);
    vireo_sandbox_template_destroy(t);
}

UNIT_MAIN(UNIT(sandboxes_that_spin_end_at_their_deadlines_beside_others),
          UNIT(a_host_function_that_sleeps_ends_the_call_when_it_comes_back), UNIT(a_flood_of_output_ends_at_its_limit),
          UNIT(memory_ends_where_the_limit_is_and_the_program_goes_on),
          UNIT(endless_recursion_meets_the_end_of_the_stack), UNIT(the_embedder_may_fork),
          UNIT(a_template_is_the_same_whatever_its_clones_do))

/* Sandboxes by the public header: calls, host functions, shared bytes, templates, clones, resets, pools, deadlines.
 *
 * The program inside is this file's `inside` part, built apart (tests/kvm/sandbox/inside.c). */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <vireo_sandbox.h>

#define PAGE 4096u

static struct vireo_error error;

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        error.text[0] = 0;                                                                                             \
        const int rc_ = (call);                                                                                        \
        if (rc_) print_error("%s: %s\n", #call, error.text);                                                           \
        assert_int_equal(rc_, 0);                                                                                      \
    } while (0)

static int twice(void *arg, const void *in, size_t in_size, void *out, size_t *out_size)
{
    ++*(unsigned *)arg;
    if (in_size != 4 || *out_size < 4) return 7;
    uint32_t n;
    memcpy(&n, in, 4);
    n *= 2;
    memcpy(out, &n, 4);
    *out_size = 4;
    return 0;
}

static unsigned host_calls;

static struct vireo_sandbox *open_program(void)
{
    struct vireo_sandbox_config *c = vireo_sandbox_config_create();
    struct vireo_sandbox *s = NULL;
    struct vireo_sandbox_end end;
    assert_non_null(c);
    OK(vireo_sandbox_config_set(c, "memory", "32M", &error));
    OK(vireo_sandbox_config_set(c, "call", "true", &error));
    OK(vireo_sandbox_config_add_host(c, "twice", twice, &host_calls, &error));
    OK(vireo_sandbox_create(&s, c, INSIDE, NULL, &error));
    vireo_sandbox_config_destroy(c);
    OK(vireo_sandbox_run(s, &end));
    if (end.reason != VIREO_SANDBOX_READY) print_error("%s\n", end.detail);
    assert_int_equal(end.reason, VIREO_SANDBOX_READY);
    return s;
}

static struct vireo_sandbox_template *open_template(void)
{
    struct vireo_sandbox_template *t;
    struct vireo_sandbox *s = open_program();
    OK(vireo_sandbox_template_create(&t, s, &error));
    vireo_sandbox_destroy(s);
    return t;
}

static struct vireo_sandbox_end call(struct vireo_sandbox *s, const char *name, const void *in, size_t in_size,
                                     void *out, size_t out_max)
{
    struct vireo_sandbox_call c = {
        .in = in, .in_size = in_size, .out = out, .out_max = out_max, .timeout_ns = 20000000000};
    struct vireo_sandbox_end end;
    OK(vireo_sandbox_function(s, name, &c.fn, &error));
    assert_int_equal(vireo_sandbox_call(s, &c, &end), 0);
    return end;
}

static int64_t numbers(struct vireo_sandbox *s, const char *name, const uint64_t arg[6])
{
    struct vireo_sandbox_fn fn;
    struct vireo_sandbox_end end;
    OK(vireo_sandbox_function(s, name, &fn, &error));
    assert_int_equal(vireo_sandbox_call_numbers(s, &fn, arg, 20000000000, &end), 0);
    if (end.reason != VIREO_SANDBOX_RETURNED) print_error("%s: %s\n", name, end.detail);
    assert_int_equal(end.reason, VIREO_SANDBOX_RETURNED);
    return end.value;
}

static int64_t number(struct vireo_sandbox *s, const char *name, uint64_t a, uint64_t b)
{
    return numbers(s, name, (const uint64_t[6]){a, b});
}

static void a_function_takes_bytes_and_gives_bytes(void **state)
{
    (void)state;
    struct vireo_sandbox *s = open_program();
    char out[64] = "";
    const struct vireo_sandbox_end end = call(s, "reverse", "abcdef", 6, out, sizeof(out));
    assert_int_equal(end.reason, VIREO_SANDBOX_RETURNED);
    assert_int_equal(end.value, 6);
    assert_int_equal(end.size, 6);
    assert_memory_equal(out, "fedcba", 6);
    assert_int_equal(number(s, "sum", 40, 2), 42);
    vireo_sandbox_destroy(s);
}

static struct vireo_sandbox_exits exits(struct vireo_sandbox *s, const char *kind)
{
    struct vireo_sandbox_exits e;
    for (unsigned i = 0; vireo_sandbox_exits(s, i, &e); i++)
        if (strcmp(e.name, kind) == 0) return e;
    fail_msg("no exits are called %s", kind);
    return e;
}

static void exits_are_counted_and_timed_by_their_kind(void **state)
{
    (void)state;
    struct vireo_sandbox *s = open_program();
    const struct vireo_sandbox_exits before = exits(s, "system call");
    assert_true(before.count > 0);
    for (unsigned i = 0; i < 10; i++) assert_int_equal(number(s, "sum", i, 2), i + 2);
    const struct vireo_sandbox_exits after = exits(s, "system call");
    assert_int_equal(after.count - before.count, 10);
    assert_true(after.run.total > before.run.total && after.handler.total >= before.handler.total);
    assert_true(after.run.min <= after.run.p50 && after.run.p50 <= after.run.max && after.run.max <= after.run.total);
    assert_int_equal(exits(s, "port out").count, 0);
    vireo_sandbox_destroy(s);
}

/* KVM's ring of written pages is smaller, so the program is out for it meanwhile, and goes on where it was. */
static void a_clone_may_write_more_pages_than_kvm_notes_at_once(void **state)
{
    (void)state;
    struct vireo_sandbox_template *t = open_template();
    struct vireo_sandbox *s;
    struct vireo_sandbox_usage u;
    OK(vireo_sandbox_clone(&s, t, &error));
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(number(s, "write_all_pages", 0, 0), 1);
        OK(vireo_sandbox_reset(s, &error));
        vireo_sandbox_usage(s, &u);
        assert_true(u.reset_pages >= 2048);
    }
    vireo_sandbox_destroy(s);
    vireo_sandbox_template_destroy(t);
}

static void a_megabyte_goes_in_and_out(void **state)
{
    (void)state;
    const size_t size = 1 << 20;
    struct vireo_sandbox *s = open_program();
    uint8_t *in = malloc(size), *out = malloc(size);
    for (size_t i = 0; i < size; i++) in[i] = (uint8_t)(i * 7);
    const struct vireo_sandbox_end end = call(s, "reverse", in, size, out, size);
    assert_int_equal(end.size, size);
    for (size_t i = 0; i < size; i++) assert_int_equal(out[i], in[size - 1 - i]);
    free(in);
    free(out);
    vireo_sandbox_destroy(s);
}

static void a_function_that_is_not_there_has_its_nearest_named(void **state)
{
    (void)state;
    struct vireo_sandbox *s = open_program();
    struct vireo_sandbox_fn fn;
    assert_int_equal(vireo_sandbox_function(s, "revers", &fn, &error), -ENOENT);
    assert_non_null(strstr(error.hint, "reverse"));
    assert_int_equal(vireo_sandbox_function(s, "counter", &fn, &error), -EINVAL);
    assert_non_null(strstr(error.text, "data"));
    vireo_sandbox_destroy(s);
}

static void an_answer_larger_than_allowed_is_refused(void **state)
{
    (void)state;
    struct vireo_sandbox *s = open_program();
    char out[8];
    assert_int_equal(call(s, "boast", "", 0, out, sizeof(out)).reason, VIREO_SANDBOX_REFUSED);
    vireo_sandbox_destroy(s);
}

static void a_program_says_why_it_exits(void **state)
{
    (void)state;
    struct vireo_sandbox *s = open_program();
    struct vireo_sandbox_fn fn;
    struct vireo_sandbox_end end;
    /* In another call that was no reason for an end, and is none now. */
    assert_int_equal(number(s, "quit", 0, 0), 0);
    OK(vireo_sandbox_function(s, "exit", &fn, &error));
    struct vireo_sandbox *both[] = {s, open_program()};
    assert_int_equal(vireo_sandbox_call_numbers(s, &fn, (const uint64_t[6]){3}, 20000000000, &end), 0);
    assert_int_equal(end.reason, VIREO_SANDBOX_EXITED);
    assert_string_equal(end.detail, "the program exited with status 3");
    /* What it says is safe to show. */
    OK(vireo_sandbox_function(both[1], "quit", &fn, &error));
    assert_int_equal(vireo_sandbox_call_numbers(both[1], &fn, (const uint64_t[6]){4}, 20000000000, &end), 0);
    assert_int_equal(end.status, 4);
    assert_string_equal(end.detail, "the program exited with status 4: so??[2J it? was");
    vireo_sandbox_destroy(both[0]);
    vireo_sandbox_destroy(both[1]);
}

static void host_functions_are_called_by_name_once_and_by_number_then(void **state)
{
    (void)state;
    struct vireo_sandbox *s = open_program();
    host_calls = 0;
    assert_int_equal(number(s, "ask_host", 21, 0), 42);
    assert_int_equal(host_calls, 1);
    assert_int_equal(number(s, "ask_nobody", 0, 0), -1);
    vireo_sandbox_destroy(s);
}

static void shared_bytes_are_seen_by_both(void **state)
{
    (void)state;
    struct vireo_sandbox *s = open_program();
    uint64_t at = 0;
    uint8_t *bytes = aligned_alloc(PAGE, PAGE);
    memset(bytes, 5, PAGE);
    OK(vireo_sandbox_share(s, bytes, PAGE, true, &at, &error));
    assert_int_equal(number(s, "peek", at + 100, 0), 5);
    assert_int_equal(number(s, "poke", at + 100, 9), 0);
    assert_int_equal(bytes[100], 9);
    vireo_sandbox_destroy(s);
    free(bytes);
}

static void a_call_that_faults_or_spins_ends_and_nothing_runs_until_a_reset(void **state)
{
    (void)state;
    struct vireo_sandbox_template *t = open_template();
    struct vireo_sandbox *s;
    struct vireo_sandbox_call c = {.timeout_ns = 50000000};
    struct vireo_sandbox_end end;
    OK(vireo_sandbox_clone(&s, t, &error));
    static const struct {
        const char *name;
        enum vireo_sandbox_reason reason;
    } cases[] = {{"crash", VIREO_SANDBOX_SIGNAL},
                 {"spin", VIREO_SANDBOX_DEADLINE},
                 {"sleeps", VIREO_SANDBOX_DEADLINE},
                 {"quit", VIREO_SANDBOX_EXITED}};
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        OK(vireo_sandbox_function(s, cases[i].name, &c.fn, &error));
        assert_int_equal(vireo_sandbox_call(s, &c, &end), 0);
        if (end.reason != cases[i].reason) print_error("%s: %s\n", cases[i].name, end.detail);
        assert_int_equal(end.reason, cases[i].reason);
        assert_int_equal(vireo_sandbox_call(s, &c, &end), -EIO);
        OK(vireo_sandbox_reset(s, &error));
        assert_int_equal(number(s, "sum", 1, 2), 3);
    }
    vireo_sandbox_destroy(s);
    vireo_sandbox_template_destroy(t);
}

static void after_a_reset_nothing_of_before_is_there(void **state)
{
    (void)state;
    struct vireo_sandbox_template *t = open_template();
    struct vireo_sandbox *s;
    OK(vireo_sandbox_clone(&s, t, &error));
    assert_int_equal(number(s, "count", 0, 0), 1);
    assert_int_equal(number(s, "count", 0, 0), 2);
    for (unsigned round = 0; round < 3; round++) {
        assert_true(number(s, "fill_all", 0x5a, 0) > 4 << 20);
        assert_int_equal(number(s, "set_registers", 0, 0), 0);
        OK(vireo_sandbox_reset(s, &error));
        assert_int_equal(number(s, "find_in_registers", 0, 0), 0);
        assert_int_equal(number(s, "find_all", 0x5a, 0), 0);
        OK(vireo_sandbox_reset(s, &error));
        assert_int_equal(number(s, "count", 0, 0), 1);
    }
    vireo_sandbox_destroy(s);
    vireo_sandbox_template_destroy(t);
}

static void clones_do_not_see_each_other_and_differ_in_chance(void **state)
{
    (void)state;
    struct vireo_sandbox_template *t = open_template();
    struct vireo_sandbox *a, *b;
    OK(vireo_sandbox_clone(&a, t, &error));
    OK(vireo_sandbox_clone(&b, t, &error));
    assert_int_equal(number(a, "count", 0, 0), 1);
    assert_int_equal(number(a, "count", 0, 0), 2);
    assert_int_equal(number(b, "count", 0, 0), 1);
    assert_true(number(a, "random_number", 0, 0) != number(b, "random_number", 0, 0));
    const int64_t generation = number(a, "generation", 0, 0);
    assert_true(generation != number(b, "generation", 0, 0));
    OK(vireo_sandbox_reset(a, &error));
    assert_true(generation != number(a, "generation", 0, 0));
    vireo_sandbox_destroy(a);
    vireo_sandbox_destroy(b);
    vireo_sandbox_template_destroy(t);
}

static unsigned open_descriptors(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (readdir(d)) n++;
    closedir(d);
    return n;
}

static unsigned mappings(void)
{
    unsigned n = 0;
    char line[512];
    FILE *f = fopen("/proc/self/maps", "re");
    while (fgets(line, sizeof(line), f)) n++;
    fclose(f);
    return n;
}

static unsigned threads(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/task");
    while (readdir(d)) n++;
    closedir(d);
    return n;
}

static uint64_t resident_pages(void)
{
    uint64_t all = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    assert_int_equal(fscanf(f, "%" SCNu64 " %" SCNu64, &all, &resident), 2);
    fclose(f);
    return resident;
}

static void use_and_drop_clones(struct vireo_sandbox_template *t, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct vireo_sandbox *s;
        OK(vireo_sandbox_clone(&s, t, &error));
        assert_int_equal(number(s, "count", 0, 0), 1);
        vireo_sandbox_destroy(s);
    }
}

static void use_and_reset(struct vireo_sandbox *s, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(number(s, "count", 0, 0), 1);
        OK(vireo_sandbox_reset(s, &error));
    }
}

/* More than a tenth of the rounds would be a leak; less is the allocator's, and a sanitizer's quarantine. */
static void resets_and_clones_leave_nothing_behind(void **state)
{
    (void)state;
    const char *more = getenv("TEST_ROUNDS"); /* what the promises say is 10,000 and 1,000: make soak */
    const unsigned resets = more ? (unsigned)strtoul(more, NULL, 10) : 300, clones = resets / 10;
    struct vireo_sandbox_template *t = open_template();
    struct vireo_sandbox *s;
    OK(vireo_sandbox_clone(&s, t, &error));
    use_and_reset(s, resets / 10 + 2);
    use_and_drop_clones(t, 2);
    const unsigned descriptors = open_descriptors(), maps = mappings(), tasks = threads();
    const uint64_t resident = resident_pages();
    use_and_reset(s, resets);
    use_and_drop_clones(t, clones);
    assert_int_equal(open_descriptors(), descriptors);
    /* KVM has a thread a VM, which goes when the kernel frees the VM, soon after. */
    for (unsigned i = 0; i < 1000 && threads() > tasks; i++) (void)nanosleep(&(struct timespec){0, 10000000}, NULL);
    assert_true(threads() <= tasks);
    assert_true(mappings() <= maps + clones / 10 + 8);
#ifndef __SANITIZE_ADDRESS__
    assert_true(resident_pages() <= resident + resets / 10 + 256);
#else
    (void)resident;
#endif
    vireo_sandbox_destroy(s);
    vireo_sandbox_template_destroy(t);
}

#define MANY 64

static void *use_own(void *arg)
{
    struct vireo_error e;
    struct vireo_sandbox *s;
    struct vireo_sandbox_fn fn;
    struct vireo_sandbox_end end;
    const uint64_t two[6] = {40, 2};
    if (vireo_sandbox_clone(&s, arg, &e)) return (void *)"clone";
    const char *failed = vireo_sandbox_function(s, "sum", &fn, &e) ? "function" : NULL;
    for (unsigned i = 0; !failed && i < 10; i++)
        if (vireo_sandbox_call_numbers(s, &fn, two, 0, &end) || end.value != 42) failed = "call";
    if (!failed && vireo_sandbox_reset(s, &e)) failed = "reset";
    vireo_sandbox_destroy(s);
    return (void *)(uintptr_t)failed;
}

static void many_threads_call_each_its_own(void **state)
{
    (void)state;
    struct vireo_sandbox_template *t = open_template();
    pthread_t thread[MANY];
    for (unsigned i = 0; i < MANY; i++) assert_int_equal(pthread_create(&thread[i], NULL, use_own, t), 0);
    for (unsigned i = 0; i < MANY; i++) {
        void *failed;
        (void)pthread_join(thread[i], &failed);
        if (failed) print_error("%s\n", (const char *)failed);
        assert_null(failed);
    }
    vireo_sandbox_template_destroy(t);
}

#define THREADS 16

static void *use_pool(void *arg)
{
    struct vireo_sandbox_pool *p = arg;
    struct vireo_error e;
    for (unsigned i = 0; i < 4; i++) {
        struct vireo_sandbox *s;
        struct vireo_sandbox_end end;
        struct vireo_sandbox_fn fn;
        const uint64_t none[6] = {0};
        if (vireo_sandbox_pool_take(p, &s, &e)) return (void *)"take";
        if (vireo_sandbox_function(s, "count", &fn, &e)) return (void *)"function";
        if (vireo_sandbox_call_numbers(s, &fn, none, 0, &end)) return (void *)"call";
        vireo_sandbox_pool_give(p, s);
        if (end.reason != VIREO_SANDBOX_RETURNED || end.value != 1) return (void *)"not put back";
    }
    return NULL;
}

static void threads_take_from_one_pool(void **state)
{
    (void)state;
    struct vireo_sandbox_template *t = open_template();
    struct vireo_sandbox_pool *p;
    pthread_t thread[THREADS];
    OK(vireo_sandbox_pool_create(&p, t, 4, &error));
    for (unsigned i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&thread[i], NULL, use_pool, p), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        void *failed;
        (void)pthread_join(thread[i], &failed);
        if (failed) print_error("%s\n", (const char *)failed);
        assert_null(failed);
    }
    vireo_sandbox_pool_destroy(p);
    vireo_sandbox_template_destroy(t);
}

static void *stop_soon(void *arg)
{
    const struct timespec moment = {0, 50000000};
    (void)nanosleep(&moment, NULL);
    vireo_sandbox_stop(arg);
    return NULL;
}

static void a_stop_from_another_thread_ends_what_runs(void **state)
{
    (void)state;
    struct vireo_sandbox *s = open_program();
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, stop_soon, s), 0);
    struct vireo_sandbox_call c = {.timeout_ns = 0};
    struct vireo_sandbox_end end;
    OK(vireo_sandbox_function(s, "spin", &c.fn, &error));
    assert_int_equal(vireo_sandbox_call(s, &c, &end), 0);
    assert_int_equal(end.reason, VIREO_SANDBOX_STOPPED);
    (void)pthread_join(thread, NULL);
    vireo_sandbox_destroy(s);
}

static struct vireo_sandbox *clone_of(struct vireo_sandbox_template *t)
{
    struct vireo_sandbox *s;
    OK(vireo_sandbox_clone(&s, t, &error));
    return s;
}

static void a_full_log_of_written_pages_changes_nothing(void **state)
{
    (void)state;
    struct vireo_sandbox_template *t = open_template();
    struct vireo_sandbox *s = clone_of(t);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(number(s, "write_and_read", 3000, 0), 3000);
        OK(vireo_sandbox_reset(s, &error));
    }
    vireo_sandbox_destroy(s);
    vireo_sandbox_template_destroy(t);
}

static void page_tables_move_without_their_pages(void **state)
{
    (void)state;
    struct vireo_sandbox_template *t = open_template();
    struct vireo_sandbox *s = clone_of(t), *plain = open_program();
    assert_int_equal(number(plain, "move_tables", 0, 0), 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(number(s, "move_tables", 0, 0), 0);
        OK(vireo_sandbox_reset(s, &error));
    }
    /* As many as stay over a reset, more than that, and more than there are. */
    static const unsigned tables[][2] = {{10, 41}, {40, 101}, {300, 3001}};
    for (unsigned i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        for (unsigned seed = 0; seed < 14; seed++) {
            const uint64_t arg[6] = {tables[i][0], seed, tables[i][1]};
            assert_int_equal(numbers(plain, "spread_over_tables", arg), tables[i][0]);
            assert_int_equal(numbers(s, "spread_over_tables", arg), tables[i][0]);
            OK(vireo_sandbox_reset(s, &error));
        }
    vireo_sandbox_destroy(plain);
    vireo_sandbox_destroy(s);
    vireo_sandbox_template_destroy(t);
}

static void signals_of_before_a_reset_are_forgotten(void **state)
{
    (void)state;
    struct vireo_sandbox_template *t = open_template();
    struct vireo_sandbox *s = clone_of(t);
    assert_int_equal(call(s, "crash", NULL, 0, NULL, 0).reason, VIREO_SANDBOX_SIGNAL);
    OK(vireo_sandbox_reset(s, &error));
    assert_int_equal(number(s, "address_of_raised", 0, 0), 0);
    OK(vireo_sandbox_reset(s, &error));
    assert_int_equal(number(s, "leave_a_child", 0, 0), 1);
    (void)nanosleep(&(struct timespec){0, 100000000}, NULL); /* the child ends meanwhile */
    OK(vireo_sandbox_reset(s, &error));
    assert_int_equal(number(s, "sleep_a_moment", 0, 0), 0);
    vireo_sandbox_destroy(s);
    vireo_sandbox_template_destroy(t);
}

/* What a template has open, each clone has for itself. */
static void clones_share_no_open_file(void **state)
{
    (void)state;
    struct vireo_sandbox_template *t = open_template();
    struct vireo_sandbox *a = clone_of(t), *b = clone_of(t);
    for (int fd = 0; fd < 3; fd++) {
        const int64_t before = number(a, "flags_of", (uint64_t)fd, 0);
        assert_int_equal(number(a, "set_flags_of", (uint64_t)fd, 04000), 0); /* O_NONBLOCK */
        assert_int_equal(number(b, "flags_of", (uint64_t)fd, 0), before);
        OK(vireo_sandbox_reset(a, &error));
        assert_int_equal(number(a, "flags_of", (uint64_t)fd, 0), before);
    }
    assert_int_equal(number(a, "take_from_pipe", 0, 0), 7);
    assert_int_equal(number(a, "put_in_pipe", 9, 0), 1);
    assert_int_equal(number(b, "take_from_pipe", 0, 0), 7);
    assert_int_equal(number(b, "take_from_pipe", 0, 0), -EAGAIN);
    OK(vireo_sandbox_reset(a, &error));
    assert_int_equal(number(a, "take_from_pipe", 0, 0), 7);
    assert_int_equal(number(a, "take_from_pipe", 0, 0), -EAGAIN);
    vireo_sandbox_destroy(a);
    vireo_sandbox_destroy(b);
    vireo_sandbox_template_destroy(t);
}

static _Atomic bool has_burnt;

static void *burn(void *arg)
{
    volatile uint64_t *n = arg;
    while (!has_burnt) ++*n;
    return NULL;
}

/* The host's other threads, other sandboxes among them, are not to be seen in it. */
static void the_clock_of_its_process_is_its_own(void **state)
{
    (void)state;
    pthread_t thread;
    uint64_t n = 0;
    struct vireo_sandbox *s = open_program();
    const int64_t before = number(s, "cpu_of_process", 0, 0);
    has_burnt = false;
    assert_int_equal(pthread_create(&thread, NULL, burn, &n), 0);
    struct timespec t;
    clockid_t clock;
    assert_int_equal(pthread_getcpuclockid(thread, &clock), 0);
    do {
        (void)nanosleep(&(struct timespec){0, 10000000}, NULL);
        (void)clock_gettime(clock, &t);
    } while (!t.tv_sec && t.tv_nsec < 300000000);
    has_burnt = true;
    (void)pthread_join(thread, NULL);
    assert_in_range(number(s, "cpu_of_process", 0, 0) - before, 0, 200000000);
    vireo_sandbox_destroy(s);
}

static void a_call_about_many_pages_ends_at_the_deadline(void **state)
{
    (void)state;
    struct vireo_sandbox *s = open_program();
    struct vireo_sandbox_call c = {.timeout_ns = 50000000};
    struct vireo_sandbox_end end;
    struct timespec from, to;
    OK(vireo_sandbox_function(s, "look_at_all_pages", &c.fn, &error));
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    assert_int_equal(vireo_sandbox_call(s, &c, &end), 0);
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    assert_int_equal(end.reason, VIREO_SANDBOX_DEADLINE);
    print_message("cut off after %lld us of CPU time\n",
                  ((long long)(to.tv_sec - from.tv_sec) * 1000000000 + to.tv_nsec - from.tv_nsec) / 1000);
    vireo_sandbox_destroy(s);
}

static void waiting_for_an_interrupt_returns(void **state)
{
    (void)state;
    struct vireo_sandbox *s = open_program();
    assert_int_equal(number(s, "wait_for_nothing", 0, 0), 7);
    vireo_sandbox_destroy(s);
}

static void a_signal_ends_a_wait_in_poll(void **state)
{
    (void)state;
    struct vireo_sandbox *s = open_program();
    assert_int_equal(number(s, "end_a_child_in_poll", 0, 0), 15);
    vireo_sandbox_destroy(s);
}

static _Atomic bool stops_enough;

static void *stop_often(void *arg)
{
    while (!stops_enough) vireo_sandbox_stop(arg);
    return NULL;
}

/* A reset takes a stop away whole, whatever it meets of it. */
static void stops_beside_resets_leave_no_half(void **state)
{
    (void)state;
    struct vireo_sandbox_template *t = open_template();
    struct vireo_sandbox *s = clone_of(t);
    for (unsigned i = 0; i < 40; i++) {
        pthread_t thread;
        stops_enough = false;
        assert_int_equal(pthread_create(&thread, NULL, stop_often, s), 0);
        for (unsigned k = 0; k < 20; k++) OK(vireo_sandbox_reset(s, &error));
        stops_enough = true;
        for (unsigned k = 0; k < 20; k++) OK(vireo_sandbox_reset(s, &error));
        (void)pthread_join(thread, NULL);
        struct vireo_sandbox_call c = {.timeout_ns = 20000000000};
        struct vireo_sandbox_end end;
        OK(vireo_sandbox_function(s, "sleep_a_moment", &c.fn, &error));
        if (vireo_sandbox_call(s, &c, &end) == 0 && end.reason == VIREO_SANDBOX_STOPPED) {
            OK(vireo_sandbox_reset(s, &error)); /* the last stop came after the last reset */
            assert_int_equal(number(s, "sleep_a_moment", 0, 0), 0);
        }
    }
    vireo_sandbox_destroy(s);
    vireo_sandbox_template_destroy(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_function_takes_bytes_and_gives_bytes),
        cmocka_unit_test(exits_are_counted_and_timed_by_their_kind),
        cmocka_unit_test(a_clone_may_write_more_pages_than_kvm_notes_at_once),
        cmocka_unit_test(a_megabyte_goes_in_and_out),
        cmocka_unit_test(a_function_that_is_not_there_has_its_nearest_named),
        cmocka_unit_test(an_answer_larger_than_allowed_is_refused),
        cmocka_unit_test(a_program_says_why_it_exits),
        cmocka_unit_test(host_functions_are_called_by_name_once_and_by_number_then),
        cmocka_unit_test(shared_bytes_are_seen_by_both),
        cmocka_unit_test(a_call_that_faults_or_spins_ends_and_nothing_runs_until_a_reset),
        cmocka_unit_test(after_a_reset_nothing_of_before_is_there),
        cmocka_unit_test(clones_do_not_see_each_other_and_differ_in_chance),
        cmocka_unit_test(resets_and_clones_leave_nothing_behind),
        cmocka_unit_test(many_threads_call_each_its_own),
        cmocka_unit_test(threads_take_from_one_pool),
        cmocka_unit_test(a_stop_from_another_thread_ends_what_runs),
        cmocka_unit_test(a_full_log_of_written_pages_changes_nothing),
        cmocka_unit_test(page_tables_move_without_their_pages),
        cmocka_unit_test(signals_of_before_a_reset_are_forgotten),
        cmocka_unit_test(clones_share_no_open_file),
        cmocka_unit_test(the_clock_of_its_process_is_its_own),
        cmocka_unit_test(a_call_about_many_pages_ends_at_the_deadline),
        cmocka_unit_test(a_signal_ends_a_wait_in_poll),
        cmocka_unit_test(waiting_for_an_interrupt_returns),
        cmocka_unit_test(stops_beside_resets_leave_no_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

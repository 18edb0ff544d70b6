/* A log that blocks holds up lines and nobody else: with a callback that waits at a gate. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vmm/base/thread.h"

static bool has_no_threads;
static int make_thread(pthread_t *out, const struct thread_start *start)
{
    return has_no_threads ? -EAGAIN : thread_make(out, start);
}
#define thread_make make_thread
#include "vmm/base/log_queue.c" /* NOLINT(bugprone-suspicious-include) */
#undef thread_make

#define LONG_MS 60000 /* a machine may be busy */
#define SOON_MS 50
#define SEEN    256

struct sink {
    pthread_mutex_t lock;
    unsigned count;
    char line[SEEN][64];
    pthread_t by;
    atomic_bool is_shut; /* the next call waits for the gate */
    sem_t arrived, gate;
    atomic_uint inside;
};

static void on_text(void *arg, enum log_level level, const char *line)
{
    struct sink *s = *(struct sink **)arg;
    (void)level;
    assert_int_equal(atomic_fetch_add(&s->inside, 1), 0); /* one at a time */
    if (atomic_exchange(&s->is_shut, false)) {
        sem_post(&s->arrived);
        while (sem_wait(&s->gate) != 0) {
        }
    }
    pthread_mutex_lock(&s->lock);
    s->by = pthread_self();
    (void)snprintf(s->line[s->count++ % SEEN], sizeof(s->line[0]), "%s", line);
    pthread_mutex_unlock(&s->lock);
    atomic_fetch_sub(&s->inside, 1);
}

static struct sink sink;

static struct log_queue *new_queue(void)
{
    struct sink *p = &sink;
    struct log_queue *q;
    const struct log to = {.fn = on_text, .arg = &p, .level = LOG_WARN};
    memset(&sink, 0, sizeof(sink));
    pthread_mutex_init(&sink.lock, NULL);
    sem_init(&sink.arrived, 0, 0);
    sem_init(&sink.gate, 0, 0);
    has_no_threads = false;
    struct err e;
    assert_int_equal(log_queue_create(&q, &to, sizeof(p), &e), 0);
    return q;
}

/* The first line is in the callback, which does not return. */
static struct log_queue *stuck_queue(void)
{
    struct log_queue *q = new_queue();
    atomic_store(&sink.is_shut, true);
    log_write(log_queue_log(q), LOG_WARN, "stuck");
    while (sem_wait(&sink.arrived) != 0) {
    }
    return q;
}

static void whoever_logs_does_not_wait_for_the_log(void **state)
{
    (void)state;
    struct log_queue *q = stuck_queue();
    for (unsigned i = 1; i < 10; i++) log_write(log_queue_log(q), LOG_WARN, "line %u", i);
    log_queue_flush(q, SOON_MS);
    assert_int_equal(sink.count, 0);
    sem_post(&sink.gate);
    log_queue_flush(q, LONG_MS);
    assert_int_equal(sink.count, 10);
    assert_string_equal(sink.line[9], "line 9");
    assert_false(pthread_equal(sink.by, pthread_self()));
    log_queue_destroy(q, LONG_MS);
}

static void lines_that_found_no_place_are_counted_in_their_place(void **state)
{
    (void)state;
    struct log_queue *q = stuck_queue();
    for (unsigned i = 1; i < LOG_QUEUE_LINES + 5; i++) log_write(log_queue_log(q), LOG_WARN, "line %u", i);
    sem_post(&sink.gate);
    log_queue_flush(q, LONG_MS);
    log_write(log_queue_log(q), LOG_WARN, "after");
    log_queue_destroy(q, LONG_MS);
    assert_int_equal(sink.count, LOG_QUEUE_LINES + 2);
    assert_string_equal(sink.line[LOG_QUEUE_LINES - 1], "line 31");
    assert_string_equal(sink.line[LOG_QUEUE_LINES], "log lines lost here, as their reader is too slow: 5");
    assert_string_equal(sink.line[LOG_QUEUE_LINES + 1], "after");
}

static void the_control_threads_lines_are_told_before_it_goes_on(void **state)
{
    (void)state;
    struct log_queue *q = new_queue();
    log_queue_direct(q, true);
    log_write(log_queue_log(q), LOG_WARN, "now");
    assert_int_equal(sink.count, 1);
    assert_true(pthread_equal(sink.by, pthread_self()));
    assert_false(q->has_thread);
    log_queue_direct(q, false);
    log_queue_destroy(q, LONG_MS);
}

static void without_threads_lines_wait_for_the_control_thread(void **state)
{
    (void)state;
    struct log_queue *q = new_queue();
    has_no_threads = true;
    log_write(log_queue_log(q), LOG_WARN, "one");
    log_write(log_queue_log(q), LOG_WARN, "two");
    assert_int_equal(sink.count, 0);
    log_queue_flush(q, 0);
    assert_int_equal(sink.count, 2);
    log_write(log_queue_log(q), LOG_WARN, "three");
    log_queue_destroy(q, LONG_MS);
    assert_int_equal(sink.count, 3);
    assert_string_equal(sink.line[2], "three");
}

static void lines_finer_than_the_level_are_not_queued(void **state)
{
    (void)state;
    struct log_queue *q = new_queue();
    log_write(log_queue_log(q), LOG_INFO, "fine");
    log_queue_destroy(q, LONG_MS);
    assert_int_equal(sink.count, 0);
}

/* The sanitizers see that nothing of the queue is used or lost. */
static void a_log_that_never_returns_is_left_behind(void **state)
{
    (void)state;
    struct log_queue *q = stuck_queue();
    log_write(log_queue_log(q), LOG_WARN, "never told");
    const uint64_t begin = now_ns();
    log_queue_destroy(q, SOON_MS);
    assert_true(now_ns() - begin < (uint64_t)LONG_MS * 1000000u);
    sem_post(&sink.gate);
    for (unsigned i = 0; i < LONG_MS && atomic_load(&sink.inside) > 0; i++) usleep(1000);
    assert_int_equal(sink.count, 1);
    log_queue_destroy(NULL, 0);
}

#define WRITERS      4
#define WRITER_TURNS 500

static void *writer(void *arg)
{
    struct log_queue *q = arg;
    for (unsigned i = 0; i < WRITER_TURNS; i++) log_write(log_queue_log(q), LOG_WARN, "x");
    return NULL;
}

static void many_threads_may_log_at_once(void **state)
{
    (void)state;
    struct log_queue *q = new_queue();
    pthread_t thread[WRITERS];
    for (unsigned i = 0; i < WRITERS; i++) assert_int_equal(pthread_create(&thread[i], NULL, writer, q), 0);
    for (unsigned i = 0; i < WRITERS; i++) pthread_join(thread[i], NULL);
    log_queue_destroy(q, LONG_MS);
    assert_true(sink.count > 0 && sink.count <= 2 * WRITERS * WRITER_TURNS);
}

UNIT_MAIN(UNIT(whoever_logs_does_not_wait_for_the_log), UNIT(lines_that_found_no_place_are_counted_in_their_place),
          UNIT(the_control_threads_lines_are_told_before_it_goes_on),
          UNIT(without_threads_lines_wait_for_the_control_thread), UNIT(lines_finer_than_the_level_are_not_queued),
          UNIT(a_log_that_never_returns_is_left_behind), UNIT(many_threads_may_log_at_once))

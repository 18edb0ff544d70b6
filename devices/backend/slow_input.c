/* See slow_input.h. The thread reads into the buffer without the lock: nobody looks at it before the state says so.
 *
 * System calls of the thread: read, futex, a write of the loop's eventfd, and close when it was left to itself. */
#include "devices/backend/slow_input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/base/thread.h"

enum state { IDLE, WANTED, READING, DONE };

struct slow_input {
    /* Const after creation. */
    int fd;
    void (*ready)(void *arg);
    void *arg;
    pthread_t thread;
    bool has_thread;

    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t changed;
    enum state state;
    bool is_left;   /* nobody wants anything any more: the thread ends */
    bool frees;     /* and frees this */
    size_t want;    /* WANTED and READING */
    ssize_t result; /* DONE: bytes, 0 at the end, or -errno */
    uint8_t bytes[SLOW_INPUT_MAX];
};

static void destroy(struct slow_input *s)
{
    if (s->fd >= 0) close(s->fd);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static void *work(void *arg)
{
    struct slow_input *s = arg;
    pthread_mutex_lock(&s->lock);
    while (!s->is_left) {
        if (s->state != WANTED) {
            pthread_cond_wait(&s->changed, &s->lock);
            continue;
        }
        s->state = READING;
        pthread_mutex_unlock(&s->lock);
        const ssize_t n = read(s->fd, s->bytes, s->want);
        const int error = errno;
        pthread_mutex_lock(&s->lock);
        s->result = n < 0 ? -error : n;
        s->state = DONE;
        if (!s->is_left) s->ready(s->arg);
    }
    const bool frees = s->frees;
    pthread_mutex_unlock(&s->lock);
    if (frees) destroy(s);
    return NULL;
}

int slow_input_create(struct slow_input **out, int fd, void (*ready)(void *arg), void *arg, struct err *e)
{
    struct slow_input *s = calloc(1, sizeof(*s));
    if (!s) return err_set(e, -ENOMEM, "no memory for a file's buffer");
    s->ready = ready;
    s->arg = arg;
    pthread_mutex_init(&s->lock, NULL); /* neither fails on Linux */
    pthread_cond_init(&s->changed, NULL);
    s->fd = fd_own(fcntl(fd, F_DUPFD_CLOEXEC, 0));
    int rc = s->fd < 0 ? err_errno(e, "a descriptor for a file's thread") : 0;
    if (rc) {
        err_as(e, ERR_HOST);
        destroy(s);
        return rc;
    }
    *out = s;
    return 0;
}

int slow_input_start(struct slow_input *s, struct err *e)
{
    int rc = thread_make(&s->thread, &(struct thread_start){.name = "vireo:input", .fn = work, .arg = s});
    s->has_thread = rc == 0;
    if (rc == 0) return 0;
    rc = err_thread(e, err_set(e, rc, "a file's thread: %s", strerrordesc_np(-rc)));
    err_as(e, ERR_HOST);
    return rc;
}

ssize_t slow_input_read(struct slow_input *s, uint8_t *buf, size_t len)
{
    ssize_t n = -EAGAIN;
    pthread_mutex_lock(&s->lock);
    if (s->state == DONE) {
        n = s->result;
        if (n > 0) memcpy(buf, s->bytes, (size_t)n);
        s->state = IDLE;
    } else if (s->state == IDLE) {
        s->want = len < SLOW_INPUT_MAX ? len : SLOW_INPUT_MAX;
        s->state = WANTED;
        pthread_cond_signal(&s->changed);
    }
    pthread_mutex_unlock(&s->lock);
    return n;
}

void slow_input_close(struct slow_input *s)
{
    if (!s) return;
    if (!s->has_thread) {
        destroy(s);
        return;
    }
    const pthread_t thread = s->thread;
    pthread_mutex_lock(&s->lock);
    const bool is_reading = s->state == READING;
    s->is_left = true;
    s->frees = is_reading;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->lock);
    if (is_reading) {
        pthread_detach(thread);
        return;
    }
    pthread_join(thread, NULL); /* it has nothing left to do */
    destroy(s);
}

/* What is common to the ways a disk's requests reach the kernel. Private to devices/disk*.c and their tests.
 *
 * A request is a row of steps, each one system call: a short transfer goes on where it stopped, a way of zeroing that
 * the file system does not know is followed by the next best one. disk_next_step says what to do next, as a pure
 * function of the request and of what the file is known to support; an engine carries a step out, now or later, and
 * hands its result to disk_step_done, which asks for the next step or calls the request's done. So engines know nothing
 * of requests, and a made-up engine can fail any step. */
#ifndef VIREO_DEVICES_DISK_ENGINE_H
#define VIREO_DEVICES_DISK_ENGINE_H

#include <liburing.h>
#include <pthread.h>

#include "devices/disk.h"
#include "vmm/base/forked.h"

/* Ways to make a range zero, best first: give the blocks back, keep them but unwritten, write zeros. */
enum disk_way { WAY_PUNCH, WAY_ZERO_RANGE, WAY_WRITE };

enum disk_step_kind { STEP_READ, STEP_WRITE, STEP_SYNC, STEP_ALLOCATE };

struct disk_step {
    enum disk_step_kind kind;
    int mode; /* STEP_ALLOCATE: of fallocate(2) */
    uint64_t offset, len;
    const struct iovec *iov; /* READ, WRITE */
    unsigned iov_count;
    struct iovec zeros; /* iov may point here: then the step must not be copied */
};

struct disk;

/* All on the loop thread. */
struct disk_engine {
    const char *name;
    bool is_async;                /* a step may take its time without holding up the loop */
    int (*start)(struct disk *d); /* 0 or -errno */
    void (*stop)(struct disk *d); /* nothing is in flight */
    /* Carry out r's next step; its disk_step_done may be called before this returns. */
    void (*submit)(struct disk *d, struct disk_request *r);
    void (*kick)(struct disk *d);
    void (*wait)(struct disk *d); /* until a step is done; something is in flight */
};

extern const struct disk_engine disk_engine_uring;  /* io_uring: one system call a batch */
extern const struct disk_engine disk_engine_worker; /* a thread: where io_uring is switched off */
extern const struct disk_engine disk_engine_direct; /* at once: for a disk in memory, where waiting can't happen */

struct disk_uring {
    struct io_uring ring;
    struct loop_source source;
};

struct disk_worker {
    pthread_t thread;
    pthread_mutex_t lock; /* guards the two lists and want_stop */
    pthread_cond_t has_work;
    struct disk_request *todo, **todo_tail, *finished, **finished_tail;
    bool want_stop;
    bool has_news; /* loop thread: submitted since the last kick */
    int event_fd;  /* rung when finished stops being empty */
    struct loop_source source;
    struct disk *disk;
};

struct disk {
    /* Const after opening. */
    int fd;
    struct forked forked; /* a child of fork(2) has neither the file nor its lock */
    uint64_t size;        /* bytes */
    bool is_readonly, can_discard;
    bool is_in_memory;                /* a file of tmpfs */
    const struct disk_engine *engine; /* NULL: chosen at disk_start */
    enum disk_engine_kind wanted;
    void (*on_thread)(void *arg, bool begins); /* or NULL */
    void *on_thread_arg;

    /* Loop thread. */
    struct loop *loop;
    const struct disk_engine *running; /* NULL: not started */
    bool is_stopping;                  /* no further steps */
    bool has_way[WAY_WRITE + 1];       /* false once found unsupported, so that it is not tried every time */
    bool has_nowait;                   /* the same of reads that don't wait */
    unsigned in_flight;                /* requests */
    unsigned flushes;                  /* of these */
    unsigned slow_writes;              /* small writes to be handed to the engine before one is tried at once again */
    void *zeros;                       /* while it runs: ZEROS_SIZE bytes that read as 0 and cost no memory */
    void (*batch_fn)(void *arg);
    void *batch_arg;
    struct disk_uring uring;
    struct disk_worker worker;
};

/* The next step of r. s->iov may point into *s. Reads only r and what is const while the disk runs: any thread. */
void disk_next_step(const struct disk *d, const struct disk_request *r, struct disk_step *s);
/* Carry it out here: bytes transferred, or -errno. Any thread. */
int64_t disk_run_step(int fd, const struct disk_step *s);
/* The step of r came out with result: true when another one must follow (submit r again), else *rc is r's outcome. */
bool disk_settle(struct disk *d, struct disk_request *r, int64_t result, int *rc);
void disk_finish(struct disk *d, struct disk_request *r, int rc); /* call r's done */
/* Settle, then submit again or finish. */
void disk_step_done(struct disk *d, struct disk_request *r, int64_t result);
void disk_batch_done(struct disk *d); /* after a run of the above, called by the loop */

#endif

/* What is common to the ways a disk's requests reach the kernel. Private to devices/disk*.c and their tests.
 *
 * A request is a row of steps, each one system call: a short transfer goes on where it stopped, a way of zeroing that
 * the file system does not know is followed by the next best one. disk_next_step says what to do next, as a pure
 * function of the request and of what the file is known to support; an engine carries a step out, now or later, and
 * hands its result to disk_step_done, which asks for the next step or calls the request's done. So engines know nothing
 * of requests, and a made-up engine can fail any step. */
#ifndef VIREO_DEVICES_BACKEND_DISK_ENGINE_H
#define VIREO_DEVICES_BACKEND_DISK_ENGINE_H

#include <liburing.h>
#include <pthread.h>

#include "devices/backend/disk.h"
#include "vmm/base/forked.h"

/* What one system call is asked to do at most, so that a file in memory leaves the loop to others after a millisecond
 * or so, and a stop that finds a request with the kernel waits for one piece of it and not for the whole. Copying costs
 * more than allocating or freeing. */
#define DISK_COPY_MAX     (4u << 20)
#define DISK_ALLOCATE_MAX (16u << 20)

/* Zeros written at once where the file system can't make a range zero by itself: large enough to hide the call. Never
 * touched for writing, so all of it is the kernel's one zero page. */
#define DISK_ZEROS_SIZE (256u << 10)

/* Ways to make a range zero, best first: give the blocks back, keep them but unwritten, write zeros. */
enum disk_way { WAY_PUNCH, WAY_ZERO_RANGE, WAY_WRITE };

enum disk_step_kind { STEP_READ, STEP_WRITE, STEP_SYNC, STEP_ALLOCATE };

struct disk_step {
    enum disk_step_kind kind;
    int mode; /* STEP_ALLOCATE: of fallocate(2) */
    uint64_t offset, len;
    const struct iovec *iov; /* READ, WRITE */
    unsigned iov_count;
    struct iovec one; /* iov may point here: then the step must not be copied */
};

struct disk;

/* open and close: any thread, with no request about. The rest: the thread that runs the loop. What there is nothing to
 * do for, of close to detach and started, is NULL. */
struct disk_engine {
    const char *name;
    bool is_async;                 /* a step may take its time without holding up the loop */
    int (*open)(struct disk *d);   /* take all descriptors and memory: 0 or -errno, and then nothing is kept */
    void (*close)(struct disk *d); /* nothing is in flight */
    int (*attach)(struct disk *d); /* d->loop is known, from now on it serves the engine: 0 or -errno. Once */
    void (*detach)(struct disk *d);
    /* Carry out r's next step; its disk_step_done may be called before this returns. */
    void (*submit)(struct disk *d, struct disk_request *r);
    void (*kick)(struct disk *d);
    void (*started)(struct disk *d); /* the disk begins, or begins again */
    void (*again)(struct disk *d);   /* the time of disk_come_back has passed */
    void (*cancel)(struct disk *d);  /* finish what was submitted and not begun with -ECANCELED. Never waits */
};

extern const struct disk_engine disk_engine_uring;  /* io_uring: one system call a batch; writes may go to a thread */
extern const struct disk_engine disk_engine_worker; /* a thread: where io_uring is switched off, and for writes */
extern const struct disk_engine disk_engine_direct; /* on the loop thread, in bounded pieces: for a file in memory */

#define DISK_URING_ENTRIES 64

/* First in, first out. */
struct disk_queue {
    struct disk_request *first, **tail;
};

struct disk_uring {
    struct io_uring ring;
    struct loop_source source;
    struct disk_queue todo;                          /* not in the ring yet */
    struct io_uring_sqe *unsent[DISK_URING_ENTRIES]; /* in the ring, in order, and not taken by the kernel yet */
    unsigned unsent_count;
    unsigned tries; /* since the kernel last took one */
};

struct disk_worker {
    pthread_t thread;
    bool has_thread;      /* loop thread */
    pthread_mutex_t lock; /* guards the next block */
    pthread_cond_t has_work;
    struct disk_queue todo, finished;
    unsigned finished_count;
    bool want_stop, is_rung; /* is_rung: event_fd was, since finished was last taken */
    bool has_news;           /* loop thread: submitted since the last kick */
    unsigned out;            /* loop thread: requests that are with the thread */
    int event_fd;
    struct loop_source source;
    struct disk *disk;
};

struct disk_direct {
    struct disk_queue todo;
    uint64_t left; /* bytes of this turn */
    bool has_end;  /* end was looked at in this turn */
    uint64_t end;  /* of the image */
};

struct disk {
    /* Const after opening. */
    int fd;
    struct forked forked; /* a child of fork(2) has neither the file nor its lock */
    uint64_t size;        /* bytes */
    uint32_t block_size;
    bool is_readonly, can_discard, is_locked;
    bool is_in_memory;     /* a file of tmpfs */
    bool can_be_cut;       /* a file: somebody may truncate it while the disk runs */
    bool writes_by_thread; /* with io_uring too: what changes the disk goes to the worker thread */
    enum disk_engine_kind wanted;
    const struct disk_engine *engine; /* open; NULL: none */
    const struct log *log;
    void (*on_thread)(void *arg, bool begins); /* or NULL */
    void *on_thread_arg;
    void *zeros; /* bytes that read as 0 and cost no memory */

    /* Loop thread. */
    struct loop *loop;           /* NULL: not attached yet */
    struct loop_timer timer;     /* of disk_come_back */
    bool is_running;             /* started, and not quiet again */
    bool is_stopping;            /* no further steps */
    bool has_way[WAY_WRITE + 1]; /* false once found unsupported, so that it is not tried every time */
    bool has_nowait;             /* the same of reads that don't wait */
    unsigned in_flight;          /* requests */
    void (*batch_fn)(void *arg);
    void *batch_arg;
    void (*quiet_fn)(void *arg);
    void *quiet_arg;
    struct disk_uring uring;
    struct disk_worker worker;
    struct disk_direct direct;
};

/* Open d's engine: the named one; NULL: the one that d->wanted and the file ask for. The one before is closed. 0 or
 * -errno. Before the first disk_start. */
int disk_use_engine(struct disk *d, const struct disk_engine *engine);
void disk_close_engine(struct disk *d); /* legal when there is none */

/* The next step of r. s->iov may point into *s. Reads only r and what is const while the disk runs: any thread. */
void disk_next_step(const struct disk *d, const struct disk_request *r, struct disk_step *s);
/* Carry it out here: bytes transferred, or -errno. Any thread. do_step leaves to the caller what run_step does first:
 * to look whether the image still reaches as far as a step that needs_end. */
int64_t disk_run_step(const struct disk *d, const struct disk_step *s);
int64_t disk_do_step(const struct disk *d, const struct disk_step *s);
bool disk_needs_end(const struct disk *d, const struct disk_step *s);
bool disk_is_beyond(const struct disk_step *s, uint64_t end); /* end: the image's present one */
/* The step of r came out with result: true when another one must follow (submit r again), else *rc is r's outcome. */
bool disk_settle(struct disk *d, struct disk_request *r, int64_t result, int *rc);
void disk_finish(struct disk *d, struct disk_request *r, int rc); /* call r's done */
/* Settle, then submit again or finish. */
void disk_step_done(struct disk *d, struct disk_request *r, int64_t result);
void disk_batch_done(struct disk *d); /* after a run of the above, called by the loop: the last the engine does there */

/* Call the engine's `again` from the loop after ns. */
void disk_init_timer(struct disk *d);
void disk_come_back(struct disk *d, uint64_t ns);

void disk_queue_init(struct disk_queue *q);
void disk_queue_add(struct disk_queue *q, struct disk_request *r);
struct disk_request *disk_queue_take(struct disk_queue *q);   /* NULL: empty */
void disk_queue_cancel(struct disk *d, struct disk_queue *q); /* finish all with -ECANCELED */

#endif

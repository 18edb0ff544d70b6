/* What is common to the ways in which a disk's requests reach the kernel. Private to devices/backend/disk*.c and their
 * tests.
 *
 * A request is a row of steps, each one system call. After a short transfer the next step goes on where it stopped;
 * when the file system does not know a way of zeroing, the next step tries the next best one. disk_next_step says what
 * to do next: it is a pure function of the request and of what the file is known to support. An engine carries a step
 * out, now or later, and hands its result to disk_step_done, which asks for the next step or calls the request's done.
 * So engines know nothing of requests, and a made-up engine can fail any step. */
#ifndef VIREO_DEVICES_BACKEND_DISK_ENGINE_H
#define VIREO_DEVICES_BACKEND_DISK_ENGINE_H

#include <liburing.h>
#include <pthread.h>

#include "devices/backend/disk.h"
#include "vmm/base/forked.h"

/* The most that one system call is asked to do. It bounds how long a file in memory keeps the loop (about a
 * millisecond), and a stop that finds a request in the kernel waits for one piece of it. Copying costs more than
 * allocating or freeing. */
#define DISK_COPY_MAX     (4u << 20)
#define DISK_ALLOCATE_MAX (16u << 20)

/* Zeros written at once, where the file system can't make a range zero by itself: so many that the cost of the call
 * doesn't show. They are never written, so all of them are the kernel's one zero page. */
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
    struct iovec one; /* iov may point here, so the step must not be copied */
};

struct disk;

/* open and close: any thread, while there is no request. The rest: the thread that runs the loop. Of close to detach
 * and started, those that have nothing to do are NULL. */
struct disk_engine {
    const char *name;
    bool is_async;                 /* a step may take its time without holding up the loop */
    int (*open)(struct disk *d);   /* take all descriptors and memory. 0; or -errno, keeping nothing */
    void (*close)(struct disk *d); /* nothing is in flight */
    int (*attach)(struct disk *d); /* d->loop is known and serves the engine from now on. 0 or -errno. Once */
    void (*detach)(struct disk *d);
    /* Carry out r's next step; its disk_step_done may be called before this returns. */
    void (*submit)(struct disk *d, struct disk_request *r);
    void (*kick)(struct disk *d);
    void (*started)(struct disk *d); /* the disk begins, or begins again */
    void (*again)(struct disk *d);   /* the time of disk_come_back has passed */
    void (*cancel)(struct disk *d);  /* end with -ECANCELED what was submitted and not begun. Never waits */
};

/* Io_uring: one system call a batch; writes may go to the thread. */
extern const struct disk_engine disk_engine_uring;
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
    struct io_uring_sqe *unsent[DISK_URING_ENTRIES]; /* in the ring, in order, but not taken by the kernel yet */
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
    bool want_stop, is_rung; /* is_rung: event_fd was rung since finished was last taken */
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
    bool writes_by_thread; /* even with io_uring, what changes the disk goes to the worker thread */
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
    bool has_way[WAY_WRITE + 1]; /* false: found unsupported, so it is not tried again */
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

/* Open d's engine: the named one; with NULL the one that d->wanted and the file ask for. Closes the one before. 0 or
 * -errno. Before the first disk_start. */
int disk_use_engine(struct disk *d, const struct disk_engine *engine);
void disk_close_engine(struct disk *d); /* legal when there is none */

/* The next step of r. s->iov may point into *s. Reads only r and what is const while the disk runs: any thread. */
void disk_next_step(const struct disk *d, const struct disk_request *r, struct disk_step *s);
/* Carry the step out here: bytes transferred, or -errno. Any thread. run_step first looks whether the image still
 * reaches as far as a step that needs_end; do_step leaves that to the caller. */
int64_t disk_run_step(const struct disk *d, const struct disk_step *s);
int64_t disk_do_step(const struct disk *d, const struct disk_step *s);
bool disk_needs_end(const struct disk *d, const struct disk_step *s);
bool disk_is_beyond(const struct disk_step *s, uint64_t end); /* end: the image's present one */
/* A step of r ended with result. True: another step must follow, submit r again. False: *rc is r's outcome. */
bool disk_settle(struct disk *d, struct disk_request *r, int64_t result, int *rc);
void disk_finish(struct disk *d, struct disk_request *r, int rc); /* call r's done */
/* Settle, then submit again or finish. */
void disk_step_done(struct disk *d, struct disk_request *r, int64_t result);
void disk_batch_done(struct disk *d); /* after a run of the above from the loop; the engine's last call there */

/* Call the engine's `again` from the loop after ns. */
void disk_init_timer(struct disk *d);
void disk_come_back(struct disk *d, uint64_t ns);

void disk_queue_init(struct disk_queue *q);
void disk_queue_add(struct disk_queue *q, struct disk_request *r);
struct disk_request *disk_queue_take(struct disk_queue *q);   /* NULL: empty */
void disk_queue_cancel(struct disk *d, struct disk_queue *q); /* finish all with -ECANCELED */

#endif

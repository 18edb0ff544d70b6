/* A disk's host side: a file (or block device, or memfd) with asynchronous requests.
 * Host errors (EIO, ENOSPC, a file that shrank) are a request's result, never more than that.
 *
 * Opening takes an OFD lock (F_OFD_SETLK): shared when read-only, exclusive when writable, so that two writers never
 * meet on one image. io_uring where the kernel allows it, else one worker thread; set up at disk_start, so that a guest
 * which never touches its disk never pays. What the page cache can serve takes neither: it is done at once. Completions
 * are called on the loop thread. A disk has one user (virtio-blk). */
#ifndef VIREO_DEVICES_DISK_H
#define VIREO_DEVICES_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vmm/base/err.h"
#include "vmm/base/loop.h"

#define DISK_SECTOR 512

struct disk;

/* How requests reach the kernel. AUTO: at once for a file in memory (tmpfs), else io_uring where the kernel allows it,
 * else one worker thread. */
enum disk_engine_kind { DISK_ENGINE_AUTO, DISK_ENGINE_URING, DISK_ENGINE_WORKER };

struct disk_params {
    const char *path;
    bool is_readonly;
    enum disk_engine_kind engine;
    /* By the worker thread itself, first and last, so that it has a name and is known; NULL: nothing. */
    void (*on_thread)(void *arg, bool begins);
    void *arg;
};

/* Refuses, each with its sentence: no such file, a directory, a size that is no multiple of 512 or 0, locked by
 * another, not readable / writable. Creates or changes nothing. */
int disk_open(struct disk **out, const struct disk_params *p, struct err *e);
/* A disk in memory (memfd) of `size` bytes, zeroed: what the embedded guest is given. */
int disk_open_ram(struct disk **out, uint64_t size, struct err *e);
void disk_close(struct disk *d); /* NULL is legal; stopped first if started */

uint64_t disk_sectors(const struct disk *d);
bool disk_is_readonly(const struct disk *d);
bool disk_can_discard(const struct disk *d); /* holes can be punched (files; block devices that say so) */

enum disk_op { DISK_READ, DISK_WRITE, DISK_FLUSH, DISK_DISCARD, DISK_ZEROES };

/* A request in flight; storage is the caller's (an array indexed by head). iov stays valid until done is called, and is
 * used up: a transfer that goes on after a short one moves it forward in place. */
struct disk_request {
    enum disk_op op;
    bool may_unmap;         /* DISK_ZEROES: holes are allowed */
    uint64_t offset, bytes; /* bytes on the disk; offset + bytes <= size (the caller checked) */
    struct iovec *iov;      /* READ, WRITE: sums to `bytes` */
    unsigned iov_count;
    void (*done)(struct disk_request *r, int rc); /* rc 0 or -errno; loop thread; may submit again */
    /* The disk's. */
    unsigned way;      /* DISK_ZEROES: how it is being done; the next one is tried when the file does not support it */
    uint64_t progress; /* bytes done: a short transfer goes on from here */
    int64_t result;    /* of the last step */
    struct disk_request *next;
};

int disk_start(struct disk *d, struct loop *loop, struct err *e);
/* Hand over a request; done may be called before this returns. Call disk_kick after a batch. Loop thread. */
void disk_submit(struct disk *d, struct disk_request *r);
void disk_kick(struct disk *d);
/* Call fn after each run of done functions that came from the loop (not from inside disk_submit or disk_kick): the
 * moment for one interrupt. NULL: nothing. Before disk_start. */
void disk_on_batch(struct disk *d, void (*fn)(void *arg), void *arg);
/* Wait until nothing is in flight (their done functions are called), and let go of the loop. Loop thread. */
void disk_stop(struct disk *d);

#endif

/* A disk's host side: a file (or block device, or memfd) with asynchronous requests.
 * Host errors (EIO, ENOSPC, a file that shrank) are a request's result, never more than that.
 *
 * Opening takes an OFD lock (F_OFD_SETLK): shared when read-only, exclusive when writable, so that two writers never
 * meet on one image. Opening also takes every descriptor that the disk will ever need, so that a guest's reset can't
 * fail for want of one: of io_uring where the kernel allows it, else for one worker thread. Only that thread itself is
 * made later, at the first disk_start, by the thread of the loop.
 *
 * Nothing that may wait for the host's storage runs on the loop thread. Reads that the page cache can serve are done
 * there at once, as are all requests of a file in memory: these in bounded pieces, with the loop's other sources
 * between. Completions are called on the loop thread. A disk has one user (virtio-blk). */
#ifndef VIREO_DEVICES_BACKEND_DISK_H
#define VIREO_DEVICES_BACKEND_DISK_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vmm/base/err.h"
#include "vmm/base/log.h"
#include "vmm/base/loop.h"

#define DISK_SECTOR    512
#define DISK_BLOCK_MAX 4096 /* the largest logical block that disks are made with */
/* The outcome of a request that lies beyond the end of an image that has become shorter than the disk. No file system
 * or block device gives this error for I/O. */
#define DISK_CUT_SHORT (-ERANGE)

struct disk;

/* How requests reach the kernel. AUTO: at once for a file in memory (tmpfs), else io_uring where the kernel allows it,
 * else one worker thread. */
enum disk_engine_kind { DISK_ENGINE_AUTO, DISK_ENGINE_URING, DISK_ENGINE_WORKER };

struct disk_params {
    const char *path;
    bool is_readonly;
    bool is_raw;         /* an image that looks like another format's is used as a raw one */
    bool is_unlocked;    /* take no lock: where the file system has none */
    uint32_t block_size; /* DISK_SECTOR (also for 0) or DISK_BLOCK_MAX: what requests are made of */
    enum disk_engine_kind engine;
    const struct log *log; /* or NULL: silence */
    /* Called by the worker thread itself, first and last, so that it has a name and is known; NULL: nothing. */
    void (*on_thread)(void *arg, bool begins);
    void *arg;
};

/* Refuses, each with its sentence: no such file, a directory, a size of less than a block, an image of another format
 * (qcow2 and the like), locked by another, not readable / writable, no descriptors left. What a file has beyond its
 * last whole block is left out, with a warning. Creates or changes nothing. */
int disk_open(struct disk **out, const struct disk_params *p, struct err *e);
/* A disk in memory (memfd) of `size` bytes, zeroed: what the embedded guest is given. */
int disk_open_ram(struct disk **out, uint64_t size, struct err *e);
void disk_close(struct disk *d); /* NULL is legal. Only while nothing is in flight: never used, or stopped and quiet */

uint64_t disk_sectors(const struct disk *d);    /* of DISK_SECTOR, whatever the block size */
uint32_t disk_block_size(const struct disk *d); /* bytes */
bool disk_is_readonly(const struct disk *d);
bool disk_can_discard(const struct disk *d); /* holes can be punched (files; block devices that say so) */

enum disk_op { DISK_READ, DISK_WRITE, DISK_FLUSH, DISK_DISCARD, DISK_ZEROES };

/* A request in flight. The storage is the caller's (an array indexed by head). iov stays valid until done is called and
 * is used up: after a short transfer it is moved forward in place. */
struct disk_request {
    enum disk_op op;
    bool may_unmap;         /* DISK_ZEROES: holes are allowed */
    uint64_t offset, bytes; /* bytes on the disk; offset + bytes <= size (the caller checked) */
    struct iovec *iov;      /* READ, WRITE: sums to `bytes` */
    unsigned iov_count;
    void (*done)(struct disk_request *r, int rc); /* rc 0 or -errno; loop thread; may submit again */
    /* The disk's. */
    unsigned way;      /* DISK_ZEROES: the way in use; the next one is tried when the file does not support it */
    unsigned tries;    /* of a step that the kernel asks to take again */
    uint64_t progress; /* bytes done: a short transfer goes on from here */
    int64_t result;    /* of the last step */
    struct disk_request *next;
};

/* Take its places in the loop, which is the same loop every time. 0, or -errno: the loop takes no more sources. */
int disk_attach(struct disk *d, struct loop *loop, struct err *e);
/* Start. Attaches first if that is not done; after an attach it can't fail. Loop thread. */
int disk_start(struct disk *d, struct loop *loop, struct err *e);
/* Hand over a request; done may be called before this returns. Call disk_kick after a batch. Loop thread. */
void disk_submit(struct disk *d, struct disk_request *r);
void disk_kick(struct disk *d);
/* Call fn after each run of done functions that the loop called (not disk_submit or disk_kick): this is the moment for
 * one interrupt. NULL: nothing. Before disk_start. */
void disk_on_batch(struct disk *d, void (*fn)(void *arg), void *arg);
/* Begin nothing new. Requests whose next step the kernel has not got end with -ECANCELED before this returns. Never
 * waits. True: nothing is in flight, the disk is quiet. False: the kernel still has some, and their memory must stay
 * valid. They end as they come back by the loop; after the done of the last one the disk is quiet and calls
 * disk_on_quiet's function once. A quiet disk can be started again, or closed. Legal when not started. Loop thread. */
bool disk_stop(struct disk *d);
/* Before disk_start; NULL: nothing. fn runs on the thread that runs the loop. */
void disk_on_quiet(struct disk *d, void (*fn)(void *arg), void *arg);

#endif

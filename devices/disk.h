/* A disk's host side: a file (or block device, or memfd) with asynchronous requests.
 *
 * Opening takes an OFD lock (F_OFD_SETLK): shared when read-only, exclusive when writable, so that two writers never
 * meet on one image. io_uring where the kernel allows it, else one worker thread; set up at disk_start, so that a guest
 * which never touches its disk never pays. Completions are called on the loop thread. A disk has one user (virtio-blk).
 */
#ifndef VIREO_DEVICES_DISK_H
#define VIREO_DEVICES_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vmm/base/err.h"
#include "vmm/base/loop.h"

#define DISK_SECTOR 512

struct disk;

struct disk_params {
    const char *path;
    bool is_readonly;
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

/* A request in flight; storage is the caller's (an array indexed by head). iov stays valid until done is called. */
struct disk_request {
    enum disk_op op;
    bool may_unmap;         /* DISK_ZEROES: holes are allowed */
    uint64_t offset, bytes; /* bytes on the disk; offset + bytes <= size (the caller checked) */
    struct iovec *iov;      /* READ, WRITE: sums to `bytes` */
    unsigned iov_count;
    void (*done)(struct disk_request *r, int rc); /* rc 0 or -errno; loop thread; may submit again */
    uint64_t progress;                            /* the disk's: a short transfer goes on from here */
};

int disk_start(struct disk *d, struct loop *loop, struct err *e);
/* Hand over a request; done may be called before this returns. Call disk_kick after a batch. Loop thread. */
void disk_submit(struct disk *d, struct disk_request *r);
void disk_kick(struct disk *d);
/* Wait until nothing is in flight (their done functions are called), and let go of the loop. Loop thread. */
void disk_stop(struct disk *d);

#endif

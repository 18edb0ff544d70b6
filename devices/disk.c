/* A disk's host side: opening with all its refusals, and the steps of a request. How steps reach the kernel is in
 * disk_uring.c and disk_worker.c. */
#include "devices/disk.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include "devices/disk_engine.h"

/* Zeros written at once where the file system can't make a range zero by itself: large enough to hide the call, small
 * enough not to keep a reset waiting. Never touched for writing, so all of it is the kernel's one zero page. */
#define ZEROS_SIZE (256u << 10)

/* Opening */

static int refuse_open(const char *path, bool is_readonly, struct err *e)
{
    const int saved = errno;
    const int rc = err_errno(e, "open %s", path);
    if (saved == ENOENT) {
        (void)err_hint(e, "check the path; an image is made with: truncate -s 1G %s", path);
    } else if (!is_readonly && (saved == EACCES || saved == EPERM || saved == EROFS)) {
        (void)err_hint(e, "it can't be opened for writing: use readonly, or a copy you own");
    }
    return rc;
}

static int refuse_lock(const char *path, bool is_readonly, struct err *e)
{
    if (errno != EAGAIN && errno != EACCES) {
        const int rc = err_errno(e, "lock %s", path);
        (void)err_hint(e, "put the image on a file system that supports locks");
        return rc;
    }
    if (is_readonly) {
        (void)err_set(e, -EBUSY, "%s is in use by another process that writes to it", path);
        (void)err_hint(e, "stop that process, or use a copy of the image");
    } else {
        (void)err_set(e, -EBUSY, "%s is in use by another process; two writers would destroy it", path);
        (void)err_hint(e, "stop that process, use readonly if it is readonly there too, or use a copy of the image");
    }
    return -EBUSY;
}

/* Does the block device discard? A partition's limits are in the directory of its disk. */
static bool device_discards(dev_t dev)
{
    static const char *const place[] = {"", "../"};
    for (unsigned i = 0; i < 2; i++) {
        char path[96], text[32] = "";
        (void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%squeue/discard_max_bytes", major(dev), minor(dev),
                       place[i]);
        const int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) continue;
        const ssize_t n = read(fd, text, sizeof(text) - 1);
        close(fd);
        return n > 0 && strtoull(text, NULL, 10) > 0;
    }
    return false;
}

/* What was opened, its size, and whether it can be a disk at all. */
static int inspect(struct disk *d, const char *path, struct err *e)
{
    struct stat st;
    if (fstat(d->fd, &st) != 0) return err_errno(e, "stat %s", path);
    if (S_ISDIR(st.st_mode)) {
        (void)err_set(e, -EISDIR, "%s is a directory, not a disk image", path);
        return err_hint(e, "name a file in it, or make an image of it with: mke2fs -d %s", path);
    }
    if (S_ISBLK(st.st_mode)) {
        if (ioctl(d->fd, BLKGETSIZE64, &d->size) != 0) return err_errno(e, "size of %s", path);
        d->can_discard = !d->is_readonly && device_discards(st.st_rdev);
    } else if (S_ISREG(st.st_mode)) {
        d->size = (uint64_t)st.st_size;
        d->can_discard = !d->is_readonly;
    } else {
        (void)err_set(e, -EINVAL, "%s is neither a file nor a block device", path);
        return err_hint(e, "use a disk image or a block device");
    }
    if (d->size == 0) {
        (void)err_set(e, -EINVAL, "%s is empty, and a disk needs at least %d bytes", path, DISK_SECTOR);
        return err_hint(e, "give it a size with: truncate -s 1G %s", path);
    }
    if (d->size % DISK_SECTOR != 0) {
        (void)err_set(e, -EINVAL, "%s has %llu bytes, which is no multiple of %d", path, (unsigned long long)d->size,
                      DISK_SECTOR);
        return err_hint(e, "it is no raw image, or was cut; round it up with: truncate -s %%%d %s", DISK_SECTOR, path);
    }
    return 0;
}

static int lock_image(const struct disk *d, const char *path, struct err *e)
{
    /* Of the open file description: not lost when some other descriptor of the file is closed, and it holds against a
     * second disk of this same process. */
    struct flock lock = {.l_type = d->is_readonly ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(d->fd, F_OFD_SETLK, &lock) == 0 ? 0 : refuse_lock(path, d->is_readonly, e);
}

static struct disk *new_disk(struct err *e)
{
    struct disk *const d = calloc(1, sizeof(*d));
    if (!d) {
        (void)err_set(e, -ENOMEM, "out of memory for a disk");
        (void)err_as(e, ERR_HOST);
        return NULL;
    }
    d->fd = -1;
    return d;
}

int disk_open(struct disk **out, const struct disk_params *p, struct err *e)
{
    struct disk *const d = new_disk(e);
    if (!d) return -ENOMEM;
    d->is_readonly = p->is_readonly;
    d->wanted = p->engine;
    /* O_NONBLOCK: a FIFO must not make us wait for its other end. */
    d->fd = open(p->path, (p->is_readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (d->fd < 0 && errno == EISDIR) d->fd = open(p->path, O_RDONLY | O_CLOEXEC); /* inspect has the better sentence */
    int rc = d->fd < 0 ? refuse_open(p->path, p->is_readonly, e) : inspect(d, p->path, e);
    if (rc == 0) rc = lock_image(d, p->path, e);
    /* io_uring takes O_NONBLOCK as "fail rather than wait", for files too. */
    if (rc == 0 && fcntl(d->fd, F_SETFL, 0) != 0) rc = err_errno(e, "set flags of %s", p->path);
    if (rc != 0) {
        disk_close(d);
        return rc;
    }
    *out = d;
    return 0;
}

int disk_open_ram(struct disk **out, uint64_t size, struct err *e)
{
    assert(size > 0 && size % DISK_SECTOR == 0 && size <= INT64_MAX);
    struct disk *const d = new_disk(e);
    if (!d) return -ENOMEM;
    d->size = size;
    d->can_discard = true;
    d->engine = &disk_engine_direct;
    d->fd = memfd_create("vireo-ram-disk", MFD_CLOEXEC);
    if (d->fd < 0 || ftruncate(d->fd, (off_t)size) != 0) {
        const int rc = err_errno(e, "RAM disk of %llu bytes", (unsigned long long)size);
        (void)err_as(e, ERR_HOST);
        disk_close(d);
        return rc;
    }
    *out = d;
    return 0;
}

void disk_close(struct disk *d)
{
    if (!d) return;
    disk_stop(d);
    if (d->fd >= 0) close(d->fd); /* lets go of the lock */
    free(d);
}

uint64_t disk_sectors(const struct disk *d)
{
    return d->size / DISK_SECTOR;
}

bool disk_is_readonly(const struct disk *d)
{
    return d->is_readonly;
}

bool disk_can_discard(const struct disk *d)
{
    return d->can_discard;
}

/* Steps */

static void zeroing_step(const struct disk *d, enum disk_way way, struct disk_step *s)
{
    s->kind = STEP_ALLOCATE;
    if (way == WAY_PUNCH) {
        s->mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    } else if (way == WAY_ZERO_RANGE) {
        s->mode = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
    } else {
        s->kind = STEP_WRITE;
        s->len = s->len < ZEROS_SIZE ? s->len : ZEROS_SIZE;
        s->zeros = (struct iovec){d->zeros, s->len};
        s->iov = &s->zeros;
        s->iov_count = 1;
    }
}

void disk_next_step(const struct disk *d, const struct disk_request *r, struct disk_step *s)
{
    *s = (struct disk_step){.offset = r->offset + r->progress, .len = r->bytes - r->progress};
    switch (r->op) {
    case DISK_READ:
    case DISK_WRITE:
        s->kind = r->op == DISK_READ ? STEP_READ : STEP_WRITE;
        s->iov = r->iov;
        s->iov_count = r->iov_count;
        break;
    case DISK_FLUSH: s->kind = STEP_SYNC; break;
    case DISK_DISCARD: zeroing_step(d, WAY_PUNCH, s); break;
    case DISK_ZEROES: zeroing_step(d, (enum disk_way)r->way, s); break;
    }
}

int64_t disk_run_step(int fd, const struct disk_step *s)
{
    int64_t n = -1;
    switch (s->kind) {
    case STEP_READ: n = preadv(fd, s->iov, (int)s->iov_count, (off_t)s->offset); break;
    case STEP_WRITE: n = pwritev(fd, s->iov, (int)s->iov_count, (off_t)s->offset); break;
    case STEP_SYNC: n = fdatasync(fd); break;
    case STEP_ALLOCATE: n = fallocate(fd, s->mode, (off_t)s->offset, (off_t)s->len); break;
    }
    return n < 0 ? -errno : n;
}

/* n bytes were moved: the iovec begins where the transfer goes on. */
static void advance(struct disk_request *r, uint64_t n)
{
    r->progress += n;
    while (r->iov_count > 0 && n >= r->iov->iov_len) {
        n -= r->iov->iov_len;
        r->iov++;
        r->iov_count--;
    }
    if (n == 0) return;
    assert(r->iov_count > 0);
    r->iov->iov_base = (uint8_t *)r->iov->iov_base + n;
    r->iov->iov_len -= n;
}

/* The best way from `way` on that is not known to be unsupported; writing always works. */
static unsigned best_way(const struct disk *d, unsigned way)
{
    while (way < WAY_WRITE && !d->has_way[way]) way++;
    return way;
}

/* No such fallocate in this file system. A discard is a hint, and giving nothing back answers it too; for zeroing there
 * is another way. */
static bool settle_unsupported(struct disk *d, struct disk_request *r, int *rc)
{
    *rc = 0;
    if (r->op == DISK_DISCARD) return false;
    d->has_way[r->way] = false;
    r->way = best_way(d, r->way + 1);
    *rc = -ECANCELED;
    return !d->is_stopping;
}

bool disk_settle(struct disk *d, struct disk_request *r, int64_t result, int *rc)
{
    const bool is_zeroing = r->op == DISK_DISCARD || (r->op == DISK_ZEROES && r->way != WAY_WRITE);
    if (result == -EOPNOTSUPP && is_zeroing) return settle_unsupported(d, r, rc);
    if (result == -EINTR || result == -EAGAIN) {
        *rc = -ECANCELED;
        return !d->is_stopping;
    }
    *rc = result < 0 ? (int)result : 0;
    if (result < 0 || is_zeroing || r->op == DISK_FLUSH) return false;
    if (r->op == DISK_ZEROES) {
        r->progress += (uint64_t)result;
    } else {
        advance(r, (uint64_t)result);
    }
    if (r->progress == r->bytes) return false;
    /* Nothing moved, though there is more: the file has shrunk under us. */
    *rc = result == 0 ? -EIO : -ECANCELED;
    return result > 0 && !d->is_stopping;
}

void disk_finish(struct disk *d, struct disk_request *r, int rc)
{
    assert(d->in_flight > 0);
    d->in_flight--;
    r->done(r, rc);
}

void disk_step_done(struct disk *d, struct disk_request *r, int64_t result)
{
    int rc;
    if (disk_settle(d, r, result, &rc)) {
        d->running->submit(d, r);
    } else {
        disk_finish(d, r, rc);
    }
}

void disk_batch_done(struct disk *d)
{
    if (d->batch_fn && !d->is_stopping) d->batch_fn(d->batch_arg);
}

void disk_on_batch(struct disk *d, void (*fn)(void *arg), void *arg)
{
    d->batch_fn = fn;
    d->batch_arg = arg;
}

/* Running */

static int start_engine(struct disk *d, const struct disk_engine *engine)
{
    const int rc = engine->start(d);
    if (rc == 0) d->running = engine;
    return rc;
}

/* The named one, or the first that starts. A kernel without io_uring, a container that forbids it, a limit reached: all
 * are answered by the worker. */
static int choose_engine(struct disk *d)
{
    if (d->engine) return start_engine(d, d->engine);
    if (d->wanted != DISK_ENGINE_WORKER) {
        const int rc = start_engine(d, &disk_engine_uring);
        if (rc == 0 || d->wanted == DISK_ENGINE_URING) return rc;
    }
    return start_engine(d, &disk_engine_worker);
}

int disk_start(struct disk *d, struct loop *loop, struct err *e)
{
    assert(!d->running && d->in_flight == 0);
    d->loop = loop;
    d->is_stopping = false;
    d->has_way[WAY_PUNCH] = d->can_discard;
    d->has_way[WAY_ZERO_RANGE] = d->has_way[WAY_WRITE] = true;
    void *const zeros = mmap(NULL, ZEROS_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int rc = zeros == MAP_FAILED ? -errno : 0;
    d->zeros = rc == 0 ? zeros : NULL;
    if (rc == 0) rc = choose_engine(d);
    if (rc == 0) return 0;
    if (d->zeros) munmap(d->zeros, ZEROS_SIZE);
    d->zeros = NULL;
    (void)err_set(e, rc, "start of disk I/O: %s", strerrordesc_np(-rc));
    (void)err_as(e, ERR_DEVICE);
    return rc;
}

void disk_submit(struct disk *d, struct disk_request *r)
{
    assert(d->running && r->offset <= d->size && r->bytes <= d->size - r->offset);
    r->progress = 0;
    r->way = best_way(d, r->may_unmap ? WAY_PUNCH : WAY_ZERO_RANGE);
    d->in_flight++;
    if (d->is_stopping) { /* from a done called by disk_stop: nothing new is begun */
        disk_finish(d, r, -ECANCELED);
    } else {
        d->running->submit(d, r);
    }
}

void disk_kick(struct disk *d)
{
    d->running->kick(d);
}

void disk_stop(struct disk *d)
{
    if (!d->running) return;
    d->is_stopping = true;
    d->running->kick(d);
    while (d->in_flight > 0) d->running->wait(d); /* each wait ends a step, and no request gets another one */
    d->running->stop(d);
    d->running = NULL;
    munmap(d->zeros, ZEROS_SIZE);
    d->zeros = NULL;
}

/* The engine of a disk in memory. */

static int direct_start(struct disk *d)
{
    (void)d;
    return 0;
}

static void direct_nothing(struct disk *d)
{
    (void)d;
}

/* A loop and not disk_step_done's submit, which would nest once for every piece of a large zeroing. */
static void direct_submit(struct disk *d, struct disk_request *r)
{
    int rc;
    struct disk_step s;
    do {
        disk_next_step(d, r, &s);
    } while (disk_settle(d, r, disk_run_step(d->fd, &s), &rc));
    disk_finish(d, r, rc);
}

const struct disk_engine disk_engine_direct = {
    .name = "direct",
    .start = direct_start,
    .stop = direct_nothing,
    .submit = direct_submit,
    .kick = direct_nothing,
    .wait = direct_nothing,
};

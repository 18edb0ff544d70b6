/* Opening a disk's host side, with all that is refused. The rest is in disk.c. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "devices/disk_engine.h"
#include "vmm/base/fd.h"

static int refuse_open(const char *path, bool is_readonly, struct err *e)
{
    const int saved = errno;
    const int rc = err_errno(e, "open %s", path);
    if (saved == ENOENT) {
        err_hint(e, "check the path; an image is made with: truncate -s 1G %s", path);
    } else if (!is_readonly && (saved == EACCES || saved == EPERM || saved == EROFS)) {
        err_hint(e, "it can't be opened for writing: use readonly, or a copy you own");
    } else if (saved == EBUSY) {
        err_hint(e, "the host has mounted it or uses it otherwise, or another VM does: end that, or use readonly");
    }
    return rc;
}

static int refuse_lock(const char *path, bool is_readonly, struct err *e)
{
    if (errno != EAGAIN && errno != EACCES) {
        const int rc = err_errno(e, "lock %s", path);
        err_hint(e, "put the image on a file system that supports locks");
        return rc;
    }
    if (is_readonly) {
        (void)err_set(e, -EBUSY, "%s is in use by another VM or process that writes to it", path);
        err_hint(e, "stop that one, or use a copy of the image");
    } else {
        (void)err_set(e, -EBUSY, "%s is in use by another VM or process; two writers would destroy it", path);
        err_hint(e, "stop that one, use readonly if it is readonly there too, or use a copy of the image");
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
        const int fd = fd_own(open(path, O_RDONLY | O_CLOEXEC));
        if (fd < 0) continue;
        const ssize_t n = read(fd, text, sizeof(text) - 1);
        close(fd);
        return n > 0 && strtoull(text, NULL, 10) > 0;
    }
    return false;
}

static bool is_tmpfs(int fd)
{
    struct statfs fs;
    return fstatfs(fd, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

/* What was opened, its size, and whether it can be a disk at all. */
static int inspect(struct disk *d, const char *path, struct err *e)
{
    struct stat st;
    if (fstat(d->fd, &st) != 0) return err_errno(e, "stat %s", path);
    if (S_ISDIR(st.st_mode)) {
        (void)err_set(e, -EISDIR, "%s is a directory, not a disk image", path);
        err_hint(e, "name a file in it, or make an image of it with: mke2fs -d %s", path);
        return -EISDIR;
    }
    if (S_ISBLK(st.st_mode)) {
        if (ioctl(d->fd, BLKGETSIZE64, &d->size) != 0) return err_errno(e, "size of %s", path);
        d->can_discard = !d->is_readonly && device_discards(st.st_rdev);
    } else if (S_ISREG(st.st_mode)) {
        d->size = (uint64_t)st.st_size;
        d->can_discard = !d->is_readonly;
        d->is_in_memory = is_tmpfs(d->fd);
    } else {
        (void)err_set(e, -EINVAL, "%s is neither a file nor a block device", path);
        err_hint(e, "use a disk image or a block device");
        return -EINVAL;
    }
    if (d->size == 0) {
        (void)err_set(e, -EINVAL, "%s is empty, and a disk needs at least %d bytes", path, DISK_SECTOR);
        err_hint(e, "give it a size with: truncate -s 1G %s", path);
        return -EINVAL;
    }
    if (d->size % DISK_SECTOR != 0) {
        (void)err_set(e, -EINVAL, "%s has %llu bytes, which is no multiple of %d", path, (unsigned long long)d->size,
                      DISK_SECTOR);
        err_hint(e, "it is no raw image, or was cut; round it up with: truncate -s %%%d %s", DISK_SECTOR, path);
        return -EINVAL;
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

/* Closing does it too, unless a child has a copy: one that was made by clone(2), or just now. */
static void unlock_image(const struct disk *d)
{
    struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    (void)fcntl(d->fd, F_OFD_SETLK, &lock);
}

static void in_forked_child(void *arg)
{
    const struct disk *d = arg;
    close(d->fd);
}

static struct disk *new_disk(struct err *e)
{
    struct disk *const d = calloc(1, sizeof(*d));
    if (!d) {
        (void)err_set(e, -ENOMEM, "out of memory for a disk");
        err_as(e, ERR_HOST);
        return NULL;
    }
    d->fd = -1;
    d->forked = (struct forked){.in_child = in_forked_child, .arg = d};
    return d;
}

int disk_open(struct disk **out, const struct disk_params *p, struct err *e)
{
    struct disk *const d = new_disk(e);
    if (!d) return -ENOMEM;
    d->is_readonly = p->is_readonly;
    d->wanted = p->engine;
    d->on_thread = p->on_thread;
    d->on_thread_arg = p->arg;
    /* O_NONBLOCK: a FIFO must not make us wait for its other end. O_EXCL: a block device that the host has mounted is
     * not to be written (open(2)); it means nothing for a file that is there. */
    d->fd = fd_own(open(p->path, (p->is_readonly ? O_RDONLY : O_RDWR | O_EXCL) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    if (d->fd < 0 && errno == EISDIR)
        d->fd = fd_own(open(p->path, O_RDONLY | O_CLOEXEC)); /* inspect has the better sentence */
    int rc = d->fd < 0 ? refuse_open(p->path, p->is_readonly, e) : inspect(d, p->path, e);
    if (rc == 0) rc = lock_image(d, p->path, e);
    /* io_uring takes O_NONBLOCK as "fail rather than wait", for files too. */
    if (rc == 0 && fcntl(d->fd, F_SETFL, 0) != 0) rc = err_errno(e, "set flags of %s", p->path);
    if (rc != 0) {
        disk_close(d);
        return rc;
    }
    forked_add(&d->forked);
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
    d->is_in_memory = true;
    d->fd = fd_own(memfd_create("vireo-ram-disk", MFD_CLOEXEC));
    if (d->fd < 0 || ftruncate(d->fd, (off_t)size) != 0) {
        const int rc = err_errno(e, "RAM disk of %llu bytes", (unsigned long long)size);
        err_as(e, ERR_HOST);
        disk_close(d);
        return rc;
    }
    forked_add(&d->forked);
    *out = d;
    return 0;
}

void disk_close(struct disk *d)
{
    if (!d) return;
    forked_remove(&d->forked);
    disk_stop(d);
    if (d->fd >= 0) unlock_image(d);
    if (d->fd >= 0) close(d->fd);
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

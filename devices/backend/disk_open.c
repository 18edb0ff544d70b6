/* Opens a disk's host side and refuses what can't be one. The rest is in disk.c. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "devices/backend/disk_engine.h"
#include "vmm/base/fd.h"

static int refuse_open(const char *path, bool is_readonly, struct err *e)
{
    const int saved = errno;
    const int rc = err_errno(e, "open %s", path);
    if (saved == ENOENT)
        err_hint(e, "check the path; an image is made with: truncate -s 1G %s", path);
    else if (!is_readonly && (saved == EACCES || saved == EPERM || saved == EROFS))
        err_hint(e, "it can't be opened for writing: use readonly, or a copy you own");
    else if (saved == EBUSY)
        err_hint(e, "the host has mounted it or uses it otherwise, or another VM does: end that, or use readonly");
    return rc;
}

static int refuse_lock(const char *path, bool is_readonly, struct err *e)
{
    if (errno != EAGAIN && errno != EACCES) { /* ENOLCK, EOPNOTSUPP: NFS without its lock service, and others */
        const int rc = err_errno(e, "lock %s", path);
        err_hint(e, "use a file system that has locks, or lock=off if nobody else can use this image meanwhile");
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

/* File systems whose way of doing it matters to a request. On all others, and on block devices, a buffered write waits
 * in io_uring (those with FOP_BUFFER_WASYNC in the kernel's sources don't). */
static const struct fs_kind {
    uint32_t magic; /* statfs(2) */
    bool is_memory, has_nowait_writes;
} fs_kinds[] = {
    {TMPFS_MAGIC, true, false},
    {RAMFS_MAGIC, true, false},
    {XFS_SUPER_MAGIC, false, true},
    {BTRFS_SUPER_MAGIC, false, true},
};

static struct fs_kind kind_of(int fd)
{
    struct statfs fs;
    if (fstatfs(fd, &fs) != 0) return (struct fs_kind){0};
    for (unsigned i = 0; i < sizeof(fs_kinds) / sizeof(fs_kinds[0]); i++)
        if (fs_kinds[i].magic == (uint32_t)fs.f_type) return fs_kinds[i];
    return (struct fs_kind){0};
}

/* Look at what was opened: its size, and whether it can be a disk at all. */
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
        d->writes_by_thread = !d->is_readonly;
    } else if (S_ISREG(st.st_mode)) {
        d->size = (uint64_t)st.st_size;
        d->can_discard = !d->is_readonly;
        const struct fs_kind kind = kind_of(d->fd);
        d->is_in_memory = kind.is_memory;
        d->writes_by_thread = !d->is_readonly && !kind.has_nowait_writes;
        d->can_be_cut = !d->is_readonly;
    } else {
        (void)err_set(e, -EINVAL, "%s is neither a file nor a block device", path);
        err_hint(e, "use a disk image or a block device");
        return -EINVAL;
    }
    return 0;
}

/* Whole blocks only. The guest never reaches what is beyond them, so this is a warning and no refusal: tools that write
 * up to the last used byte do make raw images that end within a block. */
static int round_size(struct disk *d, const char *path, struct err *e)
{
    const uint64_t beyond = d->size % d->block_size;
    if (d->size < d->block_size) {
        if (d->size == 0)
            (void)err_set(e, -EINVAL, "%s is empty, and a disk needs at least %u bytes", path, d->block_size);
        else
            (void)err_set(e, -EINVAL, "%s has %llu bytes, and a disk needs at least %u", path,
                          (unsigned long long)d->size, d->block_size);
        err_hint(e, "give it a size with: truncate -s 1G %s", path);
        return -EINVAL;
    }
    d->size -= beyond;
    if (beyond == 0) return 0;
    log_write(d->log, LOG_WARN,
              "%s ends within a block: the guest does not see its last %llu bytes; round it up with: "
              "truncate -s %%%u %s",
              path, (unsigned long long)beyond, d->block_size, path);
    return 0;
}

/* How images of other formats begin, and how VHD ends. A guest can use nothing of such an image as a raw disk, and its
 * first write destroys the image. */
#define MAGIC(text) text, sizeof(text) - 1
static const struct format {
    const char *name;
    bool is_at_end;  /* found in the last FORMAT_BYTES, else in the first */
    unsigned offset; /* there */
    const char *magic;
    unsigned len;
} formats[] = {
    {"qcow2", false, 0, MAGIC("QFI\xfb")},
    {"QED", false, 0, MAGIC("QED\0")},
    {"VMDK", false, 0, MAGIC("KDMV")},
    {"VMDK", false, 0, MAGIC("COWD")},
    {"VMDK", false, 0, MAGIC("# Disk DescriptorFile")},
    {"VHDX", false, 0, MAGIC("vhdxfile")},
    {"VHD", false, 0, MAGIC("conectix")},
    {"VHD", true, 0, MAGIC("conectix")},
    {"VDI", false, 0x40, MAGIC("\x7f\x10\xda\xbe")},
};
#define FORMAT_BYTES 512

static int check_format(const struct disk *d, const char *path, struct err *e)
{
    char piece[2][FORMAT_BYTES] = {"", ""};
    const off_t end = d->size > FORMAT_BYTES ? (off_t)(d->size - FORMAT_BYTES) : 0;
    if (pread(d->fd, piece[0], FORMAT_BYTES, 0) < 0 || pread(d->fd, piece[1], FORMAT_BYTES, end) < 0)
        return err_errno(e, "read %s", path);
    for (unsigned i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        const struct format *f = &formats[i];
        if (memcmp(piece[f->is_at_end] + f->offset, f->magic, f->len) != 0) continue;
        (void)err_set(e, -EINVAL, "%s is a %s image, and a disk here is a raw one", path, f->name);
        err_hint(e, "convert it with: qemu-img convert -O raw %s NEW; or add format=raw if it is raw all the same",
                 path);
        return -EINVAL;
    }
    return 0;
}

static int lock_image(struct disk *d, const char *path, struct err *e)
{
    /* A lock of the open file description: it is not lost when another descriptor of the file is closed, and it also
     * holds against a second disk of this process. */
    struct flock lock = {.l_type = d->is_readonly ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(d->fd, F_OFD_SETLK, &lock) != 0) return refuse_lock(path, d->is_readonly, e);
    d->is_locked = true;
    return 0;
}

static int refuse_engine(const char *path, int rc, struct err *e)
{
    (void)err_set(e, rc, "I/O of %s: %s", path, strerrordesc_np(-rc));
    if (rc == -EMFILE) err_hint(e, "allow more open files: ulimit -n");
    err_as(e, ERR_HOST);
    return rc;
}

/* Closing unlocks too, unless a child has a copy: one made by clone(2), or one made just now. */
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
    struct disk *d = calloc(1, sizeof(*d));
    if (!d) {
        (void)err_set(e, -ENOMEM, "out of memory for a disk");
        err_as(e, ERR_HOST);
        return NULL;
    }
    d->fd = -1;
    disk_init_timer(d);
    d->forked = (struct forked){.in_child = in_forked_child, .arg = d};
    d->block_size = DISK_SECTOR;
    d->has_nowait = true;
    return d;
}

/* The rest, once it is known what the disk is. */
static int set_up(struct disk *d, const char *path, struct err *e)
{
    d->has_way[WAY_PUNCH] = d->can_discard;
    d->has_way[WAY_ZERO_RANGE] = d->has_way[WAY_WRITE] = true;
    void *zeros = mmap(NULL, DISK_ZEROS_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (zeros == MAP_FAILED) return refuse_engine(path, -errno, e);
    d->zeros = zeros;
    const int rc = disk_use_engine(d, NULL);
    return rc == 0 ? 0 : refuse_engine(path, rc, e);
}

int disk_open(struct disk **out, const struct disk_params *p, struct err *e)
{
    assert(p->block_size == 0 || p->block_size == DISK_SECTOR || p->block_size == DISK_BLOCK_MAX);
    struct disk *d = new_disk(e);
    if (!d) return -ENOMEM;
    if (p->block_size != 0) d->block_size = p->block_size;
    d->is_readonly = p->is_readonly;
    d->wanted = p->engine;
    d->log = p->log;
    d->on_thread = p->on_thread;
    d->on_thread_arg = p->arg;
    /* O_NONBLOCK: a FIFO must not make us wait for its other end. O_EXCL: a block device that the host has mounted is
     * not to be written (open(2)); it means nothing for a file that is there. */
    d->fd = fd_own(open(p->path, (p->is_readonly ? O_RDONLY : O_RDWR | O_EXCL) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    if (d->fd < 0 && errno == EISDIR)
        d->fd = fd_own(open(p->path, O_RDONLY | O_CLOEXEC)); /* inspect has the better sentence */
    int rc = d->fd < 0 ? refuse_open(p->path, p->is_readonly, e) : inspect(d, p->path, e);
    if (rc == 0 && !p->is_raw) rc = check_format(d, p->path, e);
    if (rc == 0) rc = round_size(d, p->path, e);
    if (rc == 0 && !p->is_unlocked) rc = lock_image(d, p->path, e);
    /* io_uring takes O_NONBLOCK as "fail rather than wait", for files too. */
    if (rc == 0 && fcntl(d->fd, F_SETFL, 0) != 0) rc = err_errno(e, "set flags of %s", p->path);
    if (rc == 0) rc = set_up(d, p->path, e);
    if (rc != 0) {
        disk_close(d);
        return rc;
    }
    forked_add(&d->forked);
    *out = d;
    return 0;
}

/* Sealed, so that its size can't change: see disk_run_step. */
static int make_memory(uint64_t size)
{
    const int fd = fd_own(memfd_create("vireo-ram-disk", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (fd < 0) return -errno;
    if (ftruncate(fd, (off_t)size) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        return fd;
    const int rc = -errno;
    close(fd);
    return rc;
}

int disk_open_ram(struct disk **out, uint64_t size, struct err *e)
{
    assert(size > 0 && size % DISK_SECTOR == 0 && size <= INT64_MAX);
    struct disk *d = new_disk(e);
    if (!d) return -ENOMEM;
    d->size = size;
    d->can_discard = true;
    d->is_in_memory = true;
    d->fd = make_memory(size);
    int rc = d->fd < 0 ? d->fd : 0;
    if (rc != 0) {
        (void)err_set(e, rc, "RAM disk of %llu bytes: %s", (unsigned long long)size, strerrordesc_np(-rc));
        err_as(e, ERR_HOST);
    }
    if (rc == 0) rc = set_up(d, "a RAM disk", e);
    if (rc != 0) {
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
    assert(!d->is_running || d->in_flight == 0);
    forked_remove(&d->forked);
    disk_close_engine(d);
    if (d->zeros) munmap(d->zeros, DISK_ZEROS_SIZE);
    if (d->is_locked) unlock_image(d);
    if (d->fd >= 0) close(d->fd);
    free(d);
}

uint64_t disk_sectors(const struct disk *d)
{
    return d->size / DISK_SECTOR;
}

uint32_t disk_block_size(const struct disk *d)
{
    return d->block_size;
}

bool disk_is_readonly(const struct disk *d)
{
    return d->is_readonly;
}

bool disk_can_discard(const struct disk *d)
{
    return d->can_discard;
}

/* Calls that name a file: opening, asking, making and removing. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/sandbox/process.h"

#define OPEN_FLAGS                                                                                                     \
    (O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_DSYNC | O_SYNC | O_DIRECTORY |      \
     O_NOFOLLOW | O_CLOEXEC)
#define KERNEL_LARGEFILE                                                                                               \
    0100000 /* x86's O_LARGEFILE, which glibc hides; arm64's is 0400000: both mean nothing here                        \
             */
#define DIRENT_BUFFER (32u << 10)
#define VIRTUAL_MODE  (S_IFDIR | 0555)

/* ---- opening ---- */

struct builtin {
    const char *path;
    enum file_kind kind;
};
static const struct builtin builtins[] = {
    {"/dev/null", FILE_NULL},
    {"/dev/zero", FILE_ZERO},
    {"/dev/urandom", FILE_RANDOM},
    {"/dev/random", FILE_RANDOM},
};

static const struct builtin *builtin_at(const struct place *at)
{
    for (unsigned i = 0; !at->dir && i < sizeof(builtins) / sizeof(builtins[0]); i++)
        if (strcmp(at->full, builtins[i].path) == 0) return &builtins[i];
    return NULL;
}

/* "/dev/fd/N", "/proc/self/fd/N", "/dev/stdin": a descriptor that it has. -1: none of these. */
static int named_descriptor(const struct place *at)
{
    static const char *const places[] = {"/dev/fd/", "/proc/self/fd/"};
    static const char *const streams[] = {"/dev/stdin", "/dev/stdout", "/dev/stderr"};
    if (at->dir) return -1;
    for (int i = 0; i < 3; i++)
        if (strcmp(at->full, streams[i]) == 0) return i;
    for (unsigned i = 0; i < 2; i++) {
        const size_t n = strlen(places[i]);
        if (strncmp(at->full, places[i], n) != 0 || !at->full[n] || strlen(at->full + n) > 4) continue;
        if (strspn(at->full + n, "0123456789") == strlen(at->full + n)) return atoi(at->full + n);
    }
    return -1;
}

static int64_t add_open(struct process *p, struct file *f, int flags, const char *path)
{
    if (!f) return -ENOMEM;
    f->can_read = (flags & O_ACCMODE) != O_WRONLY;
    f->can_write = (flags & O_ACCMODE) != O_RDONLY;
    f->flags = flags & (O_APPEND | O_NONBLOCK);
    if (path && !(f->path = strdup(path))) {
        file_drop(f);
        return -ENOMEM;
    }
    return files_add(p, f, 0, flags & O_CLOEXEC);
}

/* Only files and directories: what else lies in a directory of the policy may lead anywhere. Looked at without opening
 * it, and again once it is open. */
int place_check(int fd, bool *is_dir)
{
    struct stat st;
    if (fstat(fd, &st)) return -errno;
    *is_dir = S_ISDIR(st.st_mode);
    if (S_ISLNK(st.st_mode)) return -ELOOP; /* that was not to be followed */
    return *is_dir || S_ISREG(st.st_mode) ? 0 : -EACCES;
}

static int64_t open_host(struct process *p, const struct place *at, int flags, unsigned mode)
{
    const bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC));
    bool is_dir = false;
    if (at->dir && writes && !at->dir->is_writable) {
        const int there = path_open(at, O_PATH, 0);
        if (there >= 0) (void)close(there);
        if (there < 0 && !(flags & O_CREAT)) return there;
        if (there < 0 || (flags & (O_TRUNC)) || (flags & O_ACCMODE) != O_RDONLY) return -EROFS;
        flags &= ~O_CREAT;
    }
    const int probe = path_open(at, O_PATH | (flags & O_NOFOLLOW), 0);
    if (probe >= 0) {
        const int rc = place_check(probe, &is_dir);
        (void)close(probe);
        if (rc) return rc;
    } else if (probe != -ENOENT || !(flags & O_CREAT)) {
        return probe;
    }
    const uint64_t cost = probe == -ENOENT ? POLICY_NAME_COST : 0;
    if (written_take_all(p, cost)) return -EDQUOT;
    const int fd = path_open(at, (flags & OPEN_FLAGS) | O_NONBLOCK | O_NOCTTY, mode & 0777 & ~p->umask);
    if (fd < 0) {
        written_give(p, cost);
        return fd;
    }
    const int rc = place_check(fd, &is_dir);
    if (rc) {
        (void)close(fd);
        return rc;
    }
    struct file *f = file_create(FILE_HOST, fd);
    return add_open(p, f, flags, is_dir ? at->full : NULL);
}

static int64_t open_place(struct process *p, const struct place *at, int flags, unsigned mode)
{
    const struct builtin *own = builtin_at(at);
    const int descriptor = named_descriptor(at);
    if ((flags & O_TMPFILE) == O_TMPFILE || (flags & O_PATH)) return -EOPNOTSUPP;
    if (at->has_slash && (flags & O_CREAT)) return -EISDIR;
    if (at->wants_dir && (own || descriptor >= 0)) return -ENOTDIR;
    if (own) return add_open(p, file_create(own->kind, -1), flags, NULL);
    if (descriptor >= 0) {
        struct file *f = files_get(p, descriptor);
        return f ? files_add(p, file_hold(f), 0, flags & O_CLOEXEC) : -ENOENT;
    }
    if (at->is_virtual) {
        if ((flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT)) return flags & O_EXCL ? -EEXIST : -EISDIR;
        return add_open(p, file_create(FILE_VIRTUAL, -1), flags, at->full);
    }
    if (!at->dir && (flags & O_CREAT)) return -EROFS;
    return open_host(p, at, flags, mode);
}

static int64_t open_at(struct process *p, int at, uint64_t path, int flags, unsigned mode)
{
    struct place place;
    const int rc = path_find(p, at, path, &place);
    return rc ? rc : open_place(p, &place, flags & ~KERNEL_LARGEFILE, mode);
}

int64_t call_open(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    return open_at(p, AT_FDCWD, arg[0], (int)arg[1], (unsigned)arg[2]);
}

int64_t call_creat(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    return open_at(p, AT_FDCWD, arg[0], O_CREAT | O_WRONLY | O_TRUNC, (unsigned)arg[1]);
}

int64_t call_openat(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    return open_at(p, (int)arg[0], arg[1], (int)arg[2], (unsigned)arg[3]);
}

/* ---- asking ---- */

/* A descriptor that only names what is at the place (O_PATH). -EISDIR: a virtual directory. */
int place_open(const struct place *at, bool follows)
{
    return path_open(at, O_PATH | (follows ? 0 : O_NOFOLLOW), 0);
}

static void virtual_stat(struct stat *st)
{
    *st = (struct stat){.st_mode = VIRTUAL_MODE, .st_nlink = 2, .st_ino = 1, .st_blksize = 4096};
}

static void builtin_stat(struct stat *st)
{
    *st = (struct stat){.st_mode = S_IFCHR | 0666, .st_nlink = 1, .st_ino = 2, .st_blksize = 4096};
}

static int stat_file(const struct file *f, struct stat *st)
{
    if (f->kind == FILE_HOST) return fstat(f->fd, st) ? -errno : 0;
    if (f->kind == FILE_VIRTUAL)
        virtual_stat(st);
    else
        builtin_stat(st);
    return 0;
}

int place_stat(const struct place *at, bool follows, struct stat *st)
{
    if (builtin_at(at)) {
        builtin_stat(st);
        return 0;
    }
    const int fd = place_open(at, follows);
    if (fd == -EISDIR && at->is_virtual) {
        virtual_stat(st);
        return 0;
    }
    if (fd < 0) return fd;
    const int rc = fstat(fd, st) ? -errno : 0;
    (void)close(fd);
    return rc;
}

/* The *at calls with AT_EMPTY_PATH ask about the descriptor itself. */
static int stat_at(struct process *p, int at, uint64_t path_va, int flags, struct stat *st)
{
    char path[PATH_MAX];
    struct place place;
    if (path_va == 0 && (flags & AT_EMPTY_PATH))
        path[0] = 0;
    else {
        const int n = space_read_string(p->space, path_va, path, sizeof(path));
        if (n < 0) return n;
    }
    if (!path[0] && (flags & AT_EMPTY_PATH)) {
        const struct file *f = files_get(p, at);
        if (at == AT_FDCWD) return path_find_text(p, at, ".", &place) ? -ENOENT : place_stat(&place, true, st);
        return f ? stat_file(f, st) : -EBADF;
    }
    const int rc = path_find_text(p, at, path, &place);
    if (rc) return rc;
    const int descriptor = named_descriptor(&place);
    if (descriptor >= 0) {
        const struct file *f = files_get(p, descriptor);
        return f ? stat_file(f, st) : -ENOENT;
    }
    return place_stat(&place, !(flags & AT_SYMLINK_NOFOLLOW), st);
}

static int64_t tell_stat(struct process *p, int rc, uint64_t to, const struct stat *st)
{
    return rc ? rc : space_write(p->space, to, st, sizeof(*st));
}

int64_t call_stat(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    struct stat st;
    return tell_stat(p, stat_at(p, AT_FDCWD, arg[0], 0, &st), arg[1], &st);
}

int64_t call_lstat(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    struct stat st;
    return tell_stat(p, stat_at(p, AT_FDCWD, arg[0], AT_SYMLINK_NOFOLLOW, &st), arg[1], &st);
}

int64_t call_fstat(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    struct stat st;
    const struct file *f = files_get(p, (int64_t)arg[0]);
    return f ? tell_stat(p, stat_file(f, &st), arg[1], &st) : -EBADF;
}

int64_t call_newfstatat(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    struct stat st;
    if (arg[3] & ~(uint64_t)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT)) return -EINVAL;
    return tell_stat(p, stat_at(p, (int)arg[0], arg[1], (int)arg[3], &st), arg[2], &st);
}

static struct statx_timestamp stamp(const struct timespec *t)
{
    return (struct statx_timestamp){.tv_sec = t->tv_sec, .tv_nsec = (uint32_t)t->tv_nsec};
}

int64_t call_statx(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    struct stat st;
    if (arg[3] & STATX__RESERVED) return -EINVAL;
    const int rc = stat_at(p, (int)arg[0], arg[1], (int)arg[2], &st);
    if (rc) return rc;
    const struct statx x = {
        .stx_mask = STATX_BASIC_STATS,
        .stx_blksize = (uint32_t)st.st_blksize,
        .stx_nlink = (uint32_t)st.st_nlink,
        .stx_uid = st.st_uid,
        .stx_gid = st.st_gid,
        .stx_mode = (uint16_t)st.st_mode,
        .stx_ino = st.st_ino,
        .stx_size = (uint64_t)st.st_size,
        .stx_blocks = (uint64_t)st.st_blocks,
        .stx_atime = stamp(&st.st_atim),
        .stx_mtime = stamp(&st.st_mtim),
        .stx_ctime = stamp(&st.st_ctim),
        .stx_dev_minor = 1,
    };
    return space_write(p->space, arg[4], &x, sizeof(x));
}

static int64_t access_at(struct process *p, int at, uint64_t path, int mode, int flags)
{
    struct stat st;
    struct place place;
    if (mode & ~7) return -EINVAL;
    const int rc = stat_at(p, at, path, flags, &st);
    if (rc) return rc;
    if (path_find(p, at, path, &place) == 0 && place.dir && (mode & W_OK) && !place.dir->is_writable) return -EROFS;
    const unsigned bits = (mode & R_OK ? 0444u : 0) | (mode & W_OK ? 0222u : 0) | (mode & X_OK ? 0111u : 0);
    return mode == F_OK || (st.st_mode & bits) ? 0 : -EACCES;
}

int64_t call_access(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    return access_at(p, AT_FDCWD, arg[0], (int)arg[1], 0);
}

int64_t call_faccessat(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    return access_at(p, (int)arg[0], arg[1], (int)arg[2], 0);
}

static int64_t tell_text(struct process *p, const char *text, size_t len, uint64_t to, uint64_t size)
{
    if (len > size) len = size;
    return space_write(p->space, to, text, len) ? -EFAULT : (int64_t)len;
}

static int64_t read_link(struct process *p, int at, uint64_t path, uint64_t to, uint64_t size)
{
    char text[PATH_MAX];
    struct place place;
    const int rc = path_find(p, at, path, &place);
    if (rc) return rc;
    if (size == 0 || size > INT_MAX) return -EINVAL;
    if (!place.dir && strcmp(place.full, "/proc/self/exe") == 0) return tell_text(p, p->exe, strlen(p->exe), to, size);
    const int fd = place_open(&place, false);
    if (fd < 0) return fd == -EISDIR ? -EINVAL : fd;
    const ssize_t n = readlinkat(fd, "", text, sizeof(text));
    const int failed = errno;
    (void)close(fd);
    if (n < 0)
        return failed == ENOENT ? -EINVAL : -failed; /* no link: what readlinkat says of a descriptor is ENOENT */
    return tell_text(p, text, (size_t)n, to, size);
}

int64_t call_readlink(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    return read_link(p, AT_FDCWD, arg[0], arg[1], arg[2]);
}

int64_t call_readlinkat(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    return read_link(p, (int)arg[0], arg[1], arg[2], arg[3]);
}

/* ---- directories ---- */

struct entry_head { /* struct linux_dirent64 */
    uint64_t ino;
    int64_t off;
    uint16_t len;
    uint8_t type;
    char name[];
} __attribute__((packed));

/* The name that a virtual directory has for entry `index`: the next component of a place below it, each once. */
static bool virtual_name(const struct process *p, const char *path, uint64_t index, char *name, size_t size)
{
    const size_t n = strcmp(path, "/") == 0 ? 0 : strlen(path);
    uint64_t seen = 0;
    for (unsigned i = 0; i < p->policy->dirs; i++) {
        const char *at = p->policy->dir[i].at;
        if (strncmp(at, path, n) != 0 || at[n] != '/' || !at[n + 1]) continue;
        const size_t len = strcspn(at + n + 1, "/");
        bool is_again = false;
        for (unsigned k = 0; k < i; k++)
            is_again |= strncmp(p->policy->dir[k].at, at, n + 1 + len) == 0 &&
                        strchr("/", p->policy->dir[k].at[n + 1 + len]) != NULL;
        if (is_again || seen++ != index) continue;
        (void)snprintf(name, size, "%.*s", (int)len, at + n + 1);
        return true;
    }
    return false;
}

static int64_t list_virtual(struct process *p, struct file *f, uint64_t to, uint64_t size)
{
    union {
        struct entry_head head;
        char bytes[sizeof(struct entry_head) + NAME_MAX + 16];
    } entry;
    uint64_t done = 0;
    for (;; f->at++) {
        char name[NAME_MAX + 1];
        const uint64_t at = atomic_load(&f->at);
        if (at < 2)
            (void)snprintf(name, sizeof(name), "%s", at ? ".." : ".");
        else if (!virtual_name(p, f->path, at - 2, name, sizeof(name)))
            return (int64_t)done;
        const size_t len = (sizeof(entry.head) + strlen(name) + 1 + 7) & ~(size_t)7;
        memset(&entry, 0, sizeof(entry));
        entry.head = (struct entry_head){.ino = at + 1, .off = (int64_t)at + 1, .len = (uint16_t)len, .type = DT_DIR};
        memcpy(entry.bytes + sizeof(entry.head), name, strlen(name) + 1);
        if (len > size - done) return done ? (int64_t)done : -EINVAL;
        if (space_write(p->space, to + done, &entry, len)) return done ? (int64_t)done : -EFAULT;
        done += len;
    }
}

int64_t call_getdents(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    struct file *f = files_get(p, (int64_t)arg[0]);
    const unsigned size = (unsigned)arg[2];
    if (!f) return -EBADF;
    if (!f->path) return -ENOTDIR;
    if (f->kind == FILE_VIRTUAL) return list_virtual(p, f, arg[1], size);
    void *buffer = malloc(DIRENT_BUFFER);
    if (!buffer) return -ENOMEM;
    const off_t before = lseek(f->fd, 0, SEEK_CUR);
    int64_t n = syscall(SYS_getdents64, f->fd, buffer, size < DIRENT_BUFFER ? size : DIRENT_BUFFER);
    if (n < 0) n = -errno;
    if (n > 0 && space_write(p->space, arg[1], buffer, (uint64_t)n)) {
        (void)lseek(f->fd, before, SEEK_SET);
        n = -EFAULT;
    }
    free(buffer);
    return n;
}

static int64_t change_dir(struct process *p, const struct place *at)
{
    struct stat st;
    const int rc = place_stat(at, true, &st);
    if (rc) return rc;
    if (!S_ISDIR(st.st_mode)) return -ENOTDIR;
    return process_set_cwd(p, at->full);
}

int64_t call_chdir(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    struct place place;
    const int rc = path_find(p, AT_FDCWD, arg[0], &place);
    return rc ? rc : change_dir(p, &place);
}

int64_t call_fchdir(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    const struct file *f = files_get(p, (int64_t)arg[0]);
    if (!f) return -EBADF;
    if (!f->path) return -ENOTDIR;
    return process_set_cwd(p, f->path);
}

int64_t call_getcwd(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    const size_t len = strlen(p->cwd) + 1;
    return arg[1] < len ? -ERANGE : tell_text(p, p->cwd, len, arg[0], len);
}

static int64_t tell_statfs(struct process *p, int fd, uint64_t to)
{
    struct statfs s;
    if (fd < 0) return fd;
    const int rc = fstatfs(fd, &s) ? -errno : 0;
    return rc ? rc : space_write(p->space, to, &s, sizeof(s));
}

int64_t call_statfs(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    struct place place;
    const int rc = path_find(p, AT_FDCWD, arg[0], &place);
    if (rc) return rc;
    const int fd = place_open(&place, true);
    const int64_t result = tell_statfs(p, fd, arg[1]);
    if (fd >= 0) (void)close(fd);
    return result;
}

int64_t call_fstatfs(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    const struct file *f = files_get(p, (int64_t)arg[0]);
    return !f ? -EBADF : f->kind == FILE_HOST ? tell_statfs(p, f->fd, arg[1]) : -ENOSYS;
}

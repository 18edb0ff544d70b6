/* The module's descriptors: their table, their rights, and the calls that are about them rather than about bytes. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/wasi/wasi.h"

#define PREOPENS_MAX 64 /* more than `vireo exec` takes directories */
#define FD_FIRST     3u
#define NS_PER_S     1000000000u

enum { FDFLAG_APPEND = 1, FDFLAG_DSYNC = 2, FDFLAG_NONBLOCK = 4, FDFLAG_RSYNC = 8, FDFLAG_SYNC = 16 };
enum { FST_ATIM = 1, FST_ATIM_NOW = 2, FST_MTIM = 4, FST_MTIM_NOW = 8 };

/* ---- the table ---- */

uint8_t wasi_filetype(unsigned mode)
{
    switch (mode & S_IFMT) {
    case S_IFBLK: return FILETYPE_BLOCK;
    case S_IFCHR: return FILETYPE_CHARACTER;
    case S_IFDIR: return FILETYPE_DIR;
    case S_IFREG: return FILETYPE_FILE;
    case S_IFSOCK: return FILETYPE_STREAM;
    case S_IFLNK: return FILETYPE_LINK;
    default: return FILETYPE_UNKNOWN;
    }
}

uint32_t wasi_fd_get(struct wasi *w, uint32_t fd, uint64_t rights, struct wasi_fd **out)
{
    if (fd >= WASI_FDS_MAX || w->fd[fd].host < 0) return WASI_BADF;
    if ((w->fd[fd].rights & rights) != rights) return WASI_NOTCAPABLE;
    *out = &w->fd[fd];
    return WASI_OK;
}

static uint32_t learn_type(struct wasi_fd *f)
{
    struct stat st;
    if (fstat(f->host, &st) < 0) return wasi_last();
    f->type = wasi_filetype(st.st_mode);
    /* wasi-libc takes a character device that can't seek for a terminal. */
    if (f->type != FILETYPE_FILE && f->type != FILETYPE_BLOCK) f->rights &= ~(RIGHT(FD_SEEK) | RIGHT(FD_TELL));
    return WASI_OK;
}

/* A standard file may be closed: then its number is given to what is opened next, and a trap's sentence would go there.
 */
static int above_standard(int host)
{
    if (host < 0 || host >= (int)FD_FIRST) return host;
    const int fd = fcntl(host, F_DUPFD_CLOEXEC, FD_FIRST);
    (void)close(host);
    return fd;
}

uint32_t wasi_fd_add(struct wasi *w, struct wasi_fd f, uint32_t *fd)
{
    uint32_t i = FD_FIRST;
    f.host = above_standard(f.host);
    if (f.host < 0) return wasi_last();
    while (i < WASI_FDS_MAX && w->fd[i].host >= 0) i++;
    const uint32_t rc = i == WASI_FDS_MAX ? (uint32_t)WASI_MFILE : learn_type(&f);
    if (rc) {
        (void)close(f.host);
        return rc;
    }
    w->fd[i] = f;
    *fd = i;
    return WASI_OK;
}

static uint32_t shut(struct wasi_fd *f)
{
    const int rc = close(f->host);
    *f = (struct wasi_fd){.host = -1};
    return rc < 0 ? wasi_last() : (uint32_t)WASI_OK;
}

static void preopen(struct wasi *w, const char *dir, const char *as)
{
    uint32_t fd;
    const int host = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct wasi_fd f = {.host = host, .rights = RIGHTS_ALL, .inheriting = RIGHTS_ALL, .preopen = as};
    if (host >= 0) (void)wasi_fd_add(w, f, &fd);
}

/* "DIR[=AS]" among others, cut out of a copy. */
static void preopen_listed(struct wasi *w, const char *list)
{
    char *at = w->listed = strdup(list), *one;
    for (unsigned n = 0; at && n < PREOPENS_MAX && (one = strsep(&at, ":")) != NULL; n++) {
        char *as = strchr(one, '=');
        if (as) *as++ = '\0';
        if (*one) preopen(w, one, as && *as ? as : one);
    }
}

/* What any program would find here. wasi-libc can't tell "/" from ".": both are the beginning of every path. So where
 * the working directory is not "/", it takes that place, and each directory in "/" is opened by its own name. */
static void preopen_all(struct wasi *w)
{
    static char name[PREOPENS_MAX][NAME_MAX + 2];
    char cwd[2] = "";
    unsigned n = 0;
    const struct dirent *d;
    if (getcwd(cwd, sizeof(cwd))) {
        preopen(w, "/", "/"); /* a longer path does not fit */
        return;
    }
    preopen(w, ".", ".");
    DIR *root = opendir("/");
    while (root && n < PREOPENS_MAX && (d = readdir(root)) != NULL) {
        if (d->d_name[0] == '.' || (d->d_type != DT_DIR && d->d_type != DT_UNKNOWN)) continue;
        (void)snprintf(name[n], sizeof(name[n]), "/%s", d->d_name);
        preopen(w, name[n], name[n]);
        n++;
    }
    if (root) (void)closedir(root);
}

void wasi_init(struct wasi *w, char **argv, char **envp, const char *preopens)
{
    *w = (struct wasi){.argv = argv, .envp = envp};
    for (unsigned i = 0; i < WASI_FDS_MAX; i++) {
        w->fd[i] = (struct wasi_fd){.host = i < FD_FIRST ? (int)i : -1, .rights = RIGHTS_ALL};
        if (i < FD_FIRST && learn_type(&w->fd[i])) w->fd[i].host = -1;
    }
    if (preopens)
        preopen_listed(w, preopens);
    else
        preopen_all(w);
}

void wasi_fini(struct wasi *w)
{
    for (unsigned i = FD_FIRST; i < WASI_FDS_MAX; i++)
        if (w->fd[i].host >= 0) (void)shut(&w->fd[i]);
    free(w->listed);
    w->listed = NULL;
}

/* ---- open, close, renumber ---- */

uint32_t WASI_CALL(fd_close)(struct wasi *w, uint32_t fd)
{
    struct wasi_fd *f;
    const uint32_t rc = wasi_fd_get(w, fd, 0, &f);
    return rc ? rc : shut(f);
}

uint32_t WASI_CALL(fd_renumber)(struct wasi *w, uint32_t from, uint32_t to)
{
    struct wasi_fd *f, *t;
    uint32_t rc = wasi_fd_get(w, from, 0, &f);
    if (rc == WASI_OK) rc = wasi_fd_get(w, to, 0, &t);
    if (rc || f == t) return rc;
    if (f->preopen || t->preopen) return WASI_NOTSUP;
    (void)shut(t);
    *t = *f;
    *f = (struct wasi_fd){.host = -1};
    return WASI_OK;
}

/* ---- preopened directories ---- */

uint32_t WASI_CALL(fd_prestat_get)(struct wasi *w, uint32_t fd, uint32_t at)
{
    struct wasi_fd *f;
    const uint32_t rc = wasi_fd_get(w, fd, 0, &f);
    if (rc || !f->preopen) return WASI_BADF;
    const uint32_t prestat[2] = {0 /* a directory */, (uint32_t)strlen(f->preopen)};
    return wasi_put(w, at, prestat, sizeof(prestat));
}

uint32_t WASI_CALL(fd_prestat_dir_name)(struct wasi *w, uint32_t fd, uint32_t at, uint32_t size)
{
    struct wasi_fd *f;
    const uint32_t rc = wasi_fd_get(w, fd, 0, &f);
    if (rc || !f->preopen) return WASI_BADF;
    const size_t len = strlen(f->preopen);
    return size < len ? (uint32_t)WASI_NAMETOOLONG : wasi_put(w, at, f->preopen, (uint32_t)len);
}

/* ---- flags and rights ---- */

static const struct {
    unsigned wasi_flag;
    int host;
} flag_table[] = {{FDFLAG_APPEND, O_APPEND},
                  {FDFLAG_DSYNC, O_DSYNC},
                  {FDFLAG_NONBLOCK, O_NONBLOCK},
                  {FDFLAG_RSYNC, O_RSYNC},
                  {FDFLAG_SYNC, O_SYNC}};

int wasi_open_flags(uint32_t fdflags)
{
    int flags = 0;
    for (unsigned i = 0; i < sizeof(flag_table) / sizeof(flag_table[0]); i++)
        if (fdflags & flag_table[i].wasi_flag) flags |= flag_table[i].host;
    return flags;
}

uint32_t WASI_CALL(fd_fdstat_get)(struct wasi *w, uint32_t fd, uint32_t at)
{
    struct wasi_fd *f;
    const uint32_t rc = wasi_fd_get(w, fd, 0, &f);
    if (rc) return rc;
    const int flags = fcntl(f->host, F_GETFL);
    if (flags < 0) return wasi_last();
    struct {
        uint8_t type, pad;
        uint16_t flags;
        uint32_t pad2;
        uint64_t rights, inheriting;
    } stat = {.type = f->type, .rights = f->rights, .inheriting = f->inheriting};
    for (unsigned i = 0; i < sizeof(flag_table) / sizeof(flag_table[0]); i++)
        if ((flags & flag_table[i].host) == flag_table[i].host) stat.flags |= (uint16_t)flag_table[i].wasi_flag;
    return wasi_put(w, at, &stat, sizeof(stat));
}

/* Linux changes O_APPEND and O_NONBLOCK of an open file, not how it is synchronised (fcntl(2)). */
uint32_t WASI_CALL(fd_fdstat_set_flags)(struct wasi *w, uint32_t fd, uint32_t fdflags)
{
    struct wasi_fd *f;
    const uint32_t rc = wasi_fd_get(w, fd, RIGHT(FD_FDSTAT_SET_FLAGS), &f);
    if (rc) return rc;
    if (fdflags & ~(uint32_t)(FDFLAG_APPEND | FDFLAG_NONBLOCK)) return WASI_NOTSUP;
    return fcntl(f->host, F_SETFL, wasi_open_flags(fdflags)) < 0 ? wasi_last() : (uint32_t)WASI_OK;
}

uint32_t WASI_CALL(fd_fdstat_set_rights)(struct wasi *w, uint32_t fd, uint64_t rights, uint64_t inheriting)
{
    struct wasi_fd *f;
    const uint32_t rc = wasi_fd_get(w, fd, rights, &f); /* there are only fewer */
    if (rc) return rc;
    if (inheriting & ~f->inheriting) return WASI_NOTCAPABLE;
    f->rights = rights;
    f->inheriting = inheriting;
    return WASI_OK;
}

/* ---- size, times ---- */

uint64_t wasi_ns(struct timespec t)
{
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

void wasi_filestat(const struct stat *st, struct wasi_filestat *out)
{
    *out = (struct wasi_filestat){
        .dev = st->st_dev,
        .ino = st->st_ino,
        .type = wasi_filetype(st->st_mode),
        .links = st->st_nlink,
        .size = (uint64_t)st->st_size,
        .atime_ns = wasi_ns(st->st_atim),
        .mtime_ns = wasi_ns(st->st_mtim),
        .ctime_ns = wasi_ns(st->st_ctim),
    };
}

static struct timespec one_time(uint64_t ns, uint32_t flags, uint32_t given, uint32_t now)
{
    if (flags & now) return (struct timespec){.tv_nsec = UTIME_NOW};
    if (!(flags & given)) return (struct timespec){.tv_nsec = UTIME_OMIT};
    return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
}

uint32_t wasi_times(uint64_t atime_ns, uint64_t mtime_ns, uint32_t flags, struct timespec out[2])
{
    const uint32_t a = FST_ATIM | FST_ATIM_NOW, m = FST_MTIM | FST_MTIM_NOW;
    if ((flags & a) == a || (flags & m) == m || flags & ~(a | m)) return WASI_INVAL;
    out[0] = one_time(atime_ns, flags, FST_ATIM, FST_ATIM_NOW);
    out[1] = one_time(mtime_ns, flags, FST_MTIM, FST_MTIM_NOW);
    return WASI_OK;
}

uint32_t WASI_CALL(fd_filestat_get)(struct wasi *w, uint32_t fd, uint32_t at)
{
    struct wasi_filestat out;
    struct wasi_fd *f;
    struct stat st;
    const uint32_t rc = wasi_fd_get(w, fd, RIGHT(FD_FILESTAT_GET), &f);
    if (rc) return rc;
    if (fstat(f->host, &st) < 0) return wasi_last();
    wasi_filestat(&st, &out);
    return wasi_put(w, at, &out, sizeof(out));
}

uint32_t WASI_CALL(fd_filestat_set_size)(struct wasi *w, uint32_t fd, uint64_t size)
{
    struct wasi_fd *f;
    const uint32_t rc = wasi_fd_get(w, fd, RIGHT(FD_FILESTAT_SET_SIZE), &f);
    if (rc) return rc;
    return ftruncate(f->host, (off_t)size) < 0 ? wasi_last() : (uint32_t)WASI_OK;
}

uint32_t WASI_CALL(fd_filestat_set_times)(struct wasi *w, uint32_t fd, uint64_t atime_ns, uint64_t mtime_ns,
                                          uint32_t flags)
{
    struct timespec times[2];
    struct wasi_fd *f;
    uint32_t rc = wasi_fd_get(w, fd, RIGHT(FD_FILESTAT_SET_TIMES), &f);
    if (rc == WASI_OK) rc = wasi_times(atime_ns, mtime_ns, flags, times);
    if (rc) return rc;
    return futimens(f->host, times) < 0 ? wasi_last() : (uint32_t)WASI_OK;
}

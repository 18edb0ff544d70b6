/* The calls that take a path. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/wasi/wasi.h"

enum { LOOKUP_FOLLOW = 1 };
enum { OFLAG_CREAT = 1, OFLAG_DIRECTORY = 2, OFLAG_EXCL = 4, OFLAG_TRUNC = 8 };

/* A path as the module gives it: which descriptor, where its text is. */
struct given {
    uint32_t fd, at, len;
    uint64_t rights; /* that the descriptor must have */
    bool follow;
};

/* The text, ended: read once. */
static uint32_t path_text(struct wasi *w, uint32_t at, uint32_t len, char out[WASI_PATH_MAX])
{
    const char *text = wasi_slice(w, at, len);
    if (!text) return WASI_FAULT;
    if (len >= WASI_PATH_MAX) return WASI_NAMETOOLONG;
    memcpy(out, text, len);
    out[len] = '\0';
    return strlen(out) == len ? WASI_OK : WASI_INVAL;
}

/* The place it names. WASI_OK: the caller ends it. */
static uint32_t find(struct wasi *w, const struct given *g, struct wasi_place *out)
{
    char path[WASI_PATH_MAX];
    struct wasi_fd *f;
    uint32_t rc = wasi_fd_get(w, g->fd, g->rights, &f);
    if (rc == WASI_OK) rc = path_text(w, g->at, g->len, path);
    return rc ? rc : wasi_resolve(w, f->host, path, g->follow, out);
}

/* The end of a call: its errno first, then the place is given back. */
static uint32_t finish(struct wasi_place *p, long rc)
{
    const uint32_t result = rc < 0 ? wasi_last() : (uint32_t)WASI_OK;
    wasi_place_end(p);
    return result;
}

/* ---- open ---- */

struct opening {
    struct given path;
    uint32_t oflags, fdflags;
    uint64_t rights, inheriting;
};

static int open_flags(const struct opening *o)
{
    const uint64_t read = RIGHT(FD_READ) | RIGHT(FD_READDIR);
    const uint64_t write = RIGHT(FD_WRITE) | RIGHT(FD_DATASYNC) | RIGHT(FD_ALLOCATE) | RIGHT(FD_FILESTAT_SET_SIZE);
    int flags = O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | wasi_open_flags(o->fdflags);
    if (o->oflags & OFLAG_CREAT) flags |= O_CREAT;
    if (o->oflags & OFLAG_EXCL) flags |= O_EXCL;
    if (o->oflags & OFLAG_TRUNC) flags |= O_TRUNC;
    if (o->oflags & OFLAG_DIRECTORY) return flags | O_DIRECTORY | O_RDONLY;
    /* What writes only by a right that reading implies as well (sync) is not opened to write. */
    if (!(o->rights & write & ~RIGHT(FD_DATASYNC)) && !(o->oflags & OFLAG_TRUNC)) return flags | O_RDONLY;
    return flags | (o->rights & read ? O_RDWR : O_WRONLY);
}

/* What the directory must allow, and hand on. */
static uint32_t check_opening(struct wasi *w, const struct opening *o)
{
    uint64_t needs = RIGHT(PATH_OPEN);
    struct wasi_fd *dir;
    if (o->oflags & OFLAG_CREAT) needs |= RIGHT(PATH_CREATE_FILE);
    if (o->oflags & OFLAG_TRUNC) needs |= RIGHT(PATH_FILESTAT_SET_SIZE);
    if (o->oflags & ~15u || o->fdflags & ~31u) return WASI_INVAL;
    const uint32_t rc = wasi_fd_get(w, o->path.fd, needs, &dir);
    if (rc) return rc;
    return (o->rights | o->inheriting) & ~dir->inheriting ? (uint32_t)WASI_NOTCAPABLE : (uint32_t)WASI_OK;
}

static uint32_t try_open(struct wasi *w, const struct opening *o, bool follow, int *host)
{
    struct wasi_place p;
    struct given path = o->path;
    path.follow = follow;
    const uint32_t rc = find(w, &path, &p);
    if (rc) return rc;
    *host = openat(p.fd, p.name, open_flags(o) | (p.is_dir ? O_DIRECTORY : 0), 0666);
    return finish(&p, *host);
}

uint32_t WASI_CALL(path_open)(struct wasi *w, uint32_t fd, uint32_t lookup, uint32_t at, uint32_t len, uint32_t oflags,
                              uint64_t rights, uint64_t inheriting, uint32_t fdflags, uint32_t fd_at)
{
    const struct opening o = {.path = {.fd = fd, .at = at, .len = len, .rights = RIGHT(PATH_OPEN)},
                              .oflags = oflags,
                              .fdflags = fdflags,
                              .rights = rights,
                              .inheriting = inheriting};
    uint32_t number;
    int host = -1;
    uint32_t rc = check_opening(w, &o);
    if (rc) return rc;
    if (!wasi_slice(w, fd_at, sizeof(number))) return WASI_FAULT;
    rc = try_open(w, &o, false, &host);
    /* Seldom a link: only then is its target asked for. */
    if ((rc == WASI_LOOP || rc == WASI_NOTDIR) && lookup & LOOKUP_FOLLOW) rc = try_open(w, &o, true, &host);
    if (rc == WASI_OK)
        rc = wasi_fd_add(w, (struct wasi_fd){.host = host, .rights = rights, .inheriting = inheriting}, &number);
    return rc ? rc : wasi_put(w, fd_at, &number, sizeof(number));
}

/* ---- about a path ---- */

static uint32_t stat_place(struct wasi *w, const struct given *g, struct stat *st)
{
    struct wasi_place p;
    const uint32_t rc = find(w, g, &p);
    if (rc) return rc;
    const bool wants_dir = p.is_dir;
    const uint32_t result = finish(&p, fstatat(p.fd, p.name, st, AT_SYMLINK_NOFOLLOW));
    return result == WASI_OK && wants_dir && !S_ISDIR(st->st_mode) && !S_ISLNK(st->st_mode) ? (uint32_t)WASI_NOTDIR
                                                                                            : result;
}

uint32_t WASI_CALL(path_filestat_get)(struct wasi *w, uint32_t fd, uint32_t lookup, uint32_t at, uint32_t len,
                                      uint32_t stat_at)
{
    struct given g = {.fd = fd, .at = at, .len = len, .rights = RIGHT(PATH_FILESTAT_GET)};
    struct wasi_filestat out;
    struct stat st;
    uint32_t rc = stat_place(w, &g, &st);
    g.follow = lookup & LOOKUP_FOLLOW;
    if (rc == WASI_OK && S_ISLNK(st.st_mode) && g.follow) rc = stat_place(w, &g, &st);
    if (rc) return rc;
    wasi_filestat(&st, &out);
    return wasi_put(w, stat_at, &out, sizeof(out));
}

uint32_t WASI_CALL(path_filestat_set_times)(struct wasi *w, uint32_t fd, uint32_t lookup, uint32_t at, uint32_t len,
                                            uint64_t atime_ns, uint64_t mtime_ns, uint32_t flags)
{
    const struct given g = {fd, at, len, RIGHT(PATH_FILESTAT_SET_TIMES), lookup & LOOKUP_FOLLOW};
    struct timespec times[2];
    struct wasi_place p;
    uint32_t rc = wasi_times(atime_ns, mtime_ns, flags, times);
    if (rc == WASI_OK) rc = find(w, &g, &p);
    return rc ? rc : finish(&p, utimensat(p.fd, p.name, times, AT_SYMLINK_NOFOLLOW));
}

uint32_t WASI_CALL(path_readlink)(struct wasi *w, uint32_t fd, uint32_t at, uint32_t len, uint32_t buf_at,
                                  uint32_t size, uint32_t done_at)
{
    const struct given g = {fd, at, len, RIGHT(PATH_READLINK), false};
    char target[WASI_PATH_MAX];
    struct wasi_place p;
    if (!wasi_slice(w, buf_at, size) || !wasi_slice(w, done_at, sizeof(uint32_t))) return WASI_FAULT;
    uint32_t rc = find(w, &g, &p);
    if (rc) return rc;
    const ssize_t n = readlinkat(p.fd, p.name, target, sizeof(target));
    rc = finish(&p, n);
    if (rc) return rc;
    const uint32_t done = (uint64_t)n < size ? (uint32_t)n : size;
    rc = wasi_put(w, buf_at, target, done);
    return rc ? rc : wasi_put(w, done_at, &done, sizeof(done));
}

/* ---- making, removing, moving ---- */

uint32_t WASI_CALL(path_create_directory)(struct wasi *w, uint32_t fd, uint32_t at, uint32_t len)
{
    const struct given g = {fd, at, len, RIGHT(PATH_CREATE_DIRECTORY), false};
    struct wasi_place p;
    const uint32_t rc = find(w, &g, &p);
    return rc ? rc : finish(&p, mkdirat(p.fd, p.name, 0777));
}

uint32_t WASI_CALL(path_remove_directory)(struct wasi *w, uint32_t fd, uint32_t at, uint32_t len)
{
    const struct given g = {fd, at, len, RIGHT(PATH_REMOVE_DIRECTORY), false};
    struct wasi_place p;
    const uint32_t rc = find(w, &g, &p);
    return rc ? rc : finish(&p, unlinkat(p.fd, p.name, AT_REMOVEDIR));
}

uint32_t WASI_CALL(path_unlink_file)(struct wasi *w, uint32_t fd, uint32_t at, uint32_t len)
{
    const struct given g = {fd, at, len, RIGHT(PATH_UNLINK_FILE), false};
    struct wasi_place p;
    const uint32_t rc = find(w, &g, &p);
    if (rc) return rc;
    errno = ENOTDIR; /* of "file/" */
    return finish(&p, p.is_dir ? -1 : unlinkat(p.fd, p.name, 0));
}

/* Both of two places, or neither. */
static uint32_t find_two(struct wasi *w, const struct given g[2], struct wasi_place p[2])
{
    uint32_t rc = find(w, &g[0], &p[0]);
    if (rc) return rc;
    rc = find(w, &g[1], &p[1]);
    if (rc) wasi_place_end(&p[0]);
    return rc;
}

static uint32_t finish_two(struct wasi_place p[2], long rc)
{
    const uint32_t result = finish(&p[0], rc);
    wasi_place_end(&p[1]);
    return result;
}

uint32_t WASI_CALL(path_link)(struct wasi *w, uint32_t fd, uint32_t lookup, uint32_t at, uint32_t len, uint32_t to_fd,
                              uint32_t to_at, uint32_t to_len)
{
    const struct given g[2] = {{fd, at, len, RIGHT(PATH_LINK_SOURCE), lookup & LOOKUP_FOLLOW},
                               {to_fd, to_at, to_len, RIGHT(PATH_LINK_TARGET), false}};
    struct wasi_place p[2];
    const uint32_t rc = find_two(w, g, p);
    return rc ? rc : finish_two(p, linkat(p[0].fd, p[0].name, p[1].fd, p[1].name, 0));
}

uint32_t WASI_CALL(path_rename)(struct wasi *w, uint32_t fd, uint32_t at, uint32_t len, uint32_t to_fd, uint32_t to_at,
                                uint32_t to_len)
{
    const struct given g[2] = {{fd, at, len, RIGHT(PATH_RENAME_SOURCE), false},
                               {to_fd, to_at, to_len, RIGHT(PATH_RENAME_TARGET), false}};
    struct wasi_place p[2];
    const uint32_t rc = find_two(w, g, p);
    return rc ? rc : finish_two(p, renameat(p[0].fd, p[0].name, p[1].fd, p[1].name));
}

/* A link that leads out could not be followed here, but by whoever comes to the directory from elsewhere. */
uint32_t WASI_CALL(path_symlink)(struct wasi *w, uint32_t target_at, uint32_t target_len, uint32_t fd, uint32_t at,
                                 uint32_t len)
{
    const struct given g = {fd, at, len, RIGHT(PATH_SYMLINK), false};
    char target[WASI_PATH_MAX];
    struct wasi_place p;
    uint32_t rc = path_text(w, target_at, target_len, target);
    if (rc == WASI_OK && target[0] == '/') rc = WASI_NOTCAPABLE;
    if (rc == WASI_OK) rc = find(w, &g, &p);
    return rc ? rc : finish(&p, symlinkat(target, p.fd, p.name));
}

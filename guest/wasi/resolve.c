/* Paths below a descriptor: openat2 where the system has it, else one part after the other. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/wasi/wasi.h"

#define LINKS_MAX 40 /* of one path: path_resolution(7) */
#define OPEN_DIR  (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* ---- part by part ---- */

struct walk {
    int base, at;             /* at: the directory reached; base itself to begin with */
    char real[WASI_PATH_MAX]; /* how it is reached from base: names with a slash behind each, no link, no ".." */
    char rest[WASI_PATH_MAX]; /* what is to be walked yet */
    unsigned links;
};

static uint32_t enter(struct walk *w, const char *name)
{
    const int fd = openat(w->at, name, OPEN_DIR);
    if (fd < 0) return wasi_last();
    if (w->at != w->base) (void)close(w->at);
    w->at = fd;
    return WASI_OK;
}

/* Into a directory that is no link. */
static uint32_t push(struct walk *w, const char *name)
{
    const size_t len = strlen(w->real), more = strlen(name);
    if (more + 2 > sizeof(w->real) - len) return WASI_NAMETOOLONG;
    const uint32_t rc = enter(w, name);
    if (rc) return rc;
    memcpy(w->real + len, name, more);
    memcpy(w->real + len + more, "/", 2);
    return WASI_OK;
}

/* The way back is gone anew from the base, by names, since the directory's own ".." may have been moved elsewhere. */
static uint32_t pop(struct walk *w)
{
    char names[WASI_PATH_MAX], *at = names, *name;
    if (w->real[0] == '\0') return WASI_NOTCAPABLE;
    w->real[strlen(w->real) - 1] = '\0';
    char *slash = strrchr(w->real, '/');
    (slash ? slash + 1 : w->real)[0] = '\0';
    if (w->at != w->base) (void)close(w->at);
    w->at = w->base;
    strcpy(names, w->real);
    while ((name = strsep(&at, "/")) != NULL && *name) {
        const uint32_t rc = enter(w, name);
        if (rc) return rc;
    }
    return WASI_OK;
}

/* name is a link: its target takes its place in the path. Else `rc`. */
static uint32_t follow_link(struct walk *w, const char *name, uint32_t rc)
{
    char target[WASI_PATH_MAX];
    const ssize_t n = readlinkat(w->at, name, target, sizeof(target) - 1);
    if (n < 0) return rc;
    if (target[0] == '/') return WASI_NOTCAPABLE;
    if (++w->links > LINKS_MAX) return WASI_LOOP;
    const size_t len = strlen(w->rest);
    if ((size_t)n + 1 + len >= sizeof(w->rest)) return WASI_NAMETOOLONG;
    memmove(w->rest + n + 1, w->rest, len + 1);
    w->rest[n] = '/';
    memcpy(w->rest, target, (size_t)n);
    return WASI_OK;
}

static uint32_t step(struct walk *w, const char *name)
{
    if (*name == '\0' || strcmp(name, ".") == 0) return WASI_OK;
    if (strcmp(name, "..") == 0) return pop(w);
    const uint32_t rc = push(w, name);
    return rc == WASI_NOTDIR || rc == WASI_LOOP ? follow_link(w, name, rc) : rc;
}

static uint32_t walk_dir(int base, const char *path, int *out)
{
    struct walk w = {.base = base, .at = base};
    char name[WASI_PATH_MAX];
    uint32_t rc = WASI_OK;
    strcpy(w.rest, path);
    while (rc == WASI_OK && w.rest[0]) {
        const size_t len = strcspn(w.rest, "/"), used = len + (w.rest[len] == '/');
        memcpy(name, w.rest, len);
        name[len] = '\0';
        memmove(w.rest, w.rest + used, strlen(w.rest + used) + 1);
        rc = step(&w, name);
    }
    if (rc == WASI_OK && w.at == base) rc = enter(&w, ".");
    if (rc == WASI_OK)
        *out = w.at;
    else if (w.at != base)
        (void)close(w.at);
    return rc;
}

/* ---- at once ---- */

/* Errors that say that openat2 or O_PATH is not to be had here, rather than something of this path. */
static bool is_lack(int error)
{
    return error == ENOSYS || error == EPERM || error == EINVAL || error == EOPNOTSUPP;
}

static uint32_t open_dir(struct wasi *w, int base, const char *path, int *out)
{
    const struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                                 .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    if (!w->lacks_openat2) {
        const long fd = syscall(SYS_openat2, base, path, &how, sizeof(how));
        if (fd >= 0) *out = (int)fd;
        if (fd >= 0) return WASI_OK;
        if (errno == EXDEV) return WASI_NOTCAPABLE;
        w->lacks_openat2 = is_lack(errno);
        if (!w->lacks_openat2 && errno != EAGAIN) return wasi_last(); /* EAGAIN: a rename raced; the walk can tell */
    }
    return walk_dir(base, path, out);
}

/* ---- a place ---- */

/* Cut `text` in two: *dir ("": none) and the last part, "." where that is no name. */
static const char *split(char *text, const char **dir)
{
    char *slash = strrchr(text, '/'), *last = slash ? slash + 1 : text;
    const bool is_name = strcmp(last, ".") != 0 && strcmp(last, "..") != 0;
    *dir = text;
    if (!is_name) return ".";
    if (!slash) {
        *dir = "";
        return text;
    }
    *slash = '\0';
    return last;
}

/* The place is a link, whose target stands for its name. `dir` has room for a path. WASI_OK: `text` is the new path. */
static uint32_t retarget(char text[WASI_PATH_MAX], const char *dir, const char *target)
{
    char path[2 * WASI_PATH_MAX];
    if (target[0] == '/') return WASI_NOTCAPABLE;
    if (*target == '\0') return WASI_NOENT;
    strcpy(path, dir);
    if (*dir) strcat(path, "/");
    strcat(path, target);
    if (strlen(path) >= WASI_PATH_MAX) return WASI_NAMETOOLONG;
    strcpy(text, path);
    return WASI_OK;
}

void wasi_place_end(struct wasi_place *p)
{
    if (p->is_own) (void)close(p->fd);
    p->is_own = false;
}

static uint32_t place(struct wasi *w, int base, char *text, struct wasi_place *out, const char **dir)
{
    size_t len = strlen(text);
    for (out->is_dir = false; len > 1 && text[len - 1] == '/'; text[--len] = '\0') out->is_dir = true;
    strcpy(out->name, split(text, dir));
    out->fd = base;
    out->is_own = **dir != '\0';
    return out->is_own ? open_dir(w, base, *dir, &out->fd) : (uint32_t)WASI_OK;
}

uint32_t wasi_resolve(struct wasi *w, int base, const char *path, bool follow, struct wasi_place *out)
{
    char text[WASI_PATH_MAX], target[WASI_PATH_MAX];
    const char *dir;
    bool is_dir = false;
    if (*path == '\0') return WASI_NOENT;
    if (*path == '/') return WASI_NOTCAPABLE;
    if (strlen(path) >= sizeof(text)) return WASI_NAMETOOLONG;
    strcpy(text, path);
    for (unsigned links = 0; links <= LINKS_MAX; links++) {
        uint32_t rc = place(w, base, text, out, &dir);
        if (rc) return rc;
        is_dir |= out->is_dir;
        out->is_dir = is_dir;
        const ssize_t n = follow ? readlinkat(out->fd, out->name, target, sizeof(target) - 1) : -1;
        if (n < 0) return WASI_OK; /* no link, or not there */
        target[n] = '\0';
        wasi_place_end(out);
        rc = retarget(text, dir, target);
        if (rc) return rc;
    }
    return WASI_LOOP;
}

/* Paths of a program: which directory of the policy they are in, and what is there.
 *
 * The program's tree has only the policy's directories, each at its place, and what leads to them. "." and ".." are
 * taken out of a path as text, as shells do for cd. Then the longest place that it begins with is looked for; that is
 * all that is decided by text. What follows is resolved by the kernel below that directory's descriptor and nowhere
 * else (openat2(2), RESOLVE_BENEATH), so symbolic links that lead out, and absolute ones, end with EXDEV. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/sandbox/process.h"

/* Is `path` at `place` or below it? What follows then, without slashes before it; else NULL. */
static const char *below(const char *path, const char *place)
{
    const size_t n = strcmp(place, "/") == 0 ? 0 : strlen(place);
    if (strncmp(path, place, n) != 0 || (path[n] != '/' && path[n] != 0)) return NULL;
    return path + n + strspn(path + n, "/");
}

static void look_up(const struct process *p, struct place *out)
{
    size_t longest = 0;
    out->dir = NULL;
    out->rest = NULL;
    out->is_virtual = strcmp(out->full, "/") == 0;
    for (unsigned i = 0; i < p->policy->dirs; i++) {
        const struct policy_dir *d = &p->policy->dir[i];
        const char *rest = below(out->full, d->at);
        if (rest && strlen(d->at) >= longest) {
            longest = strlen(d->at);
            out->dir = d;
            out->rest = *rest ? rest : ".";
        }
        if (below(d->at, out->full)) out->is_virtual = true;
    }
    if (out->dir) out->is_virtual = false;
}

int path_find_text(struct process *p, int at, const char *path, struct place *out)
{
    char whole[2 * PATH_MAX];
    if (!path[0]) return -ENOENT;
    if (path[0] == '/') {
        if (policy_clean_path(path, out->full, sizeof(out->full))) return -ENAMETOOLONG;
    } else {
        const char *base = p->cwd;
        if (at != AT_FDCWD) {
            const struct file *f = files_get(p, at);
            if (!f) return -EBADF;
            if (!f->path) return -ENOTDIR;
            base = f->path;
        }
        if ((size_t)snprintf(whole, sizeof(whole), "%s/%s", base, path) >= sizeof(whole) ||
            policy_clean_path(whole, out->full, sizeof(out->full)))
            return -ENAMETOOLONG;
    }
    const char *slash = strrchr(path, '/'), *end = slash ? slash + 1 : path;
    out->has_slash = slash && !*end;
    out->wants_dir = !*end || strcmp(end, ".") == 0 || strcmp(end, "..") == 0;
    look_up(p, out);
    return 0;
}

int path_find(struct process *p, int at, uint64_t path_va, struct place *out)
{
    char path[PATH_MAX];
    const int n = space_read_string(p->space, path_va, path, sizeof(path));
    return n < 0 ? n : path_find_text(p, at, path, out);
}

static int open_beneath(int dir, const char *rest, int flags, unsigned mode)
{
    const struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
                                 .mode = flags & O_CREAT ? mode : 0,
                                 .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    const int fd = fd_own((int)syscall(SYS_openat2, dir, rest, &how, sizeof(how)));
    return fd < 0 ? -errno : fd;
}

int path_open(const struct place *at, int flags, unsigned mode)
{
    char slashed[PATH_MAX + 1];
    if (!at->dir) return at->is_virtual ? -EISDIR : -ENOENT;
    if (!at->wants_dir) return open_beneath(at->dir->fd, at->rest, flags, mode);
    (void)snprintf(slashed, sizeof(slashed), "%s/", at->rest);
    return open_beneath(at->dir->fd, slashed, flags, mode);
}

int path_open_parent(struct place *at, const char **last)
{
    char parent[PATH_MAX];
    if (!at->dir) return at->is_virtual ? -EBUSY : -ENOENT;
    if (strcmp(at->rest, ".") == 0) return -EBUSY;
    const char *slash = strrchr(at->rest, '/');
    *last = slash ? slash + 1 : at->rest;
    if (at->has_slash && strlen(*last) <= NAME_MAX) {
        (void)snprintf(at->last, sizeof(at->last), "%s/", *last);
        *last = at->last;
    }
    if (!slash) return open_beneath(at->dir->fd, ".", O_PATH | O_DIRECTORY, 0);
    memcpy(parent, at->rest, (size_t)(slash - at->rest));
    parent[slash - at->rest] = 0;
    return open_beneath(at->dir->fd, parent, O_PATH | O_DIRECTORY, 0);
}

#include "vmm/sandbox/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/fd.h"

void policy_init(struct policy *p)
{
    *p = (struct policy){.std = {-1, -1, -1}, .files_max = POLICY_FILES_DEFAULT};
}

void policy_fini(struct policy *p)
{
    for (unsigned i = 0; i < p->dirs; i++) {
        (void)close(p->dir[i].fd);
        free(p->dir[i].at);
    }
    free(p->cwd);
    policy_init(p);
}

static int bad(struct err *e, int rc, const char *dir, const char *why)
{
    err_set(e, rc, "directory %s: %s", dir, why);
    err_as(e, ERR_CONFIG);
    return rc;
}

int policy_clean_path(const char *path, char *out, size_t size)
{
    size_t len = 0;
    if (path[0] != '/') return -EINVAL;
    for (const char *at = path; *at;) {
        at += strspn(at, "/");
        const size_t n = strcspn(at, "/");
        if (n == 2 && memcmp(at, "..", 2) == 0) {
            while (len && out[--len] != '/') continue;
        } else if (n && !(n == 1 && at[0] == '.')) {
            if (n > NAME_MAX || len + n + 2 > size) return -ENAMETOOLONG;
            out[len++] = '/';
            memcpy(out + len, at, n);
            len += n;
        }
        at += n;
    }
    if (!len) out[len++] = '/';
    out[len] = 0;
    return 0;
}

static int open_dir(const char *path, struct err *e)
{
    struct stat st;
    if (lstat(path, &st)) return bad(e, -errno, path, strerrordesc_np(errno));
    if (S_ISLNK(st.st_mode)) {
        char target[PATH_MAX];
        const ssize_t n = readlink(path, target, sizeof(target) - 1);
        target[n < 0 ? 0 : n] = 0;
        err_set(e, -ELOOP, "directory %s: is a symbolic link to %s", path, target);
        err_hint(e, "name %s itself", target);
        err_as(e, ERR_CONFIG);
        return -ELOOP;
    }
    if (!S_ISDIR(st.st_mode)) return bad(e, -ENOTDIR, path, "is no directory");
    const int fd = fd_own(open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    return fd < 0 ? bad(e, -errno, path, strerrordesc_np(errno)) : fd;
}

/* "DIR" alone is seen where it is. */
static int split(const char *text, char *dir, char *at, struct err *e)
{
    const char *mark = strrchr(text, '=');
    const size_t n = mark ? (size_t)(mark - text) : strlen(text);
    if (n == 0 || n >= PATH_MAX) return bad(e, -EINVAL, text, "give DIR or DIR=AS");
    memcpy(dir, text, n);
    dir[n] = 0;
    char real[PATH_MAX];
    const char *as = mark ? mark + 1 : dir[0] == '/' ? dir : realpath(dir, real);
    if (!as || policy_clean_path(as, at, PATH_MAX)) return bad(e, -EINVAL, text, "AS is an absolute path");
    return 0;
}

int policy_add_dir(struct policy *p, const char *text, bool is_writable, struct err *e)
{
    char dir[PATH_MAX], at[PATH_MAX];
    int rc = split(text, dir, at, e);
    if (rc) return rc;
    for (unsigned i = 0; i < p->dirs; i++)
        if (strcmp(p->dir[i].at, at) == 0)
            return bad(e, -EEXIST, dir, "another directory is already shown at the same place");
    if (p->dirs == POLICY_DIRS_MAX) return bad(e, -E2BIG, dir, "at most 32 directories can be shown");
    const int fd = open_dir(dir, e);
    if (fd < 0) return fd;
    char *copy = strdup(at);
    if (!copy) {
        (void)close(fd);
        return err_set(e, -ENOMEM, "directory %s: no memory", dir);
    }
    p->dir[p->dirs++] = (struct policy_dir){.fd = fd, .at = copy, .is_writable = is_writable};
    return 0;
}

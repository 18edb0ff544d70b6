#include "vmm/machine/place/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/fd.h"

#define GROUP_NAME_MAX (CONFIG_ID_MAX + 16) /* "vireo-" and a machine's name; longer than one with numbers */
#define UNNAMED_MAX    4096                 /* machines without a name in one process and one cgroup */
#define PREFIX         "vireo-"
#define REMOVE_MS      2000 /* KVM closes a VM in the background, tens of ms; a loaded host may take longer */
#define UP_MAX         64   /* levels from a group to the root of its hierarchy */

enum kind { V1, V2_THREADED, V2_DOMAIN };

struct cgroup {
    enum kind kind;
    int parent_fd, fd;
    int home_fd; /* V2_DOMAIN: cgroup.procs of the group that the process came from; -1 */
    bool has_moved;
    char name[GROUP_NAME_MAX];
    char path[PATH_MAX];
};

/* ---- files of a group ---- */

/* Fill *e for a failed step on `file`. errno is still the step's. */
static int failed(const struct cgroup *g, const char *file, const char *text, struct err *e)
{
    const bool is_denied = errno == EACCES || errno == EPERM;
    const int rc = err_errno(e, "cgroup %.400s/%s: write %s to %s", g->path, g->name, text, file);
    if (is_denied) {
        err_as(e, ERR_HOST);
        err_hint(e, "have that cgroup delegated to this user (chown of the directory, cgroup.procs, cgroup.threads "
                    "and tasks), or run as root");
    }
    return rc;
}

/* A cgroup file takes a value in one write. 0, or -1 with errno. */
static int put(int dir, const char *file, const char *text)
{
    const int fd = fd_own(openat(dir, file, O_WRONLY | O_CLOEXEC));
    if (fd < 0) return -1;
    const ssize_t n = write(fd, text, strlen(text));
    const int error = errno;
    close(fd);
    errno = error;
    return n < 0 ? -1 : 0;
}

static int set(const struct cgroup *g, const char *file, const char *text, struct err *e)
{
    return put(g->fd, file, text) == 0 ? 0 : failed(g, file, text, e);
}

static int set_number(const struct cgroup *g, const char *file, uint64_t n, struct err *e)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
    return set(g, file, text, e);
}

static bool has_file(int dir, const char *file)
{
    return faccessat(dir, file, F_OK, 0) == 0;
}

/* The first line of a short file, or "". */
static void first_line(int dir, const char *file, char *out, size_t size)
{
    const int fd = fd_own(openat(dir, file, O_RDONLY | O_CLOEXEC));
    const ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);
    if (fd >= 0) close(fd);
    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
}

/* ---- what kind of directory it is ---- */

/* Does cgroup.procs of the directory list this process? In a threaded domain it lists all processes that live below. */
static bool lists_us(int dir)
{
    const int fd = fd_own(openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC));
    FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
    char line[32];
    bool is_there = false;
    if (!f && fd >= 0) close(fd);
    while (f && !is_there && fgets(line, sizeof(line), f)) is_there = strtol(line, NULL, 10) == getpid();
    if (f) (void)fclose(f);
    return is_there;
}

static int find_kind(struct cgroup *g, struct err *e)
{
    struct statfs fs;
    char type[32];
    if (fstatfs(g->parent_fd, &fs) < 0) return err_errno(e, "cgroup %.400s", g->path);
    if (fs.f_type == CGROUP_SUPER_MAGIC) {
        g->kind = V1;
        if (has_file(g->parent_fd, "cpu.shares")) return 0;
        return err_set(e, -EINVAL,
                       "cgroup %.400s: its hierarchy has no cpu controller; name a directory below the one "
                       "that has (/sys/fs/cgroup/cpu)",
                       g->path);
    }
    if (fs.f_type != CGROUP2_SUPER_MAGIC)
        return err_set(e, -EINVAL, "cgroup %.400s: not a cgroup directory; they lie below /sys/fs/cgroup", g->path);
    first_line(g->parent_fd, "cgroup.type", type, sizeof(type)); /* the root has none */
    g->kind = strcmp(type, "threaded") == 0 || lists_us(g->parent_fd) ? V2_THREADED : V2_DOMAIN;
    return 0;
}

/* ---- the process's way home ---- */

/* The top directory of the hierarchy that dir lies in: a descriptor, or -1. */
static int open_root(int dir)
{
    int fd = fd_own(openat(dir, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
    for (unsigned i = 0; fd >= 0 && i < UP_MAX; i++) {
        struct statfs fs;
        const int up = fd_own(openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (up < 0 || fstatfs(up, &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC) {
            if (up >= 0) close(up);
            return fd;
        }
        close(fd);
        fd = up;
    }
    return fd;
}

/* Where this process is in the v2 hierarchy, as a path from its root; "" for the root. */
static void read_home(char *out, size_t size)
{
    FILE *f = fopen("/proc/self/cgroup", "re");
    char line[PATH_MAX];
    *out = '\0';
    while (f && fgets(line, sizeof(line), f)) {
        if (strncmp(line, "0::/", 4) != 0) continue;
        line[strcspn(line, "\n")] = '\0';
        (void)snprintf(out, size, "%s", line + 4);
    }
    if (f) (void)fclose(f);
}

static int open_home(struct cgroup *g, struct err *e)
{
    char home[PATH_MAX], file[PATH_MAX + 16];
    read_home(home, sizeof(home));
    const char *last = strrchr(home, '/');
    if (strncmp(last ? last + 1 : home, PREFIX, strlen(PREFIX)) == 0)
        return err_set(
            e, -EBUSY,
            "cgroup %.300s: this process lies in /%.200s already, for another VM; to have several, start the "
            "program inside the cgroup: then its vCPU threads join alone",
            g->path, home);
    const int root = open_root(g->parent_fd);
    (void)snprintf(file, sizeof(file), "%s%scgroup.procs", home, home[0] ? "/" : "");
    g->home_fd = root < 0 ? -1 : fd_own(openat(root, file, O_WRONLY | O_CLOEXEC));
    const int error = errno;
    if (root >= 0) close(root);
    errno = error;
    if (g->home_fd >= 0) return 0;
    const int rc = err_errno(e, "cgroup %.300s: the way back for this process: open /%.200s", g->path, file);
    err_as(e, ERR_HOST);
    err_hint(e, "start the program inside the cgroup (then its vCPU threads join alone), or run as root");
    return rc;
}

/* ---- making it ---- */

/* Remove a group that was left behind and that nobody holds. 0, or -1 with errno; EBUSY: it is in use. */
static int remove_stale(const struct cgroup *g)
{
    const int fd = fd_own(openat(g->parent_fd, g->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd < 0) return errno == ENOENT ? 0 : -1;
    const bool is_held = flock(fd, LOCK_EX | LOCK_NB) < 0;
    int rc = is_held ? -1 : unlinkat(g->parent_fd, g->name, AT_REMOVEDIR);
    if (is_held) errno = EBUSY;
    const int error = errno;
    close(fd);
    errno = error;
    return rc;
}

static int make_dir(struct cgroup *g)
{
    int rc = mkdirat(g->parent_fd, g->name, 0755);
    if (rc < 0 && errno == EEXIST) {
        rc = remove_stale(g);
        if (rc == 0) rc = mkdirat(g->parent_fd, g->name, 0755);
    }
    if (rc < 0) return -1;
    g->fd = fd_own(openat(g->parent_fd, g->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (g->fd < 0) {
        const int error = errno;
        (void)unlinkat(g->parent_fd, g->name, AT_REMOVEDIR);
        errno = error;
        return -1;
    }
    (void)flock(g->fd, LOCK_EX | LOCK_NB); /* until this process ends, however it does */
    return 0;
}

static int make_group(struct cgroup *g, const char *name, struct err *e)
{
    int rc = -1;
    if (name[0]) {
        (void)snprintf(g->name, sizeof(g->name), PREFIX "%s", name);
        rc = make_dir(g);
    }
    for (unsigned i = 0; !name[0] && rc < 0 && i < UNNAMED_MAX; i++) {
        (void)snprintf(g->name, sizeof(g->name), PREFIX "%d.%u", (int)getpid(), i);
        rc = make_dir(g);
        if (rc < 0 && errno != EBUSY) break;
    }
    if (rc == 0) return 0;
    if (errno == EBUSY)
        return err_set(e, -EBUSY, "cgroup %.400s/%s: in use; another VM has this name: choose another", g->path,
                       g->name);
    const bool is_denied = errno == EACCES || errno == EPERM, is_sealed = errno == EROFS;
    rc = err_errno(e, "cgroup %.400s: make the directory %s in it", g->path, g->name);
    if (is_sealed) {
        err_as(e, ERR_HOST);
        err_hint(e, "cgroups are mounted read-only here, as containers have them: have them mounted writable");
    }
    if (is_denied) {
        err_as(e, ERR_HOST);
        err_hint(e, "this user needs write permission on that directory; have it delegated, or run as root");
    }
    return rc;
}

/* v2: switch on the cpu controller in the group, which its parent must hand down. When there is no weight or maximum to
 * set, a parent that has none to hand down is no error. */
static int enable_cpu(const struct cgroup *g, bool is_needed, struct err *e)
{
    if (has_file(g->fd, "cpu.weight") || put(g->parent_fd, "cgroup.subtree_control", "+cpu") == 0 || !is_needed)
        return 0;
    const bool is_denied = errno == EACCES || errno == EPERM, is_busy = errno == EBUSY || errno == EOPNOTSUPP;
    const int rc =
        err_errno(e, "cgroup %.400s: switch the cpu controller on (+cpu to cgroup.subtree_control)", g->path);
    if (is_denied) err_as(e, ERR_HOST);
    if (is_denied)
        err_hint(e, "this user needs write permission on that file; have it delegated, or run as root");
    else if (is_busy)
        err_hint(e, "processes lie in that cgroup itself: move them into one below it");
    else
        err_hint(e, "cgroup.controllers there must have cpu: switch it on from the root down, each parent's "
                    "cgroup.subtree_control first");
    return rc;
}

static int set_v1(const struct cgroup *g, const struct sched_config *s, struct err *e)
{
    int rc = 0;
    if (s->weight) { /* v1 takes 2 at least, and its default is 1024 where v2's is 100 */
        const uint64_t shares = ((uint64_t)s->weight * 1024 + 50) / 100;
        rc = set_number(g, "cpu.shares", shares < 2 ? 2 : shares, e);
    }
    if (!rc && s->quota_us) rc = set_number(g, "cpu.cfs_period_us", s->period_us, e);
    if (!rc && s->quota_us) rc = set_number(g, "cpu.cfs_quota_us", s->quota_us, e);
    return rc;
}

static int set_v2(const struct cgroup *g, const struct sched_config *s, struct err *e)
{
    char max[48];
    int rc = 0;
    if (g->kind == V2_THREADED) rc = set(g, "cgroup.type", "threaded", e);
    if (rc == -EOPNOTSUPP)
        err_hint(e,
                 "a group below one that hands down other controllers than cpu, cpuset, perf_event and pids can't be "
                 "threaded: name another");
    if (!rc) rc = enable_cpu(g, s->weight || s->quota_us, e);
    if (!rc && s->weight) rc = set_number(g, "cpu.weight", s->weight, e);
    (void)snprintf(max, sizeof(max), "%llu %llu", (unsigned long long)s->quota_us, (unsigned long long)s->period_us);
    if (!rc && s->quota_us) rc = set(g, "cpu.max", max, e);
    return rc;
}

int cgroup_create(struct cgroup **out, const struct sched_config *s, const char *name, struct err *e)
{
    struct cgroup *g = calloc(1, sizeof(*g));
    if (!g) return err_set(e, -ENOMEM, "no memory for a cgroup");
    g->fd = g->home_fd = -1;
    (void)snprintf(g->path, sizeof(g->path), "%s", s->cgroup);
    g->parent_fd = fd_own(open(s->cgroup, O_PATH | O_DIRECTORY | O_CLOEXEC));
    int rc = 0;
    if (g->parent_fd < 0) {
        rc = err_errno(e, "cgroup %.400s", s->cgroup);
        if (rc == -ENOENT) err_hint(e, "make it first (mkdir); Vireo makes its own group inside");
    }
    if (!rc) rc = find_kind(g, e);
    if (!rc && g->kind == V2_DOMAIN && s->has_vcpus_alone)
        rc = err_set(e, -EINVAL,
                     "cgroup-threads vcpus: in cgroup %.400s only the whole process can join; leave the key out, or "
                     "start the program inside that cgroup",
                     g->path);
    if (!rc && g->kind == V2_DOMAIN) rc = open_home(g, e);
    if (!rc) rc = make_group(g, name, e);
    if (!rc) rc = g->kind == V1 ? set_v1(g, s, e) : set_v2(g, s, e);
    if (rc)
        cgroup_destroy(g, NULL);
    else
        *out = g;
    return rc;
}

void cgroup_forked(const struct cgroup *g)
{
    close(g->fd); /* which is locked */
}

int cgroup_join(struct cgroup *g, pid_t tid, struct err *e)
{
    static const char *const file[] = {[V1] = "tasks", [V2_THREADED] = "cgroup.threads", [V2_DOMAIN] = "cgroup.procs"};
    if (g->kind == V2_DOMAIN && g->has_moved) return 0;
    const int rc = set_number(g, file[g->kind], (uint64_t)(g->kind == V2_DOMAIN ? getpid() : tid), e);
    if (rc == -EOPNOTSUPP)
        err_hint(e, "this process lies in another domain than that threaded cgroup: start it inside (its parents' "
                    "cgroup.procs)");
    g->has_moved = rc == 0;
    return rc;
}

/* ---- taking it away ---- */

static void remove_group(const struct cgroup *g, const struct log *log)
{
    const struct timespec ms = {.tv_nsec = 1000000};
    for (unsigned i = 0; unlinkat(g->parent_fd, g->name, AT_REMOVEDIR) < 0; i++) {
        if (errno == ENOENT) return;
        if (errno != EBUSY || i >= REMOVE_MS) {
            log_write(log, LOG_WARN, "cgroup %.400s/%s: stays behind: %s", g->path, g->name, strerrordesc_np(errno));
            return;
        }
        (void)nanosleep(&ms, NULL);
    }
}

void cgroup_destroy(struct cgroup *g, const struct log *log)
{
    if (!g) return;
    char pid[16];
    (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
    if (g->kind == V2_DOMAIN && g->has_moved && write(g->home_fd, pid, strlen(pid)) < 0)
        log_write(log, LOG_WARN, "cgroup %.400s/%s: this process could not go back: %s", g->path, g->name,
                  strerrordesc_np(errno));
    if (g->fd >= 0) remove_group(g, log);
    if (g->fd >= 0) close(g->fd);
    if (g->home_fd >= 0) close(g->home_fd);
    if (g->parent_fd >= 0) close(g->parent_fd);
    free(g);
}

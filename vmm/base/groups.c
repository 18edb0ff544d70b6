/* Read at every start of a VM. So files are read in one piece, the paths of a walk share one buffer, and numbers are
 * taken apart here: printf, scanf and strtoull would have the kernel map 200 KiB of the C library for it. */
#include "vmm/base/groups.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/concat.h"
#include "vmm/base/fd.h"

#define LEVELS    32                 /* a path has fewer; the loop over it needs an end */
#define STAT_MAX  1024               /* of cpu.stat: some 200 bytes, and room for lines of later kernels before ours */
#define PATH_ROOM (GROUPS_MAX + 512) /* the root, a hierarchy's name, a group, a file's name */

/* A group's folder, and the name of one of its files behind it while that is read. */
struct folder {
    char path[PATH_ROOM];
    bool is_v2;
};

struct reader {
    const char *controller; /* of v1: its hierarchy's name */
    void (*look)(void *arg, struct folder *f);
    void *arg;
};

/* 0 or -errno; the text is cut to fit. */
static int read_text(const char *path, char *out, size_t size)
{
    const int fd = fd_own(open(path, O_RDONLY | O_CLOEXEC));
    const ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);
    const int rc = n < 0 ? -errno : 0;
    if (fd >= 0) close(fd);
    out[n > 0 ? n : 0] = '\0';
    return rc;
}

int groups_read(pid_t tid, char out[GROUPS_MAX])
{
    char path[48] = "/proc/";
    if (tid)
        concat_number(path, sizeof(path), (unsigned)tid);
    else
        concat(path, sizeof(path), "self");
    concat(path, sizeof(path), "/cgroup");
    return read_text(path, out, GROUPS_MAX);
}

/* f->path: a group's folder, of which the first root_len bytes are the hierarchy's. The group and those it is in. */
static void walk_up(const struct reader *r, struct folder *f, size_t root_len)
{
    for (int i = 0; i < LEVELS; i++) {
        r->look(r->arg, f);
        char *slash = strrchr(f->path + root_len, '/');
        if (!slash) break;
        *slash = '\0';
    }
}

/* Is `name` among the controllers "cpu,cpuacct" of length len? */
static bool lists(const char *controllers, size_t len, const char *name)
{
    const char *at = memmem(controllers, len, name, strlen(name));
    if (!at) return false;
    const char after = at[strlen(name)];
    return (at == controllers || at[-1] == ',') && (after == ',' || after == ':');
}

/* Lines are ID:CONTROLLERS:PATH; the list of version 2 is empty. */
static void walk(const char *groups, const char *root, const struct reader *r)
{
    for (const char *line = groups, *end; *line; line = end + (*end == '\n')) {
        struct folder f;
        end = strchrnul(line, '\n');
        const char *controllers = memchr(line, ':', (size_t)(end - line));
        const char *group = controllers ? memchr(controllers + 1, ':', (size_t)(end - controllers - 1)) : NULL;
        if (!group) continue;
        f.is_v2 = group == controllers + 1;
        if (!f.is_v2 && !lists(controllers + 1, (size_t)(group - controllers), r->controller)) continue;
        f.path[0] = '\0';
        concat(f.path, sizeof(f.path), root);
        if (!f.is_v2) concat(f.path, sizeof(f.path), "/");
        if (!f.is_v2) concat(f.path, sizeof(f.path), r->controller);
        const size_t root_len = strlen(f.path), len = (size_t)(end - group - 1);
        if (root_len + len >= sizeof(f.path)) continue;
        if (len > 1) memcpy(f.path + root_len, group + 1, len); /* "/", the root, is looked at once */
        f.path[root_len + (len > 1 ? len : 0)] = '\0';
        walk_up(r, &f, root_len);
    }
}

static int read_in(struct folder *f, const char *file, char *out, size_t size)
{
    const size_t len = strlen(f->path);
    concat(f->path, sizeof(f->path), "/");
    concat(f->path, sizeof(f->path), file);
    const int rc = read_text(f->path, out, size);
    f->path[len] = '\0';
    return rc;
}

/* The kernel's own numbers, which fit. false: there is none. */
static bool take_number(const char *text, uint64_t *out)
{
    const char *at = text;
    uint64_t n = 0;
    for (; *at >= '0' && *at <= '9'; at++) n = n * 10 + (uint64_t)(*at - '0');
    if (at != text) *out = n;
    return at != text;
}

/* False: "max", which is no limit, or there is no such file. */
static bool read_number(struct folder *f, const char *file, uint64_t *out)
{
    char text[32];
    return read_in(f, file, text, sizeof(text)) == 0 && take_number(text, out);
}

static void look_at_memory(void *arg, struct folder *f)
{
    uint64_t *least = arg, n;
    if (read_number(f, f->is_v2 ? "memory.max" : "memory.limit_in_bytes", &n) && n < *least) *least = n;
}

uint64_t groups_memory_limit(const char *groups, const char *root)
{
    uint64_t least = UINT64_MAX;
    walk(groups, root, &(struct reader){"memory", look_at_memory, &least});
    return least;
}

struct huge_left {
    const char *page;
    uint64_t least;
};

/* cgroup-v2.rst, HugeTLB: hugetlb.<size>.max and .current; version 1: hugetlb.rst. */
static void look_at_huge(void *arg, struct folder *f)
{
    struct huge_left *left = arg;
    char limit_file[48] = "hugetlb.", used_file[48] = "hugetlb.";
    uint64_t limit, used = 0;
    concat(limit_file, sizeof(limit_file), left->page);
    concat(limit_file, sizeof(limit_file), f->is_v2 ? ".max" : ".limit_in_bytes");
    concat(used_file, sizeof(used_file), left->page);
    concat(used_file, sizeof(used_file), f->is_v2 ? ".current" : ".usage_in_bytes");
    if (!read_number(f, limit_file, &limit)) return;
    (void)read_number(f, used_file, &used);
    const uint64_t n = used < limit ? limit - used : 0;
    if (n < left->least) left->least = n;
}

uint64_t groups_huge_left(const char *groups, const char *root, const char *page)
{
    struct huge_left left = {.page = page, .least = UINT64_MAX};
    walk(groups, root, &(struct reader){"hugetlb", look_at_huge, &left});
    return left.least;
}

/* What stands behind this name in lines of NAME VALUE; 0: there is no such line. */
static bool value_of(const char *text, const char *name, uint64_t *out)
{
    const size_t len = strlen(name);
    for (const char *line = text, *end; *line; line = end + (*end == '\n')) {
        end = strchrnul(line, '\n');
        if (strncmp(line, name, len) == 0 && line[len] == ' ') return take_number(line + len + 1, out);
    }
    return false;
}

/* cpu.stat: version 2 has throttled_usec (cgroup-v2.rst, cpu.stat), version 1 throttled_time in nanoseconds. */
static void look_at_cpu(void *arg, struct folder *f)
{
    struct groups_throttled *t = arg;
    char text[STAT_MAX];
    uint64_t n;
    if (read_in(f, "cpu.stat", text, sizeof(text))) return;
    if (value_of(text, "nr_throttled", &n)) t->is_told = true, t->times += n;
    if (value_of(text, "throttled_usec", &n)) t->ns += n * 1000;
    if (value_of(text, "throttled_time", &n)) t->ns += n;
}

void groups_throttled(const char *groups, const char *root, struct groups_throttled *out)
{
    *out = (struct groups_throttled){0};
    walk(groups, root, &(struct reader){"cpu", look_at_cpu, out});
}

/* cgroup-v2.rst: cpu.weight, cpu.idle, and cpu.max with "QUOTA PERIOD" or "max PERIOD". Version 1 has shares, of which
 * 1024 are what version 2 calls 100, and a quota of -1 for none (sched-bwc.rst). */
static void look_at_weight(struct groups_cpu *c, struct folder *f)
{
    uint64_t weight, is_idle = 0;
    if (!read_number(f, f->is_v2 ? "cpu.weight" : "cpu.shares", &weight)) return;
    (void)read_number(f, "cpu.idle", &is_idle);
    concat(c->path, sizeof(c->path), f->path);
    c->weight = is_idle ? 0 : f->is_v2 ? weight : (weight * 100 + 512) / 1024;
}

static bool read_quota(struct folder *f, uint64_t *quota, uint64_t *period)
{
    char text[48];
    if (!f->is_v2) return read_number(f, "cpu.cfs_quota_us", quota) && read_number(f, "cpu.cfs_period_us", period);
    if (read_in(f, "cpu.max", text, sizeof(text)) || !take_number(text, quota)) return false;
    const char *blank = strchr(text, ' ');
    return blank && take_number(blank + 1, period);
}

static void look_at_allowance(void *arg, struct folder *f)
{
    struct groups_cpu *c = arg;
    uint64_t quota, period;

    if (!c->path[0]) look_at_weight(c, f);
    if (!read_quota(f, &quota, &period) || !period) return;
    if (c->quota_us && quota * c->period_us >= c->quota_us * period) return;
    c->quota_us = quota;
    c->period_us = period;
}

void groups_cpu(const char *groups, const char *root, struct groups_cpu *out)
{
    *out = (struct groups_cpu){.weight = 100};
    walk(groups, root, &(struct reader){"cpu", look_at_allowance, out});
}

void groups_throttled_here(struct groups_throttled *out)
{
    char groups[GROUPS_MAX];
    groups_read(0, groups);
    groups_throttled(groups, GROUPS_ROOT, out);
}

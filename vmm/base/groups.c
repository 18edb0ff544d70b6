#include "vmm/base/groups.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/fd.h"

#define LEVELS   32   /* a path has fewer; the loop over it needs an end */
#define STAT_MAX 1024 /* of cpu.stat: some 200 bytes, and room for lines of later kernels before ours */

struct reader {
    const char *controller; /* of v1: its hierarchy's name */
    void (*look)(void *arg, const char *dir, bool is_v2);
    void *arg;
};

/* Read at every start of a VM: one call each to open, read and close. 0 or -errno; the text is cut to fit. */
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
    char path[48] = "/proc/self/cgroup";
    if (tid) (void)snprintf(path, sizeof(path), "/proc/self/task/%d/cgroup", (int)tid);
    return read_text(path, out, GROUPS_MAX);
}

/* The group and those it is in. */
static void walk_up(const struct reader *r, const char *hierarchy, const char *group, bool is_v2)
{
    char path[GROUPS_MAX], *slash;
    (void)snprintf(path, sizeof(path), "%s", strcmp(group, "/") == 0 ? "" : group); /* the root is looked at once */
    for (int i = 0; i < LEVELS; i++) {
        char dir[2 * GROUPS_MAX];
        (void)snprintf(dir, sizeof(dir), "%s%s", hierarchy, path);
        r->look(r->arg, dir, is_v2);
        slash = strrchr(path, '/');
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
    char hierarchy[256], group[GROUPS_MAX];
    for (const char *line = groups; *line;) {
        const size_t len = strcspn(line, "\n");
        const char *controllers = memchr(line, ':', len);
        const char *path = controllers ? memchr(controllers + 1, ':', len - (size_t)(controllers + 1 - line)) : NULL;
        const bool is_v2 = path && path == controllers + 1;
        if (path && (is_v2 || lists(controllers + 1, (size_t)(path - controllers), r->controller))) {
            (void)snprintf(hierarchy, sizeof(hierarchy), "%s%s%s", root, is_v2 ? "" : "/", is_v2 ? "" : r->controller);
            (void)snprintf(group, sizeof(group), "%.*s", (int)(len - (size_t)(path + 1 - line)), path + 1);
            walk_up(r, hierarchy, group, is_v2);
        }
        line += len + (line[len] == '\n');
    }
}

static int read_in(const char *dir, const char *file, char *out, size_t size)
{
    char path[2 * GROUPS_MAX + 32];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, file);
    return read_text(path, out, size);
}

/* False: "max", which is no limit, or there is no such file. */
static bool read_number(const char *dir, const char *file, uint64_t *out)
{
    char text[32], *end = text;
    if (read_in(dir, file, text, sizeof(text))) return false;
    *out = strtoull(text, &end, 10);
    return end != text;
}

static void look_at_memory(void *arg, const char *dir, bool is_v2)
{
    uint64_t *least = arg, n;
    if (read_number(dir, is_v2 ? "memory.max" : "memory.limit_in_bytes", &n) && n < *least) *least = n;
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
static void look_at_huge(void *arg, const char *dir, bool is_v2)
{
    struct huge_left *left = arg;
    char file[48];
    uint64_t limit, used = 0;
    (void)snprintf(file, sizeof(file), "hugetlb.%s.%s", left->page, is_v2 ? "max" : "limit_in_bytes");
    if (!read_number(dir, file, &limit)) return;
    (void)snprintf(file, sizeof(file), "hugetlb.%s.%s", left->page, is_v2 ? "current" : "usage_in_bytes");
    (void)read_number(dir, file, &used);
    const uint64_t n = used < limit ? limit - used : 0;
    if (n < left->least) left->least = n;
}

uint64_t groups_huge_left(const char *groups, const char *root, const char *page)
{
    struct huge_left left = {.page = page, .least = UINT64_MAX};
    walk(groups, root, &(struct reader){"hugetlb", look_at_huge, &left});
    return left.least;
}

/* cpu.stat: version 2 has throttled_usec (cgroup-v2.rst, cpu.stat), version 1 throttled_time in nanoseconds. */
static void look_at_cpu(void *arg, const char *dir, bool is_v2)
{
    struct groups_throttled *t = arg;
    char text[STAT_MAX], name[64], *rest = text;
    unsigned long long n;
    (void)is_v2;
    if (read_in(dir, "cpu.stat", text, sizeof(text))) return;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        if (sscanf(line, "%63s %llu", name, &n) != 2) continue;
        if (strcmp(name, "nr_throttled") == 0) {
            t->is_told = true;
            t->times += n;
        } else if (strcmp(name, "throttled_usec") == 0) {
            t->ns += n * 1000;
        } else if (strcmp(name, "throttled_time") == 0) {
            t->ns += n;
        }
    }
}

void groups_throttled(const char *groups, const char *root, struct groups_throttled *out)
{
    *out = (struct groups_throttled){0};
    walk(groups, root, &(struct reader){"cpu", look_at_cpu, out});
}

void groups_throttled_here(struct groups_throttled *out)
{
    char groups[GROUPS_MAX];
    groups_read(0, groups);
    groups_throttled(groups, GROUPS_ROOT, out);
}

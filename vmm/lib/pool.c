/* The memory that VMs may have together: a sum under a lock, and where its limit comes from. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "vmm/lib/lib.h"

#define CGROUP_ROOT   "/sys/fs/cgroup"
#define CGROUPS_MAX   4096 /* of /proc/self/cgroup: a dozen hierarchies with long paths */
#define CGROUP_LEVELS 32   /* a path has fewer; the loop over it needs an end */
#define MIB(bytes)    ((unsigned long long)((bytes) >> 20))

struct vireo_pool { /* given <= memory, always */
    pthread_mutex_t lock;
    uint64_t memory, given; /* bytes */
    unsigned vms;
};

/* The number in a file; UINT64_MAX for "max", and when there is none. */
static uint64_t limit_in(const char *path)
{
    char text[32];
    FILE *f = fopen(path, "re");
    const bool is_read = f && fgets(text, sizeof(text), f);
    if (f) (void)fclose(f);
    char *end = text;
    const uint64_t n = is_read ? strtoull(text, &end, 10) : 0;
    return end == text ? UINT64_MAX : n;
}

/* The cgroup's own limit and those of the groups it is in. */
static uint64_t limit_up(const char *hierarchy, const char *group, const char *file)
{
    char path[CGROUPS_MAX], *slash = NULL;
    uint64_t least = UINT64_MAX;
    (void)snprintf(path, sizeof(path), "%s", group);
    for (int i = 0; i < CGROUP_LEVELS; i++) {
        char full[2 * CGROUPS_MAX];
        (void)snprintf(full, sizeof(full), "%s%s/%s", hierarchy, path, file);
        const uint64_t n = limit_in(full);
        if (n < least) least = n;
        slash = strrchr(path, '/');
        if (!slash) break;
        *slash = '\0';
    }
    return least;
}

/* Is `name` among the controllers "cpu,cpuacct" of length len? */
static bool lists(const char *controllers, size_t len, const char *name)
{
    const char *at = memmem(controllers, len, name, strlen(name));
    if (!at) return false;
    const char after = at[strlen(name)];
    return (at == controllers || at[-1] == ',') && (after == ',' || after == ':');
}

uint64_t lib_cgroup_limit(const char *cgroups, const char *root)
{
    uint64_t least = UINT64_MAX;
    char hierarchy[256], group[CGROUPS_MAX];
    for (const char *line = cgroups; *line;) { /* cgroups(7): ID:CONTROLLERS:PATH, v2's list is empty */
        const size_t len = strcspn(line, "\n");
        const char *controllers = memchr(line, ':', len);
        const char *path = controllers ? memchr(controllers + 1, ':', len - (size_t)(controllers + 1 - line)) : NULL;
        const bool is_v2 = path == controllers + 1;
        if (path && (is_v2 || lists(controllers + 1, (size_t)(path - controllers), "memory"))) {
            (void)snprintf(hierarchy, sizeof(hierarchy), "%s%s", root, is_v2 ? "" : "/memory");
            (void)snprintf(group, sizeof(group), "%.*s", (int)(len - (size_t)(path + 1 - line)), path + 1);
            const uint64_t n = limit_up(hierarchy, group, is_v2 ? "memory.max" : "memory.limit_in_bytes");
            if (n < least) least = n;
        }
        line += len + (line[len] == '\n');
    }
    return least;
}

static int usable(uint64_t *out, struct err *e)
{
    char cgroups[CGROUPS_MAX] = "";
    struct sysinfo si;
    if (sysinfo(&si) < 0) return err_errno(e, "pool: ask how much memory this host has");
    *out = (uint64_t)si.totalram * si.mem_unit;
    FILE *f = fopen("/proc/self/cgroup", "re"); /* absent: no cgroups, no limit */
    /* Without a descriptor to look, the pool would be as large as the host. */
    if (!f) return err_way_out(-errno) ? err_errno(e, "pool: open /proc/self/cgroup") : 0;
    cgroups[fread(cgroups, 1, sizeof(cgroups) - 1, f)] = '\0';
    (void)fclose(f);
    const uint64_t limit = lib_cgroup_limit(cgroups, CGROUP_ROOT);
    if (limit < *out) *out = limit;
    return 0;
}

static int check(uint64_t *bytes, struct err *e)
{
    uint64_t most = 0;
    int rc = usable(&most, e);
    if (rc) return rc;
    if (*bytes == 0) *bytes = most;
    if (*bytes <= most) return 0;
    return err_set(e, -E2BIG, "pool %lluM: this process may use %lluM; ask for less", MIB(*bytes), MIB(most));
}

int vireo_pool_create(struct vireo_pool **out, uint64_t bytes, struct vireo_error *e)
{
    struct err err = {0};
    int rc = check(&bytes, &err);
    if (rc) return lib_error(e, rc, &err);
    struct vireo_pool *pool = calloc(1, sizeof(*pool));
    if (!pool) return lib_error(e, err_set(&err, -ENOMEM, "no memory for a pool"), &err);
    pthread_mutex_init(&pool->lock, NULL);
    pool->memory = bytes;
    *out = pool;
    return 0;
}

void vireo_pool_destroy(struct vireo_pool *pool)
{
    if (!pool) return;
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

int vireo_pool_resize(struct vireo_pool *pool, uint64_t bytes, struct vireo_error *e)
{
    struct err err = {0};
    int rc = check(&bytes, &err);
    if (rc) return lib_error(e, rc, &err);
    pthread_mutex_lock(&pool->lock);
    if (bytes < pool->given)
        rc = err_set(&err, -EBUSY, "pool %lluM: its %u VMs have %lluM; ask for more, or end one first", MIB(bytes),
                     pool->vms, MIB(pool->given));
    else
        pool->memory = bytes;
    pthread_mutex_unlock(&pool->lock);
    return lib_error(e, rc, &err);
}

uint64_t vireo_pool_left(struct vireo_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    const uint64_t left = pool->memory - pool->given;
    pthread_mutex_unlock(&pool->lock);
    return left;
}

void vireo_config_set_pool(struct vireo_config *c, struct vireo_pool *pool)
{
    c->pool = pool;
}

int lib_pool_take(struct vireo_pool *pool, uint64_t bytes, struct err *e)
{
    int rc = 0;
    if (!pool) return 0;
    pthread_mutex_lock(&pool->lock);
    const uint64_t left = pool->memory - pool->given;
    if (bytes <= left) {
        pool->given += bytes;
        pool->vms++;
    } else {
        rc = err_set(e, -ENOSPC, "memory %lluM: the pool has %lluM left of its %lluM; ask for less, or end a VM first",
                     MIB(bytes), MIB(left), MIB(pool->memory));
    }
    pthread_mutex_unlock(&pool->lock);
    return rc;
}

void lib_pool_give_back(struct vireo_pool *pool, uint64_t bytes)
{
    if (!pool) return;
    pthread_mutex_lock(&pool->lock);
    pool->given -= bytes;
    pool->vms--;
    pthread_mutex_unlock(&pool->lock);
}

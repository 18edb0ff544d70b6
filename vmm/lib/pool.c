/* The memory that VMs may have together: a sum under a lock, and a limit that can be read from a cgroup. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "vmm/base/groups.h"
#include "vmm/config/value.h"
#include "vmm/lib/lib.h"

#define MIB(bytes) ((unsigned long long)((bytes) >> 20))

struct vireo_pool { /* given <= memory, always */
    pthread_mutex_t lock;
    uint64_t memory, given; /* bytes */
    unsigned vms;
};

static int usable(uint64_t *out, struct err *e)
{
    char groups[GROUPS_MAX];
    struct sysinfo si;
    if (sysinfo(&si) < 0) return err_errno(e, "pool: ask how much memory this host has");
    *out = (uint64_t)si.totalram * si.mem_unit;
    const int rc = groups_read(0, groups); /* absent: no cgroups, no limit */
    /* An error: without a descriptor to look, the pool would count as large as the host. */
    if (err_way_out(rc)) return err_set(e, rc, "pool: open /proc/self/cgroup: %s", strerrordesc_np(-rc));
    const uint64_t limit = groups_memory_limit(groups, GROUPS_ROOT);
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
    char shown[VALUE_SIZE_MAX];
    if (!pool) return 0;
    pthread_mutex_lock(&pool->lock);
    const uint64_t left = pool->memory - pool->given;
    if (bytes <= left) {
        pool->given += bytes;
        pool->vms++;
    } else {
        value_show_size(bytes, shown);
        rc = err_set(e, -ENOSPC, "memory %s: the pool has %lluM left of its %lluM; ask for less, or end a VM first",
                     shown, MIB(left), MIB(pool->memory));
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

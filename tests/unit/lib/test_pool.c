/* Property R2 of docs/properties.md: over any sequence of create, resize and destroy, VMs of a pool never have more
 * memory together than the pool. The machines are stand-ins that say what is alive. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "tests/unit/virtio/ring.h"
#include "vmm/base/groups.h"
#include "vmm/lib/lib.h"

#define MIB     (1ull << 20)
#define VMS     24
#define ROUNDS  20000
#define THREADS 4

/* What machines that are alive have, counted beside the pool and not by it. */
static _Atomic uint64_t alive;
static _Thread_local bool fails;

struct stand_in {
    uint64_t memory;
};

int __wrap_machine_create(struct machine **out, const struct config *cfg, const struct log *log, struct err *e);
void __wrap_machine_destroy(struct machine *m);

int __wrap_machine_create(struct machine **out, const struct config *cfg, const struct log *log, struct err *e)
{
    (void)log;
    if (fails) return err_set(e, -EIO, "made to fail");
    struct stand_in *s = malloc(sizeof(*s));
    s->memory = cfg->memory;
    atomic_fetch_add(&alive, s->memory);
    *out = (struct machine *)s;
    return 0;
}

void __wrap_machine_destroy(struct machine *m)
{
    struct stand_in *s = (struct stand_in *)m;
    atomic_fetch_sub(&alive, s->memory);
    free(s);
}

static struct vireo_pool *pool_of(uint64_t bytes)
{
    struct vireo_pool *pool = NULL;
    struct vireo_error e = {0};
    if (vireo_pool_create(&pool, bytes, &e)) fail_msg("%s", e.text);
    return pool;
}

static int create(struct vireo_vm **out, struct vireo_pool *pool, unsigned mib, struct vireo_error *e)
{
    struct vireo_config *c = vireo_config_create();
    char memory[16];
    (void)snprintf(memory, sizeof(memory), "%uM", mib);
    vireo_config_set_pool(c, pool);
    assert_int_equal(vireo_config_set(c, "memory", memory, e), 0);
    const int rc = vireo_vm_create(out, c, NULL, e);
    vireo_config_destroy(c);
    return rc;
}

/* One random step; what the pool must answer is computed from `limit` and what is alive. */
static void step(struct vireo_pool *pool, struct vireo_vm *vm[VMS], unsigned *seed, uint64_t *limit)
{
    struct vireo_vm **slot = &vm[rand_r(seed) % VMS];
    const unsigned mib = 2 + (unsigned)rand_r(seed) % 40;
    const uint64_t had = atomic_load(&alive);
    struct vireo_error e = {0};

    if (rand_r(seed) % 8 == 0) {
        const uint64_t wanted = (1 + (uint64_t)rand_r(seed) % 400) * MIB;
        const int rc = vireo_pool_resize(pool, wanted, &e);
        assert_int_equal(rc, wanted < had ? -EBUSY : 0);
        if (rc == 0) *limit = wanted;
    } else if (*slot) {
        vireo_vm_destroy(*slot);
        *slot = NULL;
    } else {
        fails = rand_r(seed) % 5 == 0;
        const int fits = had + mib * MIB <= *limit;
        assert_int_equal(create(slot, pool, mib, &e), !fits ? -ENOSPC : fails ? -EIO : 0);
        fails = false;
    }
    assert_true(atomic_load(&alive) <= *limit);
    assert_int_equal(vireo_pool_left(pool), *limit - atomic_load(&alive));
}

static void no_sequence_of_create_resize_and_destroy_gives_more_than_the_pool_has(void **state)
{
    uint64_t limit = 200 * MIB;
    struct vireo_pool *pool = pool_of(limit);
    struct vireo_vm *vm[VMS] = {0};
    unsigned seed = 1;

    (void)state;
    for (unsigned i = 0; i < ROUNDS; i++) step(pool, vm, &seed, &limit);
    for (unsigned i = 0; i < VMS; i++) vireo_vm_destroy(vm[i]);
    assert_int_equal(vireo_pool_left(pool), limit);
    vireo_pool_destroy(pool);
}

#define SHARED_MIB 100
static atomic_bool is_exceeded;

static void *take_and_give(void *arg)
{
    struct vireo_pool *pool = arg;
    struct vireo_vm *vm[VMS] = {0};
    unsigned seed = (unsigned)(uintptr_t)&vm;
    for (unsigned i = 0; i < ROUNDS / THREADS; i++) {
        struct vireo_vm **slot = &vm[rand_r(&seed) % VMS];
        struct vireo_error e;
        if (*slot) {
            vireo_vm_destroy(*slot);
            *slot = NULL;
        } else {
            (void)create(slot, pool, 2 + (unsigned)rand_r(&seed) % 20, &e);
        }
        if (atomic_load(&alive) > SHARED_MIB * MIB) atomic_store(&is_exceeded, true);
    }
    for (unsigned i = 0; i < VMS; i++) vireo_vm_destroy(vm[i]);
    return NULL;
}

static void threads_together_get_no_more_than_the_pool_has(void **state)
{
    struct vireo_pool *pool = pool_of(SHARED_MIB * MIB);
    pthread_t thread[THREADS];
    (void)state;
    for (unsigned i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&thread[i], NULL, take_and_give, pool), 0);
    for (unsigned i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
    assert_false(is_exceeded);
    assert_int_equal(vireo_pool_left(pool), SHARED_MIB * MIB);
    vireo_pool_destroy(pool);
}

static void a_refusal_says_what_is_left(void **state)
{
    struct vireo_pool *pool = pool_of(64 * MIB);
    struct vireo_vm *vm = NULL, *other = NULL;
    struct vireo_error e = {0};

    (void)state;
    assert_int_equal(create(&vm, pool, 48, &e), 0);
    assert_int_equal(create(&other, pool, 17, &e), -ENOSPC);
    assert_null(other);
    assert_string_equal(e.text, "memory 17M: the pool has 16M left of its 64M; ask for less, or end a VM first");
    assert_int_equal(vireo_pool_resize(pool, 47 * MIB, &e), -EBUSY);
    assert_string_equal(e.text, "pool 47M: its 1 VMs have 48M; ask for more, or end one first");
    vireo_vm_destroy(vm);
    vireo_pool_destroy(pool);
}

static void a_pool_is_no_larger_than_what_this_process_may_use(void **state)
{
    struct vireo_pool *all = pool_of(0), *more = NULL;
    struct vireo_error e = {0};
    (void)state;
    assert_true(vireo_pool_left(all) > 0);
    assert_int_equal(vireo_pool_create(&more, vireo_pool_left(all) + MIB, &e), -E2BIG);
    assert_non_null(strstr(e.text, "this process may use"));
    vireo_pool_destroy(all);
    vireo_pool_destroy(NULL);
}

/* ---- cgroups ---- */

static void put(const char *root, const char *dir, const char *file, const char *text)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s%s", root, dir);
    for (char *p = path + strlen(root); (p = strchr(p + 1, '/'));) {
        *p = '\0';
        (void)mkdir(path, 0700);
        *p = '/';
    }
    (void)mkdir(path, 0700);
    (void)snprintf(path, sizeof(path), "%s%s/%s", root, dir, file);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    (void)fputs(text, f);
    (void)fclose(f);
}

/* The group's own weight, in the numbers of version 2, and the tightest quota on the way up. */
static void assert_cpu_allowances(const char *root)
{
    struct groups_cpu c;

    put(root, "/a", "cpu.max", "20000 100000\n");
    put(root, "/a", "cpu.weight", "300\n");
    put(root, "/a/b", "cpu.max", "max 100000\n");
    put(root, "/a/b", "cpu.weight", "50\n");
    put(root, "/a/c", "cpu.max", "5000 10000\n"); /* looser than the one above it */
    put(root, "/cpu", "cpu.shares", "1024\n");
    put(root, "/cpu", "cpu.cfs_quota_us", "-1\n");
    put(root, "/cpu", "cpu.cfs_period_us", "100000\n");
    put(root, "/cpu/v", "cpu.shares", "512\n");
    put(root, "/cpu/v", "cpu.cfs_quota_us", "30000\n");
    put(root, "/cpu/v", "cpu.cfs_period_us", "100000\n");
    put(root, "/cpu/v/idle", "cpu.shares", "1024\n");
    put(root, "/cpu/v/idle", "cpu.idle", "1\n");
    groups_cpu("0::/a/b\n", root, &c);
    assert_true(c.weight == 50 && c.quota_us == 20000 && c.period_us == 100000);
    assert_true(strcmp(c.path + strlen(root), "/a/b") == 0);
    groups_cpu("0::/a/c\n", root, &c); /* without the controller: the group above it counts */
    assert_true(c.weight == 300 && c.quota_us == 20000 && c.period_us == 100000);
    assert_true(strcmp(c.path + strlen(root), "/a") == 0);
    groups_cpu("3:cpu,cpuacct:/v\n0::/nothing\n", root, &c);
    assert_true(c.weight == 50 && c.quota_us == 30000 && c.period_us == 100000);
    groups_cpu("3:cpu,cpuacct:/v/idle\n", root, &c);
    assert_true(c.weight == 0 && c.quota_us == 30000);
    groups_cpu("3:cpu,cpuacct:/\n", root, &c);
    assert_true(c.weight == 100 && c.quota_us == 0);
    groups_cpu("4:memory:/v\n", root, &c);
    assert_true(c.path[0] == '\0' && c.weight == 100 && c.quota_us == 0);
}

static void what_the_cgroup_and_its_parents_say_counts(void **state)
{
    static const struct {
        const char *cgroups;
        uint64_t limit;
    } cases[] = {
        {"0::/a/b\n", 300},
        {"0::/a\n", 300},
        {"0::/a/c\n", 200},
        {"0::/\n", UINT64_MAX},
        {"0::/gone/x\n", UINT64_MAX},
        {"", UINT64_MAX},
        {"nonsense\n", UINT64_MAX},
        {"5:cpu,memory:/v\n", 70},
        {"5:cpu,memoryx:/v\n", UINT64_MAX},
        {"4:memory:/v\n0::/a/c\n", 70},
    };
    char root[] = "/tmp/vireo-pool-XXXXXX", command[64];

    (void)state;
    assert_non_null(mkdtemp(root));
    put(root, "/a", "memory.max", "300\n");
    put(root, "/a/b", "memory.max", "max\n");
    put(root, "/a/c", "memory.max", "200\n");
    put(root, "/memory/v", "memory.limit_in_bytes", "70\n");
    put(root, "/cpu/v", "cpu.stat", "nr_periods 9\nnr_throttled 4\nthrottled_time 5000\n");
    put(root, "/cpu", "cpu.stat", "nr_periods 0\nnr_throttled 1\nthrottled_time 7\n");
    put(root, "/a", "cpu.stat", "usage_usec 5\nnr_throttled 2\nthrottled_usec 3\n");
    put(root, "/a", "hugetlb.2MB.max", "5000\n");
    put(root, "/a", "hugetlb.2MB.current", "1000\n");
    put(root, "/a/b", "hugetlb.2MB.max", "max\n");
    put(root, "/a/c", "hugetlb.2MB.max", "900\n"); /* nothing says how much is in use */
    put(root, "/hugetlb/v", "hugetlb.2MB.limit_in_bytes", "70\n");
    put(root, "/hugetlb/v", "hugetlb.2MB.usage_in_bytes", "80\n"); /* the limit was lowered since */
    assert_int_equal(groups_huge_left("0::/a/b\n", root, "2MB"), 4000);
    assert_int_equal(groups_huge_left("0::/a/c\n", root, "2MB"), 900);
    assert_int_equal(groups_huge_left("2:hugetlb:/v\n0::/a/b\n", root, "2MB"), 0);
    assert_true(groups_huge_left("0::/a/b\n", root, "1GB") == UINT64_MAX);
    struct groups_throttled t;
    groups_throttled("3:cpu,cpuacct:/v\n0::/a/b\n", root, &t);
    assert_true(t.is_told && t.times == 7 && t.ns == 8007);
    groups_throttled("3:cpu,cpuacct:/\n", root, &t); /* as in a container: the root is counted once */
    assert_true(t.is_told && t.times == 1 && t.ns == 7);
    groups_throttled("4:memory:/v\n", root, &t);
    assert_true(!t.is_told && t.times == 0 && t.ns == 0);
    assert_cpu_allowances(root);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (groups_memory_limit(cases[i].cgroups, root) != cases[i].limit) fail_msg("case %zu", i);
    (void)snprintf(command, sizeof(command), "rm -r %s", root);
    assert_int_equal(system(command), 0);
}

/* For want of a descriptor it would be as large as the host, whatever the cgroup allows. */
static void a_pool_whose_limit_can_not_be_looked_up_is_refused(void **state)
{
    struct vireo_pool *pool = NULL;
    struct vireo_error e;
    (void)state;
    const struct fd_limit limit = fd_limit_set(0);
    const int rc = vireo_pool_create(&pool, 0, &e);
    fd_limit_release(limit);
    assert_int_equal(rc, -EMFILE);
    assert_int_equal(e.exit_status, 126);
    assert_contains(e.text, "/proc/self/cgroup: Too many open files");
    assert_contains(e.hint, "ulimit -n");
    assert_null(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(no_sequence_of_create_resize_and_destroy_gives_more_than_the_pool_has),
        UNIT(threads_together_get_no_more_than_the_pool_has),
        UNIT(a_refusal_says_what_is_left),
        UNIT(a_pool_is_no_larger_than_what_this_process_may_use),
        UNIT(a_pool_whose_limit_can_not_be_looked_up_is_refused),
        UNIT(what_the_cgroup_and_its_parents_say_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/kvm/contend.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/kvm/guest.h"
#include "tests/unit/unit.h"
#include "vmm/machine/stats.h"

#define TRIES     3000 /* of TRY_US: a minute, for hosts that are emulated and crowded */
#define TRY_US    20000
#define ENOUGH    100000000 /* ns */
#define QUESTIONS 20        /* over some 0.4 s: the vCPU is asked where its record is at the first */

static void start(struct contend *c, const struct snippet *guest, uint64_t record)
{
    struct config cfg;
    struct err e = {0};

    guest_needs_kvm();
    const int fd = guest_file_of(guest, &(struct snippet_args){.target = record});
    c->cpu = (unsigned)sched_getcpu();
    config_init(&cfg, machine_devices);
    guest_set(&cfg, "kernel", "/proc/self/fd/%d", fd);
    guest_set(&cfg, "memory", "4M");
    guest_set(&cfg, "console", "off");
    guest_set(&cfg, "cpu-affinity", "0=%u", c->cpu);
    int rc = machine_create(&c->machine, &cfg, NULL, &e);
    if (!rc) rc = machine_start(c->machine, &e);
    config_fini(&cfg);
    close(fd);
    if (rc) fail_msg("%s", e.text);
    if (arch_has_steal_time(&c->machine->vm)) return;
    contend_stop(c);
    print_message("KVM here offers no steal time\n");
    skip();
}

void contend_start(struct contend *c, uint64_t record)
{
    start(c, &snippet_steal, record);
}

void contend_start_silent(struct contend *c, uint64_t record)
{
    start(c, &snippet_store_forever, record);
}

struct rival {
    atomic_bool has_enough;
    unsigned cpu;
};

static void *contest(void *arg)
{
    struct rival *r = arg;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(r->cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set)) return NULL;
    while (!atomic_load_explicit(&r->has_enough, memory_order_relaxed)) continue;
    return NULL;
}

/* How long the vCPU's thread waited for a CPU so far: /proc/PID/task/TID/schedstat. */
static uint64_t run_delay(const struct contend *c)
{
    struct machine_thread t;
    char path[64];
    unsigned long long ran, waited;
    assert_true(machine_thread(c->machine, 0, &t));
    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/schedstat", t.tid);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%llu %llu", &ran, &waited), 2);
    (void)fclose(f);
    return waited;
}

void contend_must_see(const struct contend *c, uint64_t (*stolen)(const struct contend *c))
{
    struct rival r = {.cpu = c->cpu};
    pthread_t thread;
    bool is_seen = false;
    assert_int_equal(pthread_create(&thread, NULL, contest, &r), 0);
    for (int i = 0; i < TRIES && !is_seen; i++) {
        usleep(TRY_US);
        is_seen = stolen(c) >= ENOUGH;
    }
    atomic_store(&r.has_enough, true);
    pthread_join(thread, NULL);
    if (!is_seen) fail_msg("only %llu ns seen as stolen", (unsigned long long)stolen(c));
    const uint64_t seen = stolen(c); /* first: the host's count goes on */
    assert_true(seen <= run_delay(c));
}

/* 0: it isn't told. */
static uint64_t told(const struct contend *c)
{
    struct machine_vcpu vcpu[CONFIG_MAX_CPUS];
    assert_int_equal(machine_vcpus(c->machine, vcpu), 1);
    return vcpu[0].steal_ns == THREAD_UNTOLD ? 0 : vcpu[0].steal_ns;
}

void contend_must_tell(const struct contend *c, uint64_t (*stolen)(const struct contend *c))
{
    const uint64_t before = stolen(c);
    uint64_t ns = 0;
    for (int i = 0; i < TRIES && !ns; i++) {
        ns = told(c);
        if (!ns) usleep(TRY_US);
    }
    const uint64_t after = stolen(c);
    if (ns < before || ns > after)
        fail_msg("told %llu ns, the guest between %llu and %llu", (unsigned long long)ns, (unsigned long long)before,
                 (unsigned long long)after);
}

void contend_must_not_tell(const struct contend *c)
{
    for (int i = 0; i < QUESTIONS; i++) {
        assert_int_equal(told(c), 0);
        usleep(TRY_US);
    }
}

void contend_stop(struct contend *c)
{
    struct ending end;
    machine_end(c->machine, END_STOPPED, "asked");
    assert_int_equal(machine_wait(c->machine, GUEST_END_MS, &end), 0);
    machine_destroy(c->machine);
}

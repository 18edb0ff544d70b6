#include "tests/kvm/contend.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define END_MS 10000
#define TRIES  3000 /* of TRY_US: a minute, for hosts that are emulated and crowded */
#define TRY_US 20000

static void set(struct config *c, const char *key, const char *value)
{
    struct err e = {0};
    if (config_set(c, key, value, &e)) fail_msg("%s", e.text);
}

void contend_start(struct contend *c, const struct snippet *s, const struct snippet_args *args)
{
    unsigned char image[SNIPPET_IMAGE_MAX];
    const size_t size = snippet_image(s, args, image);
    const int fd = memfd_create("kernel", MFD_CLOEXEC);
    char path[32], pin[32];
    struct config cfg;
    struct err e = {0};

    if (access("/dev/kvm", R_OK | W_OK)) {
        print_message("no /dev/kvm to run a guest on\n");
        skip();
    }
    c->cpu = (unsigned)sched_getcpu();
    assert_int_equal(write(fd, image, size), size);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    (void)snprintf(pin, sizeof(pin), "0=%u", c->cpu);
    config_init(&cfg);
    set(&cfg, "kernel", path);
    set(&cfg, "memory", "4M");
    set(&cfg, "console", "off");
    set(&cfg, "cpu-affinity", pin);
    int rc = machine_create(&c->machine, &cfg, NULL, &e);
    if (!rc) rc = machine_start(c->machine, &e);
    config_fini(&cfg);
    close(fd);
    if (rc) fail_msg("%s", e.text);
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

void contend_until(const struct contend *c, uint64_t (*stolen)(const struct contend *c), uint64_t ns)
{
    struct rival r = {.cpu = c->cpu};
    pthread_t thread;
    bool is_seen = false;
    assert_int_equal(pthread_create(&thread, NULL, contest, &r), 0);
    for (int i = 0; i < TRIES && !is_seen; i++) {
        usleep(TRY_US);
        is_seen = stolen(c) >= ns;
    }
    atomic_store(&r.has_enough, true);
    pthread_join(thread, NULL);
    if (!is_seen) fail_msg("only %llu ns seen as stolen", (unsigned long long)stolen(c));
}

uint64_t contend_run_delay(const struct contend *c)
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

void contend_stop(struct contend *c)
{
    struct ending end;
    machine_stop(c->machine, END_STOPPED, "asked");
    assert_int_equal(machine_wait(c->machine, END_MS, &end), 0);
    machine_destroy(c->machine);
}

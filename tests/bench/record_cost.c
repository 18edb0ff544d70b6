/* What recording an exit takes where it is done: after a real exit, with the caches as KVM_RUN left them. A guest that
 * does nothing but store where no memory is runs in batches that take turns: handled by nothing at all, with the two
 * counter reads, and recorded as the product does. Batches are short against a scheduler's slice, and the median of
 * their differences is told, so that what interrupts some does not matter. First one vCPU alone, then several at once,
 * each on a CPU of its own: did their recorders share a cache line, the same difference would grow. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "arch/counter.h"
#include "tests/kvm/mini.h"
#include "vmm/core/record.h"

#define ROUNDS   4000u
#define EXITS    50u /* a batch: 0.4 ms where an exit takes 7 us */
#define WARM_UP  20  /* rounds */
#define NS_PER_S 1e9
#define VCPUS    4 /* at once, where there are so many CPUs */

enum kind { BARE, READS, RECORDED, KINDS };

struct bench {
    struct mini mini;
    struct counter counter;
    struct record *record;
    uint64_t sink; /* what the reads gave, so that they are made */
    size_t cpu;
    pthread_t thread;
    pthread_barrier_t *start;
    double of[KINDS][ROUNDS]; /* ticks an exit */
};

static void one_exit(struct bench *b, enum kind kind, uint64_t *from)
{
    const int rc = vcpu_run(&b->mini.vcpu);
    if (rc && rc != -EINTR && rc != -EAGAIN) fail_msg("KVM_RUN: %d", rc);
    if (kind == BARE) return;
    struct record_exit x = {.class = RECORD_MMIO_WRITE, .has_addr = true, .from = *from};
    x.left = counter_read(&b->counter);
    x.addr = b->mini.vcpu.run->mmio.phys_addr;
    x.done = *from = counter_read(&b->counter);
    if (kind == RECORDED) record_exit(b->record, &x);
    b->sink += x.done - x.left;
}

static double batch(struct bench *b, enum kind kind)
{
    const uint64_t start = counter_read(&b->counter);
    uint64_t from = start;
    for (unsigned i = 0; i < EXITS; i++) one_exit(b, kind, &from);
    return (double)(counter_read(&b->counter) - start) / EXITS;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, unsigned count)
{
    qsort(values, count, sizeof(*values), ascending);
    return values[count / 2];
}

static void tell(struct bench *b, unsigned vcpus)
{
    static const char *const names[KINDS] = {"bare", "with two counter reads", "recorded"};
    static double all[VCPUS * ROUNDS];
    const double ns = NS_PER_S / counter_hz(&b->counter);
    printf("%u %s\n", vcpus, vcpus == 1 ? "vCPU" : "vCPUs at once");
    for (unsigned k = BARE; k < KINDS; k++) {
        for (unsigned i = 0; i < vcpus * ROUNDS; i++)
            all[i] = b[i / ROUNDS].of[k][i % ROUNDS] - (k == BARE ? 0 : b[i / ROUNDS].of[BARE][i % ROUNDS]);
        printf("%-24s %8.1f ns %san exit (median of %u batches of %u)\n", names[k], median(all, vcpus * ROUNDS) * ns,
               k == BARE ? "" : "more than bare, ", vcpus * ROUNDS, EXITS);
    }
}

static void *run(void *arg)
{
    struct bench *b = arg;
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(b->cpu, &cpus);
    if (pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus)) fail_msg("no way to CPU %zu", b->cpu);
    const struct snippet_args args = {.target = MINI_NOWHERE, .count = 1, .exit_at = MINI_EXIT};
    mini_open(&b->mini);
    mini_load(&b->mini, &snippet_store_forever, args);
    pthread_barrier_wait(b->start);
    for (unsigned i = 0; i < WARM_UP + ROUNDS; i++)
        for (unsigned k = 0; k < KINDS; k++) {
            const double ticks = batch(b, (enum kind)((k + i) % KINDS));
            if (i >= WARM_UP) b->of[(k + i) % KINDS][i - WARM_UP] = ticks;
        }
    mini_close(&b->mini);
    return NULL;
}

/* The recorders are made one after the other, as a machine makes them. */
static void run_at_once(struct bench *b, unsigned vcpus)
{
    pthread_barrier_t start;
    if (pthread_barrier_init(&start, NULL, vcpus)) fail_msg("no barrier");
    for (unsigned i = 0; i < vcpus; i++) {
        b[i].start = &start;
        counter_init(&b[i].counter);
        b[i].record = record_create();
        if (!b[i].record) fail_msg("no memory");
    }
    for (unsigned i = 0; i < vcpus; i++)
        if (pthread_create(&b[i].thread, NULL, run, &b[i])) fail_msg("no thread");
    for (unsigned i = 0; i < vcpus; i++) {
        pthread_join(b[i].thread, NULL);
        record_destroy(b[i].record);
    }
    pthread_barrier_destroy(&start);
    tell(b, vcpus);
}

int main(void)
{
    static struct bench b[VCPUS];
    cpu_set_t cpus;
    unsigned n = 0;
    if (sched_getaffinity(0, sizeof(cpus), &cpus)) fail_msg("no affinity");
    for (size_t cpu = CPU_SETSIZE; cpu-- > 0 && n < VCPUS;)
        if (CPU_ISSET(cpu, &cpus)) b[n++].cpu = cpu;
    run_at_once(b, 1);
    if (n > 1) run_at_once(b, n);
    return 0;
}

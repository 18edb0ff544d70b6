/* What recording an exit takes where it is done: after a real exit, with the caches as KVM_RUN left them. A guest that
 * does nothing but store where no memory is runs in batches that take turns: handled by nothing at all, with the two
 * counter reads, and recorded as the product does. Batches are short against a scheduler's slice, and the median of
 * their differences is told, so that what interrupts some does not matter. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "arch/counter.h"
#include "tests/kvm/mini.h"
#include "vmm/core/record.h"

#define ROUNDS   4000u
#define EXITS    50u /* a batch: 0.4 ms where an exit takes 7 us */
#define WARM_UP  20  /* rounds */
#define NS_PER_S 1e9

enum kind { BARE, READS, RECORDED, KINDS };

struct bench {
    struct mini mini;
    struct counter counter;
    struct record *record;
    uint64_t sink; /* what the reads gave, so that they are made */
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

static void tell(struct bench *b, double of[KINDS][ROUNDS])
{
    static const char *const names[KINDS] = {"bare", "with two counter reads", "recorded"};
    const double ns = NS_PER_S / counter_hz(&b->counter);
    for (unsigned k = READS; k < KINDS; k++) {
        static double difference[ROUNDS];
        for (unsigned i = 0; i < ROUNDS; i++) difference[i] = (of[k][i] - of[BARE][i]) * ns;
        printf("%-24s %8.1f ns more than bare, an exit\n", names[k], median(difference, ROUNDS));
    }
    for (unsigned k = 0; k < KINDS; k++)
        printf("%-24s %8.1f ns an exit (median of %u batches of %u)\n", names[k], median(of[k], ROUNDS) * ns, ROUNDS,
               EXITS);
}

int main(void)
{
    static struct bench b;
    static double of[KINDS][ROUNDS];
    const struct snippet_args args = {.target = MINI_NOWHERE, .count = 1, .exit_at = MINI_EXIT};
    mini_open(&b.mini);
    mini_load(&b.mini, &snippet_store_forever, args);
    counter_init(&b.counter);
    b.record = record_create();
    if (!b.record) fail_msg("no memory");
    for (unsigned i = 0; i < WARM_UP + ROUNDS; i++)
        for (unsigned k = 0; k < KINDS; k++) {
            const double ticks = batch(&b, (enum kind)((k + i) % KINDS));
            if (i >= WARM_UP) of[(k + i) % KINDS][i - WARM_UP] = ticks;
        }
    tell(&b, of);
    record_destroy(b.record);
    mini_close(&b.mini);
    return 0;
}

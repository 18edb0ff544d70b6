/* Rows that are the same on every architecture: a page that was touched before, and being called out. */
#include "bench.h"

#include "counter.h" /* the architecture's */

/* Every page is there, so that what is met later is not its absence. */
bool prepare_touched(struct bench_run *r)
{
    const struct bench_page *p = r->page;

    for (uint64_t i = 0; i < (uint64_t)p->samples * p->batch; i++)
        *(volatile uint8_t *)(uintptr_t)(p->address + i * p->stride) = 1;
    return true;
}

/* From the monitor's kick to the end of the longest time without a look at the counter. The monitor says that it has
 * seen the kick come out while this processor is still away, so the look after that is the last that is needed. */
void sample_kick(struct bench_run *r, struct bench_sample *s)
{
    struct bench_page *p = r->page;
    const uint64_t turn = p->guest_turn + 1, stale = p->host_stamp;
    uint64_t last = bench_counter(), longest = 0;
    bool is_last;

    bench_ask_host(p, turn);
    do {
        is_last = bench_host_turn(p) >= turn;
        const uint64_t now = bench_counter();
        if (__atomic_load_n(&p->host_stamp, __ATOMIC_RELAXED) != stale && now - last > longest) {
            longest = now - last;
            s->g1 = now;
        }
        last = now;
    } while (!is_last);
    s->g0 = p->host_stamp;
}

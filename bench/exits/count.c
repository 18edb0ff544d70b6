/* Does the kernel's count of a row's exits agree with the row's definition? One-sided: the host may add exits, and the
 * definition says which. It can't take one away, so a single one that is missing is never explained. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bench/exits/exits.h"

__attribute__((format(printf, 3, 4))) static void say(struct exits_count *c, enum count_verdict verdict,
                                                      const char *fmt, ...)
{
    va_list args;
    c->verdict = verdict;
    va_start(args, fmt);
    (void)vsnprintf(c->because, sizeof(c->because), fmt, args);
    va_end(args);
}

struct exits_count exits_count_judge(const struct exits_run *run)
{
    const struct arch_bench_row *row = run->what;
    const uint64_t repetitions = (uint64_t)run->samples * run->batch;
    struct exits_count c = {.verdict = COUNT_NONE};
    if (!run->has_count || !run->samples || row->exits < 0) return c;
    const uint64_t want = c.expected = (uint64_t)row->exits * repetitions, got = run->counted;
    const uint64_t more = got > want ? got - want : 0, allowed = want * row->more / 100;
    /* Such a statistic has the host's interrupts in it, and on kvm_pvm the turns of its emulator. One exit more in each
     * repetition would be the row's own. */
    const bool has_interrupts = strcmp(run->source, EXITS_ALL) == 0;
    if (got < want)
        say(&c, COUNT_FEWER, "%" PRIu64 " of %" PRIu64 " are missing, and a host takes no exit away", want - got, want);
    else if (!more)
        c.verdict = COUNT_AGREES;
    else if (more <= allowed)
        say(&c, COUNT_EXPLAINED, "%" PRIu64 " more: the host may add %s", more, row->adds);
    else if (has_interrupts && more < repetitions + allowed)
        say(&c, COUNT_EXPLAINED,
            "%" PRIu64 " more, less than one a repetition: this KVM counts the host's interrupts among its exits",
            more);
    else
        say(&c, COUNT_MORE, "%" PRIu64 " more than %" PRIu64 ", which the host does not add", more, want);
    return c;
}

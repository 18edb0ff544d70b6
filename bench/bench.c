#include "bench/bench.h"

const struct bench_kind *bench_kind_at(unsigned index)
{
    /* Ends with a NULL. */
    static const struct bench_kind *const kinds[] = {&bench_exits, &bench_fairness, NULL};
    return index < sizeof(kinds) / sizeof(kinds[0]) ? kinds[index] : NULL;
}

#include "bench/bench.h"

#include <string.h>

const struct bench_kind *bench_kind_at(unsigned index)
{
    /* Ends with a NULL. */
    static const struct bench_kind *const kinds[] = {&bench_exits, &bench_fairness, &bench_sandbox, NULL};
    return index < sizeof(kinds) / sizeof(kinds[0]) ? kinds[index] : NULL;
}

const struct bench_kind *bench_kind_find(const char *name)
{
    const struct bench_kind *k;
    for (unsigned i = 0; (k = bench_kind_at(i)) != NULL; i++)
        if (strcmp(k->name, name) == 0) return k;
    return NULL;
}

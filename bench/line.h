/* One line of a result as a bench makes it: a JSON object (docs/result-format.md), written piece by piece. */
#ifndef VIREO_BENCH_LINE_H
#define VIREO_BENCH_LINE_H

#include <stdio.h>

#include "bench/bench.h"
#include "vmm/base/json_out.h"

struct bench_line { /* the caller's storage; one thread */
    struct json_out json;
    FILE *f;
    char *text;
    size_t len;
};

/* Begin an object that holds "type". Keys are then put into l->json. 0, or -ENOMEM. */
int bench_line_begin(struct bench_line *l, const char *type, struct err *e);
/* End it, pass it on and free it. 0, or -ENOMEM: nothing was passed on. */
int bench_line_end(struct bench_line *l, const struct bench_sink *sink, struct err *e);

/* A distribution of a row (docs/result-format.md) from `count` values above 0, least first. */
void bench_line_put_histogram(struct json_out *j, const char *key, const uint64_t *sorted, uint32_t count);
/* Before the items, as bench.h has it. 0, or -ENOMEM. */
int bench_line_item(const struct bench_sink *sink, const char *item, uint64_t timeout_ms, struct err *e);

#endif

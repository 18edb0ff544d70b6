/* What `vireo fairness --json` wrote, as a page of its own: schema vireo-fairness-1, whose keys are in
 * docs/man/vireo-fairness.1. One thread. */
#ifndef VIREO_BENCH_REPORT_LIVE_H
#define VIREO_BENCH_REPORT_LIVE_H

#include <stdbool.h>
#include <stdio.h>

#include "bench/result/result.h"

/* Does it begin like one, of whichever version? f stands at its beginning again. */
bool report_live_is_one(FILE *f);
/* One self-contained HTML page of the whole text of such a file. -EINVAL: what is wrong with it. Any bytes may come. */
int report_live(const char *text, size_t len, result_write_fn *write, void *arg, struct err *e);

#endif

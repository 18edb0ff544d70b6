/* The figures of all VMs of this user, asked for at the same time, as one page for Prometheus. Whatever a VM does, the
 * page is there after METRICS_ALL_MS at the latest: a VM that hangs is down in it, one that has ended is not in it. */
#ifndef VIREO_CLI_METRICS_GATHER_H
#define VIREO_CLI_METRICS_GATHER_H

#include <stddef.h>

#include "vmm/base/loop.h"

#define METRICS_VM_MS  2000 /* that a VM has: it answers in milliseconds, beside other work in tens */
#define METRICS_ALL_MS 5000 /* Prometheus waits ten seconds unless it is told otherwise */

struct metrics_gather;
struct metrics_watch;

/* Begin, on the loop's thread. watch: which changes of their figures are to be told, too; NULL: none. done is called
 * there once, from the loop and never from within this call; text is valid during the call. NULL: no memory. */
struct metrics_gather *metrics_gather_begin(struct loop *loop, struct metrics_watch *watch,
                                            void (*done)(void *arg, const char *text, size_t len), void *arg);
void metrics_gather_end(struct metrics_gather *g); /* before it is done, or after: frees it; NULL is legal */

#endif

/* Which figures of VMs have changed in a way that chance does not explain (series.h), looked for from scrape to scrape,
 * for the page of `vireo metrics --listen`. One thread. */
#ifndef VIREO_CLI_METRICS_WATCH_H
#define VIREO_CLI_METRICS_WATCH_H

#include "vmm/cli/metrics_page.h"

#define METRICS_WATCHED_MAX 64 /* VMs: what is known of one of 16 vCPUs takes 1.5 MB */

struct metrics_watch;
struct metrics_watch *metrics_watch_create(void);    /* NULL: no memory */
void metrics_watch_destroy(struct metrics_watch *w); /* NULL is legal */

/* A scrape begins: which VMs there are is not known yet. And ends: those that were not named since are forgotten. */
void metrics_watch_begin(struct metrics_watch *w);
void metrics_watch_end(struct metrics_watch *w);
/* There is a VM of that name. false: there is no room to watch it. */
bool metrics_watch_name(struct metrics_watch *w, const char *name);
/* What its page /stats?steps=1 says, len bytes; NULL: it gave none. Judge it, and add to p what is to be said. */
void metrics_watch_take(struct metrics_watch *w, struct metrics_page *p, const char *name, const char *text,
                        size_t len);

#endif

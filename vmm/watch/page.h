/* A machine's statistics as one page: text for people, JSON for programs, Prometheus' text format for its scraper.
 *
 * machine_stats gives the rows, stats_figures.h the six figures of virtualization's overhead; a snapshot of both is
 * taken first and then written, so that no renderer holds anything up. Numbers have a point in every locale. */
#ifndef VIREO_WATCH_PAGE_H
#define VIREO_WATCH_PAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm/base/err.h"

struct machine;
struct figures;

enum stats_format { STATS_TEXT, STATS_JSON, STATS_PROMETHEUS };

struct stats_subject {
    struct machine *machine;
    const char *name, *uuid;
    const char *kernel;      /* the file it runs, by its whole path; NULL: the program's own guest */
    struct figures *figures; /* kept from page to page */
};

struct stats_request {
    enum stats_format format;
    const char *weights; /* "vm_exit_count=2,io_overhead=0": of the figures; NULL or one not named: 1 */
    bool has_steps;      /* JSON: how durations spread, for whoever wants the quantiles of an interval */
};

/* *text: len bytes and a NUL, the caller's to free. 0; -EINVAL: the weights, -ENODATA: the recorder is off, or another
 * -errno, each with a sentence. Any thread, but one at a time for the same figures. */
int stats_page(const struct stats_subject *s, const struct stats_request *r, char **text, size_t *len, struct err *e);

#endif

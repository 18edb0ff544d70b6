/* The overhead of virtualization in six figures and one: docs/overhead.md defines each. A figure that this host can't
 * tell is unavailable, never zero. */
#ifndef VIREO_WATCH_FIGURES_H
#define VIREO_WATCH_FIGURES_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/err.h"
#include "vmm/machine/stats.h"

enum figure_id {
    FIGURE_EXIT_COUNT,
    FIGURE_EXIT_LATENCY,
    FIGURE_MEMORY,
    FIGURE_IO,
    FIGURE_SWITCHES,
    FIGURE_CACHE_MISSES,
    FIGURES
};

/* A value is divided by its reference before it is weighted and added: what a reader may take for one unit of cost. */
extern const struct figure_kind {
    const char *name, *unit;
    double reference;
    const char *help; /* one line */
} figure_kinds[FIGURES];

struct figure {
    double value;
    const char *why_not; /* NULL: there is a value; else why it is unavailable, static */
};

/* What the rows and the host tell. */
struct figure_input {
    uint64_t exits;         /* all that the kernel counted, or the recorder's where it counts none */
    uint64_t handled;       /* that came to the monitor, kicks left out: a pause is their handler */
    uint64_t handler_ns;    /* of these */
    uint64_t io_handler_ns; /* and of the ports' and device memory's among them */
    uint64_t switches;      /* of vCPU threads: context switches; THREAD_UNTOLD */
    struct machine_usage usage;
};

/* What is kept from look to look: the processor's cache counters, one pair a vCPU thread, opened by the first look and
 * then left running. */
struct figures;
struct figures *figures_create(void);    /* NULL: no memory */
void figures_destroy(struct figures *f); /* NULL is legal */
void figures_look(struct figures *f, struct machine *m, const struct figure_input *in, struct figure out[FIGURES]);

/* "vm_exit_count=2,io_overhead=0.5": numbers from 0 on; a figure that is not named keeps 1. NULL or "": all 1. */
int figures_weights(const char *text, double weight[FIGURES], struct err *e);
/* Of those that are available. */
double figures_sum(const struct figure figure[FIGURES], const double weight[FIGURES]);

#endif

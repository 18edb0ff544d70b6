/* A kind of measurement that this library can make of the host it runs on, as a row of a table: "exits" (what each kind
 * of VM exit costs), "fairness" (how vCPUs share processors).
 *
 * A bench consists of items, which are measured one after the other in the calling thread's process, each with machines
 * of its own. What it finds goes out as lines, each one JSON object, while it runs; bench/result makes results of them.
 * vmm/lib/bench.c is the public face. */
#ifndef VIREO_BENCH_BENCH_H
#define VIREO_BENCH_BENCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "vmm/base/err.h"

struct bench_option {
    const char *name, *arg, *help; /* as config.h's keys; arg NULL: a switch, value "true" or "false" */
    bool is_repeated;
    int (*set)(void *options, const char *value, struct err *e); /* form is checked here, one sentence */
};

struct bench_item {
    const char *id;    /* "pio_out_user", "E1" */
    const char *title; /* one line: what it does */
};

/* Where lines go, in the thread that runs the bench. */
struct bench_sink {
    void (*line)(void *arg, const char *json); /* no newline in it; valid during the call */
    void *arg;
    const atomic_bool *is_stopped; /* set by any thread: end soon, with -ECANCELED. May be NULL */
};

struct bench_kind {
    const char *name, *help;
    const struct bench_option *options; /* ends with a NULL name */
    /* NULL past the end: those of this architecture that are measured when none is named. One that only its name
     * reaches is not listed. */
    const struct bench_item *(*item)(unsigned index);
    size_t options_size; /* of a zeroed block that init fills with defaults, set changes, fini empties */
    void (*init)(void *options);
    void (*fini)(void *options);
    /* Lines in this order: {"type":"environment",...}; for each item {"type":"begin","item":ID,"timeout_ms":N} and
     * then its result, {"type":"row",...} or {"type":"experiment",...}; whoever reads them and sees no result within
     * the time may take the process for stuck. What an item can't do is in its status, not an error here. */
    int (*run)(const void *options, const struct bench_sink *sink, struct err *e);
};

extern const struct bench_kind bench_exits, bench_fairness;
const struct bench_kind *bench_kind_at(unsigned index); /* NULL past the end */

#endif

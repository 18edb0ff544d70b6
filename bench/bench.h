/* A kind of measurement that can be made of the host, as a row of a table: "exits" (what each kind
 * of VM exit costs), "fairness" (how vCPUs share processors), "sandbox" (what calls, clones and resets cost).
 *
 * A bench consists of items. It measures them one after the other in the calling process, each with machines of its
 * own, and passes on what it finds as lines, each one JSON object, while it runs; bench/result makes results of them.
 */
#ifndef VIREO_BENCH_BENCH_H
#define VIREO_BENCH_BENCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/err.h"
#include "vmm/base/setting.h"

struct bench_item {
    const char *id;    /* "pio_out_user", "E1" */
    const char *title; /* one line: what is measured */
};

/* Where lines go, in the thread that runs the bench. */
struct bench_sink {
    void (*line)(void *arg, const char *json); /* no newline in it; valid during the call */
    void *arg;
    const atomic_bool *is_stopped; /* any thread sets it to end the bench soon, with -ECANCELED. May be NULL */
};

struct bench_kind {
    const char *name, *help;
    const struct setting *options; /* `set` takes the block of options that init fills */
    const char *select;            /* the option that takes a list of items, with commas between them */
    /* How many fresh processes measure, unless the user says how many. An interval over them needs ten. */
    unsigned processes;
    /* No further process begins when it would end later than so long after the first began; 0: no limit. May be NULL.
     */
    uint32_t (*budget_ms)(const void *options);
    /* What is measured on this architecture when no item is named; NULL past the end. An item that is only measured by
     * its name is not among them. */
    const struct bench_item *(*item)(unsigned index);
    size_t options_size; /* of a zeroed block that init fills with defaults, an option's set changes, fini empties */
    void (*init)(void *options);
    void (*fini)(void *options);
    /* Measure. Lines come in this order: {"type":"environment",...}; for each item first
     * {"type":"begin","item":ID,"timeout_ms":N}, then its result, {"type":"row",...} or {"type":"experiment",...}. A
     * reader who gets no result within that time may take the process for stuck. What can't be measured here is said in
     * an item's status and is no error of run. */
    int (*run)(const void *options, const struct bench_sink *sink, struct err *e);
};

extern const struct bench_kind bench_exits, bench_fairness, bench_sandbox;
const struct bench_kind *bench_kind_at(unsigned index);     /* NULL past the end */
const struct bench_kind *bench_kind_find(const char *name); /* NULL: there is no such kind */

#endif

/* Pieces of `vireo bench`: bench.c tells the story, these do the work. */
#ifndef VIREO_BENCH_CLI_BENCH_H
#define VIREO_BENCH_CLI_BENCH_H

#include "vmm/cli/cli.h"

#define BENCH_ITEMS_MAX 128 /* of a kind; a result holds no more rows */
#define BENCH_WORDS_MAX 64  /* options passed on to workers */
#define BENCH_ID_MAX    64  /* of an item, with its NUL */

/* ---- measuring the host ---- */

/* A bench: "exits" (what each kind of VM exit costs here) or "fairness" (how vCPUs share processors). It runs guests of
 * its own in this process. */
struct vireo_bench;
struct vireo_bench_item {
    const char *id, *title; /* a row or an experiment; static */
    uint64_t reserved[2];
};
const char *vireo_bench_kind(unsigned index, const char **help); /* its name; NULL past the end. help: one line */
/* The options of a kind, and what it measures on this architecture; false past the end or when there is no such kind.
 */
bool vireo_bench_option(const char *kind, unsigned index, struct vireo_key *out);
bool vireo_bench_item(const char *kind, unsigned index, struct vireo_bench_item *out);

int vireo_bench_create(struct vireo_bench **out, const char *kind, struct vireo_error *e);
void vireo_bench_destroy(struct vireo_bench *b);
int vireo_bench_set(struct vireo_bench *b, const char *key, const char *value, struct vireo_error *e);
/* Measure. line gets JSON objects, one a call, as they are found; the format is vireo_result_add's. What the host can't
 * do is in them, not an error. Takes seconds to minutes. */
int vireo_bench_run(struct vireo_bench *b, void (*line)(void *arg, const char *json), void *arg, struct vireo_error *e);
void vireo_bench_stop(struct vireo_bench *b); /* any thread: run ends soon, with -ECANCELED */

/* Results: of the lines of one or more runs, in as many processes, or of a file. */
struct vireo_result;
int vireo_result_create(struct vireo_result **out, const char *kind, struct vireo_error *e);
int vireo_result_load(struct vireo_result **out, const char *json, size_t len, struct vireo_error *e);
void vireo_result_destroy(struct vireo_result *r);
int vireo_result_add(struct vireo_result *r, const char *line, size_t len, struct vireo_error *e);
/* What the process whose lines come has begun and not finished, and how long it may take; NULL: nothing. Then, to give
 * it up: its status becomes "timeout" or "failed" (the process died), why is one sentence; the next environment is then
 * of a process that goes on in place of that one. */
const char *vireo_result_pending(const struct vireo_result *r, unsigned *timeout_ms);
int vireo_result_give_up(struct vireo_result *r, const char *status, const char *why, struct vireo_error *e);
/* Each of these three calls write once, with all of it, or not at all: then *e says why.
 * "text", "json" (what vireo_result_load reads), "csv"; of exits also "hgrm" (HdrHistogram's percentiles) and "kut"
 * (lines as kvm-unit-tests prints them). */
int vireo_result_write(const struct vireo_result *r, const char *format, vireo_write_fn *write, void *arg,
                       struct vireo_error *e);
/* a against b, "text" or "json": ratios with intervals, and how likely chance alone makes such a difference. */
int vireo_result_compare(const struct vireo_result *a, const struct vireo_result *b, const char *format,
                         vireo_write_fn *write, void *arg, struct vireo_error *e);
/* One HTML page that needs no other file, no script and no network, of 1 to 16 results of whatever kinds. */
int vireo_report_write(const struct vireo_result *const *results, unsigned count, vireo_write_fn *write, void *arg,
                       struct vireo_error *e);

/* What a worker is told: the user's options of the kind, and the items. */
struct bench_order {
    const char *kind;
    const char *select; /* the option that takes a list of items */
    char *word[BENCH_WORDS_MAX + 1];
    unsigned words;
    char item[BENCH_ITEMS_MAX][BENCH_ID_MAX];
    unsigned items;
};

/* Of all processes, for the progress line. */
struct bench_progress {
    bool is_shown;
    unsigned process, processes; /* 0 to processes - 1 */
    unsigned done, all;          /* items, of all processes */
    uint64_t started_ns;
};

/* One program's part of the measurement. */
struct bench_side {
    const char *program; /* what is run; its result goes to: */
    struct vireo_result *result;
};

/* ---- files.c ---- */
/* 0 and the result is the caller's to destroy; or *e says what is wrong with the file. */
int result_read(struct vireo_result **out, const char *path, struct vireo_error *e);

/* ---- worker.c ---- */
/* As worker: measure in this process, one JSON object a line to standard output. Exit status. */
int worker_main(struct vireo_bench *b);

/* ---- watch.c ---- */
/* Have one process's share measured, by one worker, or more when one has to be given up. signals: a signalfd that ends
 * it. 0; -EINTR: a signal came, *signal is it; or -errno with *e filled (without text when the worker itself has said
 * what went wrong), and what was measured is in the result. */
struct bench_watch {
    const struct bench_order *order;
    struct bench_progress *progress;
    int signals, signal;
};
int watch_process(struct bench_watch *w, const struct bench_side *side, struct vireo_error *e);
void progress_clear(const struct bench_progress *p);

#endif

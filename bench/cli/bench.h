/* Pieces of `vireo bench`: bench.c tells the story, these do the work. */
#ifndef VIREO_CLI_BENCH_H
#define VIREO_CLI_BENCH_H

#include "vmm/cli/cli.h"

#define BENCH_ITEMS_MAX 128 /* of a kind; a result holds no more rows */
#define BENCH_WORDS_MAX 64  /* options passed on to workers */
#define BENCH_ID_MAX    64  /* of an item, with its NUL */

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

/* ---- bench_worker.c ---- */
/* As worker: measure in this process, one JSON object a line to standard output. Exit status. */
int worker_main(struct vireo_bench *b);

/* ---- bench_watch.c ---- */
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

/* The commands of `vireo-bench`, and the pieces of `vireo bench`: bench.c tells the story, the others do the work;
 * live.c is `vireo fairness`.
 * Errors of the benches are a struct err, those of the command line a struct vireo_error; lib_error turns one into the
 * other.
 */
#ifndef VIREO_BENCH_CLI_BENCH_H
#define VIREO_BENCH_CLI_BENCH_H

#include "bench/bench.h"
#include "bench/result/result.h"
#include "vmm/cli/cli.h"
#include "vmm/lib/lib.h"

extern const struct command command_bench, command_report, command_fairness;

#define BENCH_ITEMS_MAX 128 /* of a kind, as many as a result holds rows */
#define BENCH_WORDS_MAX 64  /* options passed on to workers */
#define BENCH_ID_MAX    64  /* of an item, with its NUL */

/* What a worker is told: the user's options of the kind, and the items. */
struct bench_order {
    const struct bench_kind *kind;
    char *word[BENCH_WORDS_MAX + 1];
    unsigned words;
    char item[BENCH_ITEMS_MAX][BENCH_ID_MAX];
    unsigned items;
};

/* What the progress line says, of all processes together. */
struct bench_progress {
    bool is_shown;
    unsigned process, processes; /* 0 to processes - 1 */
    unsigned done, all;          /* items, of all processes */
    uint64_t started_ns;
};

/* One program's part of the measurement. */
struct bench_side {
    const char *program;   /* the worker */
    struct result *result; /* of all its processes */
};

/* ---- kinds.c ---- */
/* A command's list (cli.h). After a kind: its own options. Otherwise the kinds, and the options of all of them. */
void bench_list_options(FILE *f, const char *kind);
/* Of an option among the words that another kind has: as a hint, what this one has in its place. */
void bench_hint_kind(const struct bench_kind *kind, char **words, struct vireo_error *e);

/* ---- files.c ---- */
int say_err(int rc, const struct err *err); /* say_error for what a bench or a result returned; 0: nothing to say */
/* A regular file and its size. NULL: errno says why not, EINVAL that it is no such file. */
FILE *open_to_read(const char *path, off_t *size);
/* 0 and the result is the caller's to destroy; or *e says what is wrong with the file. */
int result_read(struct result **out, const char *path, struct vireo_error *e);

/* ---- watch.c ---- */
struct bench_watch {
    const struct bench_order *order;
    struct bench_progress *progress;
    int signals; /* a signalfd, whose signals end the measurement */
    int signal;  /* the one that came */
};
/* Measure the items once, in one worker, or in several where one has to be given up. 0; -EINTR: w->signal came; or
 * another -errno with *e filled, but without text when the worker itself has said what went wrong. side->result has
 * what was measured in any case. */
int watch_process(struct bench_watch *w, const struct bench_side *side, struct vireo_error *e);
void progress_clear(const struct bench_progress *p); /* take the progress line off the terminal */

#endif

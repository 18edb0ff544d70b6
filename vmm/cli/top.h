/* Pieces of `vireo top`: top.c owns the terminal and the time, these the numbers. */
#ifndef VIREO_CLI_TOP_H
#define VIREO_CLI_TOP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Of durations, as /stats?steps=1 counts them: the k-th ends at 2^(k/8) ns; the last is a minute. */
#define TOP_STEPS     289
#define TOP_WORD      48   /* a name, cut to this */
#define TOP_VCPUS_MAX 64   /* as a machine may have */
#define TOP_ROWS_MAX  1024 /* a dozen classes, of each vCPU and of all */

/* ---- top_sample.c ---- */

struct top_row { /* a class of exits of one vCPU, or of all of them */
    int vcpu;    /* -1: all */
    char name[TOP_WORD];
    uint64_t count, run_ns, handler_ns;
    uint64_t run[TOP_STEPS], handler[TOP_STEPS];
};

struct top_sample {
    char uuid[TOP_WORD];
    int pid;
    uint64_t age_ns;
    unsigned vcpus;
    double sum;     /* of the weighted figures */
    uint64_t saved; /* exits by ioeventfd */
    struct top_row *row;
    size_t count;
};

/* From a page. false: it is not one. What was in *s is freed. */
bool top_sample_read(struct top_sample *s, const json_t *page);
void top_sample_fini(struct top_sample *s); /* and empty again: no exit, no time */
/* What happened between two samples of one VM, in *change: rows of `to` less those of `from`. false: out of memory. */
bool top_sample_subtract(struct top_sample *change, const struct top_sample *from, const struct top_sample *to);

/* ---- top_draw.c ---- */

/* The first part of the block for one interval; lines end with '\n', and the most telling come first, since a window
 * may cut the rest. */
void top_draw(FILE *f, const char *name, const struct top_sample *now, const struct top_sample *change);
/* Is the row one of all vCPUs together? With a single vCPU there are no rows of all. */
bool top_is_of_all(const struct top_sample *s, const struct top_row *row);
/* The least step's end that a share of the durations does not exceed, in ns; 0: there are none. */
double top_quantile(const uint64_t steps[TOP_STEPS], double share);

/* ---- top_vcpus.c ---- */

struct series;

/* The last looks, for a line that shows where now stands among them. Zeroed to begin with. */
#define TOP_LOOKS 48
struct top_history {
    double exits[TOP_LOOKS],
        delay[TOP_LOOKS]; /* a second; of the time that vCPUs wanted to run, in which they couldn't */
    unsigned count;       /* of looks that were kept; the last is at (count - 1) % TOP_LOOKS */
};
void top_history_add(struct top_history *h, const struct series *s);
void top_history_draw(FILE *f, const struct top_history *h); /* nothing, when there are fewer than two looks */
/* A line for each vCPU, those that waited longest for a CPU first. */
void top_vcpus_draw(FILE *f, const struct series *s);

/* ---- top_record.c ---- */

struct top_record {
    const char *path;         /* NULL: standard output */
    const char *const *names; /* names_count of them; none: all VMs that run, also those that come later */
    unsigned names_count;
    uint64_t interval_ns, duration_ns, looks; /* 0: until a signal comes, or all that were named have ended */
    int signals;                              /* as signals_catch gives it: what ends it */
};
/* Write what happens to them to a file, line by line. Exit status. */
int top_record(const struct top_record *o);

#endif

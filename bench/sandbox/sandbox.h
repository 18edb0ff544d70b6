/* `vireo bench sandbox`, as its files see one another:
 *
 *   sandbox.c   the bench: options, one row after the other, the lines it emits
 *   rows.c      what each row does, and its yardstick
 *   bare.c      the yardsticks' VM, by bare calls of KVM
 *
 * A sample is one operation of the row and one of its yardstick, in turns, each between two readings of the counter.
 * The sandbox is used by its public header, as an embedder does. */
#ifndef VIREO_BENCH_SANDBOX_SANDBOX_H
#define VIREO_BENCH_SANDBOX_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <vireo_sandbox.h>

#include "arch/counter.h"
#include "bench/sandbox/bare.h"

/* What rows work with: made once for a row, by the thread that measures. */
struct sandbox_work {
    struct counter counter;
    struct vireo_sandbox_config *config;
    struct vireo_sandbox_template *template;
    struct vireo_sandbox *sandbox; /* a clone, for rows that call */
    struct vireo_sandbox_fn fn;
    struct bare bare;
    int memory_fd, program_fd; /* the yardstick's template; the program, to be run natively */
    void *in, *out, *copy;     /* SANDBOX_BYTES each */
};
#define SANDBOX_BYTES (16u << 20) /* 4096 pages, or a call's bytes */

struct sandbox_row {
    const char *id, *title;
    uint32_t samples, quick; /* in each process; of --quick */
    /* Ticks that one took; -errno with *e filled. */
    int64_t (*operate)(struct sandbox_work *w, const struct sandbox_row *row, struct err *e);
    int64_t (*measure)(struct sandbox_work *w, const struct sandbox_row *row, struct err *e); /* the yardstick */
    const char *function;    /* of the guest's, called; NULL: none */
    uint64_t amount;         /* bytes of a call, pages of a reset, exits of a call */
    const char *const *argv; /* of a row that runs a program */
};
extern const struct sandbox_row sandbox_rows[]; /* ends with a NULL id */
#define SANDBOX_ROWS_MAX 32

int sandbox_work_begin(struct sandbox_work *w, const struct sandbox_row *row, struct err *e);
void sandbox_work_end(struct sandbox_work *w); /* half begun is legal */

#endif

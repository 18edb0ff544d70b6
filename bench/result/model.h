/* What is in a result, for those that write it out (result_*.c, report*.c). All of it has been checked: what came from
 * a file or a worker and is in here has the form that this header says. Const for everyone but result.c. */
#ifndef VIREO_BENCH_RESULT_MODEL_H
#define VIREO_BENCH_RESULT_MODEL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/result/result.h"
#include "bench/statistics.h"
#include "vmm/base/hist.h"

#define RESULT_ID_MAX        63   /* of a row, an experiment, a property: letters, digits, _ - . + */
#define RESULT_TEXT_MAX      1000 /* bytes of any other string; a sentence has some hundred */
#define RESULT_ROWS_MAX      128  /* 40 are there */
#define RESULT_PROCESSES_MAX 200  /* an hour of measuring; at most STATISTICS_MAX, to be resampled */
#define RESULT_SAMPLES_MAX                                                                                             \
    (1ull << 28)                     /* of a row: as many processes with all the samples a guest can give, ten times */
#define RESULT_BYTES_MAX (64u << 20) /* of a file: 40 rows of six histograms are 2 MiB at most; of 128, 6 */
#define RESULT_LIST_MAX  100000      /* of experiments, or elements of a list in one: 30 s of windows are 600 */

/* ---- a distribution: ticks of the environment's counter, each a whole batch ---- */

#define DIST_STEPS  HIST_STEPS                       /* buckets of a power of two, */
#define DIST_POWERS (HIST_BITS - HIST_STEP_BITS + 1) /* and how many of those there are */

struct dist_bucket {
    uint64_t value, count; /* value: the lowest of its bucket (hist.h) */
};

struct dist {
    uint64_t count, min, max; /* 0: nothing was recorded, and min and max mean nothing */
    double sum;
    struct dist_bucket *bucket; /* by rising value */
    unsigned buckets;
};

uint64_t dist_top(uint64_t value); /* the highest value of the bucket that value is the lowest of */
/* The least value that `rank` (1 to count) of the values do not exceed, to three digits. */
uint64_t dist_at(const struct dist *d, uint64_t rank);
uint64_t dist_rank(const struct dist *d, double share); /* nearest rank, 1 to count */
/* As hists_quantiles. 0 when there is none. */
uint64_t dist_quantile(const struct dist *d, double share);
/* Where that quantile lies with 95 % confidence, as values; unknown when there are too few. */
struct interval dist_interval(const struct dist *d, double share);

/* ---- a row of exits ---- */

enum phase { PHASE_RTT, PHASE_UNDISTURBED, PHASE_EXIT_LEG, PHASE_USER, PHASE_ENTRY_LEG, PHASE_KVM_RUN, PHASE_COUNT };
const char *phase_name(enum phase p); /* "rtt", "rtt_undisturbed", ... */

enum row_status { ROW_OK, ROW_NO_EXIT, ROW_TIMEOUT, ROW_UNSUPPORTED, ROW_FAILED, ROW_STATUS_COUNT };
const char *row_status_name(enum row_status s); /* "ok", "no-exit", "timeout", "unsupported", "failed" */

/* One process's part of a row. */
struct row_process {
    enum row_status status;
    double p50;      /* of its headline phase, ticks of one operation; below 0: none */
    double baseline; /* ticks of a batch of the loop without the trap; below 0: not measured */
};

struct result_row {
    char id[RESULT_ID_MAX + 1];
    char group[16];         /* "control", "kernel", "user", or "" where no process got that far */
    enum row_status status; /* ok when one process's was, else the first one's */
    char *detail;           /* of the first process whose status was not ok, or what else there is to say; "" */
    unsigned batch; /* operations between two counter reads, at least 1: durations of phases are divided by it */
    uint64_t samples, disturbed;
    bool has_exits, exits_agree; /* agree: in every process, or nothing was expected */
    bool has_expected;           /* false: the host decides how many there are, and they neither agree nor differ */
    uint64_t exits_expected, exits_counted;
    char *exits_source; /* the kernel's statistic that was asked */
    bool has_identity, identity_holds;
    double identity_residual; /* the largest in size */
    struct dist phase[PHASE_COUNT];
    struct row_process *process;
    unsigned processes;
};

/* The phase that the headline is of: rtt, or kvm_run where the guest can't see one. */
enum phase row_headline_phase(const struct result_row *r);
/* The median over processes of their p50s, ticks of one operation; below 0: none. Interval over processes, unknown for
 * fewer than STATISTICS_BOOTSTRAP_MIN. interval may be NULL. */
double row_headline(const struct result_row *r, struct interval *interval);
double row_baseline(const struct result_row *r);                          /* median over processes; below 0: none */
unsigned row_count_status(const struct result_row *r, enum row_status s); /* processes that ended so */
unsigned row_p50s(const struct result_row *r, double *p50); /* fills RESULT_PROCESSES_MAX at most; how many */

/* ---- all of it ---- */

struct result {
    char kind[16];
    json_t *environments; /* array of objects as result.h has them, one of each process; see environment_* */
    struct result_row *row;
    unsigned rows;
    json_t *experiments; /* array of objects as result.h has them: present keys have the types given there */

    /* Of the worker whose lines come: */
    char pending[RESULT_ID_MAX + 1]; /* what it has begun and not finished; "": nothing */
    unsigned pending_ms;
    bool is_continued; /* it was given up: the next environment goes on with the same process */
};

/* Of the first environment: a string or a number under "host" or at the top, as text in buf; "unknown" where it is null
 * or missing. path: "host.cpu", "arch". */
#define ENVIRONMENT_TEXT_MAX 4096 /* a module has some forty parameters; what does not fit is cut */
const char *environment_text(const struct result *r, const char *path, char buf[ENVIRONMENT_TEXT_MAX]);
double environment_hz(const struct result *r); /* of its counter; 1e9 (nanoseconds) where there is none. Above 0 */
json_t *environment_at(const struct result *r, const char *path); /* NULL: missing */

/* ---- the formats of result_write, one file each ---- */
void result_text(FILE *f, const struct result *r);
json_t *result_json(const struct result *r); /* NULL: no memory */
void result_csv(FILE *f, const struct result *r);
void result_hgrm(FILE *f, const struct result *r);
void result_kut(FILE *f, const struct result *r);

#endif

/* What is in a result, for those that write it out. All of it has been checked: what came from a file or a worker has
 * the shape that shape.c gives it. Const for everyone but result.c. Where a figure is unknown, a double is NaN. */
#ifndef VIREO_BENCH_RESULT_MODEL_H
#define VIREO_BENCH_RESULT_MODEL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/result/result.h"
#include "bench/result/shape.h"
#include "bench/statistics.h"
#include "vmm/base/hist.h"

#define RESULT_SCHEMA        "vireo-result-1"
#define RESULT_ROWS_MAX      128        /* there are some 40 */
#define RESULT_PROCESSES_MAX 200        /* an hour of measuring; at most STATISTICS_MAX, to be resampled */
#define RESULT_SAMPLES_MAX   (1u << 28) /* of a row: as many processes with all the samples a guest gives, ten times */

/* ---- a distribution: ticks of the environment's counter, each of a whole batch ---- */

#define DIST_STEPS  HIST_STEPS                       /* buckets of a power of two, */
#define DIST_POWERS (HIST_BITS - HIST_STEP_BITS + 1) /* and how many of those there are */

struct dist_bucket {
    uint64_t value, count; /* value: the lowest of its bucket (hist.h) */
};

struct quantile {
    double ticks;     /* of one operation; unknown, above the median, with too few samples for the interval */
    double low, high; /* with 95 % confidence; unknown with too few samples */
};
#define DIST_QUANTILES 4
extern const double dist_shares[DIST_QUANTILES]; /* 0.5, 0.9, 0.99, 0.999 */

struct dist {
    uint64_t count, min, max; /* count 0: nothing was recorded, and min and max mean nothing */
    double sum;
    struct dist_bucket *bucket; /* by rising value */
    unsigned buckets;
    struct quantile quantile[DIST_QUANTILES]; /* once row_sum_up has filled them */
};

int dist_read(struct dist *out, const json_t *h, struct err *e); /* out: an empty one, and still so on error */
int dist_merge(struct dist *into, const struct dist *from);      /* 0 or -ENOMEM: then into is as it was */
void dist_fini(struct dist *d);
void dist_write_buckets(struct json_out *j, const void *dist);
uint64_t dist_top(uint64_t value); /* the highest value of the bucket that value is the lowest of */
/* The least value that `rank` (1 to count) of the values do not exceed, to three digits. */
uint64_t dist_at(const struct dist *d, uint64_t rank);
uint64_t dist_rank(const struct dist *d, double share); /* nearest rank, 1 to count */
/* As hists_quantiles. 0 when there is none. */
uint64_t dist_quantile(const struct dist *d, double share);
/* Where that quantile lies with 95 % confidence, as values; unknown when there are too few. */
struct interval dist_interval(const struct dist *d, double share);

/* ---- a row of exits, or of a sandbox's operations, whose yardstick is its baseline ---- */

enum phase {
    PHASE_RTT,
    PHASE_UNDISTURBED,
    PHASE_EXIT_LEG,
    PHASE_USER,
    PHASE_ENTRY_LEG,
    PHASE_KVM_RUN,
    PHASE_YARDSTICK,
    PHASE_COUNT
};
extern const char *const phase_names[]; /* "rtt", "rtt_undisturbed", ... */

enum row_status { ROW_OK, ROW_NO_EXIT, ROW_TIMEOUT, ROW_UNSUPPORTED, ROW_FAILED, ROW_STATUS_COUNT };
extern const char *const row_statuses[]; /* "ok", "no-exit", "timeout", "unsupported", "failed" */

enum row_group {
    GROUP_UNKNOWN = -1,
    GROUP_CONTROL,
    GROUP_KERNEL,
    GROUP_USER,
    GROUP_SANDBOX
}; /* unknown: no process got that far */
extern const char *const row_groups[];

/* How a count compares with what the row expects, from good to bad. */
enum count_verdict {
    COUNT_NONE = -1, /* not counted, or nothing is expected */
    COUNT_AGREES,    /* they are the same */
    COUNT_EXPLAINED, /* more, which the host may add: neither right nor wrong */
    COUNT_MORE,      /* more than that */
    COUNT_FEWER      /* nothing explains that an exit is missing */
};
extern const char *const count_verdicts[]; /* "agrees", "explained", "more", "fewer" */

/* One process's part of a row. */
struct row_process {
    enum row_status status;
    double p50;         /* of all its samples, ticks of one operation */
    double undisturbed; /* the same without the disturbed ones; unknown where too few are left */
    double baseline;    /* ticks of a batch of the loop without the trap */
};

struct headline {
    enum phase phase; /* rtt, or kvm_run where the guest can't see a round trip; rtt_undisturbed on a disturbed host */
    double p50;       /* ticks of one operation: the median over processes of their p50s */
    double low, high; /* its interval over processes; unknown for fewer than STATISTICS_BOOTSTRAP_MIN */
    double ns;        /* p50 in nanoseconds */
    double all;       /* as p50, of all samples, with the disturbed ones */
};

struct result_row {
    char id[SHAPE_NAME_MAX + 1];
    enum row_group group;
    enum row_status status;          /* ok when one process's was, else the first one's */
    char detail[SHAPE_TEXT_MAX + 1]; /* of the first process whose status was not ok, or what else there is to say */
    uint64_t batch; /* operations between two counter reads, at least 1: durations of phases are divided by it */
    uint64_t samples, disturbed;
    uint64_t expected, counted;       /* exits; COUNT_UNKNOWN: not counted, or the host decides how many there are */
    char source[SHAPE_TEXT_MAX + 1];  /* the kernel's statistic that counted them */
    int agrees, legs_hold;            /* true only if true in every process that knows; -1: none does */
    enum count_verdict verdict;       /* of counted against expected: the worst of the processes */
    char because[SHAPE_TEXT_MAX + 1]; /* of the first process that says why the two are not the same */
    double residual;                  /* of the legs: the largest in size */
    double baseline;                  /* of a worker's line; once summed up, the median over processes */
    struct dist phase[PHASE_COUNT];
    struct row_process *process;
    unsigned processes;
    /* Once row_sum_up has filled them: */
    struct headline headline;
    double ratio;          /* of a sandbox's row: the headline over the yardstick's median; else unknown */
    uint64_t processes_ok; /* whose status is ok */
};

/* A row of a worker's line (one process) or of a result file. out: a zeroed one; the caller's on success only. */
int row_read(struct result_row *out, const json_t *row, struct err *e);
/* Make one row of the two. Takes from; both are as they were on error. */
int row_merge(struct result_row *into, struct result_row *from, struct err *e);
void row_fini(struct result_row *r);

/* A copy of the row in which what follows from the rest is filled in, and what it does not know is COUNT_UNKNOWN. It
 * shares lists with the row, so it is not to be emptied. hz: of the environment's counter. */
struct result_row row_sum_up(const struct result_row *r, double hz);
struct headline row_headline(const struct result_row *r, double hz);
enum phase row_headline_phase(const struct result_row *r); /* whose quantiles stand beside it: never the undisturbed */
double row_p50(const struct result_row *r);                /* the headline's, without the work for its interval */
double row_quantile(const struct result_row *r, enum phase p, double share); /* ticks of one operation */
double row_baseline(const struct result_row *r);                          /* ticks of a batch: median over processes */
unsigned row_count_status(const struct result_row *r, enum row_status s); /* processes that ended so */
/* Of the headline: those of the processes that know theirs. How many. */
unsigned row_p50s(const struct result_row *r, double p50[RESULT_PROCESSES_MAX]);
void row_write_p50s(struct json_out *j, const void *row);
void row_write_processes(struct json_out *j, const void *row);

/* ---- an experiment of fairness: the JSON object that SHAPE_experiment describes ---- */

enum verdict { VERDICT_PASS, VERDICT_FAIL, VERDICT_INCONCLUSIVE, VERDICT_REPORTED, VERDICT_COUNT };
extern const char *const verdicts[]; /* "pass", "fail", "inconclusive", "reported": of properties */

/* An identity or a property. Texts are "" where there is none. */
struct finding {
    bool is_identity;
    enum verdict verdict;
    const char *word; /* for the verdict; that of an identity is "holds", "fails" or "unknown" */
    char id[SHAPE_NAME_MAX + 1], unit[SHAPE_TEXT_MAX + 1], text[SHAPE_TEXT_MAX + 1], reason[SHAPE_TEXT_MAX + 1];
    double statistic, bound;
    int holds; /* of an identity; -1: unknown */
};
/* The index-th: identities first, then properties. false: there are no more. */
bool experiment_finding(const json_t *experiment, size_t index, struct finding *out);

/* ---- a row of two results, compared ---- */

enum difference { NO_FIGURES, NO_DIFFERENCE, SLOWER, FASTER };
extern const char *const difference_words[]; /* "no figures", "no difference shown", "slower", "faster" */

struct compared {
    char row[SHAPE_NAME_MAX + 1];
    double a_ns, b_ns;                 /* medians over processes */
    double ratio, low, high;           /* b over a, and its interval */
    double p;                          /* how likely chance alone makes such a difference */
    uint64_t processes_a, processes_b; /* those that have a figure */
    enum difference verdict;           /* of b */
    int is_regression;                 /* slower by more than the margin: 0 or 1 */
};

/* ---- all of it ---- */

struct result_pending {
    char item[SHAPE_NAME_MAX + 1]; /* what the worker has begun and not finished; "": nothing */
    uint64_t timeout_ms;
};

enum result_kind { RESULT_EXITS, RESULT_FAIRNESS, RESULT_SANDBOX };
extern const char *const result_kinds[]; /* "exits", "fairness", "sandbox" */
static inline bool result_kind_has_rows(enum result_kind kind)
{
    return kind != RESULT_FAIRNESS; /* which has experiments */
}

struct result {
    enum result_kind kind;
    json_t *environments; /* array of objects of SHAPE_environment, one of each process */
    struct result_row *row;
    unsigned rows;
    json_t *experiments; /* array of objects of SHAPE_experiment */
    struct result_pending pending;
    bool is_continued; /* that was given up: the next environment goes on with the same process */
};

void result_verdicts(const struct result *r, unsigned count[VERDICT_COUNT]); /* of its properties */
struct result_row *result_row(const struct result *r, const char *id);       /* NULL: there is none */

/* ---- environment.c: of the first process. path: "host.cpu", "arch" ---- */

int environment_check(const json_t *env, enum result_kind kind, struct err *e);
/* A value as text in buf, an object as "key=value key=value"; "unknown" where it is null or missing. */
#define ENVIRONMENT_TEXT_MAX 4096 /* a module has some forty parameters; what does not fit is cut */
const char *environment_text(const struct result *r, const char *path, char buf[ENVIRONMENT_TEXT_MAX]);
double environment_hz(const struct result *r); /* of its counter; 1e9 (nanoseconds) where there is none. Above 0 */
json_t *environment_at(const struct result *r, const char *path); /* NULL: missing */

/* ---- the formats of result_write, one file each ---- */
void result_text(FILE *f, const struct result *r);
void result_csv(FILE *f, const struct result *r);
void result_hgrm(FILE *f, const struct result *r);
void result_kut(FILE *f, const struct result *r);

#endif

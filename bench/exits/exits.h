/* `vireo bench exits`, as its files see one another:
 *
 *   exits.c  the bench: options, one row after the other, the lines it emits
 *   rows.c   what the monitor does for a row: set-up, and its part while the guest takes samples
 *   build.c  the machine of a row, and the gate by which its guest reports its progress
 *   run.c    one row: follow the guest step by step, watch for the host's interference, collect the samples
 *   join.c   from samples and recorded exits to phases: arithmetic alone
 *   count.c  the kernel's count of the exits against the row's definition
 *
 * The guest is hostile. What it wrote is copied out once, and every number in it may be anything. */
#ifndef VIREO_BENCH_EXITS_EXITS_H
#define VIREO_BENCH_EXITS_EXITS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/arch/arch.h"
#include "bench/result/model.h"
#include "vmm/base/err.h"
#include "vmm/machine/lab.h"

/* Samples times batch. The exit of each repetition is kept, in 56 bytes: 224 MB at most. */
#define EXITS_REPETITIONS_MAX 4000000

struct exits_options {
    bool has_rows; /* false: measure all but never_exits */
    bool is_wanted[BENCH_ROW_COUNT];
    bool is_quick;           /* few samples, and what it says below where the user says nothing */
    uint32_t samples, batch; /* samples 0: not said; batch 0: chosen by the counter's rate */
    uint32_t timeout_ms;     /* of a row; 0: not said */
    uint32_t enough_ms;      /* a row that takes samples for so long ends with those it has; 0: with all */
    int pin;                 /* CPU of the measured vCPU; -1: none */
    uint64_t delay_ns;       /* added on purpose in our handler, to check that it shows in `user` alone */
};

/* The host interfered while samples [first, end) were taken: the kernel counted an involuntary context switch of the
 * vCPU's thread, or exits for the host's own interrupts. */
struct exits_window {
    uint32_t first, end;
};

/* The monitor's side of a row: an artificial device, an eventfd. */
struct exits_side {
    const struct exits_options *options;
    const struct arch_bench_row *what;
    struct counter counter;     /* the guest's, read by the host */
    double hz;                  /* its rate */
    struct record_trace *trace; /* of the measured vCPU */
    struct bench_page *page;    /* shared with the guest: only single loads and stores */
    uint64_t delay_ticks;       /* options->delay_ns in ticks */
    uint64_t address;           /* where the row traps */
    int event_fd;               /* -1: none */
};

/* One row as it went, before any arithmetic. */
struct exits_run {
    const struct arch_bench_row *what;
    struct exits_side side;
    struct exits_build *build; /* build.h */
    uint32_t samples, warm_up, batch;
    enum row_status status;
    char detail[END_DETAIL_MAX];

    struct bench_sample *sample, *baseline; /* copies; `samples` and `baselines` of them */
    uint32_t baselines;                     /* 0: the row has no loop that could be timed without its trap */
    struct record_trace trace;              /* the measured vCPU's */
    bool is_clock_shared;
    uint64_t counter_cost; /* of reading the counter, as the guest measured it; ticks */
    struct exits_window *window;
    uint32_t windows;

    bool has_count;
    uint64_t counted;   /* exits, by the kernel, between the first sample and the last */
    const char *source; /* the kernel's statistic that counted them */
};

/* The phases of a run. A duration is that of a whole batch, in ticks. */
struct exits_joined {
    uint64_t *phase[PHASE_COUNT]; /* count[] durations each, sorted, least first; NULL: there are none */
    uint32_t count[PHASE_COUNT];
    uint64_t baseline;     /* median, of long batches the fastest tenth; subtracted from rtt */
    uint32_t disturbed;    /* samples that took long while the host interfered */
    bool has_legs;         /* guest and host share a clock, or the offset between theirs could be estimated */
    bool identity_holds;   /* the legs add up to the round trip, and none of them is negative */
    int64_t residual;      /* median difference between the sum of the legs and the round trip, ticks */
    uint64_t offset_error; /* most that the estimated offset may be wrong by, ticks; 0: the clock is shared */
};

/* ---- join.c ---- */

/* 0 or -ENOMEM. The caller empties *out by exits_joined_fini, after a failure too. */
int exits_join(struct exits_joined *out, const struct exits_run *run);
void exits_joined_fini(struct exits_joined *j);

/* ---- count.c ---- */

#define EXITS_ALL "exits" /* the statistic that counts all of them, the host's interrupts too */

struct exits_count {
    enum count_verdict verdict; /* COUNT_NONE: nothing was counted, or the host decides how many there are */
    uint64_t expected;          /* of all repetitions together */
    char because[160];          /* a sentence, where they are not the same */
};
struct exits_count exits_count_judge(const struct exits_run *run);

/* ---- rows.c: the monitor's part in a row ---- */

struct exits_duty {
    uint32_t samples_max; /* 0: BENCH_SAMPLES_MAX */
    uint32_t stride;      /* between the addresses of two samples, bytes; a row that has one has no warm-up */
    bool is_touching;     /* it loads or stores in the guest's memory, from BENCH_TOUCH_OFFSET on */
    bool is_sample;       /* the guest's code reads the counter itself: no baseline, no batch */
    bool is_single;       /* each repetition needs something before it that is not measured: no batch */
    bool needs_cpus;      /* two of the host's; with one it would measure the scheduler */
    bool has_halt_poll;   /* tell KVM to poll for halt_poll_ns before a halted vCPU sleeps */
    uint64_t halt_poll_ns;
    uint64_t argument_ns; /* the guest gets it in ticks, as the row's argument */
    /* Any may be NULL. fit: before the machine is loaded. prepared: while the guest waits at BENCH_PREPARED. act: each
     * time the guest asks for the next turn. */
    int (*fit)(struct exits_side *s, const struct machine_parts *p, struct err *e);
    int (*prepared)(struct exits_side *s, const struct machine_parts *p, struct err *e);
    void (*act)(struct exits_side *s, struct machine *m, uint64_t turn);
};
const struct exits_duty *exits_duty_of(enum bench_row row);

/* In ticks of the guest's counter. */
static inline uint64_t exits_ticks(const struct exits_side *s, uint64_t ns)
{
    return (uint64_t)((double)ns * s->hz / 1e9);
}

/* ---- build.c ---- */

/* The machine of a row, and the one that costs are measured in: one or two vCPUs, no devices, the bench guest. */
int exits_machine(struct machine **m, const struct exits_options *o, bool has_second, const struct exits_duty *duty,
                  const struct machine_lab *lab, struct err *e);

/* ---- run.c ---- */

/* When a row's time is up, its vCPUs have so long to come out of the kernel. One that hasn't by then hangs there. */
#define EXITS_IDLE_MS 2000

/* 0: the outcome, good or bad, is in *run, which must stay where it is. -ECANCELED: *is_stopped was set. Another error
 * means that nothing can be measured on this host. The caller calls exits_run_fini, which destroys *m, only after it
 * has written the result: a vCPU that hangs in the kernel makes that call wait for ever. */
int exits_run(struct exits_run *run, struct machine **m, const struct arch_bench_row *what,
              const struct exits_options *o, const atomic_bool *is_stopped, struct err *e);
void exits_run_fini(struct exits_run *run, struct machine *m);

#endif

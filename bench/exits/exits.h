/* `bench exits`, as its files see one another:
 *
 *   exits.c       the bench: options, one row after the other, the lines it emits
 *   exits_rows.c  what the monitor does for a row: set-up, and its part while the guest takes samples
 *   exits_build.c the machine of a row, and how its guest says how far it is
 *   exits_run.c   one row: step by step with the guest, watched, everything brought home
 *   exits_join.c  from samples and recorded exits to phases: arithmetic alone
 *
 * The guest is hostile: what it wrote is copied out once and taken as numbers that may be anything. */
#ifndef VIREO_BENCH_EXITS_EXITS_H
#define VIREO_BENCH_EXITS_EXITS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/arch/arch.h"
#include "vmm/base/err.h"
#include "vmm/machine/lab.h"

#define EXITS_REPETITIONS_MAX 4000000 /* samples times batch: their exits are kept, 56 bytes each */

struct exits_options {
    bool has_rows; /* else all but never_exits */
    bool is_wanted[BENCH_ROW_COUNT];
    uint32_t samples, batch; /* batch 0: what the counter asks for */
    uint32_t timeout_ms;     /* of a row */
    int pin;                 /* CPU of the measured vCPU; -1: none */
    uint64_t delay_ns;       /* made up, in our handler of a port or register: does it show where it must? */
};

enum exits_status { EXITS_OK, EXITS_NO_EXIT, EXITS_TIMEOUT, EXITS_UNSUPPORTED };

/* Samples [first, end) were taken while the host had a hand in: the kernel counted an involuntary switch of the vCPU's
 * thread, or exits for the host's own interrupts. */
struct exits_window {
    uint32_t first, end;
};

/* What the monitor has of its own in a row: a made-up device, an eventfd. */
struct exits_side {
    const struct exits_options *options;
    const struct arch_bench_row *what;
    struct counter counter;        /* the guest's, read by the host */
    double hz;                     /* its rate */
    struct record_trace *trace;    /* of the measured vCPU */
    struct bench_page *page;       /* shared with the guest: only single loads and stores */
    uint64_t delay_ticks, address; /* the device's; where the row traps */
    int event_fd;                  /* -1: none */
};

/* One row as it went: the raw material. */
struct exits_run {
    const struct arch_bench_row *what;
    struct exits_side side;
    struct exits_build *build; /* exits_build.h */
    uint32_t samples, warm_up, batch;
    enum exits_status status;
    char detail[END_DETAIL_MAX];

    struct bench_sample *sample, *baseline; /* copies; `samples` and `baselines` of them */
    uint32_t baselines;                     /* 0: the row has no loop to take one of */
    struct record_trace trace;              /* the measured vCPU's */
    bool is_clock_shared;
    uint64_t counter_cost; /* as the guest measured it, ticks */
    struct exits_window *window;
    uint32_t windows;

    bool has_count;
    uint64_t counted;   /* by the kernel, between the first sample and the last */
    const char *source; /* which of its statistics */
};

/* From a run: ticks, each of a whole batch, as many as there are samples; NULL where there are none. */
enum exits_phase {
    EXITS_RTT,
    EXITS_UNDISTURBED,
    EXITS_EXIT_LEG,
    EXITS_USER,
    EXITS_ENTRY_LEG,
    EXITS_KVM_RUN,
    EXITS_PHASES
};
struct exits_joined {
    uint64_t *phase[EXITS_PHASES]; /* each sorted, least first */
    uint32_t count[EXITS_PHASES];
    uint64_t baseline;     /* median; subtracted from rtt */
    uint32_t disturbed;    /* samples */
    bool has_legs;         /* guest and host share a clock, or where they are apart could be estimated */
    bool identity_holds;   /* the legs add up to the round trip, none of them negative */
    int64_t residual;      /* median of what they miss it by, ticks */
    uint64_t offset_error; /* ticks that the estimate may be wrong by; 0: shared */
};

/* exits_join.c. 0 or -ENOMEM. *out is emptied by exits_joined_fini, also after a failure. */
int exits_join(struct exits_joined *out, const struct exits_run *run);
void exits_joined_fini(struct exits_joined *j);
/* Does the kernel's count agree with what the row expects? expected: in all. */
bool exits_count_agrees(const struct exits_run *run, uint64_t *expected);

/* ---- exits_rows.c: the monitor's part in a row ---- */

struct exits_duty {
    uint32_t samples_max; /* 0: BENCH_SAMPLES_MAX */
    uint32_t stride;      /* of the address, bytes */
    bool is_touching;     /* memory from BENCH_TOUCH_OFFSET on: the address is there, and no warm-up */
    bool is_sample;       /* the guest's code reads the counter itself: no baseline, no batch */
    bool needs_cpus;      /* two of the host's, or it measures scheduling */
    bool has_halt_poll;   /* halt_poll_ns is what KVM is told to poll for before a halted vCPU sleeps */
    uint64_t halt_poll_ns;
    uint64_t argument_ns; /* in ticks, the row's argument */
    /* Any may be NULL. fit: before the machine is loaded. prepared: the guest waits at BENCH_PREPARED. act: when the
     * guest asks for turn N + 1. */
    int (*fit)(struct exits_side *s, const struct machine_parts *p, struct err *e);
    int (*prepared)(struct exits_side *s, const struct machine_parts *p, struct err *e);
    void (*act)(struct exits_side *s, struct machine *m, uint64_t turn);
};
const struct exits_duty *exits_duty_of(enum bench_row row);

static inline uint64_t exits_ticks(const struct exits_side *s, uint64_t ns) /* of its counter */
{
    return (uint64_t)((double)ns * s->hz / 1e9);
}

/* ---- exits_build.c ---- */

/* The machine of a row, for costs too: one or two vCPUs, no devices, the bench guest. */
int exits_machine(struct machine **m, const struct exits_options *o, bool has_second, const struct exits_duty *duty,
                  const struct machine_lab *lab, struct err *e);

/* ---- exits_run.c ---- */

#define EXITS_IDLE_MS                                                                                                  \
    2000 /* from the end of a row's time until its vCPUs are called out of the kernel, or hang there */

/* 0, and what came of it is in *run, which must stay where it is; else nothing can be measured here at all, or
 * -ECANCELED. *m is destroyed by exits_run_fini, after the result is out: a vCPU that hangs in the kernel holds that
 * up for ever. */
int exits_run(struct exits_run *run, struct machine **m, const struct arch_bench_row *what,
              const struct exits_options *o, const atomic_bool *is_stopped, struct err *e);
void exits_run_fini(struct exits_run *run, struct machine *m);

#endif

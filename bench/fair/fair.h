/* Are vCPUs treated fairly? What the parts of `bench fairness` know of each other. docs/properties.md has the words.
 *
 *   fair_option.c  what the user asks for          fair_run.c    machines made of a plan, run and sampled: a record
 *   fair_plan.c    experiments: who competes       fair_host.c   what the host says: CPU time, tick, slice, cgroup
 *   fair_judge.c   a record against the properties fair_line.c   a line of what was found
 *                  (fair_judge.h has its parts)    fair.c        the bench: all of it in order
 *
 * A plan is what should happen, a record what did; judging is arithmetic on the two, without a clock or a VM. One
 * thread. */
#ifndef VIREO_BENCH_FAIR_FAIR_H
#define VIREO_BENCH_FAIR_FAIR_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/bench.h"
#include "guest/fair/shared.h"
#include "vmm/base/err.h"

#define FAIR_THREADS      16 /* vCPUs of all VMs of an experiment */
#define FAIR_VMS          2
#define FAIR_CPUS         64 /* of the host that an experiment may use */
#define FAIR_WINDOWS      16
#define FAIR_BASE_NS      50000000ull /* from one sample to the next: the shortest window */
#define FAIR_DURATION_MAX 600u        /* s: twelve thousand samples */
#define FAIR_TEXT         400
#define FAIR_ITEM_COUNT   13

/* ---- what is asked for ---- */

struct fair_options {
    uint32_t experiments; /* bit i: item i */
    uint64_t duration_ns;
    uint64_t window_ns[FAIR_WINDOWS]; /* ascending; those longer than a run were refused or, by default, left out */
    unsigned window_count;
    bool has_windows, has_duration, is_quick, has_cpus;
    cpu_set_t cpus;
    unsigned vcpus; /* 0: as each experiment has them */
    unsigned weight[FAIR_THREADS];
    unsigned weight_count; /* 0: 1:2:4:8 */
    char *cgroup;          /* NULL: the one this process lives in */
    bool has_hold;
    unsigned hold_vcpu, hold_percent;
};

extern const struct bench_option fair_option[];
void fair_options_init(void *options);
void fair_options_fini(void *options);
/* Together, and against this host. */
int fair_options_check(struct fair_options *o, struct err *e);

/* ---- what should happen ---- */

enum fair_property {
    FAIR_F1,
    FAIR_F2,
    FAIR_F3,
    FAIR_F4,
    FAIR_F5,
    FAIR_F6,
    FAIR_F7,
    FAIR_F8,
    FAIR_F9,
    FAIR_F10,
    FAIR_F11,
    FAIR_F12,
    FAIR_F13,
    FAIR_C1,
    FAIR_C2,
    FAIR_C3,
    FAIR_C4,
    FAIR_PROPERTY_COUNT
};
#define FAIR_BIT(property) (1u << FAIR_##property)
extern const char *const fair_property_name[FAIR_PROPERTY_COUNT];

struct fair_vcpu_plan {
    unsigned vm;
    enum fair_work work;
    double weight;               /* as the scheduler has it, in units of its 1024 */
    int nice;                    /* above the process's own */
    uint64_t period_ns, busy_ns; /* period 0 of FAIR_DODGE: the host's tick */
};

struct fair_vm_plan {
    unsigned vcpus;
    bool has_cgroup;
    unsigned weight;              /* of the cgroup; 0: the default, 100 */
    uint64_t quota_us, period_us; /* quota 0: none */
    bool has_halt_poll, has_io;   /* io: an entropy device, whose I/O thread runs on io_cpu */
    uint64_t halt_poll_ns;
    unsigned io_cpu;
};

struct fair_plan {
    const char *id;
    char variant[100];
    char lacks[FAIR_TEXT]; /* what this host lacks for it; "" : nothing */
    unsigned vm_count, vcpu_count;
    struct fair_vm_plan vm[FAIR_VMS];
    struct fair_vcpu_plan vcpu[FAIR_THREADS]; /* VM by VM */
    unsigned cpu_count, cpu[FAIR_CPUS];       /* all vCPUs may run on each of them */
    uint64_t pause_ns;                        /* in the middle all machines pause so long; 0: never */
    uint32_t judged, reported;                /* FAIR_BIT(...) */
};

extern const struct bench_item fair_item[FAIR_ITEM_COUNT + 1]; /* ends with a NULL id */
/* Variant `variant` of item `item`. false: it has no more. */
bool fair_plan_make(const struct fair_options *o, unsigned item, unsigned variant, struct fair_plan *out);

/* ---- what happened ---- */

struct fair_count { /* from the beginning of the threads */
    uint64_t charged, delay, steal, progress;
    uint64_t lost;   /* ns, in gaps that the guest saw */
    bool is_running; /* at that moment: then delay and steal hold all there is */
};

struct fair_cpu_time { /* ns, of the CPUs of the plan together */
    uint64_t busy, idle, steal;
};

struct fair_record {
    unsigned samples, vcpus;
    uint64_t *at;              /* of each sample, ns */
    struct fair_count *count;  /* [sample * vcpus + vcpu] */
    struct fair_cpu_time host; /* from the first sample to the last */
    uint64_t throttled;        /* how often a CPU quota around this process stopped it meanwhile */
    uint64_t vmm_ns;           /* what this process's other threads were charged on these CPUs */
    uint64_t paused_ns;
    unsigned pause_sample; /* the first one after the pause; 0: there was none */
    uint64_t tick_ns, slice_ns;
    char slice_source[100];
    double ticks_per_ns; /* of the guests' counter */
    struct fair_guest {
        bool has_steal;
        uint64_t missed, longest;
        uint32_t gap[FAIR_BUCKETS], late[FAIR_BUCKETS];
    } guest[FAIR_THREADS];
};

/* 0; -ENOTSUP: this host can't, *e says why; else -errno. -ECANCELED: stopped. */
int fair_run(const struct fair_options *o, const struct fair_plan *p, const struct bench_sink *sink,
             struct fair_record *out, struct err *e);
int fair_record_alloc(struct fair_record *r, unsigned samples, unsigned vcpus); /* -ENOMEM */
void fair_record_free(struct fair_record *r);
static inline const struct fair_count *fair_at(const struct fair_record *r, unsigned sample, unsigned vcpu)
{
    return &r->count[sample * r->vcpus + vcpu];
}

/* ---- what is thought of it ---- */

enum fair_verdict { FAIR_PASS, FAIR_FAIL, FAIR_INCONCLUSIVE, FAIR_REPORTED };

struct fair_finding {
    enum fair_property property;
    enum fair_verdict verdict;
    int vcpu; /* the one that the statistic is of; -1: all */
    double statistic, bound;
    double lack_ns; /* how far a failed one is off, where `unit` isn't ns */
    const char *unit;
    char text[FAIR_TEXT], reason[FAIR_TEXT];
};

struct fair_report {
    unsigned count;
    struct fair_finding finding[FAIR_PROPERTY_COUNT];
    double share[FAIR_THREADS];
    double error[FAIR_WINDOWS]; /* of each window: the greatest relative one of a share */
    unsigned windows;           /* of the options, those that the record holds */
    bool is_stolen;             /* by what runs this host: nothing was judged */
    char disturbed[FAIR_TEXT];  /* "": this host was quiet enough for a verdict */
};

void fair_judge(const struct fair_options *o, const struct fair_plan *p, const struct fair_record *r,
                struct fair_report *out);

/* ---- the host ---- */

uint64_t fair_tick_ns(void);
/* A fair-class thread's slice, and where that was learnt; of n threads that compete, as older schedulers share out. */
uint64_t fair_slice_ns(int tid, unsigned n, char source[100]);
int fair_cpu_time(const struct fair_plan *p, struct fair_cpu_time *out);
/* The directory with the cpu controller that this process lives in. false: why not. */
bool fair_cgroup_find(char *out, unsigned size, char why[FAIR_TEXT]);
/* What the kernel gives a thread of that nice value, in units of nice 0's. */
double fair_nice_weight(int nice);

/* ---- the lines ---- */

void fair_put_environment(const struct fair_options *o, const struct bench_sink *sink);
void fair_put_begin(const struct bench_sink *sink, const char *item, uint64_t timeout_ms);
void fair_put_unsupported(const struct bench_sink *sink, const struct fair_plan *p, const char *why);
void fair_put(const struct fair_options *o, const struct fair_plan *p, const struct fair_record *r,
              const struct fair_report *found, const struct bench_sink *sink);

#endif

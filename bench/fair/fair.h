/* Are vCPUs treated fairly? The parts of `bench fairness`; docs/properties.md has the words.
 *
 *   option.c       what the user asks for
 *   plan.c         the experiments: who competes for which CPUs, and what is judged
 *   run.c          a plan becomes machines, their threads are sampled, and a record remains (run.h)
 *   host.c         what the host says: CPU time, tick, slice, cgroup
 *   properties.c   a record is held against the properties (judge.h)
 *   verdict.c      a figure becomes a verdict in spite of noise
 *   cause.c        how the kernel was told to schedule a thread, and where that differs from its peers
 *   line.c         what was found, as lines of JSON
 *   fair.c         the bench: all of it in order
 *
 * A plan is what should happen, a record is what did. Judging is arithmetic on the two, without a clock or a VM. One
 * thread. */
#ifndef VIREO_BENCH_FAIR_FAIR_H
#define VIREO_BENCH_FAIR_FAIR_H

#include <math.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/bench.h"
#include "bench/fair/cause.h"
#include "bench/fair/verdict.h"
#include "guest/fair/shared.h"
#include "vmm/base/err.h"

#define FAIR_THREADS      16 /* vCPUs of all VMs of an experiment */
#define FAIR_VMS          2
#define FAIR_CPUS         4 /* of the host that an experiment may use: eight vCPUs on them are enough to tell */
#define FAIR_WINDOWS      16
#define FAIR_BASE_NS      50000000ull /* from one sample to the next, which is the shortest window */
#define FAIR_DURATION_MAX 600u        /* s; twelve thousand samples */
#define FAIR_TEXT         480         /* two of them are one text of a result, which may have 1,000 bytes */
#define FAIR_ITEM_COUNT   13

/* ---- what is asked for ---- */

struct fair_options {
    uint32_t experiments; /* bit i: item i */
    uint64_t duration_ns;
    uint64_t window_ns[FAIR_WINDOWS]; /* ascending, none longer than a run */
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

extern const struct setting fair_option[];
void fair_options_init(void *options);
void fair_options_fini(void *options);
/* Fill in what was not given, and check that the options fit together and fit this host. 0 or -errno. */
int fair_options_check(struct fair_options *o, struct err *e);

/* ---- what should happen ---- */

/* clang-format off */
enum fair_property {
    FAIR_F1, FAIR_F2, FAIR_F3, FAIR_F4, FAIR_F5, FAIR_F6, FAIR_F7, FAIR_F8, FAIR_F9, FAIR_F10, FAIR_F11, FAIR_F12, FAIR_F13,
    FAIR_C1, FAIR_C2, FAIR_C3, FAIR_C4,
    FAIR_PROPERTY_COUNT
};
/* clang-format on */
#define FAIR_BIT(property) (1u << FAIR_##property)

struct fair_vcpu_plan {
    unsigned vm;
    enum fair_work work;
    double weight;               /* as the scheduler has it; 1 is that of nice 0 */
    int nice;                    /* above the process's own */
    uint64_t period_ns, busy_ns; /* the period of FAIR_DODGE is the host's tick */
};

struct fair_vm_plan {
    unsigned vcpus;
    bool has_cgroup;
    unsigned weight;              /* of the cgroup; 0: the default */
    uint64_t quota_us, period_us; /* quota 0: none */
    bool has_halt_poll, has_io;   /* io: an entropy device, whose I/O thread runs on io_cpu */
    uint64_t halt_poll_ns;
    unsigned io_cpu;
};

struct fair_plan {
    const char *id;
    char variant[100];
    char lacks[FAIR_TEXT]; /* what this host lacks for it; "": nothing */
    unsigned vm_count, vcpu_count;
    struct fair_vm_plan vm[FAIR_VMS];
    struct fair_vcpu_plan vcpu[FAIR_THREADS]; /* VM by VM */
    unsigned cpu_count, cpu[FAIR_CPUS];       /* every vCPU may run on each of them */
    uint64_t pause_ns;                        /* all machines pause for so long in the middle; 0: never */
    uint32_t judged, reported;                /* FAIR_BIT(...) */
};

extern const struct bench_item fair_item[FAIR_ITEM_COUNT + 1]; /* ends with a NULL id */
/* Variant `variant` of item `item`. false: it has no more. */
bool fair_plan_make(const struct fair_options *o, unsigned item, unsigned variant, struct fair_plan *out);
/* Does --hold-back mean this vCPU of the plan? Only one that spins is held back. */
static inline bool fair_is_held_back(const struct fair_options *o, const struct fair_plan *p, unsigned vcpu)
{
    return o->has_hold && o->hold_vcpu == vcpu && vcpu < p->vcpu_count && p->vcpu[vcpu].work == FAIR_SPIN;
}
/* The first vCPU of the VM that this one belongs to. */
static inline unsigned fair_first_vcpu(const struct fair_plan *p, unsigned vcpu)
{
    while (vcpu && p->vcpu[vcpu - 1].vm == p->vcpu[vcpu].vm) vcpu--;
    return vcpu;
}

/* "vCPU 1"; with several VMs "VM 1 vCPU 0". */
const char *fair_name(const struct fair_plan *p, unsigned vcpu, char out[32]);

/* ---- what happened ---- */

/* All since the threads began. */
struct fair_count {
    uint64_t charged, delay, steal, progress;
    uint64_t lost;   /* ns, in gaps that the guest saw */
    bool is_running; /* at that moment; only then are delay and steal complete */
};

/* Of the plan's CPUs together, ns. */
struct fair_cpu_time {
    uint64_t busy, idle, steal;
    uint64_t irq; /* a part of busy: interrupts, which some kernels charge to no thread */
};

struct fair_record {
    unsigned samples, vcpus;
    uint64_t *at;                     /* of each sample, ns */
    uint64_t *width;                  /* how long it took to read what all vCPUs had been charged, ns */
    struct fair_count *count;         /* [sample * vcpus + vcpu] */
    struct fair_cpu_time host;        /* from the first sample to the last */
    uint64_t throttled, throttled_ns; /* how often and how long a CPU quota around this process stopped it */
    uint64_t vmm_ns;                  /* what this process's other threads were charged on these CPUs */
    uint64_t paused_ns;
    uint64_t pausing_ns;   /* of these, until the last vCPU had left the guest, and then until all were called back */
    unsigned pause_sample; /* the first one after the pause; 0: there was none */
    uint64_t tick_ns, slice_ns;
    char slice_source[100];
    double ticks_per_ns; /* of the guests' counter */
    struct fair_guest {
        bool has_steal;
        uint64_t missed, longest;
        uint32_t gap[FAIR_BUCKETS], late[FAIR_BUCKETS];
    } guest[FAIR_THREADS];
    struct cause cause[FAIR_THREADS];            /* of each vCPU's thread, at the end */
    char cause_changed[FAIR_THREADS][FAIR_TEXT]; /* since the first sample; "": nothing */
};

/* Run the plan. 0; -ENOTSUP: this host can't; -ECANCELED: it was stopped; else another -errno. In each case the caller
 * frees the record. */
int fair_run(const struct fair_options *o, const struct fair_plan *p, const struct bench_sink *sink,
             struct fair_record *out, struct err *e);
int fair_record_alloc(struct fair_record *r, unsigned samples, unsigned vcpus); /* 0 or -ENOMEM */
void fair_record_free(struct fair_record *r);

static inline const struct fair_count *fair_at(const struct fair_record *r, unsigned sample, unsigned vcpu)
{
    return &r->count[sample * r->vcpus + vcpu];
}

/* What the vCPU was charged from one sample to another, ns. */
static inline uint64_t fair_charged(const struct fair_record *r, unsigned vcpu, unsigned from, unsigned to)
{
    return fair_at(r, to, vcpu)->charged - fair_at(r, from, vcpu)->charged;
}

/* Where a bucket of a guest's histogram begins, ns. */
static inline double fair_bucket_ns(const struct fair_record *r, unsigned bucket)
{
    return ldexp((4.0 + bucket % 4) / 4, (int)(bucket / 4)) / r->ticks_per_ns;
}

/* ---- what is thought of it ---- */

struct fair_finding {
    enum fair_property property;
    enum fair_verdict verdict;
    int vcpu; /* the one that the statistic is of; -1: all */
    struct fair_figures figures;
    char text[FAIR_TEXT], reason[FAIR_TEXT];
};

struct fair_report {
    unsigned count;
    struct fair_finding finding[FAIR_PROPERTY_COUNT];
    double share[FAIR_THREADS];
    double error[FAIR_WINDOWS]; /* the greatest relative error of a share in windows of each length */
    unsigned windows;           /* how many of the options' lengths the record holds */
    char disturbed[FAIR_TEXT];  /* what others and this host took of these CPUs; "": next to nothing */
};

void fair_judge(const struct fair_options *o, const struct fair_plan *p, const struct fair_record *r,
                struct fair_report *out);

/* ---- the host ---- */

uint64_t fair_tick_ns(void);
/* A line of /proc/stat that is of one CPU (proc_stat(5)): how long it did what since the host started. false: it is
 * another line, such as the sum of all CPUs. */
bool fair_cpu_line(const char *line, unsigned *cpu, struct fair_cpu_time *out);
/* The slice of a fair-class thread, and where that was learnt. Schedulers before EEVDF share it out among the n threads
 * that compete. */
uint64_t fair_slice_ns(int tid, unsigned n, char source[100]);
/* 0 or -errno. */
int fair_cpu_time(const struct fair_plan *p, struct fair_cpu_time *out);
/* The directory with the cpu controller that this process lives in. false: it can't be used, and why. */
bool fair_cgroup_find(char *out, unsigned size, char why[FAIR_TEXT]);
/* The weight that the kernel gives a thread of a nice value from 0 to 19; 1 is that of nice 0. */
double fair_nice_weight(int nice);

/* ---- the lines ---- */

void fair_put_environment(const struct fair_options *o, const struct bench_sink *sink);
void fair_put_begin(const struct bench_sink *sink, const char *item, uint64_t timeout_ms);
void fair_put_unsupported(const struct bench_sink *sink, const struct fair_plan *p, const char *why);
void fair_put(const struct fair_options *o, const struct fair_plan *p, const struct fair_record *r,
              const struct fair_report *found, const struct bench_sink *sink);

#endif

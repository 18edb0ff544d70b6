/* Are the vCPUs of running VMs treated fairly? The parts of `vireo fairness`; docs/fairness.md has the words.
 *
 *   vms.c       names become VMs, their vCPU threads, and how the scheduler was told to treat these
 *   sample.c    what the threads were charged, waited and wanted, some ten times a second
 *   takers.c    who else had the CPUs, by name
 *   due.c       what each vCPU waited and was due, moment by moment
 *   judge.c     a record is held against the properties
 *   blame.c     why one got less: its settings beside those of its peers, and who sat on its CPUs
 *   text.c, json.c   what was found, for people and for programs
 *
 * A record is what was seen. Judging is arithmetic on it, without a clock, a file or a VM. One thread. Nothing is asked
 * of the VMs while they are watched: all comes from /proc. */
#ifndef VIREO_BENCH_LIVE_LIVE_H
#define VIREO_BENCH_LIVE_LIVE_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "bench/fair/cause.h"
#include "bench/fair/fair.h"
#include "vmm/base/err.h"

#define LIVE_VMS      16  /* as many words as a command takes */
#define LIVE_VCPUS    256 /* of all of them: two descriptors each, of the 1024 that a process usually has */
#define LIVE_NAME     65  /* of a VM (CONFIG_ID_MAX), and a NUL */
#define LIVE_TAKERS   256 /* a process on a CPU each; those that took least are left out */
#define LIVE_BLOCK    10  /* samples over which what a vCPU is due is averaged: a second */
#define LIVE_SCHEMA   "vireo-fairness-1"
#define LIVE_TEXT     800
#define LIVE_WHO      96          /* "vm NAME's vCPU 12" */
#define LIVE_BASE_NS  100000000ul /* from one sample to the next, on average */
#define LIVE_LEAST_NS 1000000000ul
#define LIVE_MOST_NS  600000000000ul

/* ---- what was seen ---- */

struct live_vm {
    char name[LIVE_NAME];
    pid_t pid;
    double weight;         /* against the other VMs' */
    bool is_weighed;       /* by the user */
    unsigned first, vcpus; /* in the record's list */
    uint64_t own_ns;       /* charged to the threads of its process that are no vCPU; of the first VM of a process */
};

struct live_vcpu {
    unsigned vm, index; /* index: its number in the VM */
    pid_t tid;
    cpu_set_t cpus;           /* that it may use, of those that are online */
    struct cause cause;       /* throttling: of the time of the record */
    char changed[CAUSE_TEXT]; /* what was changed meanwhile; "": nothing */
};

/* Of one vCPU at one sample; times since its thread began. */
struct live_cell {
    uint64_t charged, delay, turns; /* turns: how often it was given a CPU */
    int cpu;                        /* that it is, or was last, on */
    bool wants;                     /* it runs or waits for a CPU: it is not asleep */
    bool is_stopped;                /* by a signal, as its whole process is */
};

struct live_cpu {
    bool is_online;
    uint64_t busy, idle, steal; /* ns, in host_ns */
};

/* A process other than the VMs named. */
struct live_taker {
    pid_t pid;
    char name[16]; /* as the kernel has it */
    unsigned cpu;
    uint64_t ns;
    int policy, nice; /* of its first thread */
};

struct live_record {
    unsigned vms, vcpus, samples, room; /* room: for so many samples */
    struct live_vm vm[LIVE_VMS];
    struct live_vcpu vcpu[LIVE_VCPUS];
    const char *weights_from; /* "given", "cgroup", "equal" */
    uint64_t *at;             /* of each sample, ns */
    struct live_cell *cell;   /* [sample * vcpus + vcpu] */
    struct live_cpu cpu[CPU_SETSIZE];
    uint64_t host_ns;                     /* the time of these CPUs' figures, a little more than that of the samples */
    struct live_taker taker[LIVE_TAKERS]; /* those who took most first */
    unsigned takers;
    uint64_t tick_ns, slice_ns;
    char slice_source[100];
    uint64_t own_ns;      /* CPU time that measuring took */
    char note[LIVE_TEXT]; /* what happened to the VMs meanwhile; "": nothing */
};

int live_record_alloc(struct live_record *r, unsigned samples); /* r->vcpus is set. 0 or -ENOMEM */
void live_record_free(struct live_record *r);

static inline const struct live_cell *live_at(const struct live_record *r, unsigned sample, unsigned vcpu)
{
    return &r->cell[sample * r->vcpus + vcpu];
}
/* From the first sample to the last, ns. */
static inline double live_wall(const struct live_record *r)
{
    return r->samples ? (double)(r->at[r->samples - 1] - r->at[0]) : 0;
}
static inline double live_charged(const struct live_record *r, unsigned vcpu)
{
    return (double)(live_at(r, r->samples - 1, vcpu)->charged - live_at(r, 0, vcpu)->charged);
}

/* ---- making a record ---- */

/* A VM's page of statistics (docs/man/vireo-stat.1) becomes the record's next VM, with its vCPU threads. name is the
 * one that it was asked for by. -EINVAL: not such a page; -ENODATA: it has no vCPU thread (any more); -E2BIG. */
int live_add_vm(struct live_record *r, const char *name, const char *page, size_t len, struct err *e);
/* "NAME=2,NAME=0.5": of the VMs of the record; one that is not named has 1. NULL: weights of their own cgroups where
 * these are of one parent, else all 1. After the last live_add_vm. */
int live_weigh(struct live_record *r, const char *text, struct err *e);

struct live_watch {
    uint64_t duration_ns;
    /* Sleep until that time of now_ns(). false: enough, judge what there is. */
    bool (*sleep)(void *arg, uint64_t until_ns);
    void *arg;
};
/* Fill in the rest. A VM that ends meanwhile ends the record, and the note says so. -ESRCH: it ended before there was
 * anything to judge. */
int live_sample(struct live_record *r, const struct live_watch *w, struct err *e);

/* takers.c: who else had the CPUs. Looks begin with the first, and the last one fills in the record. */
struct live_takers;
struct live_takers *live_takers_create(const struct live_record *r); /* NULL: no memory */
void live_takers_destroy(struct live_takers *t);
void live_takers_look(struct live_takers *t);
void live_takers_tell(struct live_takers *t, struct live_record *r);

/* ---- what is thought of it ---- */

/* What one vCPU had, ns. */
struct live_had {
    double charged, waited;
    double due_beside;                 /* of what those of its VM got that may use the same CPUs */
    double due_in_all;                 /* of what all VMs got, by their weights */
    double error_beside, error_in_all; /* standard errors of these */
    double longest;                    /* it waited at least so long at a stretch */
    double wants;                      /* the share of the samples at which it ran or waited */
};

/* A stretch of time, for the lanes of a drawing. */
struct live_block {
    unsigned from, to; /* samples */
};

struct live_due {
    struct live_had had[LIVE_VCPUS];
    unsigned blocks;
    struct live_block *block;
    double *charged, *due; /* [block * vcpus + vcpu]: in all, ns */
};
int live_due_make(struct live_due *out, const struct live_record *r); /* 0 or -ENOMEM */
void live_due_free(struct live_due *d);

/* clang-format off */
enum live_property { LIVE_F1, LIVE_F10, LIVE_P1, LIVE_T1, LIVE_F6, LIVE_F7, LIVE_C1, LIVE_C4, LIVE_PROPERTY_COUNT };
/* clang-format on */

extern const struct live_property_row {
    const char *id, *title, *statistic;
} live_properties[LIVE_PROPERTY_COUNT];

struct live_finding {
    enum fair_verdict verdict;
    int vm, vcpu;            /* of the record; -1: all */
    double statistic, bound; /* ns of CPU time */
    char text[LIVE_TEXT];    /* what was found, with its numbers */
    char cause[LIVE_TEXT];   /* why; "": nothing to explain */
    char reason[LIVE_TEXT];  /* why there is no verdict; "": there is one */
};

struct live_report {
    struct live_due due;
    struct live_finding finding[LIVE_PROPERTY_COUNT];
    double vcpus_ns, own_ns, others_ns, rest_ns, idle_ns, steal_ns, all_ns; /* of the host's CPUs */
    enum fair_verdict verdict; /* FAIL when one failed, else INCONCLUSIVE when one is, else PASS */
    char summary[2 * LIVE_TEXT];
};
int live_judge(const struct live_record *r, struct live_report *out); /* 0 or -ENOMEM; the caller's to free */
void live_report_free(struct live_report *f);
extern const char *const live_verdicts[]; /* "pass", "fail", "inconclusive", "reported" */

/* ---- blame.c ---- */

const char *live_name(const struct live_record *r, unsigned vcpu, char out[LIVE_WHO]); /* "vm a's vCPU 0" */
/* Add one more thing to a cause, with a semicolon before it. */
void live_append(char out[LIVE_TEXT], const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "1", "0-3,6". */
const char *live_cpus_text(const cpu_set_t *cpus, char out[CAUSE_CPUS]);
/* The CPUs of the host. */
void live_online(const struct live_record *r, cpu_set_t *out);
/* Who had these CPUs, the vCPU itself left out: "PID 123 (stress) took 49 %, vm b's vCPU 0 2 %", of one CPU's time.
 * "": nobody had 1 %. */
void live_who_had(const struct live_record *r, const cpu_set_t *cpus, int except_vcpu, char out[LIVE_TEXT]);
/* Why this vCPU got less than those of the list: where its settings differ from theirs, which CPUs it may use, and who
 * had these. What was found: nothing that sets it apart; that it may use other CPUs; that other settings differ. */
enum live_blame { BLAME_NOTHING, BLAME_CPUS, BLAME_SETTINGS };
enum live_blame live_blame(const struct live_record *r, unsigned vcpu, const unsigned *peer, unsigned peers,
                           char out[LIVE_TEXT]);

/* ---- what was found ---- */

void live_put_text(FILE *f, const struct live_record *r, const struct live_report *found);
void live_put_json(FILE *f, const struct live_record *r, const struct live_report *found);

#endif

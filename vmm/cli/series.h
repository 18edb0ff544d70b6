/* A VM looked at again and again: what happened between two looks, and which of its figures have changed as chance does
 * not explain (anomaly.h). docs/anomalies.md has the figures and their rules. One thread. */
#ifndef VIREO_CLI_SERIES_H
#define VIREO_CLI_SERIES_H

#include "vmm/cli/anomaly.h"
#include "vmm/cli/cli.h"
#include "vmm/cli/top.h"

#define SERIES_PAGE        "/stats?steps=1" /* what is asked for */
#define SERIES_UNTOLD      UINT64_MAX       /* the kernel does not tell it, or the VM's version */
#define SERIES_DISKS_MAX   32               /* as a machine has slots */
#define SERIES_METRICS_MAX 256              /* 64 vCPUs, 32 disks, some thirty kinds of exits twice */

/* What the scheduler did to a vCPU's thread, and /stats tells of it. */
enum series_figure {
    FIGURE_CPU_NS,
    FIGURE_RUN_DELAY_NS,
    FIGURE_STEAL_NS,
    FIGURE_VOLUNTARY,
    FIGURE_INVOLUNTARY,
    FIGURE_MIGRATIONS,
    FIGURE_GUEST_NS,
    FIGURE_KERNEL_NS,
    SERIES_FIGURES
};
extern const char *const series_figures[SERIES_FIGURES]; /* their keys */

struct series_disk {
    char name[TOP_WORD];
    uint64_t requests, ns; /* answered, and the time they took together */
};

/* What a page tells beside top_sample; or its growth in an interval. */
struct series_host {
    uint64_t vcpu[TOP_VCPUS_MAX][SERIES_FIGURES]; /* by vCPU; SERIES_UNTOLD */
    uint64_t cpu[TOP_VCPUS_MAX];                  /* the CPU that each is on; SERIES_UNTOLD */
    uint64_t throttled_ns;                        /* by cgroups; SERIES_UNTOLD */
    struct series_disk disk[SERIES_DISKS_MAX];
    unsigned disks;
};

/* Watched for changes. */
struct series_kind {
    const char *name, *unit; /* "exit_rate", "1/s": stable */
    const char *title;       /* of one, before its object: "exits by" */
    struct anomaly_rule rule;
};
struct series_metric {
    const struct series_kind *kind;
    char of[TOP_WORD]; /* "port out", "vCPU 0", "disk 0"; "" of the VM */
    struct anomaly anomaly;
    /* Of a rate only: the same a second in which no vCPU was kept waiting for a CPU. There is an alarm while both have
     * one, so a guest that gets the CPU it lacked before is none. */
    struct anomaly unhindered;
    bool is_told;
    uint64_t alarms; /* that have begun */
};
/* The alarm that is on, or NULL. */
const struct anomaly_alarm *series_alarm(const struct series_metric *m);

struct series {
    struct top_sample now, before, change; /* change.age_ns: how long the interval was */
    struct series_host host, host_before, host_change;
    struct series_metric *metric; /* by when they first came */
    unsigned metrics;
    unsigned judged; /* intervals */
};

/* Called for each change that begins or ends. */
typedef void series_event_fn(void *arg, const struct series_metric *m, enum anomaly_event event,
                             const struct anomaly_alarm *a);

enum series_news { SERIES_NEW, SERIES_GOES_ON };
/* Ask the VM called name; zero to begin with. SERIES_NEW: it is the first look, or another VM has the name now, and the
 * interval is the VM's whole life. Else -ENOENT: it does not run (any more), or another -errno, with *e filled; the
 * next look goes on. */
int series_look(struct series *s, const char *name, struct vireo_error *e);
/* The same with a page /stats?steps=1 that it has given already: len bytes. */
int series_take(struct series *s, const char *name, const char *text, size_t len, struct vireo_error *e);
/* Look for changes in the interval, which ends at t_ns of any clock that rises. A whole life is none. false: out of
 * memory. */
bool series_judge(struct series *s, uint64_t t_ns, series_event_fn *on_event, void *arg);
void series_fini(struct series *s);

/* "exits by port out: 20012 1/s for 12 s; usual was 102 1/s (spread 3 1/s, 120 samples); by chance once in 9.4e+06" */
void series_put_alarm(FILE *f, const struct series_metric *m, const struct anomaly_alarm *a, uint64_t now_ns);
/* Of all that are on; lines end with '\n'. How many. */
unsigned series_put_alarms(FILE *f, const struct series *s, uint64_t now_ns);

#endif

#include "vmm/watch/figures.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/base/nearest.h"
#include "vmm/config/config.h"
#include "vmm/machine/machine.h"

#define NS_PER_S   1e9
#define WEIGHT_MAX 1e6 /* a figure a million times as important is the only one */
#define WORD_MAX   64  /* NAME=NUMBER, longer than any sensible one */

const struct figure_kind figure_kinds[FIGURES] = {
    [FIGURE_EXIT_COUNT] = {"vm_exit_count", "1/s", 100000, "VM exits a second, of all vCPUs"},
    [FIGURE_EXIT_LATENCY] = {"vm_exit_latency", "ns", 1000, "mean time that an exit to the monitor spends there"},
    [FIGURE_MEMORY] = {"memory_overhead", "bytes", 5 << 20, "resident memory of the process that is not the guest's"},
    [FIGURE_IO] = {"io_overhead", "CPUs", 0.1, "CPU time of device models and the I/O thread, a second"},
    [FIGURE_SWITCHES] = {"context_switch_count", "1/s", 1000, "context switches of vCPU threads a second"},
    [FIGURE_CACHE_MISSES] = {"cache_miss_rate", "ratio", 0.1, "misses of vCPU threads in the last-level cache"},
};

/* ---- cache counters ---- */

struct pair { /* a group of two: references lead, misses follow */
    int tid;
    int fd[2];
};

struct figures {
    struct pair pair[CONFIG_MAX_CPUS];
    unsigned count;
    int refusal; /* errno of perf_event_open; 0: not asked or granted */
};

struct figures *figures_create(void)
{
    return calloc(1, sizeof(struct figures));
}

void figures_destroy(struct figures *f)
{
    if (!f) return;
    for (unsigned i = 0; i < f->count; i++) {
        close(f->pair[i].fd[0]);
        close(f->pair[i].fd[1]);
    }
    free(f);
}

/* With the kernel's own part of the thread, or without where only that is allowed (perf_event_paranoid 2). */
static int open_counter(int tid, uint64_t config, int leader)
{
    struct perf_event_attr attr = {
        .type = PERF_TYPE_HARDWARE,
        .size = sizeof(attr),
        .config = config,
        .read_format = PERF_FORMAT_GROUP,
        .exclude_hv = 1,
    };
    for (int without = 0; without <= 1; without++) {
        attr.exclude_kernel = without != 0;
        const int fd = fd_own((int)syscall(SYS_perf_event_open, &attr, tid, -1, leader, PERF_FLAG_FD_CLOEXEC));
        if (fd >= 0) return fd;
        if (errno != EACCES && errno != EPERM) break;
    }
    return -errno;
}

static int open_pair(struct figures *f, int tid)
{
    struct pair *p = &f->pair[f->count];
    p->tid = tid;
    p->fd[0] = open_counter(tid, PERF_COUNT_HW_CACHE_REFERENCES, -1);
    if (p->fd[0] < 0) return p->fd[0];
    p->fd[1] = open_counter(tid, PERF_COUNT_HW_CACHE_MISSES, p->fd[0]);
    if (p->fd[1] < 0) {
        close(p->fd[0]);
        return p->fd[1];
    }
    f->count++;
    return 0;
}

static void open_counters(struct figures *f, struct machine *m)
{
    struct machine_thread t;
    for (unsigned i = 0; f->count == 0 && !f->refusal && machine_thread(m, i, &t); i++)
        if (t.kind == MACHINE_THREAD_VCPU) f->refusal = -open_pair(f, t.tid);
    for (unsigned i = 1; f->count > 0 && f->count < CONFIG_MAX_CPUS && machine_thread(m, i, &t); i++) {
        bool is_there = t.kind != MACHINE_THREAD_VCPU;
        for (unsigned k = 0; k < f->count; k++) is_there |= f->pair[k].tid == t.tid;
        if (!is_there && open_pair(f, t.tid)) return; /* out of descriptors: those there are speak for all */
    }
}

static struct figure cache_misses(struct figures *f, struct machine *m)
{
    struct {
        uint64_t count, value[2];
    } group;
    uint64_t references = 0, misses = 0;
    if (f->count == 0) open_counters(f, m);
    for (unsigned i = 0; i < f->count; i++) {
        if (read(f->pair[i].fd[0], &group, sizeof(group)) != (ssize_t)sizeof(group)) continue;
        references += group.value[0];
        misses += group.value[1];
    }
    if (f->refusal == EACCES || f->refusal == EPERM)
        return (struct figure){.why_not = "the kernel's setting perf_event_paranoid forbids the counters"};
    if (f->refusal) return (struct figure){.why_not = "this host has no cache counters"};
    if (f->count == 0) return (struct figure){.why_not = "no vCPU runs"};
    if (references == 0) return (struct figure){.why_not = "nothing counted yet: counting began with the first look"};
    return (struct figure){.value = (double)misses / (double)references};
}

/* ---- all six ---- */

static struct figure ratio(double amount, double of, const char *why_not)
{
    if (of > 0) return (struct figure){.value = amount / of};
    return (struct figure){.why_not = why_not};
}

static struct figure rate(double amount, uint64_t age_ns)
{
    return ratio(amount, (double)age_ns / NS_PER_S, "it has not run yet");
}

static struct figure from_proc(bool is_there, struct figure f)
{
    if (is_there) return f;
    return (struct figure){.why_not = "there is no /proc"};
}

void figures_look(struct figures *f, struct machine *m, const struct figure_input *in, struct figure out[FIGURES])
{
    const struct machine_usage *u = &in->usage;
    /* The guest may touch pages between the two readings. */
    const uint64_t beside = u->resident > u->guest_resident ? u->resident - u->guest_resident : 0;
    const struct figure memory = {.value = (double)beside};
    out[FIGURE_EXIT_COUNT] = rate((double)in->exits, u->age_ns);
    out[FIGURE_EXIT_LATENCY] = ratio((double)in->handler_ns, (double)in->handled, "no exit came to the monitor");
    out[FIGURE_MEMORY] = from_proc(u->has_resident, memory);
    out[FIGURE_IO] = rate((double)(in->io_handler_ns + u->io_cpu_ns) / NS_PER_S, u->age_ns);
    out[FIGURE_SWITCHES] = from_proc(in->switches != THREAD_UNTOLD, rate((double)in->switches, u->age_ns));
    out[FIGURE_CACHE_MISSES] = cache_misses(f, m);
}

/* ---- weights ---- */

static int unknown_figure(const char *name, struct err *e)
{
    (void)err_set(e, -EINVAL, "weights: there is no figure \"%s\"", name);
    nearest_err_hint(e, name, WORDS_OF(figure_kinds, name, FIGURES));
    err_hint(e,
             "the figures are vm_exit_count, vm_exit_latency, memory_overhead, io_overhead, context_switch_count and "
             "cache_miss_rate");
    return -EINVAL;
}

static int set_weight(char *word, double weight[FIGURES], struct err *e)
{
    char *value = strchr(word, '='), *end;
    if (!value) return err_set(e, -EINVAL, "weights: \"%s\" has no number; write NAME=NUMBER,...", word);
    *value++ = '\0';
    const double number = strtod(value, &end);
    const bool is_number = end != value && *end == '\0' && number >= 0 && number <= WEIGHT_MAX; /* not for a NaN */
    for (unsigned i = 0; i < FIGURES; i++) {
        if (strcmp(word, figure_kinds[i].name) != 0) continue;
        if (!is_number)
            return err_set(e, -EINVAL, "weights: %s=%s: must be a number from 0 to %.0f", word, value, WEIGHT_MAX);
        weight[i] = number;
        return 0;
    }
    return unknown_figure(word, e);
}

int figures_weights(const char *text, double weight[FIGURES], struct err *e)
{
    char word[WORD_MAX];
    for (unsigned i = 0; i < FIGURES; i++) weight[i] = 1;
    for (const char *at = text ? text : ""; *at;) {
        const size_t len = strcspn(at, ",");
        if (len >= sizeof(word)) return err_set(e, -EINVAL, "weights: \"%.40s...\" is no NAME=NUMBER", at);
        memcpy(word, at, len);
        word[len] = '\0';
        const int rc = set_weight(word, weight, e);
        if (rc) return rc;
        at += len;
        if (*at == ',') at++;
    }
    return 0;
}

double figures_sum(const struct figure figure[FIGURES], const double weight[FIGURES])
{
    double sum = 0;
    for (unsigned i = 0; i < FIGURES; i++)
        if (!figure[i].why_not) sum += weight[i] * figure[i].value / figure_kinds[i].reference;
    return sum;
}

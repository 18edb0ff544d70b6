#include "vmm/config/sched.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/config/value.h"

#define WHO_MAX 24 /* "63-63", "all", "io": what stands before the '='; longer is none of them */

struct sched_config *config_sched(struct config *c)
{
    if (!c->sched) c->sched = calloc(1, sizeof(*c->sched));
    return c->sched;
}

void config_sched_fini(struct config *c)
{
    if (c->sched) free(c->sched->cgroup);
    free(c->sched);
    c->sched = NULL;
}

static int no_memory(const char *key, struct err *e)
{
    return err_set(e, -ENOMEM, "%s: out of memory", key);
}

/* Threads that a value speaks of: vCPUs first..last, or the I/O thread. */
struct who {
    bool is_io, is_all;
    unsigned first, last;
};

static bool parse_who(const char *s, size_t len, struct who *out)
{
    char text[WHO_MAX];
    cpu_set_t set; /* a range of vCPUs is written like one of CPUs */
    if (len >= sizeof(text)) return false;
    memcpy(text, s, len);
    text[len] = '\0';
    *out = (struct who){.is_io = strcmp(text, "io") == 0, .is_all = strcmp(text, "all") == 0};
    if (out->is_all) out->last = CONFIG_MAX_CPUS - 1;
    if (out->is_all || out->is_io) return true;
    if (strchr(text, ',') || !value_cpus(text, &set)) return false;
    while (!CPU_ISSET(out->first, &set)) out->first++;
    out->last = out->first + (unsigned)CPU_COUNT(&set) - 1;
    return out->last < CONFIG_MAX_CPUS;
}

/* The part of *t that has something to say becomes that of every thread meant. */
static int set_threads(struct config *c, const struct who *who, const struct thread_config *t)
{
    struct sched_config *s = config_sched(c);
    if (!s) return -ENOMEM;
    for (unsigned i = who->first; i <= who->last; i++) {
        struct thread_config *to = who->is_io ? &s->io : &s->vcpu[i];
        if (t->has_cpus) {
            to->has_cpus = true;
            to->cpus = t->cpus;
        }
        if (t->has_nice) {
            to->has_nice = true;
            to->nice = t->nice;
        }
    }
    if (!who->is_all && !who->is_io && who->last >= s->named) s->named = who->last + 1;
    return 0;
}

int config_set_affinity(void *of, const char *value, struct err *e)
{
    struct config *c = of;
    struct thread_config t = {.has_cpus = true};
    struct who who;
    const char *cpus = strchr(value, '=');
    if (!cpus || !parse_who(value, (size_t)(cpus - value), &who))
        return err_set(e, -EINVAL,
                       "cpu-affinity " VALUE_SHOWN ": write VCPU=CPUS; VCPU is 0 to %d, a range, all, or io", value,
                       CONFIG_MAX_CPUS - 1);
    if (!value_cpus(cpus + 1, &t.cpus))
        return err_set(e, -EINVAL, "cpu-affinity " VALUE_SHOWN ": the CPUs must be a list such as 0-3,6, each below %d",
                       value, CPU_SETSIZE);
    return set_threads(c, &who, &t) ? no_memory("cpu-affinity", e) : 0;
}

static bool parse_nice(const char *s, int *out)
{
    uint64_t n;
    const bool is_negative = *s == '-';
    if (!value_u64(s + is_negative, &n) || n > 20) return false;
    *out = is_negative ? -(int)n : (int)n;
    return *out >= CONFIG_NICE_MIN && *out <= CONFIG_NICE_MAX;
}

int config_set_nice(void *of, const char *value, struct err *e)
{
    struct config *c = of;
    struct thread_config t = {.has_nice = true};
    struct who who = {.is_all = true, .last = CONFIG_MAX_CPUS - 1};
    const char *equals = strchr(value, '='), *n = equals ? equals + 1 : value;
    if (equals && !parse_who(value, (size_t)(equals - value), &who))
        return err_set(e, -EINVAL, "nice " VALUE_SHOWN ": before the '=' stands a vCPU (0 to %d), a range, all, or io",
                       value, CONFIG_MAX_CPUS - 1);
    if (!parse_nice(n, &t.nice))
        return err_set(e, -EINVAL, "nice " VALUE_SHOWN ": must be a whole number from %d to %d", value, CONFIG_NICE_MIN,
                       CONFIG_NICE_MAX);
    return set_threads(c, &who, &t) ? no_memory("nice", e) : 0;
}

int config_set_slice(void *of, const char *value, struct err *e)
{
    struct config *c = of;
    uint64_t ns;
    if (!value_time(value, &ns) || ns < CONFIG_SLICE_MIN || ns > CONFIG_SLICE_MAX)
        return err_set(e, -EINVAL, "slice " VALUE_SHOWN ": must be a time from 100us to 100ms, such as 3ms", value);
    if (!config_sched(c)) return no_memory("slice", e);
    c->sched->slice_ns = ns;
    return 0;
}

int config_set_cgroup(void *of, const char *value, struct err *e)
{
    struct config *c = of;
    return config_sched(c) ? value_path("cgroup", value, &c->sched->cgroup, e) : no_memory("cgroup", e);
}

int config_set_cgroup_threads(void *of, const char *value, struct err *e)
{
    struct config *c = of;
    const bool has_vcpus_alone = strcmp(value, "vcpus") == 0;
    if (!has_vcpus_alone && strcmp(value, "all") != 0)
        return err_set(e, -EINVAL, "cgroup-threads " VALUE_SHOWN ": must be all or vcpus", value);
    if (!has_vcpus_alone && !c->sched) return 0;
    if (!config_sched(c)) return no_memory("cgroup-threads", e);
    c->sched->has_vcpus_alone = has_vcpus_alone;
    return 0;
}

int config_set_weight(void *of, const char *value, struct err *e)
{
    struct config *c = of;
    uint64_t n;
    if (!value_u64(value, &n) || n < 1 || n > CONFIG_WEIGHT_MAX)
        return err_set(e, -EINVAL, "cgroup-weight " VALUE_SHOWN ": must be a whole number from 1 to %d", value,
                       CONFIG_WEIGHT_MAX);
    if (!config_sched(c)) return no_memory("cgroup-weight", e);
    c->sched->weight = (unsigned)n;
    return 0;
}

/* "150%" of one CPU, or "150000/100000" as in cpu.max. */
static bool parse_max(const char *s, uint64_t *quota, uint64_t *period)
{
    char text[WHO_MAX];
    const size_t len = strcspn(s, "%/");
    if (len == 0 || len >= sizeof(text)) return false;
    memcpy(text, s, len);
    text[len] = '\0';
    *period = CONFIG_PERIOD;
    if (!value_u64(text, quota) || *quota > CONFIG_PERIOD_MAX * CPU_SETSIZE) return false;
    if (strcmp(s + len, "%") == 0)
        *quota *= CONFIG_PERIOD / 100;
    else if (s[len] != '/' || !value_u64(s + len + 1, period))
        return false;
    return *quota >= CONFIG_QUOTA_MIN && *quota <= CONFIG_PERIOD_MAX * CPU_SETSIZE && *period >= CONFIG_QUOTA_MIN &&
           *period <= CONFIG_PERIOD_MAX;
}

int config_set_max(void *of, const char *value, struct err *e)
{
    struct config *c = of;
    uint64_t quota, period;
    if (!parse_max(value, &quota, &period))
        return err_set(e, -EINVAL,
                       "cgroup-max " VALUE_SHOWN ": must be a percentage of one CPU, such as 50%%, or QUOTA/PERIOD in "
                       "microseconds, each at least %llu and the period at most %llu",
                       value, CONFIG_QUOTA_MIN, CONFIG_PERIOD_MAX);
    if (!config_sched(c)) return no_memory("cgroup-max", e);
    c->sched->quota_us = quota;
    c->sched->period_us = period;
    return 0;
}

int config_set_halt_poll(void *of, const char *value, struct err *e)
{
    struct config *c = of;
    uint64_t ns;
    if (!value_time(value, &ns) || ns > CONFIG_POLL_MAX)
        return err_set(e, -EINVAL, "halt-poll " VALUE_SHOWN ": must be a time of at most 1s, such as 200us, or 0",
                       value);
    if (!config_sched(c)) return no_memory("halt-poll", e);
    c->sched->has_halt_poll = true;
    c->sched->halt_poll_ns = ns;
    return 0;
}

int config_set_core(void *of, const char *value, struct err *e)
{
    struct config *c = of;
    bool is_on;
    if (!value_bool(value, &is_on))
        return err_set(e, -EINVAL, "core-scheduling " VALUE_SHOWN ": must be true or false", value);
    if (!is_on && !c->sched) return 0;
    if (!config_sched(c)) return no_memory("core-scheduling", e);
    c->sched->has_core = is_on;
    return 0;
}

int config_sched_check(const struct config *c, struct err *e)
{
    const struct sched_config *s = c->sched;
    if (!s) return 0;
    if (s->named > c->cpus)
        return err_set(e, -EINVAL,
                       "cpu-affinity or nice names vCPU %u, but this machine has vCPUs 0 to %u; ask for more cpus, or "
                       "name fewer",
                       s->named - 1, c->cpus - 1);
    if ((s->weight || s->quota_us || s->has_vcpus_alone) && !s->cgroup)
        return err_set(e, -EINVAL, "cgroup-%s: there is no cgroup to make the group in; give one with cgroup",
                       s->weight     ? "weight"
                       : s->quota_us ? "max"
                                     : "threads");
    return 0;
}

/* Why one got less than its peers. The settings of both are held against one another (bench/fair/cause.h); where they
 * do not differ, who sat on its CPUs is all that can be said. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "bench/live/live.h"

#define NAMED     3    /* of those who had a CPU */
#define WORTH     0.01 /* of the time: who had less is not named */
#define MOSTLY    0.6  /* of its samples: then a vCPU was on that CPU */
#define COUNT_MAX 128  /* processes that share a set of CPUs; more had little each */

const char *live_name(const struct live_record *r, unsigned vcpu, char out[LIVE_WHO])
{
    const struct live_vcpu *v = &r->vcpu[vcpu];
    (void)snprintf(out, LIVE_WHO, "vm %s's vCPU %u", r->vm[v->vm].name, v->index);
    return out;
}

const char *live_cpus_text(const cpu_set_t *cpus, char out[CAUSE_CPUS])
{
    size_t len = 0;
    *out = '\0';
    for (unsigned c = 0; c < CPU_SETSIZE && len < CAUSE_CPUS; c++) {
        unsigned last = c;
        if (!CPU_ISSET(c, cpus)) continue;
        while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, cpus)) last++;
        const int n = last > c ? snprintf(out + len, CAUSE_CPUS - len, "%s%u-%u", len ? "," : "", c, last)
                               : snprintf(out + len, CAUSE_CPUS - len, "%s%u", len ? "," : "", c);
        len += n > 0 ? (size_t)n : 0;
        c = last;
    }
    return out;
}

void live_online(const struct live_record *r, cpu_set_t *out)
{
    CPU_ZERO(out);
    for (unsigned c = 0; c < CPU_SETSIZE; c++)
        if (r->cpu[c].is_online) CPU_SET(c, out);
}

/* ---- who had its CPUs ---- */

struct part {
    char who[LIVE_WHO];
    double ns;
};

/* What a vCPU was charged on these CPUs: an interval counts for the CPU that it was on at its end. */
static double charged_on(const struct live_record *r, unsigned vcpu, const cpu_set_t *cpus)
{
    double sum = 0;
    for (unsigned s = 1; s < r->samples; s++) {
        const struct live_cell *a = live_at(r, s - 1, vcpu), *b = live_at(r, s, vcpu);
        if (b->cpu >= 0 && CPU_ISSET((unsigned)b->cpu, cpus)) sum += (double)(b->charged - a->charged);
    }
    return sum;
}

static int by_time(const void *a, const void *b)
{
    const struct part *x = a, *y = b;
    return (x->ns < y->ns) - (x->ns > y->ns);
}

/* "PID 123 (stress)", and what sets it apart from an ordinary thread: "PID 123 (stress, nice -5)". */
static void say_taker(const struct live_taker *t, char out[LIVE_WHO])
{
    const int policy = t->policy & ~SCHED_RESET_ON_FORK;
    char how[24] = "";
    if (policy == SCHED_FIFO || policy == SCHED_RR || policy == SCHED_DEADLINE)
        (void)snprintf(how, sizeof(how), ", real time");
    else if (t->nice)
        (void)snprintf(how, sizeof(how), ", nice %d", t->nice);
    (void)snprintf(out, LIVE_WHO, "PID %d (%.15s%s)", (int)t->pid, t->name, how);
}

static unsigned list_parts(const struct live_record *r, const cpu_set_t *cpus, int except, struct part out[COUNT_MAX])
{
    const double least = live_wall(r) * WORTH;
    unsigned n = 0;
    for (unsigned i = 0; i < r->vcpus && n < COUNT_MAX; i++) {
        const double ns = (int)i == except ? 0 : charged_on(r, i, cpus);
        if (ns < least) continue;
        out[n].ns = ns;
        (void)live_name(r, i, out[n++].who);
    }
    for (unsigned k = 0; k < r->takers; k++) {
        const struct live_taker *t = &r->taker[k];
        unsigned at = 0;
        char who[LIVE_WHO];
        if (!CPU_ISSET(t->cpu, cpus)) continue;
        say_taker(t, who);
        while (at < n && strcmp(out[at].who, who) != 0) at++;
        if (at == COUNT_MAX) continue;
        if (at == n) {
            memcpy(out[n].who, who, sizeof(who));
            out[n++].ns = 0;
        }
        out[at].ns += (double)t->ns;
    }
    if (n > 0) qsort(out, n, sizeof(out[0]), by_time);
    while (n > 0 && out[n - 1].ns < least) n--;
    return n;
}

void live_who_had(const struct live_record *r, const cpu_set_t *cpus, int except_vcpu, char out[LIVE_TEXT])
{
    struct part part[COUNT_MAX];
    const unsigned n = list_parts(r, cpus, except_vcpu, part);
    size_t len = 0;
    *out = '\0';
    for (unsigned k = 0; k < n && k < NAMED; k++) {
        const int more = snprintf(out + len, LIVE_TEXT - len, "%s%s %s%.0f %%", k ? ", " : "", part[k].who,
                                  k ? "" : "took ", 100 * part[k].ns / (double)r->host_ns);
        len += more > 0 ? (size_t)more : 0;
    }
    if (n > NAMED) (void)snprintf(out + len, LIVE_TEXT - len, " and %u more", n - NAMED);
}

/* ---- its settings ---- */

/* Without what is no setting, or says nothing of how two are treated: where it was, and, of VMs that have a group each,
 * the group's name. CPUs are told in words of their own. */
static struct cause plain(const struct cause *c)
{
    struct cause out = *c;
    out.cpu = -1;
    out.group.path[0] = '\0';
    out.cpus[0] = '\0';
    out.has_autogroup = false;
    return out;
}

/* The CPU that it was on most of the time, or -1. */
static int mostly_on(const struct live_record *r, unsigned vcpu)
{
    unsigned times[CPU_SETSIZE] = {0};
    for (unsigned s = 0; s < r->samples; s++) {
        const int cpu = live_at(r, s, vcpu)->cpu;
        if (cpu >= 0 && cpu < CPU_SETSIZE && ++times[cpu] > MOSTLY * r->samples) return cpu;
    }
    return -1;
}

void live_append(char out[LIVE_TEXT], const char *fmt, ...)
{
    va_list args;
    const size_t len = strlen(out);
    va_start(args, fmt);
    if (len && len + 3 < LIVE_TEXT) memcpy(out + len, "; ", 3);
    (void)vsnprintf(out + strlen(out), LIVE_TEXT - strlen(out), fmt, args);
    va_end(args);
}

/* May it use other CPUs than its peers? Without peers: than there are. */
static bool differs_in_cpus(const struct live_record *r, unsigned vcpu, const unsigned *peer, unsigned peers)
{
    cpu_set_t online;
    live_online(r, &online);
    for (unsigned k = 0; k < peers; k++)
        if (!CPU_EQUAL(&r->vcpu[vcpu].cpus, &r->vcpu[peer[k]].cpus)) return true;
    return peers == 0 && !CPU_EQUAL(&r->vcpu[vcpu].cpus, &online);
}

/* "may only use CPU 1, where PID 123 (stress) took 49 %" */
static void say_where(const struct live_record *r, unsigned vcpu, bool is_bound, char out[LIVE_TEXT])
{
    char who[LIVE_WHO], had[LIVE_TEXT], list[CAUSE_CPUS];
    const int cpu = mostly_on(r, vcpu);
    cpu_set_t cpus = r->vcpu[vcpu].cpus;
    if (!is_bound && cpu >= 0) {
        CPU_ZERO(&cpus);
        CPU_SET((unsigned)cpu, &cpus);
    }
    live_who_had(r, &cpus, (int)vcpu, had);
    if (is_bound)
        live_append(out, "%s may only use CPU%s %s%s%.500s", live_name(r, vcpu, who), CPU_COUNT(&cpus) > 1 ? "s" : "",
                    live_cpus_text(&cpus, list), had[0] ? ", where " : "", had);
    else if (had[0] && cpu >= 0)
        live_append(out, "%s was mostly on CPU %d, where %.500s", live_name(r, vcpu, who), cpu, had);
    else if (had[0])
        live_append(out, "on its CPUs %.500s", had);
}

enum live_blame live_blame(const struct live_record *r, unsigned vcpu, const unsigned *peer, unsigned peers,
                           char out[LIVE_TEXT])
{
    struct cause mine = plain(&r->vcpu[vcpu].cause), theirs[LIVE_VCPUS];
    const struct cause *list[LIVE_VCPUS];
    char who[LIVE_WHO], text[CAUSE_TEXT];
    for (unsigned k = 0; k < peers; k++) {
        theirs[k] = plain(&r->vcpu[peer[k]].cause);
        list[k] = &theirs[k];
    }
    *out = '\0';
    const unsigned n = peers ? cause_differs(live_name(r, vcpu, who), &mine, list, peers, text) : 0;
    const bool is_bound = differs_in_cpus(r, vcpu, peer, peers);
    if (n) live_append(out, "%s", text);
    if (is_bound || !n) say_where(r, vcpu, is_bound, out);
    if (r->vcpu[vcpu].changed[0]) live_append(out, "meanwhile %s", r->vcpu[vcpu].changed);
    return n ? BLAME_SETTINGS : is_bound ? BLAME_CPUS : BLAME_NOTHING;
}

/* Why the vCPU or VM that a property names may have got less: what became of its time, and how the kernel was told to
 * schedule its thread. */
#include <stdio.h>
#include <string.h>

#include "bench/fair/judge.h"

#define SLEPT_PART 0.005 /* of its time, as C1 has it: what a vCPU that never sleeps may seem to have slept */

/* A thread's circumstances, but for what the plan itself made unequal. */
static struct cause as_unplanned(const struct judge *j, unsigned vcpu)
{
    struct cause c = j->r->cause[vcpu];
    c.nice -= j->p->vcpu[vcpu].nice;
    if (j->p->vm[j->p->vcpu[vcpu].vm].has_cgroup) c.group = (struct groups_cpu){0};
    return c;
}

/* Those that it is compared with: all others, and for a VM only those of other VMs. */
static unsigned find_peers(const struct judge *j, const struct fair_finding *f, struct cause out[FAIR_THREADS])
{
    unsigned n = 0;
    for (unsigned i = 0; i < j->p->vcpu_count; i++) {
        if ((int)i == f->vcpu) continue;
        if (f->property == FAIR_F10 && j->p->vcpu[i].vm == j->p->vcpu[f->vcpu].vm) continue;
        out[n++] = as_unplanned(j, i);
    }
    return n;
}

static bool say_differences(const struct judge *j, const struct fair_finding *f, const char *who, char out[CAUSE_TEXT])
{
    struct cause peer[FAIR_THREADS];
    const struct cause *list[FAIR_THREADS], mine = as_unplanned(j, (unsigned)f->vcpu);
    const unsigned n = find_peers(j, f, peer);
    for (unsigned i = 0; i < n; i++) list[i] = &peer[i];
    return cause_differs(who, &mine, list, n, out) > 0;
}

static bool say_slept(const struct judge *j, const struct fair_finding *f, const char *who, char out[CAUSE_TEXT])
{
    struct account a;
    const unsigned vcpu = (unsigned)f->vcpu;
    if (f->property == FAIR_F13) return false; /* per charged second, sleeping loses nothing */
    if (!judge_is_greedy(j->p->vcpu[vcpu].work) || j->p->vm[j->p->vcpu[vcpu].vm].quota_us) return false;
    if (!judge_account(j, vcpu, &a)) return false;
    const double slept = a.wall - a.charged - a.waited - a.open;
    if (slept <= SLEPT_PART * a.wall) return false;
    (void)snprintf(out, CAUSE_TEXT, "%s neither ran nor waited for %.0f of %.0f ms: it slept, or was stopped", who,
                   ms(slept), ms(a.wall));
    return true;
}

static void append(char out[FAIR_TEXT], const char *sentence)
{
    const size_t len = strlen(out);
    (void)snprintf(out + len, FAIR_TEXT - len, "%s%s", len ? "; " : "", sentence);
}

void judge_accused(const struct judge *j, struct fair_finding *f)
{
    char text[CAUSE_TEXT], name[32];
    bool is_known = false;

    if (f->vcpu < 0 || (f->verdict != FAIR_FAIL && f->verdict != FAIR_INCONCLUSIVE)) return;
    const unsigned vcpu = (unsigned)f->vcpu;
    const char *who = fair_name(j->p, vcpu, name);
    if (say_slept(j, f, who, text)) append(f->reason, text), is_known = true;
    if (j->r->cause_changed[vcpu][0]) append(f->reason, j->r->cause_changed[vcpu]), is_known = true;
    if (say_differences(j, f, who, text)) append(f->reason, text), is_known = true;
    if (is_known || f->verdict != FAIR_FAIL) return;
    (void)snprintf(text, sizeof(text),
                   "%s is told to run as the others are: policy, nice, slice, CPUs, cgroup, autogroup and core "
                   "scheduling do not differ",
                   who);
    append(f->reason, text);
}

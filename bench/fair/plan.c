/* The experiments as plans: who competes for which CPUs, and which properties are held against what happens. */
#include <stdio.h>
#include <string.h>

#include "bench/fair/fair.h"

#define MS            1000000u
#define PERIOD_NS     (20u * MS) /* of the interactive vCPU: fifty times a second, as animations and calls go */
#define BUSY_NS       (2u * MS)  /* a tenth: well below a quarter, its share beside three others */
#define NAP_NS        200000u    /* about what KVM polls for by default */
#define POLL_NS       1000000u
#define CAP_PERIOD_US 100000u /* the kernel's default */
#define CAP_QUOTA_US  30000u
#define PAUSE_SHARE   5u /* of the run it pauses for a fifth */
#define IDENTITIES    (FAIR_BIT(C1) | FAIR_BIT(C2) | FAIR_BIT(C4))
#define EQUAL         (FAIR_BIT(F1) | FAIR_BIT(F3) | FAIR_BIT(F6) | FAIR_BIT(F7) | FAIR_BIT(F13) | IDENTITIES)

struct maker {
    const struct fair_options *o;
    unsigned variant;
    struct fair_plan *p;
};

/* ---- parts ---- */

static unsigned cpus_of(const struct fair_options *o)
{
    return (unsigned)CPU_COUNT(&o->cpus);
}

/* The last CPUs: the first ones have most of a host's interrupts. */
static void use_cpus(struct maker *m, unsigned count)
{
    unsigned skip = cpus_of(m->o) > count ? cpus_of(m->o) - count : 0;

    if (cpus_of(m->o) < count)
        (void)snprintf(m->p->lacks, sizeof(m->p->lacks), "it needs %u CPUs, there are %u to use", count, cpus_of(m->o));
    m->p->cpu_count = 0;
    for (unsigned i = 0; i < CPU_SETSIZE && m->p->cpu_count < count && m->p->cpu_count < FAIR_CPUS; i++) {
        if (!CPU_ISSET(i, &m->o->cpus)) continue;
        if (skip)
            skip--;
        else
            m->p->cpu[m->p->cpu_count++] = i;
    }
}

static struct fair_vcpu_plan *add(struct maker *m, unsigned vm, enum fair_work work)
{
    struct fair_vcpu_plan *v = &m->p->vcpu[m->p->vcpu_count++];
    *v = (struct fair_vcpu_plan){.vm = vm, .work = work, .weight = 1};
    m->p->vm[vm].vcpus++;
    if (m->p->vm_count <= vm) m->p->vm_count = vm + 1;
    return v;
}

static void add_spinners(struct maker *m, unsigned vm, unsigned count)
{
    for (unsigned i = 0; i < count; i++) add(m, vm, FAIR_SPIN);
}

/* A weight as the nearest nice value below the greatest weight. */
static void weigh(struct fair_vcpu_plan *v, unsigned weight, unsigned greatest)
{
    const double wanted = (double)weight / greatest;
    double nearest = 0;
    for (int nice = 0; nice < 20; nice++) {
        const double is = fair_nice_weight(nice), off = is > wanted ? is / wanted : wanted / is;
        if (nice && off >= nearest) continue;
        nearest = off;
        v->nice = nice;
    }
    v->weight = fair_nice_weight(v->nice);
}

static void call(struct maker *m, const char *variant)
{
    (void)snprintf(m->p->variant, sizeof(m->p->variant), "%s", variant);
}

/* ---- experiments: false, there is no such variant ---- */

static bool equal(struct maker *m)
{
    static const unsigned counts[] = {2, 4, 8};
    if (m->variant >= (m->o->vcpus ? 1 : sizeof(counts) / sizeof(counts[0]))) return false;
    const unsigned n = m->o->vcpus ? m->o->vcpus : counts[m->variant];
    add_spinners(m, 0, n);
    use_cpus(m, 1);
    m->p->judged = EQUAL | FAIR_BIT(F5) | FAIR_BIT(C3);
    m->p->reported = FAIR_BIT(F4);
    (void)snprintf(m->p->variant, sizeof(m->p->variant), "%u vCPUs on 1 CPU", n);
    return true;
}

static bool weighted(struct maker *m)
{
    static const unsigned by_default[] = {1, 2, 4, 8};
    const unsigned n = m->o->weight_count ? m->o->weight_count : 4;
    const unsigned *weight = m->o->weight_count ? m->o->weight : by_default;
    unsigned greatest = 0;
    int len = snprintf(m->p->variant, sizeof(m->p->variant), "weights");

    if (m->variant) return false;
    for (unsigned i = 0; i < n; i++) greatest = weight[i] > greatest ? weight[i] : greatest;
    for (unsigned i = 0; i < n; i++) {
        weigh(add(m, 0, FAIR_SPIN), weight[i], greatest);
        if (len > 0 && (size_t)len < sizeof(m->p->variant))
            len += snprintf(m->p->variant + len, sizeof(m->p->variant) - (size_t)len, "%c%u", i ? ':' : ' ', weight[i]);
    }
    use_cpus(m, 1);
    m->p->judged = FAIR_BIT(F2) | FAIR_BIT(F3) | FAIR_BIT(F5) | FAIR_BIT(F7) | FAIR_BIT(F13) | IDENTITIES;
    m->p->reported = FAIR_BIT(F4);
    return true;
}

static bool several_cpus(struct maker *m)
{
    const unsigned cpus = cpus_of(m->o) > 4 ? 4 : cpus_of(m->o) < 2 ? 2 : cpus_of(m->o); /* sixteen threads at most */
    const unsigned n = m->variant ? 2 * cpus - 1 : 2 * cpus;

    if (m->variant > 1) return false;
    add_spinners(m, 0, n);
    use_cpus(m, cpus);
    m->p->judged = FAIR_BIT(F7) | FAIR_BIT(F13) | FAIR_BIT(C3) | IDENTITIES;
    m->p->reported = FAIR_BIT(F1) | FAIR_BIT(F4);
    (void)snprintf(m->p->variant, sizeof(m->p->variant), "%u vCPUs on %u CPUs", n, cpus);
    return true;
}

static bool infeasible(struct maker *m)
{
    if (m->variant) return false;
    weigh(add(m, 0, FAIR_SPIN), 8, 8);
    weigh(add(m, 0, FAIR_SPIN), 1, 8);
    weigh(add(m, 0, FAIR_SPIN), 1, 8);
    use_cpus(m, 2);
    m->p->judged = FAIR_BIT(F7) | IDENTITIES;
    m->p->reported = FAIR_BIT(F12) | FAIR_BIT(F4);
    call(m, "weights 8:1:1 on 2 CPUs");
    return true;
}

static bool interactive(struct maker *m)
{
    if (m->variant) return false;
    struct fair_vcpu_plan *v = add(m, 0, FAIR_INTERACTIVE);
    v->period_ns = PERIOD_NS;
    v->busy_ns = BUSY_NS;
    add_spinners(m, 0, 3);
    use_cpus(m, 1);
    m->p->judged = FAIR_BIT(F7) | FAIR_BIT(F8) | FAIR_BIT(C4);
    call(m, "2 of 20 ms wanted, beside 3 spinning");
    return true;
}

static bool dodger(struct maker *m)
{
    if (m->variant) return false;
    add(m, 0, FAIR_DODGE);
    add_spinners(m, 0, 1);
    use_cpus(m, 1);
    m->p->judged = FAIR_BIT(F7) | FAIR_BIT(F9) | FAIR_BIT(C4);
    call(m, "asleep at every tick, beside 1 spinning");
    return true;
}

static bool two_vms(struct maker *m)
{
    static const char *const variants[] = {"1 and 3 vCPUs, flat", "1 and 3 vCPUs, a cgroup each",
                                           "1 and 3 vCPUs, cgroups of weight 1:2"};
    if (m->variant > 2) return false;
    add_spinners(m, 0, 1);
    add_spinners(m, 1, 3);
    use_cpus(m, 1);
    for (unsigned i = 0; i < 2 && m->variant; i++)
        m->p->vm[i] = (struct fair_vm_plan){
            .vcpus = m->p->vm[i].vcpus, .has_cgroup = true, .weight = m->variant == 2 ? (i + 1) * 100 : 0};
    m->p->judged = FAIR_BIT(F7) | FAIR_BIT(F13) | FAIR_BIT(C4) | (m->variant ? FAIR_BIT(F10) : FAIR_BIT(F1));
    m->p->reported = m->variant ? 0 : FAIR_BIT(F10);
    call(m, variants[m->variant]);
    return true;
}

static bool capped(struct maker *m)
{
    if (m->variant) return false;
    add_spinners(m, 0, 2);
    use_cpus(m, 1);
    m->p->vm[0].has_cgroup = true;
    m->p->vm[0].quota_us = CAP_QUOTA_US;
    m->p->vm[0].period_us = CAP_PERIOD_US;
    m->p->judged = FAIR_BIT(F11) | FAIR_BIT(F13) | FAIR_BIT(C4);
    call(m, "30 of every 100 ms");
    return true;
}

static bool io_thread(struct maker *m)
{
    if (m->variant > 1) return false;
    add(m, 0, FAIR_REQUEST);
    add_spinners(m, 0, 1);
    use_cpus(m, m->variant ? 1 : 2);
    m->p->vm[0].has_io = true;
    m->p->vm[0].io_cpu = m->p->cpu[0];
    if (!m->variant) m->p->cpu[0] = m->p->cpu[1]; /* the vCPUs on the other */
    m->p->cpu_count = 1;
    m->p->judged = FAIR_BIT(F1) | FAIR_BIT(F3) | FAIR_BIT(C1) | FAIR_BIT(C4) | (m->variant ? 0 : FAIR_BIT(F7));
    call(m, m->variant ? "I/O thread on the vCPUs' CPU" : "I/O thread on a CPU of its own");
    return true;
}

static bool exit_heavy(struct maker *m)
{
    if (m->variant) return false;
    add(m, 0, FAIR_EXIT);
    add_spinners(m, 0, 1);
    use_cpus(m, 1);
    m->p->judged = EQUAL & ~FAIR_BIT(F13);
    call(m, "exits to the monitor beside 1 spinning");
    return true;
}

static bool polling(struct maker *m)
{
    if (m->variant > 1) return false;
    add(m, 0, FAIR_HALT)->period_ns = NAP_NS;
    add_spinners(m, 0, 1);
    use_cpus(m, 1);
    m->p->vm[0].has_halt_poll = true;
    m->p->vm[0].halt_poll_ns = m->variant ? POLL_NS : 0;
    m->p->judged = FAIR_BIT(F7) | FAIR_BIT(F9) | FAIR_BIT(C4);
    call(m, m->variant ? "naps of 200 us, polled up to 1 ms, beside 1 spinning"
                       : "naps of 200 us, not polled, beside 1 spinning");
    return true;
}

static bool alone(struct maker *m)
{
    if (m->variant) return false;
    add_spinners(m, 0, 1);
    use_cpus(m, 1);
    m->p->judged = FAIR_BIT(F7) | IDENTITIES;
    m->p->reported = FAIR_BIT(F6);
    call(m, "1 vCPU, nothing beside it");
    return true;
}

static bool paused(struct maker *m)
{
    if (m->variant) return false;
    add_spinners(m, 0, 2);
    use_cpus(m, 1);
    m->p->pause_ns = m->o->duration_ns / PAUSE_SHARE;
    m->p->judged = FAIR_BIT(F1) | FAIR_BIT(F3) | FAIR_BIT(F6) | FAIR_BIT(F13) | FAIR_BIT(C1) | FAIR_BIT(C4);
    call(m, "2 vCPUs on 1 CPU, paused in the middle");
    return true;
}

static bool (*const makers[FAIR_ITEM_COUNT])(struct maker *) = {
    equal,  weighted,  several_cpus, infeasible, interactive, dodger, two_vms,
    capped, io_thread, exit_heavy,   polling,    alone,       paused,
};
const struct bench_item fair_item[FAIR_ITEM_COUNT + 1] = {
    {"E1", "equal vCPUs pinned to one CPU"},
    {"E2", "vCPUs of unequal weight on one CPU"},
    {"E3", "more vCPUs than CPUs, twice as many and one less"},
    {"E4", "a weight that asks for more than a CPU"},
    {"E5", "an interactive vCPU beside spinning ones"},
    {"E6", "a vCPU that sleeps whenever the host's tick looks"},
    {"E7", "two VMs with 1 and 3 vCPUs: flat, and in a cgroup each"},
    {"E8", "a VM whose CPU time is capped"},
    {"E10", "a busy I/O thread, on a CPU of its own or beside the vCPUs"},
    {"E11", "a vCPU that exits all the time beside a spinning one"},
    {"E12", "a vCPU that takes naps, with and without halt polling"},
    {"E14", "one vCPU alone: the noise floor"},
    {"E15", "pause and resume in the middle"},
    {0},
};

bool fair_plan_make(const struct fair_options *o, unsigned item, unsigned variant, struct fair_plan *out)
{
    struct maker m = {.o = o, .variant = variant, .p = out};
    *out = (struct fair_plan){.id = fair_item[item].id};
    return makers[item](&m);
}

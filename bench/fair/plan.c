/* The experiments as plans: who competes for which CPUs, and which properties are held against what happens. */
#include <stdio.h>
#include <string.h>

#include "bench/fair/fair.h"

#define MS            1000000u
#define PERIOD_NS     (20u * MS) /* of the interactive vCPU: fifty times a second, as animations and calls go */
#define BUSY_NS       (2u * MS)  /* a tenth, which is well below a quarter, its share beside three others */
#define NAP_NS        200000u    /* about what KVM polls for by default */
#define POLL_NS       1000000u
#define CAP_PERIOD_US 100000u /* the kernel's default */
#define CAP_QUOTA_US  30000u
#define PAUSE_SHARE   5u /* a run that pauses does so for a fifth of its time */
#define NICE_COUNT    20 /* values from 0 to 19 */

/* ---- experiments ---- */

enum { E1, E2, E3, E4, E5, E6, E7, E8, E10, E11, E12, E14, E15 };

const struct bench_item fair_item[FAIR_ITEM_COUNT + 1] = {
    [E1] = {"E1", "equal vCPUs pinned to one CPU"},
    [E2] = {"E2", "vCPUs of unequal weight on one CPU"},
    [E3] = {"E3", "more vCPUs than CPUs, twice as many and one less"},
    [E4] = {"E4", "a weight that asks for more than a CPU"},
    [E5] = {"E5", "an interactive vCPU beside spinning ones"},
    [E6] = {"E6", "a vCPU that sleeps whenever the host's tick looks"},
    [E7] = {"E7", "two VMs with 1 and 3 vCPUs: flat, and in a cgroup each"},
    [E8] = {"E8", "a VM whose CPU time is capped"},
    [E10] = {"E10", "a busy I/O thread, on a CPU of its own or beside the vCPUs"},
    [E11] = {"E11", "a vCPU that exits all the time beside a spinning one"},
    [E12] = {"E12", "a vCPU that takes naps, with and without halt polling"},
    [E14] = {"E14", "one vCPU alone: the noise floor"},
    [E15] = {"E15", "pause and resume in the middle"},
};

struct variant {
    unsigned item;
    const char *name;            /* NULL: it is called by its weights, or by how many vCPUs and CPUs it has */
    struct fair_vcpu_plan first; /* the first vCPU, where that one does not spin */
    unsigned spinners[FAIR_VMS]; /* all other vCPUs, by VM */
    unsigned cpus;
    unsigned weight[FAIR_THREADS]; /* all 0: vCPUs are equal */
    struct fair_vm_plan vm[FAIR_VMS];
    bool is_paused;
    uint32_t judged, reported;
};

/* What is judged of vCPUs on one CPU that are equal, or not; on several CPUs; and where the first vCPU sleeps. */
#define B             FAIR_BIT
#define IDENTITIES    (B(C1) | B(C2) | B(C4))
#define EQUAL_PINNED  (B(F1) | B(F3) | B(F5) | B(F6) | B(F7) | B(F13) | B(C3) | IDENTITIES)
#define UNEQUAL       (B(F2) | B(F3) | B(F5) | B(F7) | B(F13) | IDENTITIES)
#define SEVERAL       (B(F7) | B(F13) | B(C3) | IDENTITIES)
#define NOT_GREEDY(f) (B(F7) | B(f) | B(C4))

static const struct variant variants[] = {
    {E1, .spinners = {2}, .cpus = 1, .judged = EQUAL_PINNED, .reported = B(F4)},
    {E1, .spinners = {4}, .cpus = 1, .judged = EQUAL_PINNED, .reported = B(F4)},
    {E1, .spinners = {8}, .cpus = 1, .judged = EQUAL_PINNED, .reported = B(F4)},
    {E2, .spinners = {4}, .cpus = 1, .weight = {1, 2, 4, 8}, .judged = UNEQUAL, .reported = B(F4)},
    /* Both grow with the CPUs that there are: find_variant. */
    {E3, .spinners = {4}, .cpus = 2, .judged = SEVERAL, .reported = B(F1) | B(F4)},
    {E3, .spinners = {3}, .cpus = 2, .judged = SEVERAL, .reported = B(F1) | B(F4)},
    {E4, "weights 8:1:1 on 2 CPUs", .spinners = {3}, .cpus = 2, .weight = {8, 1, 1}, .judged = B(F7) | IDENTITIES,
     .reported = B(F12) | B(F4)},
    {E5, "2 of 20 ms wanted, beside 3 spinning",
     .first = {.work = FAIR_INTERACTIVE, .period_ns = PERIOD_NS, .busy_ns = BUSY_NS}, .spinners = {3}, .cpus = 1,
     .judged = NOT_GREEDY(F8)},
    {E6, "asleep at every tick, beside 1 spinning", .first = {.work = FAIR_DODGE}, .spinners = {1}, .cpus = 1,
     .judged = NOT_GREEDY(F9)},
    {E7, "1 and 3 vCPUs, flat", .spinners = {1, 3}, .cpus = 1, .judged = B(F1) | B(F7) | B(F13) | B(C4),
     .reported = B(F10)},
    {E7, "1 and 3 vCPUs, a cgroup each", .spinners = {1, 3}, .cpus = 1,
     .vm = {{.has_cgroup = true}, {.has_cgroup = true}}, .judged = B(F7) | B(F10) | B(F13) | B(C4)},
    {E7, "1 and 3 vCPUs, cgroups of weight 1:2", .spinners = {1, 3}, .cpus = 1,
     .vm = {{.has_cgroup = true, .weight = 100}, {.has_cgroup = true, .weight = 200}},
     .judged = B(F7) | B(F10) | B(F13) | B(C4)},
    {E8, "30 of every 100 ms", .spinners = {2}, .cpus = 1,
     .vm = {{.has_cgroup = true, .quota_us = CAP_QUOTA_US, .period_us = CAP_PERIOD_US}},
     .judged = B(F11) | B(F13) | B(C4)},
    {E10, "I/O thread on a CPU of its own", .first = {.work = FAIR_REQUEST}, .spinners = {1}, .cpus = 2,
     .vm = {{.has_io = true}}, .judged = B(F1) | B(F3) | B(F7) | B(C1) | B(C4)},
    {E10, "I/O thread on the vCPUs' CPU", .first = {.work = FAIR_REQUEST}, .spinners = {1}, .cpus = 1,
     .vm = {{.has_io = true}}, .judged = B(F1) | B(F3) | B(C1) | B(C4)},
    {E11, "exits to the monitor beside 1 spinning", .first = {.work = FAIR_EXIT}, .spinners = {1}, .cpus = 1,
     .judged = B(F1) | B(F3) | B(F6) | B(F7) | IDENTITIES},
    {E12, "naps of 200 us, not polled, beside 1 spinning", .first = {.work = FAIR_HALT, .period_ns = NAP_NS},
     .spinners = {1}, .cpus = 1, .vm = {{.has_halt_poll = true}}, .judged = NOT_GREEDY(F9)},
    {E12, "naps of 200 us, polled up to 1 ms, beside 1 spinning", .first = {.work = FAIR_HALT, .period_ns = NAP_NS},
     .spinners = {1}, .cpus = 1, .vm = {{.has_halt_poll = true, .halt_poll_ns = POLL_NS}}, .judged = NOT_GREEDY(F9)},
    {E14, "1 vCPU, nothing beside it", .spinners = {1}, .cpus = 1, .judged = B(F7) | IDENTITIES, .reported = B(F6)},
    {E15, "2 vCPUs on 1 CPU, paused in the middle", .spinners = {2}, .cpus = 1, .is_paused = true,
     .judged = B(F1) | B(F3) | B(F6) | B(F13) | B(C1) | B(C4)},
};

/* A copy of the row, changed as the user's options and the number of CPUs ask. false: there is no such variant. */
static bool find_variant(const struct fair_options *o, unsigned item, unsigned index, struct variant *out)
{
    const unsigned allowed = (unsigned)CPU_COUNT(&o->cpus);
    const struct variant *v = variants, *end = v + sizeof(variants) / sizeof(variants[0]);

    while (v < end && v->item != item) v++;
    if (index >= (size_t)(end - v) || v[index].item != item) return false;
    *out = v[index];
    if (item == E1 && o->vcpus) {
        out->spinners[0] = o->vcpus;
        return index == 0;
    }
    if (item == E2 && o->weight_count) {
        out->spinners[0] = o->weight_count;
        memcpy(out->weight, o->weight, sizeof(out->weight));
    }
    if (item == E3) {
        if (allowed > out->cpus) out->cpus = allowed < FAIR_CPUS ? allowed : FAIR_CPUS;
        out->spinners[0] = 2 * out->cpus - index;
    }
    return true;
}

/* ---- a plan ---- */

/* Take the last CPUs, since the first ones serve most of a host's interrupts. */
static void use_cpus(const struct fair_options *o, unsigned count, struct fair_plan *p)
{
    const unsigned allowed = (unsigned)CPU_COUNT(&o->cpus);
    unsigned skip = allowed > count ? allowed - count : 0;

    if (allowed < count)
        (void)snprintf(p->lacks, sizeof(p->lacks), "it needs %u CPUs, there are %u to use", count, allowed);
    for (unsigned i = 0; i < CPU_SETSIZE && p->cpu_count < count; i++) {
        if (!CPU_ISSET(i, &o->cpus)) continue;
        if (skip)
            skip--;
        else
            p->cpu[p->cpu_count++] = i;
    }
}

/* The I/O thread runs on the first of the CPUs, the vCPUs on the last. */
static void place_io(struct fair_plan *p)
{
    if (!p->vm[0].has_io || !p->cpu_count) return;
    p->vm[0].io_cpu = p->cpu[0];
    p->cpu[0] = p->cpu[p->cpu_count - 1];
    p->cpu_count = 1;
}

static void add(struct fair_plan *p, unsigned vm, struct fair_vcpu_plan vcpu)
{
    vcpu.vm = vm;
    vcpu.weight = 1;
    p->vcpu[p->vcpu_count++] = vcpu;
    p->vm[vm].vcpus++;
    p->vm_count = vm + 1;
}

/* Give a vCPU the nice value whose weight is nearest to this part of the weight of nice 0. */
static void weigh(struct fair_vcpu_plan *v, double wanted)
{
    double nearest = 0;
    for (int nice = 0; nice < NICE_COUNT; nice++) {
        const double is = fair_nice_weight(nice), off = is > wanted ? is / wanted : wanted / is;
        if (nice && off >= nearest) continue;
        nearest = off;
        v->nice = nice;
    }
    v->weight = fair_nice_weight(v->nice);
}

static void weigh_all(struct fair_plan *p, const unsigned *weight)
{
    unsigned greatest = 0;
    for (unsigned i = 0; i < p->vcpu_count; i++) greatest = weight[i] > greatest ? weight[i] : greatest;
    for (unsigned i = 0; i < p->vcpu_count && greatest; i++) weigh(&p->vcpu[i], (double)weight[i] / greatest);
}

static void name(struct fair_plan *p, const struct variant *v)
{
    const size_t size = sizeof(p->variant);
    size_t len = 0;

    if (v->name) {
        (void)snprintf(p->variant, size, "%s", v->name);
        return;
    }
    if (!v->weight[0]) {
        (void)snprintf(p->variant, size, "%u vCPUs on %u CPU%s", p->vcpu_count, v->cpus, v->cpus == 1 ? "" : "s");
        return;
    }
    for (unsigned i = 0; i < p->vcpu_count && len < size; i++)
        len += (size_t)snprintf(p->variant + len, size - len, "%s%u", i ? ":" : "weights ", v->weight[i]);
}

bool fair_plan_make(const struct fair_options *o, unsigned item, unsigned variant, struct fair_plan *out)
{
    struct variant v;
    if (!find_variant(o, item, variant, &v)) return false;

    *out = (struct fair_plan){.id = fair_item[item].id, .judged = v.judged, .reported = v.reported};
    memcpy(out->vm, v.vm, sizeof(out->vm));
    if (v.first.work != FAIR_SPIN) add(out, 0, v.first);
    for (unsigned vm = 0; vm < FAIR_VMS; vm++)
        for (unsigned i = 0; i < v.spinners[vm]; i++) add(out, vm, (struct fair_vcpu_plan){.work = FAIR_SPIN});
    weigh_all(out, v.weight);
    use_cpus(o, v.cpus, out);
    place_io(out);
    out->pause_ns = v.is_paused ? o->duration_ns / PAUSE_SHARE : 0;
    name(out, &v);
    return true;
}

const char *fair_name(const struct fair_plan *p, unsigned vcpu, char out[32])
{
    if (p->vm_count == 1)
        (void)snprintf(out, 32, "vCPU %u", vcpu);
    else
        (void)snprintf(out, 32, "VM %u vCPU %u", p->vcpu[vcpu].vm, vcpu - fair_first_vcpu(p, vcpu));
    return out;
}

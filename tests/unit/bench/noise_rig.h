/* Made-up noise for the judges of fairness: a model of one CPU that vCPUs share with others, as busy hosts are. It
 * makes records without a VM and without a clock, so that a thousand of them are judged in a second, and the same ones
 * everywhere.
 *
 * The model: at each tick the CPU goes to who has the earliest deadline of those that had no more than the average, by
 * weight (EEVDF). Others come and go. Beside that stand the ways in which a busy host spoils figures: its CPU stands
 * still while it charges whoever is on it, its speed changes, and the sampling thread is late. Then there is what is
 * planted: vCPU 1 is treated worse by a part. */
#ifndef TESTS_UNIT_BENCH_NOISE_RIG_H
#define TESTS_UNIT_BENCH_NOISE_RIG_H

#include <string.h>

#include "bench/fair/judge.h"

#define NOISE_VCPUS     4
#define NOISE_VICTIM    1
#define NOISE_OTHERS    48
#define NOISE_TICK_NS   4000000u
#define NOISE_SAMPLES   161    /* eight seconds, as the bench's runs are */
#define NOISE_SWITCH_NS 50000u /* that a guest loses beside its waits, each time */
#define NOISE_SLEEP     500000000ull

enum planted { PLANT_WEIGHT, PLANT_SLOW, PLANT_SLEEP, PLANT_COUNT };

struct noise_level {
    const char *name;
    unsigned others;      /* that want the CPU half of the time each, in turns of some 50 ms */
    double stall;         /* part of the time that the CPU stands still, */
    unsigned stall_ticks; /* for so many ticks at most at a time */
    double speed;         /* how far the CPU's speed goes up and down */
    uint64_t late_ns;     /* of the sampling thread, at most */
};

static const struct noise_level noise_levels[] = {
    {"a quiet host", 0, 0, 0, 0, 0},
    {"others have a fifth", 2, 0, 0, 0.02, 1000000},
    {"others have a half", 8, 0, 0, 0.05, 2000000},
    {"others have 70 %", 18, 0.001, 2, 0.1, 5000000},
    {"others have 85 %", 48, 0.002, 3, 0.15, 10000000},
    {"a CPU that stands still for 10 %", 4, 0.1, 20, 0.15, 10000000},
};
#define NOISE_LEVELS (sizeof(noise_levels) / sizeof(noise_levels[0]))

struct noise_entity {
    double weight, virtual_time, deadline;
    bool wants;
    uint64_t until; /* it changes its mind */
    uint64_t charged, lost;
    uint64_t waits, waited, longest; /* now; all waits that are over, as the kernel counts them; the longest of these */
    double progress;
};

struct noise_model {
    const struct noise_level *level;
    enum planted planted;
    double part; /* that is planted; 0: nothing */
    uint64_t seed, now;
    double speed;
    unsigned count;
    struct noise_entity entity[NOISE_VCPUS + NOISE_OTHERS];
    struct fair_cpu_time host;
};

/* xorshift64*: from 0 to below 1, the same everywhere. */
static double noise_chance(struct noise_model *m)
{
    m->seed ^= m->seed >> 12;
    m->seed ^= m->seed << 25;
    m->seed ^= m->seed >> 27;
    return (double)(m->seed * 2685821657736338717ull >> 11) / 0x1p53;
}

static double noise_average(const struct noise_model *m)
{
    double sum = 0, weights = 0;
    for (unsigned i = 0; i < m->count; i++) {
        if (!m->entity[i].wants) continue;
        sum += m->entity[i].virtual_time * m->entity[i].weight;
        weights += m->entity[i].weight;
    }
    return weights > 0 ? sum / weights : 0;
}

static void noise_wake(struct noise_model *m, struct noise_entity *n)
{
    const double average = noise_average(m);
    n->wants = true;
    if (n->virtual_time < average) n->virtual_time = average; /* it keeps what it had too much */
    n->deadline = n->virtual_time + NOISE_TICK_NS / n->weight;
}

/* Who comes and who goes at this tick. */
static void noise_turn(struct noise_model *m)
{
    for (unsigned i = NOISE_VCPUS; i < m->count; i++) {
        struct noise_entity *n = &m->entity[i];
        if (m->now < n->until) continue;
        if (n->wants)
            n->wants = false;
        else
            noise_wake(m, n);
        n->until = m->now + (uint64_t)(noise_chance(m) * 100e6);
    }
    if (m->planted != PLANT_SLEEP || m->part <= 0) return;
    struct noise_entity *v = &m->entity[NOISE_VICTIM];
    const bool sleeps = (double)(m->now % NOISE_SLEEP) < m->part * (double)NOISE_SLEEP;
    if (sleeps == !v->wants) return;
    if (sleeps)
        v->wants = false;
    else
        noise_wake(m, v);
}

static struct noise_entity *noise_pick(struct noise_model *m)
{
    const double average = noise_average(m) + 1;
    struct noise_entity *best = NULL;
    for (unsigned i = 0; i < m->count; i++) {
        struct noise_entity *n = &m->entity[i];
        if (n->wants && n->virtual_time <= average && (!best || n->deadline < best->deadline)) best = n;
    }
    return best;
}

/* One tick, and how much longer it takes where the CPU stands still. */
static void noise_step(struct noise_model *m)
{
    noise_turn(m);
    struct noise_entity *runs = noise_pick(m);
    const double ticks = m->level->stall_ticks; /* half of that on average */
    const bool stalls = ticks > 0 && noise_chance(m) * ticks / 2 < m->level->stall;
    const uint64_t stall = stalls ? (uint64_t)(noise_chance(m) * ticks * NOISE_TICK_NS) : 0, ns = NOISE_TICK_NS + stall;

    m->speed += (noise_chance(m) - 0.5) * m->level->speed / 2;
    m->speed = fmin(fmax(m->speed, 1 - m->level->speed), 1 + m->level->speed);
    for (unsigned i = 0; i < NOISE_VCPUS; i++)
        if (&m->entity[i] != runs && m->entity[i].wants) m->entity[i].waits += ns;
    m->now += ns;
    if (!runs) {
        m->host.idle += ns;
        return;
    }
    m->host.busy += ns;
    if (runs->waits > runs->longest) runs->longest = runs->waits;
    runs->lost += stall + (runs->waits ? NOISE_SWITCH_NS : 0);
    runs->waited += runs->waits;
    runs->waits = 0;
    runs->charged += ns;
    runs->progress += NOISE_TICK_NS * m->speed * (1 + (noise_chance(m) - 0.5) * m->level->speed);
    runs->virtual_time += (double)ns / runs->weight;
    if (runs->virtual_time >= runs->deadline) runs->deadline = runs->virtual_time + NOISE_TICK_NS / runs->weight;
}

static void noise_sample(struct noise_model *m, struct fair_record *r, unsigned s, const struct noise_entity *before)
{
    r->at[s] = m->now;
    for (unsigned i = 0; i < NOISE_VCPUS; i++) {
        const struct noise_entity *n = &m->entity[i];
        const double slow = m->planted == PLANT_SLOW && i == NOISE_VICTIM ? 1 - m->part : 1;
        r->count[s * NOISE_VCPUS + i] = (struct fair_count){
            .charged = n->charged,
            .delay = n->waited,
            .steal = n->waited,
            .progress = (uint64_t)(n->progress * slow / 1e5),
            .lost = n->waited + n->lost,
            .is_running = n->charged > before[i].charged,
        };
    }
}

/* Fill in the plan and the record, which fair_record_free frees. 0 or -ENOMEM. */
static int noise_make(struct noise_model *m, struct fair_plan *p, struct fair_record *r)
{
    *p = (struct fair_plan){.id = "E0",
                            .vm_count = 1,
                            .vcpu_count = NOISE_VCPUS,
                            .vm[0].vcpus = NOISE_VCPUS,
                            .cpu_count = 1,
                            .judged = FAIR_BIT(F1) | FAIR_BIT(F3) | FAIR_BIT(F5) | FAIR_BIT(F6) | FAIR_BIT(F7) |
                                      FAIR_BIT(F13) | FAIR_BIT(C1) | FAIR_BIT(C2) | FAIR_BIT(C3) | FAIR_BIT(C4)};
    const int rc = fair_record_alloc(r, NOISE_SAMPLES, NOISE_VCPUS);
    if (rc) return rc;
    r->tick_ns = r->slice_ns = NOISE_TICK_NS;
    r->ticks_per_ns = 1;
    m->count = NOISE_VCPUS + m->level->others;
    m->speed = 1;
    for (unsigned i = 0; i < m->count; i++) {
        m->entity[i] = (struct noise_entity){.weight = 1, .wants = i < NOISE_VCPUS};
        if (i < NOISE_VCPUS) p->vcpu[i].weight = 1, r->guest[i].has_steal = true;
    }
    if (m->planted == PLANT_WEIGHT) m->entity[NOISE_VICTIM].weight = 1 - m->part;
    for (unsigned s = 0; s < NOISE_SAMPLES; s++) {
        const uint64_t due = s * FAIR_BASE_NS + (uint64_t)(noise_chance(m) * (double)m->level->late_ns);
        struct noise_entity before[NOISE_VCPUS];
        memcpy(before, m->entity, sizeof(before));
        while (m->now < due || s == 0) {
            memcpy(before, m->entity, sizeof(before));
            noise_step(m);
            if (s == 0) break;
        }
        noise_sample(m, r, s, before);
        if (s == 0) m->host = (struct fair_cpu_time){0};
    }
    for (unsigned i = 0; i < NOISE_VCPUS; i++) r->guest[i].longest = m->entity[i].longest;
    r->host = m->host;
    return 0;
}

/* What the judges say of the record: FAIR_FAIL if a property failed, and *is_named if one of those names the victim. */
static enum fair_verdict noise_judge(const struct fair_report *found, bool *is_named)
{
    enum fair_verdict worst = FAIR_PASS;
    *is_named = false;
    for (unsigned i = 0; i < found->count; i++) {
        const struct fair_finding *f = &found->finding[i];
        if (f->verdict == FAIR_FAIL) worst = FAIR_FAIL;
        if (f->verdict == FAIR_INCONCLUSIVE && worst == FAIR_PASS) worst = FAIR_INCONCLUSIVE;
        *is_named |= f->verdict == FAIR_FAIL && f->vcpu == NOISE_VICTIM;
    }
    return worst;
}

#endif

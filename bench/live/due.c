/* What each vCPU had, and what it was due.
 *
 * A vCPU is due something only while it wants to run. How long it wanted is known exactly: the time that it was charged
 * and the time that it waited. With whom it had to share meanwhile is known of moments: each sample tells who ran or
 * waited then. What a moment's ideal machine would have given to each of these is a rate, from 0 to 1 of a CPU. So over
 * a block of samples
 *
 *     due = (charged + waited) * mean rate of the moments at which it wanted * supply
 *
 * where supply is one factor for all, so that what they are due adds up to what they got: whatever went to others is
 * nobody's due. For vCPUs that spin the rate is the same at each moment and nothing is estimated. For those that sleep
 * now and then the spread of the rates gives the standard error. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/live/live.h"

/* vCPUs among which something is divided: first by VM, then equally. */
struct scope {
    const struct live_record *r;
    unsigned vcpu[LIVE_VCPUS], count;
    bool by_vm;  /* else all are equal */
    double cpus; /* that serve them */
};

/* Per interval, which ends at sample s: [s * vcpus + vcpu]. */
struct times {
    const struct live_record *r;
    double *charged, *waited;
};

static double more(uint64_t from, uint64_t to)
{
    return to > from ? (double)(to - from) : 0;
}

/* ---- how long each waited, and when ---- */

/* The kernel adds a wait when it ends. What does not fit into the interval in which that was told was waited in those
 * before it; what fits into none was waited before the first sample. */
static void place_wait(const struct times *t, unsigned vcpu, unsigned sample, double wait)
{
    for (unsigned s = sample; s > 0 && wait > 0; s--) {
        const unsigned at = s * t->r->vcpus + vcpu;
        const double room = more(t->r->at[s - 1], t->r->at[s]) - t->charged[at] - t->waited[at];
        const double part = fmin(wait, fmax(room, 0));
        t->waited[at] += part;
        wait -= part;
        if (t->charged[at] > 0 && s < sample) break; /* it ran then, so this wait had not begun */
    }
}

/* A wait that goes on at the last sample has not been told yet. Neither is one that a CPU quota imposes, by some
 * kernels. Both are seen: it wanted to run before and after an interval in which it was charged nothing. */
static void place_untold(const struct times *t, unsigned vcpu, unsigned from)
{
    for (unsigned s = from; s < t->r->samples; s++) {
        const unsigned at = s * t->r->vcpus + vcpu;
        const bool stood = live_at(t->r, s - 1, vcpu)->wants && live_at(t->r, s, vcpu)->wants && t->charged[at] <= 0;
        if (stood) t->waited[at] = more(t->r->at[s - 1], t->r->at[s]);
    }
}

/* Under a quota a thread may be stopped in each interval and yet be charged in each. Its moments tell how much of the
 * time it wanted. */
static void place_throttled(const struct times *t, unsigned vcpu)
{
    const struct live_record *r = t->r;
    for (unsigned s = 1; s < r->samples; s++) {
        const unsigned at = s * r->vcpus + vcpu;
        const double span = more(r->at[s - 1], r->at[s]);
        if (!live_at(r, s - 1, vcpu)->wants || !live_at(r, s, vcpu)->wants) continue;
        t->waited[at] = fmax(t->waited[at], span - t->charged[at]);
    }
}

static void place_times(const struct times *t, unsigned vcpu)
{
    const struct live_record *r = t->r;
    for (unsigned s = 1; s < r->samples; s++) {
        const struct live_cell *a = live_at(r, s - 1, vcpu), *b = live_at(r, s, vcpu);
        t->charged[s * r->vcpus + vcpu] = more(a->charged, b->charged);
        place_wait(t, vcpu, s, more(a->delay, b->delay));
    }
    place_untold(t, vcpu, 1);
    if (r->vcpu[vcpu].cause.throttled.times) place_throttled(t, vcpu);
}

/* At least so long. Two signs of it: samples between which it wanted to run and was charged nothing; and the mean of
 * the waits that were told in an interval, which the longest of them is not below. */
static double longest_wait(const struct live_record *r, unsigned vcpu)
{
    double longest = 0;
    unsigned still = 0; /* the first sample with the charge of this one */
    for (unsigned s = 1; s < r->samples; s++) {
        const struct live_cell *a = live_at(r, s - 1, vcpu), *b = live_at(r, s, vcpu);
        if (b->charged != a->charged || !b->wants || !a->wants) still = s;
        longest = fmax(longest, more(r->at[still], r->at[s]));
        if (b->turns > a->turns && s > 1) longest = fmax(longest, more(a->delay, b->delay) / more(a->turns, b->turns));
    }
    return longest;
}

/* ---- one moment of an ideal machine ---- */

/* Share the CPUs among VMs by weight, where none can use more than it has vCPUs that want: whoever would get more gets
 * that, and the rest goes to the others. */
static void fill(const struct live_vm *vm, const unsigned *wanting, unsigned vms, double cpus, double *out)
{
    bool is_full[LIVE_VMS] = {false};
    for (bool again = true; again;) {
        double left = cpus, sum = 0;
        again = false;
        for (unsigned g = 0; g < vms; g++) {
            if (is_full[g]) left -= wanting[g];
            if (!is_full[g] && wanting[g]) sum += vm[g].weight;
        }
        for (unsigned g = 0; g < vms; g++) {
            if (is_full[g] || !wanting[g]) continue;
            out[g] = fmax(left, 0) * vm[g].weight / sum;
            if (out[g] < wanting[g]) continue;
            out[g] = wanting[g];
            is_full[g] = again = true;
        }
    }
}

/* What vCPU `who` would have at a moment, wanting as the others do. */
static double rate_at(const struct scope *sc, unsigned sample, unsigned who)
{
    const struct live_record *r = sc->r;
    unsigned wanting[LIVE_VMS] = {0}, all = 0;
    double got[LIVE_VMS] = {0};
    for (unsigned k = 0; k < sc->count; k++) {
        const unsigned i = sc->vcpu[k];
        const bool wants = i == who || live_at(r, sample, i)->wants;
        wanting[r->vcpu[i].vm] += wants;
        all += wants;
    }
    if (!sc->by_vm) return fmin(1, sc->cpus / all);
    fill(r->vm, wanting, r->vms, sc->cpus, got);
    return got[r->vcpu[who].vm] / wanting[r->vcpu[who].vm];
}

/* ---- over the record ---- */

struct spread { /* of a vCPU's rates, over the whole record */
    double n, sum, squares;
};

/* Of the moments at which it wanted to run; where none was seen, of all. */
static double mean_rate(const struct scope *sc, struct live_block b, unsigned who, struct spread *spread)
{
    double sum = 0, n = 0, every = 0;
    for (unsigned s = b.from + 1; s <= b.to; s++) {
        const double rate = rate_at(sc, s, who);
        every += rate;
        if (!live_at(sc->r, s, who)->wants) continue;
        sum += rate;
        n++;
        spread->squares += rate * rate;
    }
    spread->n += n;
    spread->sum += sum;
    return n > 0 ? sum / n : every / (b.to - b.from);
}

static double in_block(const double *x, const struct live_record *r, struct live_block b, unsigned vcpu)
{
    double sum = 0;
    for (unsigned s = b.from + 1; s <= b.to; s++) sum += x[s * r->vcpus + vcpu];
    return sum;
}

static void divide_block(const struct scope *sc, const struct times *t, struct live_block b, struct spread *spread,
                         double *due)
{
    double raw = 0, got = 0, wanted[LIVE_VCPUS];
    for (unsigned k = 0; k < sc->count; k++) {
        const double charged = in_block(t->charged, sc->r, b, sc->vcpu[k]);
        wanted[k] = charged + in_block(t->waited, sc->r, b, sc->vcpu[k]);
        due[k] = wanted[k] * mean_rate(sc, b, sc->vcpu[k], &spread[k]);
        raw += due[k];
        got += charged;
    }
    for (unsigned k = 0; k < sc->count && raw > 0; k++) due[k] = fmin(due[k] * got / raw, wanted[k]);
}

/* The standard error of `wanted * mean rate`. */
static double error_of(const struct spread *s, double wanted)
{
    if (s->n < 2) return wanted;
    const double mean = s->sum / s->n, variance = s->squares / s->n - mean * mean;
    return wanted * sqrt(fmax(variance, 0) / (s->n - 1));
}

/* Whatever a scope's vCPUs are due, over all blocks: added to *due and *error of each, by its number in the scope. */
static void divide(const struct scope *sc, const struct times *t, const struct live_due *d, double *due, double *error,
                   double *by_block)
{
    struct spread spread[LIVE_VCPUS] = {{0}};
    for (unsigned b = 0; b < d->blocks; b++) {
        double part[LIVE_VCPUS];
        divide_block(sc, t, d->block[b], spread, part);
        for (unsigned k = 0; k < sc->count; k++) due[k] += part[k];
        for (unsigned k = 0; k < sc->count && by_block; k++) by_block[b * sc->r->vcpus + sc->vcpu[k]] = part[k];
    }
    for (unsigned k = 0; k < sc->count; k++) {
        const struct live_had *h = &d->had[sc->vcpu[k]];
        error[k] = error_of(&spread[k], h->charged + h->waited);
    }
}

static void divide_all(struct live_due *d, const struct live_record *r, const struct times *t)
{
    struct scope sc = {.r = r, .count = r->vcpus, .by_vm = true};
    double due[LIVE_VCPUS] = {0}, error[LIVE_VCPUS];
    for (unsigned c = 0; c < CPU_SETSIZE; c++) sc.cpus += r->cpu[c].is_online;
    for (unsigned i = 0; i < r->vcpus; i++) sc.vcpu[i] = i;
    divide(&sc, t, d, due, error, d->due);
    for (unsigned i = 0; i < r->vcpus; i++) d->had[i].due_in_all = due[i], d->had[i].error_in_all = error[i];
}

/* The vCPUs of `first`'s VM that may use the same CPUs as it, if it is the first of them. */
static void divide_beside(struct live_due *d, const struct live_record *r, const struct times *t, unsigned first)
{
    const struct live_vcpu *v = &r->vcpu[first];
    struct scope sc = {.r = r, .cpus = CPU_COUNT(&v->cpus)};
    double due[LIVE_VCPUS] = {0}, error[LIVE_VCPUS];
    for (unsigned i = 0; i < r->vcpus; i++) {
        if (r->vcpu[i].vm != v->vm || !CPU_EQUAL(&r->vcpu[i].cpus, &v->cpus)) continue;
        if (i < first) return;
        sc.vcpu[sc.count++] = i;
    }
    divide(&sc, t, d, due, error, NULL);
    for (unsigned k = 0; k < sc.count; k++) {
        d->had[sc.vcpu[k]].due_beside = due[k];
        d->had[sc.vcpu[k]].error_beside = error[k];
    }
}

static void sum_up(struct live_due *d, const struct times *t)
{
    const struct live_record *r = t->r;
    for (unsigned i = 0; i < r->vcpus; i++) {
        struct live_had *h = &d->had[i];
        place_times(t, i);
        for (unsigned s = 1; s < r->samples; s++) {
            h->charged += t->charged[s * r->vcpus + i];
            h->waited += t->waited[s * r->vcpus + i];
            h->wants += live_at(r, s, i)->wants / (double)(r->samples - 1);
        }
        h->longest = longest_wait(r, i);
        for (unsigned b = 0; b < d->blocks; b++) d->charged[b * r->vcpus + i] = in_block(t->charged, r, d->block[b], i);
    }
}

/* The last block takes what is too little for one of its own. */
static void cut_blocks(struct live_due *d, unsigned samples)
{
    for (unsigned from = 0; from + 1 < samples; d->blocks++) {
        unsigned to = from + LIVE_BLOCK;
        if (to + LIVE_BLOCK / 2 >= samples) to = samples - 1;
        d->block[d->blocks] = (struct live_block){from, to};
        from = to;
    }
}

int live_due_make(struct live_due *out, const struct live_record *r)
{
    const size_t cells = (size_t)r->samples * r->vcpus, blocks = r->samples / LIVE_BLOCK + 2;
    struct times t = {.r = r, .charged = calloc(cells, sizeof(double)), .waited = calloc(cells, sizeof(double))};
    int rc = -ENOMEM;
    memset(out, 0, sizeof(*out));
    out->block = calloc(blocks, sizeof(*out->block));
    out->charged = calloc(blocks * r->vcpus, sizeof(double));
    out->due = calloc(blocks * r->vcpus, sizeof(double));
    if (t.charged && t.waited && out->block && out->charged && out->due) {
        cut_blocks(out, r->samples);
        sum_up(out, &t);
        divide_all(out, r, &t);
        for (unsigned i = 0; i < r->vcpus; i++) divide_beside(out, r, &t, i);
        rc = 0;
    }
    free(t.charged);
    free(t.waited);
    return rc;
}

void live_due_free(struct live_due *d)
{
    free(d->block);
    free(d->charged);
    free(d->due);
    d->block = NULL;
    d->charged = d->due = NULL;
}

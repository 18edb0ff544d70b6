/* Join what the guest saw with what the recorder saw: the n-th exit of the row's kind belongs to the n-th repetition.
 *
 *      G0            U0      U1              G1
 *       |-- exit_leg --|- user -|- entry_leg --|        G: the guest's counter. U: the host's, around our handler
 *                      `left` `done` of the exit
 *
 * kvm_run lasts from the U1 of the exit before to this U0. With a batch of one, the three parts add up to G1 - G0,
 * which is rtt and the baseline together. A longer batch has no legs. Its user, its kvm_run and, of exits to us, its
 * undisturbed round trip are those of its median repetition, times the repetitions: so neither the guest's way from one
 * batch to the next nor a single slow exit is in them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/exits/exits.h"

#define GAP_SHARE      2   /* a disturbed sample takes half longer than is usual: a host's tick costs more */
#define QUIET_SHARE    10  /* one part in so many of the samples, taken in quiet, tells what is usual */
#define ORDER_PERCENT  99  /* with a shared clock, so many samples must have no leg below zero */
#define RESIDUAL_SHARE 100 /* the legs may miss the round trip by one part in so many */
#define TICKS_MAX      (HIST_LIMIT - 1) /* what a hostile guest writes is cut to what a histogram holds */

static int ascending(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void sort(uint64_t *values, uint32_t count)
{
    qsort(values, count, sizeof(*values), ascending);
}

static int64_t between(uint64_t from, uint64_t to)
{
    return (int64_t)(to - from);
}

static uint64_t clamp(int64_t ticks)
{
    if (ticks < 0) return 0;
    return (uint64_t)ticks > TICKS_MAX ? TICKS_MAX : (uint64_t)ticks;
}

static uint64_t *claim(struct exits_joined *j, enum phase p, uint32_t count)
{
    j->phase[p] = calloc(count ? count : 1, sizeof(uint64_t));
    return j->phase[p];
}

void exits_joined_fini(struct exits_joined *j)
{
    for (unsigned p = 0; p < PHASE_COUNT; p++) free(j->phase[p]);
    *j = (struct exits_joined){0};
}

/* ---- the round trip ---- */

static int median_baseline(struct exits_joined *j, const struct exits_run *run)
{
    if (!run->baselines) return 0;
    uint64_t *ticks = malloc(run->baselines * sizeof(*ticks));
    if (!ticks) return -ENOMEM;
    for (uint32_t i = 0; i < run->baselines; i++) ticks[i] = clamp(between(run->baseline[i].g0, run->baseline[i].g1));
    sort(ticks, run->baselines);
    /* On a busy host most long batches are interrupted. Nothing in this loop varies, so a fast one tells as much. */
    j->baseline = ticks[(run->baselines - 1) / (run->batch > 1 ? QUIET_SHARE : 2)];
    free(ticks);
    return 0;
}

/* Was the host seen to interfere while sample i was taken? For rising i; *w: the window where the search goes on. */
static bool is_in_window(const struct exits_run *run, uint32_t i, uint32_t *w)
{
    while (*w < run->windows && i >= run->window[*w].end) ++*w;
    return *w < run->windows && i >= run->window[*w].first;
}

/* What a sample takes when the host leaves it alone: the median of those outside of all windows. Where there are few,
 * as on a busy host, most samples may be long ones, so the median of all says nothing: then the fastest tenth tells.
 * Uses `room`, of as many as there are samples. */
static uint64_t usual(const struct exits_joined *j, const struct exits_run *run, const uint64_t *ticks, uint64_t *room)
{
    uint32_t w = 0, n = 0;
    for (uint32_t i = 0; i < run->samples; i++)
        if (!is_in_window(run, i, &w)) room[n++] = ticks[i];
    if (n <= run->samples / QUIET_SHARE) return j->phase[PHASE_RTT][(run->samples - 1) / QUIET_SHARE];
    sort(room, n);
    return room[(n - 1) / 2];
}

static bool is_long(uint64_t ticks, uint64_t than)
{
    return ticks > than + than / GAP_SHARE;
}

/* Count as disturbed what took long in a window in which the host interfered. The rest is the undisturbed view. */
static void tag(struct exits_joined *j, const struct exits_run *run, const uint64_t *ticks)
{
    uint64_t *kept = j->phase[PHASE_UNDISTURBED];
    const uint64_t least = usual(j, run, ticks, kept);
    uint32_t w = 0, n = 0;
    for (uint32_t i = 0; i < run->samples; i++) {
        if (is_in_window(run, i, &w) && is_long(ticks[i], least))
            j->disturbed++;
        else
            kept[n++] = ticks[i];
    }
    j->count[PHASE_UNDISTURBED] = n;
    sort(kept, n);
}

static uint64_t round_trip(const struct exits_joined *j, uint64_t ticks)
{
    return ticks > j->baseline ? ticks - j->baseline : 0;
}

static int join_round_trips(struct exits_joined *j, const struct exits_run *run)
{
    uint64_t *ticks = claim(j, PHASE_RTT, run->samples);
    uint64_t *in_order = malloc((run->samples + 1u) * sizeof(*in_order));
    if (!ticks || !in_order || !claim(j, PHASE_UNDISTURBED, run->samples)) {
        free(in_order);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < run->samples; i++)
        ticks[i] = in_order[i] = round_trip(j, clamp(between(run->sample[i].g0, run->sample[i].g1)));
    j->count[PHASE_RTT] = run->samples;
    sort(ticks, run->samples);
    if (run->samples) tag(j, run, in_order);
    free(in_order);
    return 0;
}

/* ---- the exits ---- */

static bool is_of_row(const struct exits_run *run, const struct record_exit *x)
{
    return x->class == run->what->class && (!x->has_addr || x->addr == run->side.address);
}

/* The exits of the row's kind, in order. NULL: no memory. The caller's to free. */
static struct record_exit *matching(const struct exits_run *run, uint64_t *count)
{
    const uint64_t all = atomic_load_explicit(&run->trace.count, memory_order_acquire);
    struct record_exit *found = calloc(all + 1, sizeof(*found));
    *count = 0;
    for (uint64_t i = 0; found && i < all; i++)
        if (is_of_row(run, &run->trace.exit[i])) found[(*count)++] = run->trace.exit[i];
    return found;
}

/* Without a common clock the offset between the two must be estimated. G0 + offset <= U0 and U1 <= G1 + offset hold in
 * every sample, so it lies between the greatest lower bound and the least upper bound. Take the middle, which is wrong
 * by at most half of the distance. */
static bool bracket(const struct exits_run *run, const struct record_exit *exit, uint32_t pairs, int64_t *offset,
                    uint64_t *error)
{
    int64_t low = INT64_MIN, high = INT64_MAX;
    for (uint32_t i = 0; i < pairs; i++) {
        const int64_t least = between(run->sample[i].g1, exit[i].done), most = between(run->sample[i].g0, exit[i].left);
        if (least > low) low = least;
        if (most < high) high = most;
    }
    if (!pairs || low > high) return false;
    *error = ((uint64_t)high - (uint64_t)low) / 2;
    *offset = low + (int64_t)*error;
    return true;
}

/* Fill the legs, after moving the guest's time by the offset, and the residual. */
static int join_legs(struct exits_joined *j, const struct exits_run *run, const struct record_exit *exit,
                     uint32_t pairs)
{
    int64_t offset = 0;
    j->has_legs = run->is_clock_shared || bracket(run, exit, pairs, &offset, &j->offset_error);
    if (!j->has_legs || !pairs) return 0;
    uint64_t *out = claim(j, PHASE_EXIT_LEG, pairs), *in = claim(j, PHASE_ENTRY_LEG, pairs);
    uint64_t *missed = malloc(pairs * sizeof(*missed));
    if (!out || !in || !missed) {
        free(missed);
        return -ENOMEM;
    }
    uint32_t ordered = 0;
    for (uint32_t i = 0; i < pairs; i++) {
        const int64_t to_us = between(run->sample[i].g0 + (uint64_t)offset, exit[i].left);
        const int64_t back = between(exit[i].done, run->sample[i].g1 + (uint64_t)offset);
        ordered += to_us >= 0 && back >= 0;
        out[i] = clamp(to_us);
        in[i] = clamp(back);
        const uint64_t sum = out[i] + clamp(between(exit[i].left, exit[i].done)) + in[i];
        missed[i] = clamp(between(clamp(between(run->sample[i].g0, run->sample[i].g1)), sum));
    }
    j->count[PHASE_EXIT_LEG] = j->count[PHASE_ENTRY_LEG] = pairs;
    sort(out, pairs);
    sort(in, pairs);
    sort(missed, pairs);
    j->residual = (int64_t)missed[(pairs - 1) / 2];
    free(missed);
    const uint64_t median = j->phase[PHASE_RTT][(j->count[PHASE_RTT] - 1) / 2] + j->baseline;
    j->identity_holds =
        (uint64_t)ordered * 100 >= (uint64_t)pairs * ORDER_PERCENT && (uint64_t)j->residual <= median / RESIDUAL_SHARE;
    return 0;
}

/* The median repetition's ticks, times the repetitions. Sorts ticks. */
static uint64_t of_batch(uint64_t *ticks, uint32_t batch)
{
    sort(ticks, batch);
    const uint64_t all = ticks[(batch - 1) / 2] * batch; /* 2^42 ticks at most, 2^12 repetitions */
    return all > TICKS_MAX ? TICKS_MAX : all;
}

/* A batch is long on a busy host, so hardly one is left alone. But the host interferes with few of its repetitions: the
 * median one, from the end of our handler to the end of the next, tells what the batch takes without. */
static void tag_batches(struct exits_joined *j, const struct exits_run *run, uint32_t pairs)
{
    uint64_t *undisturbed = j->phase[PHASE_UNDISTURBED];
    j->disturbed = 0;
    for (uint32_t i = 0; i < pairs; i++) {
        undisturbed[i] = round_trip(j, undisturbed[i]);
        j->disturbed += is_long(round_trip(j, clamp(between(run->sample[i].g0, run->sample[i].g1))), undisturbed[i]);
    }
    j->count[PHASE_UNDISTURBED] = pairs;
    sort(undisturbed, pairs);
}

/* Fill what repetition n of a batch takes, from its exit. */
enum part { PART_USER, PART_KVM, PART_ALL, PART_COUNT };

static void split(uint64_t *part[PART_COUNT], uint32_t n, const struct record_exit *x)
{
    part[PART_USER][n] = clamp(between(x->left, x->done));
    part[PART_KVM][n] = clamp(between(x->from, x->left));
    part[PART_ALL][n] = clamp(between(x->from, x->done));
}

static int join_exits(struct exits_joined *j, const struct exits_run *run, const struct record_exit *exit,
                      uint64_t exits)
{
    const uint64_t skip = (uint64_t)run->warm_up * run->batch;
    const uint64_t there = exits > skip ? (exits - skip) / run->batch : 0;
    const uint32_t pairs = there < run->samples ? (uint32_t)there : run->samples;
    uint64_t *user = claim(j, PHASE_USER, pairs), *in_kvm = claim(j, PHASE_KVM_RUN, pairs);
    uint64_t *room = calloc((size_t)PART_COUNT * run->batch, sizeof(*room));
    const bool has_memory = user && in_kvm && room;
    for (uint32_t i = 0; has_memory && i < pairs; i++) {
        uint64_t *part[] = {room, room + run->batch, room + 2 * (size_t)run->batch};
        for (uint32_t n = 0; n < run->batch; n++) split(part, n, &exit[skip + (uint64_t)i * run->batch + n]);
        user[i] = of_batch(part[PART_USER], run->batch);
        in_kvm[i] = of_batch(part[PART_KVM], run->batch);
        if (run->batch > 1) j->phase[PHASE_UNDISTURBED][i] = of_batch(part[PART_ALL], run->batch);
    }
    free(room);
    if (!has_memory) return -ENOMEM;
    j->count[PHASE_USER] = j->count[PHASE_KVM_RUN] = pairs;
    sort(user, pairs);
    sort(in_kvm, pairs);
    if (run->batch == 1) return join_legs(j, run, exit + skip, pairs);
    tag_batches(j, run, pairs);
    return 0;
}

int exits_join(struct exits_joined *out, const struct exits_run *run)
{
    *out = (struct exits_joined){0};
    int rc = median_baseline(out, run);
    if (!rc) rc = join_round_trips(out, run);
    if (rc || run->what->group != BENCH_USER || !run->trace.exit) return rc;
    uint64_t exits;
    struct record_exit *exit = matching(run, &exits);
    if (!exit) return -ENOMEM;
    rc = join_exits(out, run, exit, exits);
    free(exit);
    return rc;
}

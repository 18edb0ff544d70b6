#include "vmm/cli/trace_join.h"

#include <stdlib.h>
#include <string.h>

bool trace_join_init(struct trace_join *j)
{
    memset(j, 0, sizeof(*j));
    j->place = calloc(TRACE_PLACES_MAX, sizeof(*j->place));
    return j->place;
}

void trace_join_fini(struct trace_join *j)
{
    for (unsigned i = 0; i < j->rows; i++) free((void *)j->row[i].room);
    free(j->place);
    memset(j, 0, sizeof(*j));
}

/* Buckets come zeroed from the kernel and are there when touched. NULL: no row, or no memory, is left. */
static struct trace_row *row_for(struct trace_join *j, uint64_t reason, bool is_ours)
{
    for (unsigned i = 0; i < j->rows; i++)
        if (j->row[i].reason == reason && j->row[i].is_ours == is_ours) return &j->row[i];
    if (j->rows == TRACE_ROWS_MAX) return NULL;
    struct trace_row *r = &j->row[j->rows];
    *r = (struct trace_row){.reason = reason, .is_ours = is_ours};
    r->room = calloc(HIST_BUCKETS + HIST_GROUPS, sizeof(*r->room));
    if (!r->room) return NULL;
    hist_init(&r->hist, r->room, r->room + HIST_BUCKETS);
    j->rows++;
    return r;
}

/* Addresses differ in few bits: a multiplication spreads them (Knuth, TAOCP vol. 3, 6.4). */
static struct trace_place *place_for(struct trace_join *j, uint64_t address)
{
    const uint64_t hash = address * UINT64_C(0x9e3779b97f4a7c15) >> 32;
    for (unsigned i = 0; i < TRACE_PROBES; i++) {
        struct trace_place *p = &j->place[(hash + i) % TRACE_PLACES_MAX];
        if (p->count == 0) p->address = address;
        if (p->address == address) return p;
    }
    return NULL;
}

/* The candidate of a majority (Boyer and Moore): who has more than half of the votes is it at the end. */
static void vote(struct trace_place *p, uint64_t reason)
{
    if (p->votes == 0) p->reason = reason;
    if (p->reason == reason)
        p->votes++;
    else
        p->votes--;
}

static void finish(struct trace_join *j, struct trace_vcpu *v, uint64_t now)
{
    const uint64_t took = now > v->exit.ns ? now - v->exit.ns : 0;
    struct trace_row *r = row_for(j, v->exit.reason, v->has_left);
    struct trace_place *p = place_for(j, v->exit.address);
    v->count++;
    v->total += took;
    if (!r || !p) j->unplaced++;
    if (r) {
        r->count++;
        r->total += took;
        if (took > r->most) r->most = took;
        if (v->has_left && now > v->left_ns) r->ours += now - v->left_ns;
        hist_record(&r->hist, took);
    }
    if (p) {
        p->count++;
        p->total += took;
        vote(p, v->exit.reason);
    }
}

void trace_join_event(struct trace_join *j, struct trace_vcpu *v, const struct trace_event *event)
{
    switch (event->kind) {
    case TRACE_EXIT:
        if (v->is_out) v->broken++;
        v->is_out = true;
        v->has_left = false;
        v->exit = *event;
        break;
    case TRACE_LEAVE:
        if (v->is_out && !v->has_left) v->left_ns = event->ns;
        v->has_left = v->is_out;
        break;
    case TRACE_ENTRY:
        if (v->is_out) finish(j, v, event->ns);
        v->is_out = false;
        break;
    }
}

static int slowest_first(const void *a, const void *b)
{
    const struct trace_row *x = a, *y = b;
    return (x->total < y->total) - (x->total > y->total);
}

static int most_first(const void *a, const void *b)
{
    const struct trace_place *x = a, *y = b;
    if (x->count != y->count) return x->count < y->count ? 1 : -1;
    return (x->address > y->address) - (x->address < y->address);
}

void trace_join_sort(struct trace_join *j)
{
    qsort(j->row, j->rows, sizeof(j->row[0]), slowest_first);
    qsort(j->place, TRACE_PLACES_MAX, sizeof(j->place[0]), most_first);
}

uint64_t trace_row_quantile(const struct trace_row *r, double share)
{
    const struct hist *const one[] = {&r->hist};
    const struct hists h = {one, 1};
    uint64_t at;
    hists_quantiles(&h, &share, 1, &at);
    return at;
}

#include "vmm/sandbox/areas.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct area_node {
    struct area area;
    uint32_t left, right; /* an unused node: left is the next one */
    uint32_t priority, count;
    uint64_t first, last; /* of the subtree: the lowest `low`, the highest end */
    uint64_t gap;         /* the largest one between two neighbours of the subtree */
};

#define ROOM_AT_FIRST 32

int areas_init(struct areas *a)
{
    *a = (struct areas){.node = calloc(ROOM_AT_FIRST, sizeof(*a->node)), .room = ROOM_AT_FIRST};
    if (!a->node) return -ENOMEM;
    /* Without random bytes, early in a host's boot, trees are as good; only not against a program that plans. */
    if (getrandom(&a->random, sizeof(a->random), GRND_NONBLOCK) != sizeof(a->random)) a->random = 1;
    a->random |= 1;
    for (uint32_t i = 1; i < a->room; i++) a->node[i].left = i + 1 < a->room ? i + 1 : 0;
    a->unused = 1;
    return 0;
}

void areas_fini(struct areas *a)
{
    free(a->node);
    *a = (struct areas){0};
}

int areas_reserve(struct areas *a, uint32_t more)
{
    const uint32_t old = a->room;
    if (old - 1 - a->count >= more) return 0;
    const uint32_t room = old * 2 > old + more ? old * 2 : old + more;
    struct area_node *node = realloc(a->node, room * sizeof(*node));
    if (!node) return -ENOMEM;
    memset(node + old, 0, (room - old) * sizeof(*node));
    for (uint32_t i = old; i < room; i++) node[i].left = i + 1 < room ? i + 1 : a->unused;
    a->unused = old;
    a->node = node;
    a->room = room;
    return 0;
}

int areas_copy(struct areas *to, const struct areas *from)
{
    if (to->room != from->room) {
        struct area_node *node = realloc(to->node, from->room * sizeof(*node));
        if (!node) return -ENOMEM;
        to->node = node;
    }
    memcpy(to->node, from->node, from->room * sizeof(*to->node));
    to->root = from->root;
    to->unused = from->unused;
    to->room = from->room;
    to->count = from->count;
    return 0;
}

static uint64_t gap_of(uint64_t from, uint64_t to)
{
    return to > from ? to - from : 0;
}

static uint64_t max_of(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* What a node tells of its subtree, after one of its children changed. */
static void sum_up(struct areas *a, uint32_t t)
{
    struct area_node *n = &a->node[t];
    const struct area_node *l = &a->node[n->left], *r = &a->node[n->right];
    n->count = 1 + l->count + r->count;
    n->first = n->left ? l->first : n->area.low;
    n->last = n->right ? r->last : n->area.end;
    n->gap = max_of(l->gap, r->gap);
    if (n->left) n->gap = max_of(n->gap, gap_of(l->last, n->area.low));
    if (n->right) n->gap = max_of(n->gap, gap_of(n->area.end, r->first));
}

static uint32_t join(struct areas *a, uint32_t l, uint32_t r)
{
    if (!l || !r) return l ? l : r;
    const uint32_t top = a->node[l].priority > a->node[r].priority ? l : r;
    if (top == l)
        a->node[l].right = join(a, a->node[l].right, r);
    else
        a->node[r].left = join(a, l, a->node[r].left);
    sum_up(a, top);
    return top;
}

/* Those that start below `at`, and the others. */
static void part(struct areas *a, uint32_t t, uint64_t at, uint32_t out[2])
{
    out[0] = out[1] = 0;
    if (!t) return;
    struct area_node *n = &a->node[t];
    uint32_t half[2];
    if (n->area.start < at) {
        part(a, n->right, at, half);
        n->right = half[0];
        out[0] = t;
        out[1] = half[1];
    } else {
        part(a, n->left, at, half);
        n->left = half[1];
        out[0] = half[0];
        out[1] = t;
    }
    sum_up(a, t);
}

static uint32_t next_priority(struct areas *a)
{
    a->random ^= a->random << 13;
    a->random ^= a->random >> 7;
    a->random ^= a->random << 17;
    return (uint32_t)(a->random >> 32);
}

void areas_insert(struct areas *a, const struct area *area)
{
    uint32_t half[2];
    const uint32_t t = a->unused;
    a->unused = a->node[t].left;
    a->node[t] = (struct area_node){.area = *area, .priority = next_priority(a)};
    sum_up(a, t);
    part(a, a->root, area->start, half);
    a->root = join(a, join(a, half[0], t), half[1]);
    a->count++;
}

void areas_remove(struct areas *a, uint64_t start)
{
    uint32_t half[2], rest[2];
    part(a, a->root, start, half);
    part(a, half[1], start + 1, rest);
    if (rest[0]) {
        a->node[rest[0]] = (struct area_node){.left = a->unused};
        a->unused = rest[0];
        a->count--;
    }
    a->root = join(a, half[0], rest[1]);
}

bool areas_find(const struct areas *a, uint64_t va, struct area *out)
{
    uint32_t found = 0;
    for (uint32_t t = a->root; t;) {
        const struct area_node *n = &a->node[t];
        if (n->area.end > va) found = t;
        t = n->area.end > va ? n->left : n->right;
    }
    if (found) *out = a->node[found].area;
    return found;
}

bool areas_index(const struct areas *a, uint32_t k, struct area *out)
{
    for (uint32_t t = a->root; t;) {
        const struct area_node *n = &a->node[t];
        const uint32_t below = a->node[n->left].count;
        if (k == below) {
            *out = n->area;
            return true;
        }
        t = k < below ? n->left : n->right;
        if (k > below) k -= below + 1;
    }
    return false;
}

/* In the gaps of the subtree, and between its last area and high; not below its first one. */
static uint64_t place(const struct areas *a, uint32_t t, uint64_t high, uint64_t len)
{
    const struct area_node *n = &a->node[t];
    if (!t || n->first >= high || (n->gap < len && gap_of(n->last, high) < len)) return 0;
    if (n->right) {
        const uint64_t va = place(a, n->right, high, len);
        if (va) return va;
        if (a->node[n->right].first < high) high = a->node[n->right].first;
    }
    if (gap_of(n->area.end, high) >= len) return high - len;
    return place(a, n->left, n->area.low < high ? n->area.low : high, len);
}

uint64_t areas_gap(const struct areas *a, uint64_t low, uint64_t high, uint64_t len)
{
    const uint64_t va = place(a, a->root, high, len);
    if (va) return va >= low ? va : 0;
    if (a->root && a->node[a->root].first < high) high = a->node[a->root].first;
    return gap_of(low, high) >= len ? high - len : 0;
}

/* What is mapped where: areas in order, none overlapping. A treap whose nodes are numbers in one array, so that a copy
 * is a copy of the array; every operation takes logarithmic time, and so does the search for a free place. */
#ifndef VIREO_SANDBOX_AREAS_H
#define VIREO_SANDBOX_AREAS_H

#include <stdbool.h>
#include <stdint.h>

struct area {
    uint64_t start, end;
    uint64_t low; /* areas_gap() gives nothing of [low, start): where a stack may grow, and its guard. Else: start */
    unsigned prot, flags;
};

struct areas {
    struct area_node *node; /* [0] stands for none */
    uint32_t root, unused, room, count;
    uint64_t random; /* of the nodes' priorities: a program can't know it, so it can't make the tree deep */
};
int areas_init(struct areas *a); /* -ENOMEM */
void areas_fini(struct areas *a);
int areas_reserve(struct areas *a, uint32_t more);                     /* this many inserts can't fail. -ENOMEM */
int areas_copy(struct areas *to, const struct areas *from);            /* to: inited. -ENOMEM: unchanged */
void areas_insert(struct areas *a, const struct area *area);           /* reserved, and free there */
void areas_remove(struct areas *a, uint64_t start);                    /* the one that starts there */
bool areas_find(const struct areas *a, uint64_t va, struct area *out); /* the first one that ends above va */
bool areas_index(const struct areas *a, uint32_t k, struct area *out); /* the k-th, in order */
/* The highest place for len bytes in [low, high); 0: none. */
uint64_t areas_gap(const struct areas *a, uint64_t low, uint64_t high, uint64_t len);

#endif

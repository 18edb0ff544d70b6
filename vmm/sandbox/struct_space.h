/* A space from inside, for the files space*.c. */
#ifndef VIREO_SANDBOX_STRUCT_SPACE_H
#define VIREO_SANDBOX_STRUCT_SPACE_H

#include "vmm/sandbox/space.h"

#define SPACE_SHARES_MAX 8
#define SPACE_STEP_DOWN  (64ull << 10) /* what a stack grows by */

struct space_share {
    uint8_t *host;
    uint64_t va, gpa, len;
    bool is_writable;
};

/* What a template keeps a copy of beside the memory. */
struct space_books {
    uint64_t frames_end; /* frames from here on were never used: page numbers of the slot */
    uint64_t tables_end; /* the same of tables */
    uint64_t mapped;     /* frames in use */
    uint64_t brk_start, brk;
    uint64_t stack_top, stack_max;
    uint32_t *free; /* frames that were given back; room for all */
    uint64_t free_count;
    struct space_area *area; /* sorted, not overlapping, neighbours differ; room for area_room */
    unsigned areas, area_room;
};

struct space {
    uint8_t *memory;             /* slot 0: tables, then frames */
    uint64_t pages, table_pages; /* of the slot; frames begin at table_pages */
    uint8_t *kernel;
    uint64_t root;
    struct space_books now;
    uint64_t peak;
    struct space_share share[SPACE_SHARES_MAX];
    unsigned shares;
    bool wants_flush;

    /* The host's mapping of these frames is to be invalidated: gathered, so that neighbours go in one system call. */
    uint64_t lost_from, lost_to;
    bool lost_content;

    /* Of a space made from a template: which pages of the slot were written since. */
    const struct space_template *from;
    uint64_t *dirty_bit; /* a bit a page */
    uint32_t *dirty;     /* the pages, each once */
    uint64_t dirty_count;
    bool areas_changed;
    uint64_t free_low; /* of now.free, [0, free_low) is as in the template */

    struct kvm_dirty_gfn *ring; /* NULL: none, or the log is a bitmap */
    uint32_t ring_entries, ring_next;
    bool has_ring, has_log;
};

struct space_template {
    int fd;
    uint64_t pages, table_pages; /* as the space's */
    const uint8_t *memory;       /* the file, read-only; `used` pages of it */
    uint64_t used;
    struct space_books books;
    uint64_t root;
};

/* ---- pages and tables: space_pages.c ---- */

static inline bool space_is_user(uint64_t va, uint64_t len)
{
    return va >= USER_MIN && va <= USER_END && len <= USER_END - va;
}
void space_mark(struct space *s, uint64_t page); /* of the slot: it was written */
/* The entry of the page at va, which the caller may change after space_mark_table. NULL: there is no table, and with
 * `makes` no room for one. */
uint64_t *space_entry(struct space *s, uint64_t va, bool makes);
void space_set_entry(struct space *s, uint64_t *entry, uint64_t value);
/* A zero frame's address; 0: there is none left. */
uint64_t space_take_frame(struct space *s);
void space_give_frame(struct space *s, uint64_t gpa);
/* The mapping of the frame at gpa is invalidated, its content kept or zeroed: at the latest by space_lose_all. */
void space_lose(struct space *s, uint64_t gpa, bool content);
void space_lose_all(struct space *s);
/* The host's bytes of the page that an entry names; NULL: none of ours. */
uint8_t *space_host(const struct space *s, uint64_t gpa);

/* ---- areas: space_areas.c ---- */

/* The first area that ends above va: its index, or the count. */
unsigned space_find(const struct space *s, uint64_t va);
/* Put an area where none is, or take [start, end) out of those there; 0 or -ENOMEM (nothing changed). */
int space_put_area(struct space *s, const struct space_area *a);
int space_cut_area(struct space *s, uint64_t start, uint64_t end);
uint64_t space_find_room(const struct space *s, uint64_t len); /* 0: none */

/* Its invariants: for tests and assertions. */
bool space_is_valid(const struct space *s);

#endif

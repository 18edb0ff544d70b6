/* What a space is made of, for vmm/sandbox/space*.c and tables.c.
 *
 * The VM has two memory slots of one piece of host memory: the program's frames, whose writes are noted, and the
 * kernel's pages with the tables behind them, which only the monitor writes. (Processors with nested paging count a
 * walk through the tables as a write to them, so in a slot with a log each table that is used would seem written.)
 *
 *      guest-physical 0                 pages     USER_KERNEL_GPA   TABLES_GPA        table_max
 *      | frames                         |   ...   | kernel's pages  | tables          |
 *
 * Both are given out from the front, so that what is in use is one piece each: a template's file has the frames, then
 * the tables. In a clone the first file_pages frames and file_tables tables are the file's, mapped privately; what is
 * given since lies behind, in anonymous memory. There a page is zero while nobody has it. A frame below holds what the
 * template has there or what was written since; it is zeroed when it is given. What comes back goes to a list and stays
 * what it was: a table never becomes a frame.
 *
 * A table stands for the same addresses from when it is first used on, also when it has no entry left and after a
 * reset. Where KVM shadows the tables it keeps a shadow of each, and what leads to it, and sees no change of ours: a
 * table that stood elsewhere meanwhile would still be found at its old place, with the pages of the new one. Only when
 * no table is left, or a reset finds many that the template has not, are the empty ones taken back, and KVM is made to
 * forget all that it has (tables_moved).
 */
#ifndef VIREO_SANDBOX_STRUCT_SPACE_H
#define VIREO_SANDBOX_STRUCT_SPACE_H

#include <pthread.h>
#include <stdatomic.h>

#include "vmm/kvm/dirty.h"
#include "vmm/sandbox/areas.h"
#include "vmm/sandbox/page_set.h"
#include "vmm/sandbox/space.h"

#define SPACE_SHARES_MAX 16                                /* each is a memory slot */
#define SPACE_GUARD      (1ull << 20)                      /* below what grows down, as Linux' stack_guard_gap has it */
#define SPACE_CHUNK      (SPACE_PAGE * USER_TABLE_ENTRIES) /* what one table of the last level maps: 2 MiB */

struct run { /* of pages */
    uint32_t first, count;
};

/* Pages that came back: a stack of runs. `kept`: how many of the first are as they were at the last reset. */
struct run_list {
    struct run *run;
    uint32_t count, room, kept;
};

/* Who has which page: all that a reset puts back beside the pages themselves. */
struct ledger {
    uint32_t next, next_table; /* from here on none was ever given */
    struct run_list frames, tables;
    uint64_t used, peak, table_count; /* pages */
    struct areas areas;
    uint64_t brk_start, brk, top, stack_limit;
};

struct share {
    uint64_t va, gpa, len;
    uint8_t *host;
    bool is_writable, is_mapped;
};

struct space_template {
    int fd;
    const uint8_t *base, *tables; /* the file, only read */
    uint32_t file_pages, file_tables;
    uint64_t memory;
    struct ledger ledger;
};

/* Frames that a program and its forked processes have together. The lock is held over a look at what is left and the
 * taking that follows; what is given back needs none. */
struct space_budget {
    pthread_mutex_t lock;
    _Atomic uint64_t used;
};

struct space {
    uint8_t *base, *tables;
    uint64_t memory;                  /* bytes that can be mapped, in all spaces of the budget */
    struct space_budget own, *budget; /* a forked one's: the first process's, which outlives it */
    uint32_t pages;                   /* frames of slot 0; the first is left out, as 0 is no entry's address */
    uint32_t table_max;
    uint64_t kernel_size;
    struct ledger ledger;
    bool have_areas_changed; /* since the last reset */
    struct page_set written; /* since then, frames of the template's file: by the guest and by us */
    struct page_set changed; /* tables, since then; both sets are empty without a template */
    const struct space_template *from;
    uint32_t file_pages, file_tables; /* 0: no template */
    struct share share[SPACE_SHARES_MAX];
    unsigned shares;
    struct vm *vm; /* attached to; NULL: not yet */
    struct vm_ram tables_slot;
    bool wants_flush;
    struct dirty_log log;
};

/* ---- tables.c: the radix tree. Addresses are below USER_KERNEL_VA + USER_KERNEL_MAX ---- */

#define TABLES_ROOT 0
#define TABLES_GPA  (USER_KERNEL_GPA + USER_KERNEL_MAX)

int tables_make_root(struct space *s); /* with the kernel's pages */
/* Every page of [va, end) has a table of the last level. -ENOMEM: some have none. */
int tables_make(struct space *s, uint64_t va, uint64_t end);
/* Tables stand for other addresses than KVM may remember: it forgets all shadows. -errno: the VM is broken. */
int tables_moved(struct space *s);

struct leaf { /* the part of one table of the last level that is in a range */
    uint64_t *entry;
    uint32_t count;
    uint64_t va; /* of the first */
    uint32_t page;
};
/* The next part of [*va, end) that has a table; *va: behind it. false: none. */
bool tables_next(const struct space *s, uint64_t *va, uint64_t end, struct leaf *out);
void tables_changed(struct space *s, const struct leaf *leaf); /* before entries of it are changed */
uint64_t tables_entry(const struct space *s, uint64_t va);     /* 0: none */

/* ---- space_frames.c ---- */

bool frames_are_left(const struct space *s, uint64_t pages); /* for an answer that holds: with the budget's lock */
/* At most `want` pages that are zero, one after the other; there are enough left. */
struct run frames_take(struct space *s, uint64_t want);
void frames_give(struct space *s, struct run run);  /* the guest's entries of them are gone */
void frames_zero(struct space *s, struct run run);  /* stay mapped, read as zero */
void frames_unsee(struct space *s, struct run run); /* entries of them lost a right: make KVM look again */
uint32_t table_take(struct space *s);               /* zero; 0: none left */
void table_give(struct space *s, uint32_t page);    /* zero again */

/* Collects neighbouring pages, so that what is done to them is done once. */
struct batch {
    struct space *s;
    void (*fn)(struct space *s, struct run run);
    struct run run;
};
void batch_add(struct batch *b, uint64_t page);
void batch_end(struct batch *b);

/* ---- space_pages.c: entries of a range ---- */

void pages_fill(struct space *s, uint64_t va, uint64_t end,
                unsigned prot); /* frames where there are none; tables made */
void pages_drop(struct space *s, uint64_t va, uint64_t end);
void pages_protect(struct space *s, uint64_t va, uint64_t end, unsigned prot);
void pages_move(struct space *s, uint64_t from, uint64_t to, uint64_t len); /* tables made */
uint64_t pages_have(const struct space *s, uint64_t va, uint64_t end);      /* frames there */

/* ---- space_map.c ---- */

bool range_is_users(uint64_t va, uint64_t len); /* whole pages of the program's addresses, not none */
bool range_is_free(const struct space *s, uint64_t va, uint64_t len);
/* Areas are cut at va and end, so that what lies between can change. -EPERM: a pinned one; -ENOMEM. */
int range_cut(struct space *s, uint64_t va, uint64_t end);
void area_join(struct space *s, uint64_t at); /* one area less where two neighbours at this address are alike */
void range_forget(struct space *s, uint64_t va, uint64_t end); /* its areas and pages; cut */
int range_add(struct space *s, const struct area *area);       /* with its pages; free. -ENOMEM */

/* ---- space_share.c, space.c ---- */

int shares_map(struct space *s);                          /* areas and entries, again after a reset. -ENOMEM */
void shares_unmap(struct space *s);                       /* for a copy without them */
uint8_t *space_host(const struct space *s, uint64_t gpa); /* of one page */
/* Memory that reads as zero, and nothing in it; a clone's, if t is not NULL. NULL: no memory. */
struct space *space_make(uint64_t memory, const struct space_template *t, struct err *e);
int ledger_init(struct ledger *l);
void ledger_fini(struct ledger *l);

/* Every rule above, looked at one by one: for tests and fuzzers. NULL: it holds; else which one is broken. */
const char *space_is_broken(const struct space *s);

static inline uint64_t *table_at(const struct space *s, uint32_t page)
{
    return (uint64_t *)(void *)(s->tables + page * SPACE_PAGE);
}
/* Does the entry lead to another table? */
static inline bool tables_is_link(uint64_t entry)
{
    return user_entry_gpa(entry) >= TABLES_GPA;
}
/* Is it of slot 0, not of a share or of the kernel? */
static inline bool gpa_is_frame(const struct space *s, uint64_t gpa)
{
    return gpa && gpa / SPACE_PAGE < s->pages;
}

#endif

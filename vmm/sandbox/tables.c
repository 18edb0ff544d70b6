#include <errno.h>
#include <string.h>

#include "vmm/sandbox/struct_space.h"

#define INDEX_BITS 9
#define LEVEL_TOP  (USER_TABLE_LEVELS - 1) /* 0: the last level, whose entries are pages */

static unsigned shift_of(unsigned level)
{
    return 12 + INDEX_BITS * level;
}

static uint64_t *entry_of(const struct space *s, uint32_t page, uint64_t va, unsigned level)
{
    return table_at(s, page) + (va >> shift_of(level)) % USER_TABLE_ENTRIES;
}

static uint32_t page_of(uint64_t entry)
{
    return (uint32_t)((user_entry_gpa(entry) - TABLES_GPA) / SPACE_PAGE);
}

static void note(struct space *s, uint32_t page)
{
    page_set_add(&s->changed, page);
}

/* The table of the last level for va: made where it is missing. 0: no table is left. */
static uint32_t make_leaf(struct space *s, uint64_t va)
{
    uint32_t page = TABLES_ROOT;
    for (unsigned level = LEVEL_TOP; level > 0; level--) {
        uint64_t *entry = entry_of(s, page, va, level);
        if (!*entry) {
            const uint32_t next = table_take(s);
            if (!next) return 0;
            note(s, page);
            *entry = user_table_entry(TABLES_GPA + next * SPACE_PAGE);
        }
        page = page_of(*entry);
    }
    return page;
}

int tables_make_root(struct space *s)
{
    s->ledger.next_table = TABLES_ROOT + 1;
    s->ledger.table_count = 1;
    for (uint64_t off = 0; off < s->kernel_size; off += SPACE_PAGE) {
        const uint32_t leaf = make_leaf(s, USER_KERNEL_VA + off);
        if (!leaf) return -ENOMEM;
        *entry_of(s, leaf, USER_KERNEL_VA + off, 0) = user_kernel_entry(USER_KERNEL_GPA + off, USER_KERNEL_VA + off);
    }
    return 0;
}

static bool make_leaves(struct space *s, uint64_t va, uint64_t end)
{
    for (uint64_t at = va & ~(SPACE_CHUNK - 1); at < end; at += SPACE_CHUNK)
        if (!make_leaf(s, at)) return false;
    return true;
}

bool tables_next(const struct space *s, uint64_t *va, uint64_t end, struct leaf *out)
{
    while (*va < end) {
        uint32_t page = TABLES_ROOT;
        unsigned level = LEVEL_TOP;
        for (uint64_t entry; level > 0 && (entry = *entry_of(s, page, *va, level)); level--) page = page_of(entry);
        /* Nothing is there up to the end of what this entry, or this table of the last level, stands for. */
        const uint64_t size = 1ull << shift_of(level ? level : 1);
        const uint64_t behind = (*va & ~(size - 1)) + size, stop = behind < end ? behind : end;
        if (level == 0)
            *out = (struct leaf){.entry = entry_of(s, page, *va, 0),
                                 .count = (uint32_t)((stop - *va) / SPACE_PAGE),
                                 .va = *va,
                                 .page = page};
        *va = stop;
        if (level == 0) return true;
    }
    return false;
}

void tables_changed(struct space *s, const struct leaf *leaf)
{
    note(s, leaf->page);
}

uint64_t tables_entry(const struct space *s, uint64_t va)
{
    struct leaf leaf;
    uint64_t at = va;
    return tables_next(s, &at, va + SPACE_PAGE, &leaf) ? *leaf.entry : 0;
}

static bool is_empty(const struct space *s, uint32_t page)
{
    const uint64_t *entry = table_at(s, page);
    for (unsigned i = 0; i < USER_TABLE_ENTRIES; i++)
        if (entry[i]) return false;
    return true;
}

/* Give back the tables below `page` that have no entry. Those of a template's file stay where they are: so a reset can
 * tell by one look at such a table and at the template's which entries lose. */
static void collect_below(struct space *s, uint32_t page, unsigned level)
{
    uint64_t *entry = table_at(s, page);
    for (unsigned i = 0; i < USER_TABLE_ENTRIES; i++) {
        if (!tables_is_link(entry[i])) continue;
        const uint32_t next = page_of(entry[i]);
        if (level > 1) collect_below(s, next, level - 1);
        if (next < s->file_tables || !is_empty(s, next)) continue;
        note(s, page);
        entry[i] = 0;
        table_give(s, next);
    }
}

/* Is there one more than before? They stand for other addresses from now on. */
static bool collect(struct space *s)
{
    const uint64_t before = s->ledger.table_count;
    collect_below(s, TABLES_ROOT, LEVEL_TOP);
    return s->ledger.table_count < before && tables_moved(s) == 0;
}

int tables_moved(struct space *s)
{
    return s->vm ? vm_remap_ram(s->vm, &s->tables_slot, NULL) : 0;
}

int tables_make(struct space *s, uint64_t va, uint64_t end)
{
    if (make_leaves(s, va, end)) return 0;
    return collect(s) && make_leaves(s, va, end) ? 0 : -ENOMEM;
}

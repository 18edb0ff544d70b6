/* Every rule of struct_space.h, looked at one by one. */
#include <stdlib.h>
#include <string.h>

#include "vmm/sandbox/struct_space.h"

enum { FREE, USED, GIVEN_BACK }; /* FREE: lost or never given */

struct check {
    const struct space *s;
    uint8_t *frame, *table; /* what each is */
    uint64_t frames, tables, back_frames, back_tables;
    const char *broken;
};

static void claim(struct check *c, bool is_table, uint64_t page, uint8_t what)
{
    uint8_t *is = is_table ? c->table : c->frame;
    if (page >= (is_table ? c->s->ledger.next_table : c->s->ledger.next))
        c->broken = "a page is in use that was never given";
    else if (is[page] != FREE)
        c->broken = "a page is in use twice";
    else
        is[page] = what;
}

static void check_areas(struct check *c)
{
    struct area a, before = {.end = USER_MIN}, found;
    uint32_t n = 0;
    for (; areas_index(&c->s->ledger.areas, n, &a); n++, before = a) {
        if (a.start < before.end || a.end <= a.start || a.end > USER_END || (a.start | a.end) % SPACE_PAGE)
            c->broken = "areas overlap, are empty or lie outside";
        if (n && a.start == before.end && a.prot == before.prot && a.flags == before.flags && !(a.flags & SPACE_PINNED))
            c->broken = "two neighbours are alike";
        if (!areas_find(&c->s->ledger.areas, a.start, &found) || found.start != a.start)
            c->broken = "an area can't be found";
        if (a.low > a.start || (a.low != a.start && !(a.flags & SPACE_GROWS_DOWN)))
            c->broken = "an area's low is wrong";
    }
    if (n != c->s->ledger.areas.count || n > SPACE_AREAS_MAX) c->broken = "areas are counted wrongly";
}

/* What lies at va, by the areas; each page of an area with rights has its entry. */
static void check_leaf(struct check *c, uint32_t page, uint64_t va)
{
    const uint64_t *entry = table_at(c->s, page);
    for (unsigned i = 0; i < USER_TABLE_ENTRIES; i++, va += SPACE_PAGE) {
        struct area a;
        const uint64_t gpa = user_entry_gpa(entry[i]);
        if (va >= USER_END) {
            if (entry[i] != (va - USER_KERNEL_VA < c->s->kernel_size
                                 ? user_kernel_entry(va - USER_KERNEL_VA + USER_KERNEL_GPA, va)
                                 : 0))
                c->broken = "an entry of the kernel's pages is wrong";
            continue;
        }
        const bool is_in = areas_find(&c->s->ledger.areas, va, &a) && a.start <= va;
        if (!is_in && entry[i]) c->broken = "an entry is where no area is";
        if (!is_in || !gpa) continue;
        if (entry[i] != user_page_entry(gpa, a.prot)) c->broken = "an entry has other rights than its area";
        if (gpa_is_frame(c->s, gpa)) {
            claim(c, false, gpa / SPACE_PAGE, USED);
            c->frames++;
        } else if (!(a.flags & SPACE_PINNED) || !space_host(c->s, gpa))
            c->broken = "an entry leads outside";
    }
}

static void check_table(struct check *c, uint32_t page, unsigned level, uint64_t va)
{
    if (c->broken) return;
    claim(c, true, page, USED);
    c->tables++;
    if (level == 0) {
        check_leaf(c, page, va);
        return;
    }
    const uint64_t *entry = table_at(c->s, page);
    for (unsigned i = 0; i < USER_TABLE_ENTRIES; i++) {
        if (!entry[i]) continue;
        const uint64_t gpa = user_entry_gpa(entry[i]);
        if (gpa < TABLES_GPA || entry[i] != user_table_entry(gpa)) c->broken = "an entry leads to no table";
        if (!c->broken)
            check_table(c, (uint32_t)((gpa - TABLES_GPA) / SPACE_PAGE), level - 1,
                        va + ((uint64_t)i << (12 + 9 * level)));
    }
}

static void check_rights(struct check *c)
{
    struct area a;
    for (uint32_t n = 0; areas_index(&c->s->ledger.areas, n, &a); n++) {
        uint64_t seen = 0, at = a.start;
        struct leaf leaf;
        while (tables_next(c->s, &at, a.end, &leaf))
            for (uint32_t i = 0; i < leaf.count; i++) seen += user_entry_is_present(leaf.entry[i]);
        if (a.prot && seen != (a.end - a.start) / SPACE_PAGE) c->broken = "a page with rights has no frame";
        if (!a.prot && seen) c->broken = "a page without rights is there";
    }
}

static void check_list(struct check *c, bool is_table)
{
    static const uint8_t zero[SPACE_PAGE];
    const struct space *s = c->s;
    const struct run_list *l = is_table ? &s->ledger.tables : &s->ledger.frames;
    const uint8_t *base = is_table ? s->tables : s->base;
    if (l->kept > l->count) c->broken = "a list keeps more than it has";
    for (uint32_t i = 0; i < l->count && !c->broken; i++)
        for (uint32_t p = l->run[i].first; p < l->run[i].first + l->run[i].count && !c->broken; p++) {
            claim(c, is_table, p, GIVEN_BACK);
            *(is_table ? &c->back_tables : &c->back_frames) += 1;
            if ((is_table || p >= s->file_pages) && memcmp(base + p * SPACE_PAGE, zero, SPACE_PAGE) != 0)
                c->broken = "a page that nobody has is not zero";
        }
}

static void check_counts(struct check *c)
{
    const struct ledger *l = &c->s->ledger;
    if (c->frames != l->used || c->tables != l->table_count) c->broken = "pages are counted wrongly";
    /* The first frame is left out. */
    if (1 + c->frames + c->back_frames != l->next || c->tables + c->back_tables != l->next_table)
        c->broken = "a page is lost";
    if (l->used > c->s->memory / SPACE_PAGE || l->peak < l->used) c->broken = "more is used than there may be";
}

const char *space_is_broken(const struct space *s)
{
    struct check c = {.s = s, .frame = calloc(1, s->pages), .table = calloc(1, s->table_max)};
    if (!c.frame || !c.table)
        c.broken = "no memory to look";
    else if (s->ledger.next > s->pages || s->ledger.next_table > s->table_max)
        c.broken = "more pages were given than there are";
    if (!c.broken) check_areas(&c);
    if (!c.broken) check_table(&c, TABLES_ROOT, USER_TABLE_LEVELS - 1, 0);
    if (!c.broken) check_rights(&c);
    if (!c.broken) check_list(&c, false);
    if (!c.broken) check_list(&c, true);
    if (!c.broken) check_counts(&c);
    free(c.frame);
    free(c.table);
    return c.broken;
}

/* Frames and page tables of a space. */
#include <assert.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/sandbox/struct_space.h"

void space_mark(struct space *s, uint64_t page)
{
    if (!s->dirty_bit || page >= s->pages) return;
    const uint64_t bit = 1ull << page % 64;
    if (s->dirty_bit[page / 64] & bit) return;
    s->dirty_bit[page / 64] |= bit;
    s->dirty[s->dirty_count++] = (uint32_t)page;
}

static uint64_t *table_at(const struct space *s, uint64_t gpa)
{
    return (uint64_t *)(void *)(s->memory + gpa);
}

/* Tables are never given back: what a program may have mapped at once has room, but not every scatter of it. */
static uint64_t take_table(struct space *s)
{
    if (s->now.tables_end == s->table_pages) return 0;
    const uint64_t page = s->now.tables_end++;
    space_mark(s, page);
    return page * SPACE_PAGE;
}

uint64_t *space_entry(struct space *s, uint64_t va, bool makes)
{
    uint64_t table = s->root;
    for (unsigned level = USER_TABLE_LEVELS; level-- > 1;) {
        uint64_t *entry = table_at(s, table) + (va >> (12 + 9 * level)) % USER_TABLE_ENTRIES;
        if (!user_entry_is_present(*entry)) {
            const uint64_t next = makes ? take_table(s) : 0;
            if (!next) return NULL;
            space_set_entry(s, entry, user_table_entry(next));
        }
        table = user_entry_gpa(*entry);
    }
    return table_at(s, table) + (va >> 12) % USER_TABLE_ENTRIES;
}

void space_set_entry(struct space *s, uint64_t *entry, uint64_t value)
{
    *entry = value;
    space_mark(s, (uint64_t)((uint8_t *)entry - s->memory) / SPACE_PAGE);
}

uint64_t space_take_frame(struct space *s)
{
    struct space_books *b = &s->now;
    uint64_t page;
    if (b->free_count) {
        page = b->free[--b->free_count];
        if (b->free_count < s->free_low) s->free_low = b->free_count;
        /* A frame that the template has bytes in comes back with these. */
        if (s->from && page < s->from->used) {
            memset(s->memory + page * SPACE_PAGE, 0, SPACE_PAGE);
            space_mark(s, page);
        }
    } else if (b->frames_end < s->pages) {
        page = b->frames_end++;
    } else {
        return 0;
    }
    if (++b->mapped > s->peak) s->peak = b->mapped;
    return page * SPACE_PAGE;
}

void space_give_frame(struct space *s, uint64_t gpa)
{
    assert(gpa / SPACE_PAGE >= s->table_pages && gpa / SPACE_PAGE < s->pages);
    s->now.free[s->now.free_count++] = (uint32_t)(gpa / SPACE_PAGE);
    s->now.mapped--;
    space_lose(s, gpa, true);
}

void space_lose(struct space *s, uint64_t gpa, bool content)
{
    s->wants_flush = true;
    if (gpa >= s->pages * SPACE_PAGE) return; /* shared bytes: their slot has its own mapping, and stays */
    const bool joins = s->lost_to != s->lost_from && content == s->lost_content;
    if (joins && gpa == s->lost_to) {
        s->lost_to += SPACE_PAGE;
    } else if (joins && gpa + SPACE_PAGE == s->lost_from) {
        s->lost_from = gpa;
    } else {
        space_lose_all(s);
        s->lost_from = gpa;
        s->lost_to = gpa + SPACE_PAGE;
        s->lost_content = content;
    }
}

/* Both calls tell KVM to forget what it mapped there (an MMU notifier), which it must where it shadows the tables. */
void space_lose_all(struct space *s)
{
    uint8_t *at = s->memory + s->lost_from;
    const uint64_t len = s->lost_to - s->lost_from;
    if (!len) return;
    if (s->lost_content) {
        (void)madvise(at, len, MADV_DONTNEED);
    } else {
        (void)mprotect(at, len, PROT_NONE);
        (void)mprotect(at, len, PROT_READ | PROT_WRITE);
    }
    s->lost_from = s->lost_to = 0;
}

uint8_t *space_host(const struct space *s, uint64_t gpa)
{
    if (gpa < s->pages * SPACE_PAGE) return s->memory + gpa;
    for (unsigned i = 0; i < s->shares; i++)
        if (gpa - s->share[i].gpa < s->share[i].len) return s->share[i].host + (gpa - s->share[i].gpa);
    return NULL;
}

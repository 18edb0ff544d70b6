/* Page frames: who gives them, and what must be done to the host's mapping before they are given again. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/sandbox/struct_space.h"

/* The lists' runs are not joined beyond the last one: a program that frees one by one gets one by one. */
static bool list_push(struct run_list *l, struct run run)
{
    struct run *last = l->count ? &l->run[l->count - 1] : NULL;
    const bool is_above = last && last->first + last->count == run.first;
    if (is_above || (last && run.first + run.count == last->first)) {
        if (l->kept == l->count) l->kept--;
        last->first = is_above ? last->first : run.first;
        last->count += run.count;
        return true;
    }
    if (!l->run || l->count == l->room) {
        const uint32_t room = l->room ? l->room * 2 : 16;
        struct run *grown = realloc(l->run, room * sizeof(*grown));
        if (!grown) return false;
        l->run = grown;
        l->room = room;
    }
    l->run[l->count++] = run;
    return true;
}

static struct run list_pop(struct run_list *l, uint64_t want)
{
    struct run *last = &l->run[l->count - 1];
    if (l->kept == l->count) l->kept--;
    struct run out = *last;
    if (out.count > want) {
        out.count = (uint32_t)want;
        last->first += out.count;
        last->count -= out.count;
    } else
        l->count--;
    return out;
}

static uint64_t frames_left(const struct space *s)
{
    const uint64_t used = atomic_load(&s->budget->used), all = s->memory / SPACE_PAGE;
    return used < all ? all - used : 0;
}

bool frames_are_left(const struct space *s, uint64_t pages)
{
    return pages <= frames_left(s);
}

/* What lies in a template's file has old bytes in it. */
static void make_zero(struct space *s, struct run run)
{
    for (uint32_t p = run.first; p < run.first + run.count && p < s->file_pages; p++) {
        page_set_add(&s->written, p);
        memset(s->base + p * SPACE_PAGE, 0, SPACE_PAGE);
    }
}

static struct run take(struct run_list *list, uint32_t *next, uint64_t want)
{
    if (list->count) return list_pop(list, want);
    const struct run run = {.first = *next, .count = (uint32_t)want};
    *next += run.count;
    return run;
}

struct run frames_take(struct space *s, uint64_t want)
{
    struct ledger *l = &s->ledger;
    const uint64_t left = frames_left(s);
    const struct run run = take(&l->frames, &l->next, want < left ? want : left);
    make_zero(s, run);
    l->used += run.count;
    atomic_fetch_add(&s->budget->used, run.count);
    if (l->used > l->peak) l->peak = l->used;
    return run;
}

/* The host's page goes: KVM forgets what led to it, and the next look finds zeros, or what a template's file has. */
static void discard(struct space *s, struct run run)
{
    s->wants_flush = true;
    uint8_t *at = s->base + run.first * SPACE_PAGE;
    if (madvise(at, run.count * SPACE_PAGE, MADV_DONTNEED) == 0) return;
    /* It can't fail for memory of ours that is mapped and not locked. */
    memset(at, 0, run.count * SPACE_PAGE);
    frames_unsee(s, run);
}

void frames_give(struct space *s, struct run run)
{
    discard(s, run);
    /* Without memory for the list they count as used: the program loses them, we lose nothing. */
    if (!list_push(&s->ledger.frames, run)) return;
    s->ledger.used -= run.count;
    atomic_fetch_sub(&s->budget->used, run.count);
}

void space_give_up(struct space *s)
{
    (void)madvise(s->base, s->pages * SPACE_PAGE, MADV_DONTNEED);
    if (s->budget != &s->own) atomic_fetch_sub(&s->budget->used, s->ledger.used);
    s->budget = &s->own;
}

void frames_zero(struct space *s, struct run run)
{
    const uint32_t file = run.first >= s->file_pages              ? 0
                          : run.count < s->file_pages - run.first ? run.count
                                                                  : s->file_pages - run.first;
    make_zero(s, run);
    if (run.count > file) discard(s, (struct run){run.first + file, run.count - file});
}

void frames_unsee(struct space *s, struct run run)
{
    s->wants_flush = true;
    if (!s->vm) return;
    uint8_t *at = s->base + run.first * SPACE_PAGE;
    const uint64_t size = run.count * SPACE_PAGE;
    if (mprotect(at, size, PROT_READ) == 0 && mprotect(at, size, PROT_READ | PROT_WRITE) == 0) return;
    /* The kernel had no room for another mapping. All of it is one. */
    (void)mprotect(s->base, s->pages * SPACE_PAGE, PROT_READ);
    (void)mprotect(s->base, s->pages * SPACE_PAGE, PROT_READ | PROT_WRITE);
}

uint32_t table_take(struct space *s)
{
    if (s->ledger.table_count == s->table_max) return 0;
    s->ledger.table_count++;
    const uint32_t page = take(&s->ledger.tables, &s->ledger.next_table, 1).first;
    page_set_add(&s->changed, page);
    return page;
}

void table_give(struct space *s, uint32_t page)
{
    if (list_push(&s->ledger.tables, (struct run){page, 1})) s->ledger.table_count--;
}

void batch_add(struct batch *b, uint64_t page)
{
    if (b->run.count && b->run.first + b->run.count == page) {
        b->run.count++;
        return;
    }
    batch_end(b);
    b->run = (struct run){(uint32_t)page, 1};
}

void batch_end(struct batch *b)
{
    if (b->run.count) b->fn(b->s, b->run);
    b->run.count = 0;
}

/* mmap, munmap, mprotect, madvise, brk and a stack that grows, as Linux has them (man pages of these names). */
#include <errno.h>

#include "vmm/base/checked.h"
#include "vmm/sandbox/struct_space.h"

bool range_is_users(uint64_t va, uint64_t len)
{
    return len && va % SPACE_PAGE == 0 && len % SPACE_PAGE == 0 && va >= USER_MIN && va < USER_END &&
           len <= USER_END - va;
}

/* Whole pages for a length as the program gives it; 0: more than there are addresses. */
static uint64_t whole_pages(uint64_t len)
{
    return len > USER_END ? 0 : align_up(len, SPACE_PAGE);
}

bool range_is_free(const struct space *s, uint64_t va, uint64_t len)
{
    struct area a;
    return !areas_find(&s->ledger.areas, va, &a) || a.start >= va + len;
}

static void area_cut(struct space *s, uint64_t at)
{
    struct area a;
    if (!areas_find(&s->ledger.areas, at, &a) || a.start >= at) return;
    struct area upper = a;
    upper.start = upper.low = a.end = at;
    areas_remove(&s->ledger.areas, a.start);
    areas_insert(&s->ledger.areas, &a);
    areas_insert(&s->ledger.areas, &upper);
}

int range_cut(struct space *s, uint64_t va, uint64_t end)
{
    struct area a;
    unsigned cuts = 0;
    for (uint64_t at = va; at < end && areas_find(&s->ledger.areas, at, &a) && a.start < end; at = a.end) {
        if (a.flags & SPACE_PINNED) return -EPERM;
        cuts += (a.start < va ? 1u : 0u) + (a.end > end ? 1u : 0u);
    }
    if (s->ledger.areas.count + cuts > SPACE_AREAS_MAX || areas_reserve(&s->ledger.areas, 2)) return -ENOMEM;
    s->have_areas_changed = true;
    area_cut(s, va);
    area_cut(s, end);
    return 0;
}

void area_join(struct space *s, uint64_t at)
{
    struct area lower, upper;
    if (at == 0 || !areas_find(&s->ledger.areas, at - 1, &lower) || lower.end != at) return;
    if (!areas_find(&s->ledger.areas, at, &upper) || upper.start != at) return;
    if (lower.prot != upper.prot || lower.flags != upper.flags || lower.flags & SPACE_PINNED) return;
    areas_remove(&s->ledger.areas, lower.start);
    areas_remove(&s->ledger.areas, upper.start);
    lower.end = upper.end;
    areas_insert(&s->ledger.areas, &lower);
}

void range_forget(struct space *s, uint64_t va, uint64_t end)
{
    struct area a;
    while (areas_find(&s->ledger.areas, va, &a) && a.start < end) {
        areas_remove(&s->ledger.areas, a.start);
        pages_drop(s, a.start, a.end);
    }
}

int range_add(struct space *s, const struct area *area)
{
    const bool takes_frames = area->prot && !(area->flags & SPACE_PINNED);
    if (s->ledger.areas.count >= SPACE_AREAS_MAX || areas_reserve(&s->ledger.areas, 1)) return -ENOMEM;
    if (takes_frames) {
        if (!frames_are_left(s, (area->end - area->start) / SPACE_PAGE)) return -ENOMEM;
        if (tables_make(s, area->start, area->end)) return -ENOMEM;
        pages_fill(s, area->start, area->end, area->prot);
    }
    s->have_areas_changed = true;
    areas_insert(&s->ledger.areas, area);
    area_join(s, area->end);
    area_join(s, area->start);
    return 0;
}

/* Where a mapping that grows down may grow to, and its guard. */
static uint64_t low_of(const struct space *s, uint64_t start, uint64_t end, unsigned flags)
{
    if (!(flags & SPACE_GROWS_DOWN)) return start;
    const uint64_t room = s->ledger.stack_limit + SPACE_GUARD;
    const uint64_t low = end > USER_MIN + room ? end - room : USER_MIN;
    return low < start ? low : start;
}

static uint64_t find_place(const struct space *s, uint64_t hint, uint64_t len)
{
    hint = align_down(hint, SPACE_PAGE);
    struct area above;
    if (hint && range_is_users(hint, len) && (!areas_find(&s->ledger.areas, hint, &above) || above.low >= hint + len))
        return hint;
    const uint64_t va = areas_gap(&s->ledger.areas, USER_MIN, s->ledger.top, len);
    return va ? va : areas_gap(&s->ledger.areas, USER_MIN, USER_END, len);
}

/* The pages of [va, va+len) become free, if afterwards `frames` of them can be had. */
static int clear_place(struct space *s, uint64_t va, uint64_t len, uint64_t frames)
{
    if (range_is_free(s, va, len)) return 0;
    if (!frames_are_left(s, frames) && !frames_are_left(s, frames - pages_have(s, va, va + len))) return -ENOMEM;
    const int rc = range_cut(s, va, va + len);
    if (!rc) range_forget(s, va, va + len);
    return rc;
}

static int64_t map(struct space *s, uint64_t hint, uint64_t len, unsigned prot, unsigned flags)
{
    if (!len || flags & SPACE_PINNED) return -EINVAL;
    len = whole_pages(len);
    const uint64_t frames = prot ? len / SPACE_PAGE : 0;
    if (!len || frames > s->memory / SPACE_PAGE) return -ENOMEM;
    uint64_t va = hint;
    if (flags & (SPACE_FIXED | SPACE_NO_REPLACE)) {
        if (va % SPACE_PAGE) return -EINVAL;
        if (va < USER_MIN) return -EPERM;
        if (!range_is_users(va, len)) return -ENOMEM;
        if (flags & SPACE_NO_REPLACE && !range_is_free(s, va, len)) return -EEXIST;
        const int rc = clear_place(s, va, len, frames);
        if (rc) return rc;
    } else {
        va = find_place(s, hint, len);
        if (!va) return -ENOMEM;
    }
    flags &= SPACE_GROWS_DOWN;
    const struct area area = {
        .start = va, .end = va + len, .low = low_of(s, va, va + len, flags), .prot = prot, .flags = flags};
    const int rc = range_add(s, &area);
    return rc ? rc : (int64_t)va;
}

int64_t space_map(struct space *s, uint64_t hint, uint64_t len, unsigned prot, unsigned flags)
{
    (void)pthread_mutex_lock(&s->budget->lock);
    const int64_t rc = map(s, hint, len, prot, flags);
    (void)pthread_mutex_unlock(&s->budget->lock);
    return rc;
}

int space_unmap(struct space *s, uint64_t va, uint64_t len)
{
    len = whole_pages(len);
    if (!range_is_users(va, len)) return -EINVAL;
    if (range_is_free(s, va, len)) return 0;
    const int rc = range_cut(s, va, va + len);
    if (rc == 0) range_forget(s, va, va + len);
    return rc;
}

bool space_is_mapped(const struct space *s, uint64_t va, uint64_t len, unsigned prot)
{
    struct area a;
    uint64_t end;
    if (!checked_add(va, len, &end)) return false;
    for (; va < end; va = a.end)
        if (!areas_find(&s->ledger.areas, va, &a) || a.start > va || prot & ~a.prot) return false;
    return true;
}

static int protect(struct space *s, uint64_t va, uint64_t len, unsigned prot)
{
    if (va % SPACE_PAGE) return -EINVAL;
    if (!len) return 0;
    len = whole_pages(len);
    if (!range_is_users(va, len) || !space_is_mapped(s, va, len, 0)) return -ENOMEM;
    const uint64_t end = va + len;
    /* Frames for pages that had no rights so far. */
    if (prot && !frames_are_left(s, len / SPACE_PAGE)) {
        if (len > s->memory || !frames_are_left(s, len / SPACE_PAGE - pages_have(s, va, end))) return -ENOMEM;
    }
    const int rc = range_cut(s, va, end);
    if (rc) return rc;
    if (prot && tables_make(s, va, end)) {
        area_join(s, va);
        area_join(s, end);
        return -ENOMEM;
    }
    struct area a;
    for (uint64_t at = va; at < end && areas_find(&s->ledger.areas, at, &a); at = a.end) {
        areas_remove(&s->ledger.areas, a.start);
        a.prot = prot;
        areas_insert(&s->ledger.areas, &a);
        area_join(s, a.start);
    }
    area_join(s, end);
    pages_protect(s, va, end, prot);
    if (prot) pages_fill(s, va, end, prot);
    return 0;
}

int space_protect(struct space *s, uint64_t va, uint64_t len, unsigned prot)
{
    (void)pthread_mutex_lock(&s->budget->lock);
    const int rc = protect(s, va, len, prot);
    (void)pthread_mutex_unlock(&s->budget->lock);
    return rc;
}

int space_forget(struct space *s, uint64_t va, uint64_t len)
{
    if (va % SPACE_PAGE) return -EINVAL;
    if (!len) return 0;
    len = whole_pages(len);
    if (!range_is_users(va, len)) return -EINVAL;
    if (!space_is_mapped(s, va, len, 0)) return -ENOMEM;
    struct batch zero = {.s = s, .fn = frames_zero};
    struct leaf leaf;
    for (uint64_t at = va; tables_next(s, &at, va + len, &leaf);)
        for (uint32_t i = 0; i < leaf.count; i++) {
            const uint64_t gpa = user_entry_gpa(leaf.entry[i]);
            if (gpa_is_frame(s, gpa)) batch_add(&zero, gpa / SPACE_PAGE);
        }
    batch_end(&zero);
    return 0;
}

void space_set_stack(struct space *s, uint64_t top, uint64_t max)
{
    s->ledger.top = top;
    s->ledger.stack_limit = max < top - USER_MIN ? max : top - USER_MIN;
}

void space_set_brk(struct space *s, uint64_t start)
{
    s->ledger.brk_start = s->ledger.brk = align_up(start, SPACE_PAGE);
}

uint64_t space_brk(struct space *s, uint64_t wanted)
{
    struct ledger *l = &s->ledger;
    if (wanted < l->brk_start || wanted > USER_END) return l->brk;
    const uint64_t old = align_up(l->brk, SPACE_PAGE), new = align_up(wanted, SPACE_PAGE);
    int64_t rc = 0;
    if (new < old) rc = space_unmap(s, new, old - new);
    if (new > old) rc = space_map(s, old, new - old, USER_READ | USER_WRITE, SPACE_NO_REPLACE);
    if (rc >= 0) l->brk = wanted;
    return l->brk;
}

bool space_grow(struct space *s, uint64_t va)
{
    struct area a, below;
    va = align_down(va, SPACE_PAGE);
    if (!areas_find(&s->ledger.areas, va, &a) || !(a.flags & SPACE_GROWS_DOWN)) return false;
    if (a.start <= va || va < a.low + SPACE_GUARD) return false;
    const struct area more = {.start = va, .end = a.start, .low = a.low, .prot = a.prot, .flags = a.flags};
    if (va > SPACE_GUARD && areas_find(&s->ledger.areas, va - SPACE_GUARD, &below) && below.start < va) return false;
    (void)pthread_mutex_lock(&s->budget->lock);
    const int rc = range_add(s, &more);
    (void)pthread_mutex_unlock(&s->budget->lock);
    return rc == 0;
}

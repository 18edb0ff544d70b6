/* mremap(2). */
#include <errno.h>

#include "vmm/base/checked.h"
#include "vmm/sandbox/struct_space.h"

/* Room for `len` at `to`, and then the pages of `a`'s part [va, va+old) move there; the rest of len is new. */
static int64_t move(struct space *s, const struct area *a, uint64_t old, uint64_t to, uint64_t len)
{
    const uint64_t va = a->start, kept = old < len ? old : len;
    struct area none = {.start = to, .end = to + kept, .low = to, .prot = 0, .flags = a->flags};
    if (s->ledger.areas.count + 3 > SPACE_AREAS_MAX || areas_reserve(&s->ledger.areas, 3)) return -ENOMEM;
    if (len > kept) { /* first, as it may fail */
        const struct area rest = {
            .start = to + kept, .end = to + len, .low = to + kept, .prot = a->prot, .flags = a->flags};
        const int rc = range_add(s, &rest);
        if (rc) return rc;
    }
    if (tables_make(s, to, to + kept)) {
        if (len > kept) (void)space_unmap(s, to + kept, len - kept);
        return -ENOMEM;
    }
    pages_move(s, va, to, kept);
    (void)space_unmap(s, va, old);
    none.prot = a->prot;
    areas_insert(&s->ledger.areas, &none);
    s->have_areas_changed = true;
    area_join(s, none.end);
    area_join(s, none.start);
    return (int64_t)to;
}

/* The part of one area that is [va, va+old), as an area. */
static int find_part(struct space *s, uint64_t va, uint64_t old, struct area *out)
{
    if (!range_is_users(va, old)) return -EINVAL;
    if (!areas_find(&s->ledger.areas, va, out) || out->start > va || out->end - va < old) return -EFAULT;
    if (out->flags & SPACE_PINNED) return -EPERM;
    out->start = out->low = va;
    out->end = va + old;
    return 0;
}

static int64_t remap(struct space *s, uint64_t va, uint64_t old_len, uint64_t new_len, bool may_move, uint64_t fixed)
{
    struct area a;
    if (old_len > USER_END || new_len > USER_END || !new_len || fixed % SPACE_PAGE) return -EINVAL;
    const uint64_t old = align_up(old_len, SPACE_PAGE), new = align_up(new_len, SPACE_PAGE);
    int rc = find_part(s, va, old, &a);
    if (rc) return rc;
    const uint64_t more = new > old ? new - old : 0;
    if (a.prot && !frames_are_left(s, more / SPACE_PAGE)) return -ENOMEM;
    if (fixed) {
        if (!may_move || !range_is_users(fixed, new)) return -EINVAL;
        if (fixed < va + old && va < fixed + new) return -EINVAL;
        rc = space_unmap(s, fixed, new);
        return rc ? rc : move(s, &a, old, fixed, new);
    }
    if (!more) {
        if (new < old) rc = space_unmap(s, va + new, old - new);
        return rc ? rc : (int64_t)va;
    }
    if (range_is_users(va, new) && range_is_free(s, va + old, more)) {
        const struct area rest = {
            .start = va + old, .end = va + new, .low = va + old, .prot = a.prot, .flags = a.flags};
        rc = range_add(s, &rest);
        return rc ? rc : (int64_t)va;
    }
    const uint64_t to = may_move ? areas_gap(&s->ledger.areas, USER_MIN, s->ledger.top, new) : 0;
    return to ? move(s, &a, old, to, new) : -ENOMEM;
}

int64_t space_remap(struct space *s, uint64_t va, uint64_t old_len, uint64_t new_len, bool may_move, uint64_t fixed)
{
    (void)pthread_mutex_lock(&s->budget->lock);
    const int64_t rc = remap(s, va, old_len, new_len, may_move, fixed);
    (void)pthread_mutex_unlock(&s->budget->lock);
    return rc;
}

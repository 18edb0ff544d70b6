/* Spaces: made, attached to a VM, and what a program asks of its memory. */
#include "vmm/sandbox/space.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/sandbox/struct_space.h"

/* Tables: the least any program needs, and one for each 64 pages, so that a mapping of 256 KiB each may lie alone. */
#define TABLES_LEAST    64u
#define PAGES_PER_TABLE 64u

static bool is_paged(uint64_t value)
{
    return value % SPACE_PAGE == 0;
}

static void *map_memory(uint64_t len, int fd)
{
    const int flags = MAP_PRIVATE | MAP_NORESERVE | (fd < 0 ? MAP_ANONYMOUS : 0);
    void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (at == MAP_FAILED) return NULL;
    (void)madvise(at, len, MADV_NOHUGEPAGE); /* a program costs what it touches */
    (void)madvise(at, len, MADV_DONTFORK);
    return at;
}

static int no_memory(struct err *e, uint64_t len)
{
    err_set(e, -ENOMEM, "sandbox: no room for %llu bytes of memory", (unsigned long long)len);
    err_as(e, ERR_HOST);
    return -ENOMEM;
}

/* Its mappings and lists, of the size that is set. */
static int make(struct space *s, int fd, struct err *e)
{
    const uint64_t len = s->pages * SPACE_PAGE;
    s->memory = map_memory(len, fd);
    s->kernel = map_memory(user_kernel_size(), -1);
    s->now.free = map_memory((s->pages - s->table_pages) * sizeof(*s->now.free), -1);
    return s->memory && s->kernel && s->now.free ? 0 : no_memory(e, len);
}

static int map_kernel(struct space *s, struct err *e)
{
    for (uint64_t at = 0; at < user_kernel_size(); at += SPACE_PAGE) {
        uint64_t *entry = space_entry(s, USER_KERNEL_VA + at, true);
        if (!entry) return no_memory(e, at);
        space_set_entry(s, entry, user_kernel_entry(USER_KERNEL_GPA + at, USER_KERNEL_VA + at));
    }
    return 0;
}

int space_create(struct space **out, uint64_t memory, struct err *e)
{
    if (memory < SPACE_MEMORY_MIN || memory > SPACE_MEMORY_MAX || !is_paged(memory))
        return err_set(e, -EINVAL, "sandbox: %llu bytes of memory: give whole pages, from 1M to 32G",
                       (unsigned long long)memory);
    struct space *s = calloc(1, sizeof(*s));
    if (!s) return no_memory(e, sizeof(*s));
    const uint64_t frames = memory / SPACE_PAGE;
    s->table_pages = TABLES_LEAST + frames / PAGES_PER_TABLE;
    s->pages = s->table_pages + frames;
    s->now.frames_end = s->table_pages;
    s->now.tables_end = 1; /* the root, at 0 */
    int rc = make(s, -1, e);
    if (!rc) rc = map_kernel(s, e);
    if (rc) {
        space_destroy(s);
        return rc;
    }
    *out = s;
    return 0;
}

static int copy_books(struct space_books *to, const struct space_books *from)
{
    uint32_t *free_frames = to->free;
    struct space_area *area = malloc(from->area_room * sizeof(*area) + 1);
    if (!area) return -ENOMEM;
    *to = *from;
    to->free = free_frames;
    to->area = area;
    if (from->areas) memcpy(area, from->area, from->areas * sizeof(*area));
    if (from->free_count) memcpy(to->free, from->free, from->free_count * sizeof(*to->free));
    return 0;
}

int space_create_from(struct space **out, const struct space_template *t, struct err *e)
{
    struct space *s = calloc(1, sizeof(*s));
    if (!s) return no_memory(e, sizeof(*s));
    s->pages = t->pages;
    s->table_pages = t->table_pages;
    s->root = t->root;
    s->from = t;
    s->free_low = t->books.free_count;
    int rc = make(s, t->fd, e);
    s->dirty_bit = map_memory((s->pages + 63) / 64 * sizeof(*s->dirty_bit), -1);
    s->dirty = map_memory(s->pages * sizeof(*s->dirty), -1);
    if (!rc && (!s->dirty || !s->dirty_bit || copy_books(&s->now, &t->books))) rc = no_memory(e, s->pages);
    s->peak = s->now.mapped;
    if (rc) {
        space_destroy(s);
        return rc;
    }
    *out = s;
    return 0;
}

int space_copy(struct space **out, const struct space *from, struct err *e)
{
    struct space *s = calloc(1, sizeof(*s));
    if (!s) return no_memory(e, sizeof(*s));
    s->pages = from->pages;
    s->table_pages = from->table_pages;
    s->root = from->root;
    int rc = make(s, -1, e);
    if (!rc && copy_books(&s->now, &from->now)) rc = no_memory(e, s->pages);
    if (!rc) {
        memcpy(s->memory, from->memory, s->now.tables_end * SPACE_PAGE);
        /* Only what the program has: a frame that was given back is zero. Shared bytes stay the parent's alone. */
        for (unsigned i = 0; i < s->now.areas; i++) {
            const struct space_area *a = &s->now.area[i];
            for (uint64_t va = a->start; va < a->end; va += SPACE_PAGE) {
                uint64_t *entry = space_entry(s, va, false);
                const uint64_t gpa = entry ? user_entry_gpa(*entry) : 0;
                if (!gpa) continue;
                if (gpa < s->pages * SPACE_PAGE)
                    memcpy(s->memory + gpa, from->memory + gpa, SPACE_PAGE);
                else
                    *entry = 0;
            }
        }
        s->peak = s->now.mapped;
    }
    if (rc) {
        space_destroy(s);
        return rc;
    }
    *out = s;
    return 0;
}

static void unmap(void *at, uint64_t len)
{
    if (at) (void)munmap(at, len);
}

void space_destroy(struct space *s)
{
    if (!s) return;
    unmap(s->memory, s->pages * SPACE_PAGE);
    unmap(s->kernel, user_kernel_size());
    unmap(s->now.free, (s->pages - s->table_pages) * sizeof(*s->now.free));
    unmap(s->dirty_bit, (s->pages + 63) / 64 * sizeof(*s->dirty_bit));
    unmap(s->dirty, s->pages * sizeof(*s->dirty));
    unmap(s->ring, s->ring_entries * sizeof(*s->ring));
    free(s->now.area);
    free(s);
}

uint8_t *space_kernel(struct space *s)
{
    return s->kernel;
}

uint64_t space_root(const struct space *s)
{
    return s->root;
}

bool space_wants_flush(struct space *s)
{
    const bool wants = s->wants_flush;
    s->wants_flush = false;
    return wants;
}

/* ---- what the program asks for ---- */

/* Frames and entries for [start, end), which has none yet; all or nothing. */
static int fill(struct space *s, uint64_t start, uint64_t end, unsigned prot)
{
    for (uint64_t va = start; va < end; va += SPACE_PAGE) {
        uint64_t *entry = space_entry(s, va, true);
        const uint64_t frame = entry ? space_take_frame(s) : 0;
        if (frame) {
            space_set_entry(s, entry, user_page_entry(frame, prot));
            continue;
        }
        for (uint64_t back = start; back < va; back += SPACE_PAGE) {
            uint64_t *made = space_entry(s, back, false);
            space_give_frame(s, user_entry_gpa(*made));
            space_set_entry(s, made, 0);
        }
        space_lose_all(s);
        return -ENOMEM;
    }
    return 0;
}

/* Does the program have so many frames left? Asked first, so that a mapping too large costs nothing. */
static bool has_frames(const struct space *s, uint64_t len)
{
    return len / SPACE_PAGE <= s->pages - s->table_pages - s->now.mapped;
}

static void drop_pages(struct space *s, uint64_t start, uint64_t end)
{
    for (uint64_t va = start; va < end; va += SPACE_PAGE) {
        uint64_t *entry = space_entry(s, va, false);
        if (!entry) {
            va |= USER_TABLE_ENTRIES * SPACE_PAGE - SPACE_PAGE; /* the whole table is not there */
            continue;
        }
        const uint64_t gpa = user_entry_gpa(*entry);
        if (!gpa) continue;
        space_set_entry(s, entry, 0);
        if (gpa < s->pages * SPACE_PAGE)
            space_give_frame(s, gpa);
        else
            space_lose(s, gpa, false);
    }
    space_lose_all(s);
}

static bool has_pinned(const struct space *s, uint64_t start, uint64_t end)
{
    for (unsigned i = space_find(s, start); i < s->now.areas && s->now.area[i].start < end; i++)
        if (s->now.area[i].flags & SPACE_PINNED) return true;
    return false;
}

static int take_out(struct space *s, uint64_t start, uint64_t end)
{
    if (has_pinned(s, start, end)) return -EPERM;
    for (unsigned i = space_find(s, start); i < s->now.areas && s->now.area[i].start < end; i++) {
        const struct space_area a = s->now.area[i];
        drop_pages(s, a.start > start ? a.start : start, a.end < end ? a.end : end);
    }
    return space_cut_area(s, start, end);
}

static bool is_free(const struct space *s, uint64_t start, uint64_t end)
{
    const unsigned i = space_find(s, start);
    return i == s->now.areas || s->now.area[i].start >= end;
}

int64_t space_map(struct space *s, uint64_t hint, uint64_t len, unsigned prot, unsigned flags)
{
    if (len == 0 || len > USER_END) return len ? -ENOMEM : -EINVAL;
    len = (len + SPACE_PAGE - 1) & ~(SPACE_PAGE - 1);
    if (prot && !has_frames(s, len) && !(flags & SPACE_FIXED)) return -ENOMEM;
    uint64_t at = hint & ~(SPACE_PAGE - 1);
    if (flags & SPACE_FIXED) {
        if (!is_paged(hint)) return -EINVAL;
        if (!space_is_user(hint, len)) return hint < USER_MIN ? -EPERM : -ENOMEM;
        if (!is_free(s, at, at + len)) {
            if (flags & SPACE_NO_REPLACE) return -EEXIST;
            const int rc = take_out(s, at, at + len);
            if (rc) return rc;
        }
    } else if (!at || !space_is_user(at, len) || !is_free(s, at, at + len)) {
        at = space_find_room(s, len);
        if (!at) return -ENOMEM;
    }
    const struct space_area a = {at, at + len, prot, flags & (SPACE_GROWS_DOWN | SPACE_PINNED)};
    if (prot && (!has_frames(s, len) || fill(s, at, at + len, prot))) return -ENOMEM;
    if (space_put_area(s, &a)) {
        drop_pages(s, at, at + len);
        return -ENOMEM;
    }
    return (int64_t)at;
}

int space_unmap(struct space *s, uint64_t va, uint64_t len)
{
    if (!is_paged(va) || len == 0 || len > USER_END) return -EINVAL;
    len = (len + SPACE_PAGE - 1) & ~(SPACE_PAGE - 1);
    if (!space_is_user(va, len)) return -EINVAL;
    return take_out(s, va, va + len);
}

bool space_is_mapped(const struct space *s, uint64_t va, uint64_t len, unsigned prot)
{
    if (!space_is_user(va, len)) return false;
    for (unsigned i = space_find(s, va); len; i++) {
        if (i == s->now.areas || s->now.area[i].start > va || (s->now.area[i].prot & prot) != prot) return false;
        const uint64_t here = s->now.area[i].end - va;
        if (here >= len) return true;
        va += here;
        len -= here;
    }
    return true;
}

/* New rights for the pages of one area's part; those that had none get frames. */
static int protect_part(struct space *s, uint64_t start, uint64_t end, unsigned old, unsigned prot)
{
    for (uint64_t va = start; va < end; va += SPACE_PAGE) {
        uint64_t *entry = space_entry(s, va, prot != 0);
        uint64_t gpa = entry ? user_entry_gpa(*entry) : 0;
        if (!gpa && !prot) continue;
        if (!gpa) gpa = entry ? space_take_frame(s) : 0;
        if (!gpa) return -ENOMEM;
        space_set_entry(s, entry, user_page_entry(gpa, prot));
        if (old & ~prot) space_lose(s, gpa, false);
    }
    space_lose_all(s);
    if (prot != old) s->wants_flush = true;
    return 0;
}

/* Pages without a frame in [start, end). */
static uint64_t count_bare(struct space *s, uint64_t start, uint64_t end)
{
    uint64_t bare = 0;
    for (uint64_t va = start; va < end; va += SPACE_PAGE) {
        const uint64_t *entry = space_entry(s, va, false);
        bare += !entry || !user_entry_gpa(*entry);
    }
    return bare;
}

int space_protect(struct space *s, uint64_t va, uint64_t len, unsigned prot)
{
    if (!is_paged(va)) return -EINVAL;
    if (len == 0) return 0;
    if (len > USER_END) return -ENOMEM;
    len = (len + SPACE_PAGE - 1) & ~(SPACE_PAGE - 1);
    if (!space_is_mapped(s, va, len, 0)) return -ENOMEM;
    if (has_pinned(s, va, va + len)) return -EPERM;
    for (uint64_t at = va; at < va + len;) {
        const struct space_area a = s->now.area[space_find(s, at)];
        struct space_area part = {at, a.end < va + len ? a.end : va + len, prot, a.flags};
        if (prot && !a.prot && !has_frames(s, count_bare(s, part.start, part.end) * SPACE_PAGE)) return -ENOMEM;
        if (a.prot != prot) {
            int rc = protect_part(s, part.start, part.end, a.prot, prot);
            if (!rc) rc = space_cut_area(s, part.start, part.end);
            if (!rc) rc = space_put_area(s, &part);
            if (rc) return rc;
        }
        at = part.end;
    }
    return 0;
}

static void move_pages(struct space *s, uint64_t from, uint64_t to, uint64_t len)
{
    for (uint64_t at = 0; at < len; at += SPACE_PAGE) {
        uint64_t *old = space_entry(s, from + at, false), *new = space_entry(s, to + at, true);
        if (!old || !new || !*old) continue;
        const uint64_t value = *old;
        space_set_entry(s, old, 0);
        space_set_entry(s, new, value);
        space_lose(s, user_entry_gpa(value), false);
    }
    space_lose_all(s);
}

int64_t space_remap(struct space *s, uint64_t va, uint64_t old_len, uint64_t new_len, bool may_move, uint64_t fixed)
{
    if (!is_paged(va) || old_len == 0 || new_len == 0 || old_len > USER_END || new_len > USER_END || !is_paged(fixed))
        return -EINVAL;
    old_len = (old_len + SPACE_PAGE - 1) & ~(SPACE_PAGE - 1);
    new_len = (new_len + SPACE_PAGE - 1) & ~(SPACE_PAGE - 1);
    const unsigned i = space_find(s, va);
    if (i == s->now.areas || s->now.area[i].start > va || s->now.area[i].end - va < old_len) return -EFAULT;
    const struct space_area a = s->now.area[i];
    if (a.flags & (SPACE_PINNED | SPACE_GROWS_DOWN)) return -EPERM;
    if (fixed && (!space_is_user(fixed, new_len) || (fixed < va + old_len && va < fixed + new_len))) return -EINVAL;
    if (new_len < old_len) {
        const int rc = take_out(s, va + new_len, va + old_len);
        if (rc) return rc;
        old_len = new_len;
    }
    if (!fixed && new_len == old_len) return (int64_t)va;
    const uint64_t more = new_len - old_len;
    if (a.prot && !has_frames(s, more)) return -ENOMEM;
    if (!fixed && space_is_user(va, new_len) && is_free(s, va + old_len, va + new_len)) {
        const int64_t rc = space_map(s, va + old_len, more, a.prot, SPACE_FIXED | SPACE_NO_REPLACE);
        return rc < 0 ? rc : (int64_t)va;
    }
    if (!may_move && !fixed) return -ENOMEM;
    /* The new place first, without frames, so that nothing is lost where there is no room. */
    const int64_t to = space_map(s, fixed, new_len, 0, fixed ? SPACE_FIXED : 0);
    if (to < 0) return to;
    for (uint64_t at = 0; at < new_len; at += SPACE_PAGE)
        if (!space_entry(s, (uint64_t)to + at, true)) {
            (void)take_out(s, (uint64_t)to, (uint64_t)to + new_len);
            return -ENOMEM;
        }
    move_pages(s, va, (uint64_t)to, old_len);
    (void)space_cut_area(s, va, va + old_len);
    if (more && a.prot && fill(s, (uint64_t)to + old_len, (uint64_t)to + new_len, a.prot)) return -ENOMEM;
    const struct space_area there = {(uint64_t)to, (uint64_t)to + new_len, a.prot, a.flags};
    (void)space_cut_area(s, there.start, there.end);
    const int rc = space_put_area(s, &there);
    return rc ? rc : to;
}

int space_forget(struct space *s, uint64_t va, uint64_t len)
{
    if (!is_paged(va)) return -EINVAL;
    if (len == 0) return 0;
    if (len > USER_END) return -ENOMEM;
    len = (len + SPACE_PAGE - 1) & ~(SPACE_PAGE - 1);
    if (!space_is_mapped(s, va, len, 0)) return -ENOMEM;
    if (has_pinned(s, va, va + len)) return -EINVAL;
    for (uint64_t at = va; at < va + len; at += SPACE_PAGE) {
        const uint64_t *entry = space_entry(s, at, false);
        const uint64_t gpa = entry ? user_entry_gpa(*entry) : 0;
        if (!gpa || gpa >= s->pages * SPACE_PAGE) continue;
        if (s->from) { /* the host's mapping would come back with the template's bytes */
            memset(s->memory + gpa, 0, SPACE_PAGE);
            space_mark(s, gpa / SPACE_PAGE);
        } else {
            space_lose(s, gpa, true);
        }
    }
    space_lose_all(s);
    return 0;
}

uint64_t space_brk(struct space *s, uint64_t wanted)
{
    struct space_books *b = &s->now;
    const uint64_t old = (b->brk + SPACE_PAGE - 1) & ~(SPACE_PAGE - 1);
    const uint64_t new = (wanted + SPACE_PAGE - 1) & ~(SPACE_PAGE - 1);
    if (wanted < b->brk_start || wanted > USER_END) return b->brk;
    if (new > old && space_map(s, old, new - old, USER_READ | USER_WRITE, SPACE_FIXED | SPACE_NO_REPLACE) < 0)
        return b->brk;
    if (new < old && take_out(s, new, old)) return b->brk;
    b->brk = wanted;
    return b->brk;
}

void space_set_brk(struct space *s, uint64_t start)
{
    s->now.brk_start = s->now.brk = start;
}

void space_set_stack(struct space *s, uint64_t top, uint64_t max)
{
    s->now.stack_top = top;
    s->now.stack_max = max;
}

bool space_grow(struct space *s, uint64_t va)
{
    const unsigned i = space_find(s, va);
    if (i == s->now.areas || !space_is_user(va, 1)) return false;
    struct space_area a = s->now.area[i];
    if (!(a.flags & SPACE_GROWS_DOWN) || a.start <= va || a.start - va > s->now.stack_max) return false;
    const uint64_t floor = s->now.stack_top - s->now.stack_max;
    uint64_t start = va & ~(SPACE_STEP_DOWN - 1);
    if (va < floor) return false;
    if (start < floor) start = floor;
    /* A page stays free below it, so that it never runs into a mapping unseen. */
    if (!is_free(s, start - SPACE_PAGE, a.start) || !has_frames(s, a.start - start)) return false;
    if (fill(s, start, a.start, a.prot)) return false;
    s->now.area[i].start = start;
    s->areas_changed = true;
    return true;
}

void space_use(const struct space *s, struct space_use *out)
{
    *out = (struct space_use){.mapped = s->now.mapped * SPACE_PAGE,
                              .peak = s->peak * SPACE_PAGE,
                              .tables = s->now.tables_end * SPACE_PAGE,
                              .limit = (s->pages - s->table_pages) * SPACE_PAGE,
                              .stack = s->now.stack_max};
}

/* What a program asks of its memory, against a plain array of pages; and numbers that no honest program gives. */
#include "tests/unit/sandbox/space_rig.h"

/* ---- the model: pages around 1 GiB, where tables of two levels end ---- */

#define WINDOW 700u
#define BASE   ((1ull << 30) - 300 * SPACE_PAGE)
#define FRAMES 512u /* less than the window, so that it runs out */

struct model {
    struct space *s;
    uint64_t random;
    unsigned frames;
    struct model_page {
        bool is_mapped, has_frame;
        unsigned prot;
        uint8_t byte;
    } page[WINDOW];
};

static uint64_t va_of(unsigned page)
{
    return BASE + page * SPACE_PAGE;
}

static unsigned count_frames(const struct model *m, unsigned from, unsigned n)
{
    unsigned count = 0;
    for (unsigned i = from; i < from + n; i++) count += m->page[i].has_frame;
    return count;
}

static bool all_mapped(const struct model *m, unsigned from, unsigned n)
{
    for (unsigned i = from; i < from + n; i++)
        if (!m->page[i].is_mapped) return false;
    return true;
}

static void set(struct model *m, unsigned page, struct model_page to)
{
    m->frames += to.has_frame;
    m->frames -= m->page[page].has_frame;
    m->page[page] = to;
}

static unsigned pick_prot(struct model *m)
{
    static const unsigned prots[] = {0, USER_READ, RW, RW, USER_READ | USER_EXEC};
    return prots[next_random(&m->random) % COUNT_OF(prots)];
}

static void do_map(struct model *m, unsigned at, unsigned n)
{
    const unsigned prot = pick_prot(m), need = prot ? n : 0, have = count_frames(m, at, n);
    const bool replaces = next_random(&m->random) % 2;
    bool is_free = true;
    for (unsigned i = at; i < at + n; i++) is_free = is_free && !m->page[i].is_mapped;
    const int64_t rc = space_map(m->s, va_of(at), n * SPACE_PAGE, prot, replaces ? SPACE_FIXED : SPACE_NO_REPLACE);
    if (!replaces && !is_free && need <= FRAMES) {
        assert_int_equal(rc, -EEXIST);
    } else if (m->frames - have + need > FRAMES) {
        assert_int_equal(rc, -ENOMEM);
    } else {
        assert_int_equal(rc, va_of(at));
        for (unsigned i = at; i < at + n; i++) set(m, i, (struct model_page){true, prot != 0, prot, 0});
    }
}

static void do_unmap(struct model *m, unsigned at, unsigned n)
{
    assert_int_equal(space_unmap(m->s, va_of(at), n * SPACE_PAGE), 0);
    for (unsigned i = at; i < at + n; i++) set(m, i, (struct model_page){0});
}

static void do_protect(struct model *m, unsigned at, unsigned n)
{
    const unsigned prot = pick_prot(m), have = count_frames(m, at, n);
    const int rc = space_protect(m->s, va_of(at), n * SPACE_PAGE, prot);
    if (!all_mapped(m, at, n) || (prot && m->frames + n - have > FRAMES)) {
        assert_int_equal(rc, -ENOMEM);
        return;
    }
    assert_int_equal(rc, 0);
    for (unsigned i = at; i < at + n; i++) {
        struct model_page p = m->page[i];
        p.prot = prot;
        p.has_frame = p.has_frame || prot;
        set(m, i, p);
    }
}

static void do_forget(struct model *m, unsigned at, unsigned n)
{
    const int rc = space_forget(m->s, va_of(at), n * SPACE_PAGE);
    assert_int_equal(rc, all_mapped(m, at, n) ? 0 : -ENOMEM);
    for (unsigned i = at; i < at + n && rc == 0; i++) m->page[i].byte = 0;
}

/* To a place of its own choice that does not overlap the old one. */
static void do_move(struct model *m, unsigned at, unsigned n)
{
    const unsigned to = next_random(&m->random) % WINDOW, new_n = 1 + next_random(&m->random) % (2 * n);
    if (to + new_n > WINDOW || (to < at + n && at < to + new_n)) return;
    const struct model_page first = m->page[at];
    struct model_page old[WINDOW];
    memcpy(old, m->page + at, n * sizeof(*old));
    const int64_t rc = space_remap(m->s, va_of(at), n * SPACE_PAGE, new_n * SPACE_PAGE, true, va_of(to));
    bool is_one = true;
    for (unsigned i = 0; i < n; i++) is_one = is_one && old[i].is_mapped && old[i].prot == first.prot;
    if (!is_one) {
        assert_int_equal(rc, -EFAULT);
        return;
    }
    if (rc == -ENOMEM) { /* what lay at the new place may be gone, as with mmap; nothing else is */
        assert_true(first.prot && new_n > n && m->frames + new_n - n > FRAMES);
        return;
    }
    assert_int_equal(rc, va_of(to));
    for (unsigned i = at; i < at + n; i++) set(m, i, (struct model_page){0});
    for (unsigned i = 0; i < new_n; i++)
        set(m, to + i, i < n ? old[i] : (struct model_page){true, first.prot != 0, first.prot, 0});
}

static void do_write(struct model *m, unsigned at, unsigned n)
{
    const uint8_t byte = (uint8_t)(1 + next_random(&m->random) % 255);
    for (unsigned i = at; i < at + n; i++) {
        const bool may = m->page[i].prot & USER_WRITE;
        assert_int_equal(space_write(m->s, va_of(i) + 17, &byte, 1), may ? 0 : -EFAULT);
        if (may) m->page[i].byte = byte;
    }
}

static void compare(const struct model *m)
{
    assert_whole(m->s);
    assert_int_equal(mapped(m->s), m->frames * SPACE_PAGE);
    for (unsigned i = 0; i < WINDOW; i++) {
        const struct model_page *p = &m->page[i];
        uint8_t byte = 0;
        assert_int_equal(space_is_mapped(m->s, va_of(i), SPACE_PAGE, p->prot), p->is_mapped);
        assert_int_equal(space_read(m->s, va_of(i) + 17, &byte, 1), p->prot ? 0 : -EFAULT);
        if (p->prot) assert_int_equal(byte, p->byte);
    }
}

static void mappings_agree_with_an_array_of_pages(void **state)
{
    (void)state;
    static void (*const ops[])(struct model * m, unsigned at, unsigned n) = {do_map,    do_map,   do_unmap, do_protect,
                                                                             do_forget, do_write, do_write, do_move};
    struct model m = {.s = space_of(FRAMES * SPACE_PAGE), .random = 1};
    for (unsigned step = 0; step < 6000; step++) {
        const unsigned at = next_random(&m.random) % WINDOW, room = WINDOW - at;
        const unsigned most = next_random(&m.random) % 8 ? 24 : WINDOW;
        const unsigned n = 1 + next_random(&m.random) % (room < most ? room : most);
        ops[next_random(&m.random) % COUNT_OF(ops)](&m, at, n);
        compare(&m);
    }
    assert_int_equal(space_unmap(m.s, BASE, WINDOW * SPACE_PAGE), 0);
    assert_whole(m.s);
    assert_int_equal(mapped(m.s), 0);
    space_destroy(m.s);
}

static void memory_ends_exactly_where_it_was_said(void **state)
{
    (void)state;
    struct space *s = space_of(4 * MiB);
    const int64_t all = space_map(s, 0, 4 * MiB, RW, 0);
    assert_true(all > 0);
    assert_int_equal(space_map(s, 0, 1, RW, 0), -ENOMEM);
    assert_int_equal(space_map(s, 0, 1ull << 40, 0, 0) < 0, false);
    assert_int_equal(space_unmap(s, (uint64_t)all, SPACE_PAGE), 0);
    assert_int_equal(space_map(s, 0, SPACE_PAGE + 1, RW, 0), -ENOMEM);
    assert_true(space_map(s, 0, SPACE_PAGE, RW, 0) > 0);
    assert_whole(s);
    space_destroy(s);
}

/* Whatever the numbers: an error or a mapping, the rules hold, and it does not take for ever. */
static void hostile_numbers_are_answered(void **state)
{
    (void)state;
    static const uint64_t odd[] = {0,
                                   1,
                                   SPACE_PAGE,
                                   SPACE_PAGE - 1,
                                   USER_MIN,
                                   USER_MIN - SPACE_PAGE,
                                   USER_END,
                                   USER_END - SPACE_PAGE,
                                   USER_END + 1,
                                   USER_KERNEL_VA,
                                   1ull << 47,
                                   1ull << 63,
                                   UINT64_MAX,
                                   UINT64_MAX - SPACE_PAGE + 1,
                                   0x800000000000ull - SPACE_PAGE,
                                   USER_END - USER_MIN};
    struct space *s = space_of(MiB);
    struct iovec iov[2];
    uint64_t done;
    char bytes[16];
    for (unsigned i = 0; i < COUNT_OF(odd); i++)
        for (unsigned k = 0; k < COUNT_OF(odd); k++) {
            for (unsigned flags = 0; flags < 8; flags++) (void)space_map(s, odd[i], odd[k], k % 8, flags);
            (void)space_protect(s, odd[i], odd[k], RW);
            (void)space_protect(s, odd[i], odd[k], 0);
            (void)space_forget(s, odd[i], odd[k]);
            (void)space_is_mapped(s, odd[i], odd[k], RW);
            (void)space_remap(s, odd[i], odd[k], odd[(i + k) % COUNT_OF(odd)], true, odd[(i * k) % COUNT_OF(odd)]);
            (void)space_remap(s, odd[i], odd[k], odd[(i + k) % COUNT_OF(odd)], k % 2, 0);
            (void)space_brk(s, odd[i]);
            (void)space_grow(s, odd[i]);
            (void)space_read_string(s, odd[i], bytes, sizeof(bytes));
            (void)space_pieces(s, odd[i], odd[k], USER_WRITE, iov, 2, &done);
            if (odd[k] > MiB) assert_int_equal(space_write(s, odd[i], bytes, odd[k]), -EFAULT);
            (void)space_unmap(s, odd[i], odd[k]);
            assert_whole(s);
        }
    assert_int_equal(space_read(s, USER_KERNEL_VA, bytes, 1), -EFAULT);
    assert_int_equal(space_map(s, USER_KERNEL_VA, SPACE_PAGE, RW, SPACE_FIXED), -ENOMEM);
    space_destroy(s);
}

/* 65,530 areas that are all unlike their neighbours. An array that is moved or searched for each would take a minute
 * under a sanitizer. */
static void as_many_areas_as_linux_has_and_no_more(void **state)
{
    (void)state;
    struct space *s = space_of(MiB);
    struct space_area area;
    int64_t va = 1;
    unsigned n = 0;
    for (; n < SPACE_AREAS_MAX; n++) {
        /* A growing mapping is unlike a plain one. Every second one is put by the space itself, the others in turn. */
        va = space_map(s, 0x100000000ull + n * SPACE_PAGE, SPACE_PAGE, 0, (n & 1) ? SPACE_GROWS_DOWN : 0);
        if (va < 0) break;
    }
    assert_int_equal(n, SPACE_AREAS_MAX);
    assert_int_equal(space_map(s, USER_MIN, SPACE_PAGE, 0, SPACE_FIXED), -ENOMEM);
    assert_true(space_area(s, SPACE_AREAS_MAX - 1, &area));
    assert_false(space_area(s, SPACE_AREAS_MAX, &area));
    assert_int_equal(space_unmap(s, 0x100000000ull, SPACE_AREAS_MAX * SPACE_PAGE), 0);
    assert_false(space_area(s, 0, &area));
    assert_whole(s);
    space_destroy(s);
}

static void a_place_is_found_from_above(void **state)
{
    (void)state;
    struct space *s = space_of(4 * MiB);
    const int64_t a = space_map(s, 0, SPACE_PAGE, RW, 0), b = space_map(s, 0, SPACE_PAGE, USER_READ, 0);
    assert_int_equal(a, USER_END - SPACE_PAGE);
    assert_int_equal(b, a - (int64_t)SPACE_PAGE);
    assert_int_equal(space_unmap(s, (uint64_t)a, SPACE_PAGE), 0);
    assert_int_equal(space_map(s, 0, 2 * SPACE_PAGE, RW, 0), b - 2 * (int64_t)SPACE_PAGE);
    assert_int_equal(space_map(s, 0, SPACE_PAGE, RW, 0), a);
    assert_int_equal(space_map(s, 0x500123, 1, RW, 0), 0x500000); /* a free hint is taken */
    assert_true(space_map(s, 0x500000, 1, RW, 0) > 0x500000);
    assert_whole(s);
    space_destroy(s);
}

static void a_stack_grows_to_its_end_and_keeps_its_guard(void **state)
{
    (void)state;
    const uint64_t top = 0x7ffe00000000ull, max = MiB;
    struct space *s = space_of(4 * MiB);
    space_set_stack(s, top, max);
    assert_int_equal(space_map(s, top - 64 * 1024, 64 * 1024, RW, SPACE_FIXED | SPACE_GROWS_DOWN), top - 64 * 1024);
    assert_false(space_grow(s, top - 64 * 1024)); /* mapped: no reason */
    assert_true(space_grow(s, top - 64 * 1024 - 5));
    assert_true(space_is_mapped(s, top - 64 * 1024 - SPACE_PAGE, SPACE_PAGE, RW));
    assert_false(space_grow(s, top - max - 1));
    assert_int_equal(space_map(s, 0, SPACE_PAGE, RW, 0), top - max - SPACE_GUARD - SPACE_PAGE); /* not in its way */
    assert_true(space_grow(s, top - max));
    assert_false(space_grow(s, top - max - 1));
    assert_whole(s);
    space_destroy(s);
    /* Something that the program put into the way. */
    s = space_of(4 * MiB);
    space_set_stack(s, top, max);
    assert_true(space_map(s, top - 64 * 1024, 64 * 1024, RW, SPACE_FIXED | SPACE_GROWS_DOWN) > 0);
    assert_true(space_map(s, top - max, SPACE_PAGE, USER_READ, SPACE_FIXED) > 0);
    assert_false(space_grow(s, top - max + SPACE_PAGE));
    assert_whole(s);
    space_destroy(s);
}

static void the_break_moves_by_bytes_and_its_pages_are_zero(void **state)
{
    (void)state;
    struct space *s = space_of(4 * MiB);
    const uint64_t start = 0x600000;
    const uint8_t byte = 7;
    space_set_brk(s, start);
    assert_int_equal(space_brk(s, 0), start);
    assert_int_equal(space_brk(s, start + 10), start + 10);
    assert_int_equal(space_write(s, start + 9, &byte, 1), 0);
    assert_int_equal(space_brk(s, start + 2 * SPACE_PAGE), start + 2 * SPACE_PAGE);
    assert_int_equal(byte_at(s, start + 9), 7);
    assert_int_equal(space_brk(s, start), start);
    assert_int_equal(space_brk(s, start + 10), start + 10);
    assert_int_equal(byte_at(s, start + 9), 0);
    assert_int_equal(space_brk(s, start + 5 * MiB), start + 10); /* more than there is */
    assert_true(space_map(s, start + 4 * SPACE_PAGE, SPACE_PAGE, 0, SPACE_FIXED) > 0);
    assert_int_equal(space_brk(s, start + 5 * SPACE_PAGE), start + 10); /* something is there */
    assert_int_equal(space_brk(s, start - 1), start + 10);
    assert_whole(s);
    space_destroy(s);
}

static void a_mapping_grows_in_place_or_moves_with_its_bytes(void **state)
{
    (void)state;
    struct space *s = space_of(4 * MiB);
    const uint64_t at = 0x700000;
    assert_true(space_map(s, at, 2 * SPACE_PAGE, RW, SPACE_FIXED) > 0);
    assert_int_equal(space_write(s, at, "first", 6), 0);
    assert_int_equal(space_remap(s, at, 2 * SPACE_PAGE, 3 * SPACE_PAGE, false, 0), at);
    assert_true(space_map(s, at + 3 * SPACE_PAGE, SPACE_PAGE, 0, SPACE_FIXED) > 0);
    assert_int_equal(space_remap(s, at, 3 * SPACE_PAGE, 4 * SPACE_PAGE, false, 0), -ENOMEM);
    const int64_t moved = space_remap(s, at, 3 * SPACE_PAGE, 4 * SPACE_PAGE, true, 0);
    char text[6];
    assert_true(moved > 0 && moved != (int64_t)at);
    assert_int_equal(space_read(s, (uint64_t)moved, text, 6), 0);
    assert_string_equal(text, "first");
    assert_false(space_is_mapped(s, at, SPACE_PAGE, 0));
    assert_int_equal(space_remap(s, (uint64_t)moved, 4 * SPACE_PAGE, SPACE_PAGE, false, 0), moved);
    assert_int_equal(mapped(s), SPACE_PAGE);
    assert_whole(s);
    space_destroy(s);
}

/* Tables run out before the frames do: refused, and nothing is left half done. */
static void mappings_too_far_apart_are_refused(void **state)
{
    (void)state;
    struct space *s = space_of(4 * MiB);
    int64_t rc = 0;
    unsigned n = 0;
    for (; n < 1024 && rc >= 0; n++) rc = space_map(s, (1ull << 32) + n * (1ull << 30), SPACE_PAGE, RW, SPACE_FIXED);
    assert_int_equal(rc, -ENOMEM);
    assert_int_equal(mapped(s), (n - 1) * SPACE_PAGE);
    assert_whole(s);
    for (unsigned i = 0; i + 1 < n; i++)
        assert_int_equal(space_unmap(s, (1ull << 32) + i * (1ull << 30), SPACE_PAGE), 0);
    assert_whole(s);
    assert_true(space_map(s, 1ull << 32, 4 * MiB, RW, SPACE_FIXED) > 0); /* tables came back */
    space_destroy(s);
}

static void bytes_are_moved_by_the_programs_rights(void **state)
{
    (void)state;
    struct space *s = space_of(4 * MiB);
    const uint64_t at = 0x800000;
    char buf[8];
    struct iovec iov[4];
    uint64_t done;
    assert_true(space_map(s, at, 2 * SPACE_PAGE, USER_READ, SPACE_FIXED) > 0);
    assert_int_equal(space_write(s, at, "abc", 4), -EFAULT);
    assert_int_equal(space_write_any(s, at + SPACE_PAGE - 2, "abc", 4), 0);
    assert_int_equal(space_read(s, at + SPACE_PAGE - 2, buf, 4), 0);
    assert_string_equal(buf, "abc");
    assert_int_equal(space_read_string(s, at + SPACE_PAGE - 2, buf, 8), 3);
    assert_int_equal(space_read_string(s, at + SPACE_PAGE - 2, buf, 3), -ENAMETOOLONG);
    assert_int_equal(space_read(s, at + 2 * SPACE_PAGE - 2, buf, 4), -EFAULT);
    assert_int_equal(space_write_any(s, at + 2 * SPACE_PAGE - 2, "ab", 2), 0);
    assert_int_equal(space_read_string(s, at + 2 * SPACE_PAGE - 2, buf, 8), -EFAULT); /* no end before the hole */
    assert_int_equal(space_pieces(s, at + 5, 3 * SPACE_PAGE, USER_READ, iov, 4, &done), 1);
    assert_int_equal(done, 2 * SPACE_PAGE - 5);
    assert_int_equal(space_pieces(s, at, 1, USER_WRITE, iov, 4, &done), -EFAULT);
    space_destroy(s);
}

static void shared_bytes_are_the_hosts_and_stay(void **state)
{
    (void)state;
    _Alignas(4096) static uint8_t host[3 * 4096];
    struct space *s = space_of(4 * MiB);
    assert_true(space_share(s, NULL, host, 100, true, NULL) < 0);
    const int64_t va = space_share(s, NULL, host, sizeof(host), true, NULL);
    const int64_t only_read = space_share(s, NULL, host, sizeof(host), false, NULL);
    assert_true(va > 0 && only_read > 0);
    assert_int_equal(space_write(s, (uint64_t)va + 4095, "ab", 2), 0);
    assert_memory_equal(host + 4095, "ab", 2);
    assert_int_equal(byte_at(s, (uint64_t)only_read + 4096), 'b');
    assert_int_equal(space_write(s, (uint64_t)only_read, "ab", 2), -EFAULT);
    assert_int_equal(space_unmap(s, (uint64_t)va, SPACE_PAGE), -EPERM);
    assert_int_equal(space_protect(s, (uint64_t)only_read, SPACE_PAGE, RW), -EPERM);
    assert_int_equal(space_map(s, (uint64_t)va, SPACE_PAGE, RW, SPACE_FIXED), -EPERM);
    assert_int_equal(space_forget(s, (uint64_t)va, SPACE_PAGE), 0);
    assert_memory_equal(host + 4095, "ab", 2);
    assert_int_equal(mapped(s), 0);
    assert_whole(s);
    space_destroy(s);
}

UNIT_MAIN(UNIT(mappings_agree_with_an_array_of_pages), UNIT(memory_ends_exactly_where_it_was_said),
          UNIT(hostile_numbers_are_answered), UNIT(as_many_areas_as_linux_has_and_no_more),
          UNIT(a_place_is_found_from_above), UNIT(a_stack_grows_to_its_end_and_keeps_its_guard),
          UNIT(the_break_moves_by_bytes_and_its_pages_are_zero), UNIT(a_mapping_grows_in_place_or_moves_with_its_bytes),
          UNIT(mappings_too_far_apart_are_refused), UNIT(bytes_are_moved_by_the_programs_rights),
          UNIT(shared_bytes_are_the_hosts_and_stay))

/* Templates, clones, copies and resets, with a dirty ring of our own making. */
#include "tests/unit/sandbox/space_rig.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static unsigned ring_resets;
static struct kvm_dirty_gfn ring[DIRTY_RING_ENTRIES];

int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...)
{
    (void)fd;
    if (request != KVM_RESET_DIRTY_RINGS) return -1;
    /* As KVM does it: what is marked may be used again. */
    for (unsigned i = 0; i < DIRTY_RING_ENTRIES; i++)
        if (ring[i].flags & KVM_DIRTY_GFN_F_RESET) ring[i].flags = 0;
    ring_resets++;
    return 0;
}

static struct vm no_vm = VM_INIT;

/* ---- a guest: it writes where its tables let it, and KVM tells by the ring ---- */

struct guest {
    struct space *s;
    uint32_t next; /* of the ring */
};

static void attach(struct guest *g, struct space *s)
{
    memset(ring, 0, sizeof(ring));
    *g = (struct guest){.s = s};
    s->log = (struct dirty_log){.kind = DIRTY_RING, .ring = ring, .pages = s->pages};
}

static void detach(struct guest *g)
{
    g->s->log = (struct dirty_log){0};
    space_destroy(g->s);
}

static void guest_writes(struct guest *g, uint64_t va, uint8_t byte)
{
    const uint64_t entry = tables_entry(g->s, va & ~(SPACE_PAGE - 1)), gpa = user_entry_gpa(entry);
    if (!(user_entry_prot(entry) & USER_WRITE) || !gpa_is_frame(g->s, gpa)) return;
    g->s->base[gpa + va % SPACE_PAGE] = byte;
    struct kvm_dirty_gfn *free_entry = &ring[g->next % DIRTY_RING_ENTRIES];
    if (free_entry->flags) { /* full: an exit */
        assert_int_equal(space_collect(g->s, &no_vm), 0);
        assert_int_equal(free_entry->flags, 0);
    }
    *free_entry = (struct kvm_dirty_gfn){.flags = KVM_DIRTY_GFN_F_DIRTY, .slot = 0, .offset = gpa / SPACE_PAGE};
    g->next++;
}

/* ---- a program that is warmed up: code, data, a heap, a hole, pages that came back ---- */

#define DATA 0x400000ull
#define HEAP 0x600000ull
#define FAR  0x7f0000000000ull

static struct space *warm_space(void)
{
    struct space *s = space_of(8 * MiB);
    assert_true(space_map(s, DATA, 64 * SPACE_PAGE, RW, SPACE_FIXED) > 0);
    assert_true(space_map(s, FAR, 300 * SPACE_PAGE, RW, SPACE_FIXED) > 0);
    space_set_brk(s, HEAP);
    (void)space_brk(s, HEAP + 100 * SPACE_PAGE);
    for (unsigned i = 0; i < 64; i++) assert_int_equal(space_write(s, DATA + i * SPACE_PAGE, "template", 9), 0);
    for (unsigned i = 0; i < 50; i++) assert_int_equal(space_write(s, HEAP + i * 2 * SPACE_PAGE, "heap", 5), 0);
    assert_int_equal(space_unmap(s, FAR + 20 * SPACE_PAGE, 30 * SPACE_PAGE), 0);
    assert_int_equal(space_protect(s, DATA, 8 * SPACE_PAGE, USER_READ | USER_EXEC), 0);
    assert_whole(s);
    return s;
}

static struct space_template *template_of(struct space *s)
{
    struct space_template *t = NULL;
    assert_int_equal(space_template_create(&t, s, NULL), 0);
    return t;
}

static struct space *clone_of(const struct space_template *t)
{
    struct space *s = NULL;
    assert_int_equal(space_create_from(&s, t, NULL), 0);
    assert_whole(s);
    return s;
}

static const uint8_t zero[SPACE_PAGE];

/* A table is as the template's, or empty, but for what leads to tables that stay where they were. */
static void assert_is_template_table(const struct space *s, const struct space_template *t, uint32_t page)
{
    const uint64_t *now = table_at(s, page), *then = (const uint64_t *)(const void *)(t->tables + page * SPACE_PAGE);
    for (unsigned i = 0; i < USER_TABLE_ENTRIES; i++) {
        const uint64_t entry = page < t->file_tables ? then[i] : 0;
        if (now[i] == entry || (!entry && tables_is_link(now[i]))) continue;
        fail_msg("entry %u of table %u is 0x%llx, not 0x%llx", i, page, (unsigned long long)now[i],
                 (unsigned long long)entry);
    }
}

/* Byte for byte, table for table, mapping for mapping; and nothing behind. */
static void assert_is_template(const struct space *s, const struct space_template *t)
{
    struct area a, b;
    assert_memory_equal(s->base, t->base, t->file_pages * SPACE_PAGE);
    for (uint32_t p = t->file_pages; p < s->pages; p++) assert_memory_equal(s->base + p * SPACE_PAGE, zero, SPACE_PAGE);
    for (uint32_t p = 0; p < s->table_max; p++) assert_is_template_table(s, t, p);
    assert_int_equal(s->ledger.areas.count, t->ledger.areas.count);
    for (uint32_t i = 0; areas_index(&t->ledger.areas, i, &a); i++) {
        assert_true(areas_index(&s->ledger.areas, i, &b));
        assert_memory_equal(&a, &b, sizeof(a));
    }
    assert_int_equal(s->ledger.used, t->ledger.used);
    assert_int_equal(s->ledger.next, t->ledger.next);
    assert_int_equal(s->ledger.brk, t->ledger.brk);
    assert_int_equal(s->ledger.frames.count, t->ledger.frames.count);
    assert_whole(s);
}

/* A program that does anything for a while. */
static void live(struct guest *g, uint64_t *random, unsigned steps)
{
    struct space *s = g->s;
    for (unsigned i = 0; i < steps; i++) {
        const uint64_t base[] = {DATA, HEAP, FAR};
        const uint64_t va = base[next_random(random) % 3] + next_random(random) % 320 * SPACE_PAGE;
        const uint64_t len = (1 + next_random(random) % 40) * SPACE_PAGE;
        const unsigned prot = next_random(random) % 8;
        switch (next_random(random) % 10) {
        case 0: (void)space_map(s, va, len, prot, SPACE_FIXED); break;
        case 1: (void)space_unmap(s, va, len); break;
        case 2: (void)space_protect(s, va, len, prot); break;
        case 3: (void)space_forget(s, va, len); break;
        case 4: (void)space_remap(s, va, SPACE_PAGE, len, true, 0); break;
        case 5: (void)space_brk(s, HEAP + next_random(random) % (200 * SPACE_PAGE)); break;
        case 6: (void)space_write(s, va + 5, "own", 4); break;
        default:
            for (unsigned k = 0; k < 20; k++) guest_writes(g, va + k * SPACE_PAGE + k, (uint8_t)(1 + i % 255));
            break;
        }
        const char *broken = space_is_broken(s);
        if (broken) fail_msg("%s", broken);
    }
}

static void a_reset_puts_everything_back(void **state)
{
    (void)state;
    uint64_t random = 3, pages;
    struct space *s = warm_space();
    struct space_template *t = template_of(s);
    const uint64_t hash = space_template_hash(t);
    struct guest g;
    attach(&g, clone_of(t));
    for (unsigned round = 0; round < 60; round++) {
        live(&g, &random, round % 40);
        assert_int_equal(space_reset(g.s, &no_vm, &pages), 0);
        assert_is_template(g.s, t);
        assert_int_equal(space_template_hash(t), hash);
    }
    assert_true(ring_resets > 0);
    detach(&g);
    space_template_destroy(t);
    space_destroy(s);
}

static void a_reset_puts_back_as_many_pages_as_were_written(void **state)
{
    (void)state;
    uint64_t pages;
    struct space *s = warm_space();
    struct space_template *t = template_of(s);
    struct guest g;
    attach(&g, clone_of(t));
    assert_int_equal(space_reset(g.s, &no_vm, &pages), 0);
    assert_int_equal(pages, 0);
    for (unsigned i = 8; i < 24; i++)
        for (unsigned k = 0; k < 3; k++) guest_writes(&g, DATA + i * SPACE_PAGE + k, 1); /* duplicates come */
    assert_int_equal(space_reset(g.s, &no_vm, &pages), 0);
    assert_int_equal(pages, 16);
    assert_int_equal(space_write(g.s, DATA + 10 * SPACE_PAGE - 1, "ab", 2), 0);
    assert_int_equal(space_reset(g.s, &no_vm, &pages), 0);
    assert_int_equal(pages, 2);
    detach(&g);
    space_template_destroy(t);
    space_destroy(s);
}

static void a_set_that_can_not_grow_means_all_pages(void **state)
{
    (void)state;
    uint64_t random = 5, pages;
    struct space *s = warm_space();
    struct space_template *t = template_of(s);
    struct guest g;
    attach(&g, clone_of(t));
    live(&g, &random, 30);
    g.s->written.is_all = true; /* as after a failed realloc */
    for (unsigned i = 8; i < 64; i++) guest_writes(&g, DATA + i * SPACE_PAGE, 9);
    assert_int_equal(space_reset(g.s, &no_vm, &pages), 0);
    assert_is_template(g.s, t);
    detach(&g);
    space_template_destroy(t);
    space_destroy(s);
}

static void clones_do_not_see_each_other(void **state)
{
    (void)state;
    struct space *s = warm_space();
    struct space_template *t = template_of(s);
    const uint64_t hash = space_template_hash(t), at = DATA + 20 * SPACE_PAGE;
    struct space *a = clone_of(t), *b = clone_of(t);
    assert_int_equal(space_write(a, at, "A", 1), 0);
    assert_int_equal(space_write(b, at, "B", 1), 0);
    assert_int_equal(space_write(s, at, "S", 1), 0);
    assert_int_equal(byte_at(a, at), 'A');
    assert_int_equal(byte_at(b, at), 'B');
    assert_int_equal(byte_at(s, at), 'S');
    struct space *c = clone_of(t);
    assert_int_equal(byte_at(c, at), 't');
    assert_int_equal(space_template_hash(t), hash);
    /* A template of a clone has the clone's bytes. */
    struct space_template *second = template_of(a);
    struct space *d = clone_of(second);
    assert_int_equal(byte_at(d, at), 'A');
    struct space *all[] = {a, b, c, d, s};
    for (unsigned i = 0; i < COUNT_OF(all); i++) space_destroy(all[i]);
    space_template_destroy(second);
    space_template_destroy(t);
}

/* Pages that a clone gives back have the template's bytes below; whoever gets them next finds zeros. */
static void what_a_clone_is_given_is_zero(void **state)
{
    (void)state;
    struct space *s = warm_space();
    struct space_template *t = template_of(s);
    struct space *c = clone_of(t), *child = NULL;
    assert_int_equal(space_unmap(c, DATA, 64 * SPACE_PAGE), 0);
    assert_int_equal(space_copy(&child, c, NULL), 0);
    assert_whole(child);
    struct space *both[] = {child, c};
    for (unsigned k = 0; k < 2; k++) {
        const int64_t va = space_map(both[k], 0, 64 * SPACE_PAGE, RW, 0);
        assert_true(va > 0);
        for (unsigned i = 0; i < 64; i++) {
            uint8_t page[SPACE_PAGE];
            assert_int_equal(space_read(both[k], (uint64_t)va + i * SPACE_PAGE, page, sizeof(page)), 0);
            assert_memory_equal(page, zero, sizeof(page));
        }
        assert_whole(both[k]);
        space_destroy(both[k]);
    }
    space_template_destroy(t);
    space_destroy(s);
}

static void a_copy_is_the_same_and_apart(void **state)
{
    (void)state;
    struct space *s = warm_space(), *c = NULL;
    _Alignas(4096) static uint8_t host[4096];
    const int64_t shared = space_share(s, NULL, host, sizeof(host), true, NULL);
    assert_int_equal(space_copy(&c, s, NULL), 0);
    assert_whole(c);
    assert_whole(s);
    assert_int_equal(mapped(c), mapped(s));
    assert_int_equal(space_write(c, HEAP, "child", 6), 0);
    assert_int_equal(byte_at(s, HEAP), 'h');
    assert_int_equal(byte_at(c, HEAP + 2 * SPACE_PAGE), 'h');
    assert_false(space_is_mapped(c, (uint64_t)shared, SPACE_PAGE, 0)); /* the parent's alone */
    assert_int_equal(byte_at(s, (uint64_t)shared), 0);
    space_destroy(c);
    space_destroy(s);
}

static void shared_bytes_outlive_a_reset(void **state)
{
    (void)state;
    _Alignas(4096) static uint8_t host[4 * 4096];
    uint64_t random = 11, pages;
    struct space *s = warm_space();
    struct space_template *t = template_of(s);
    struct guest g;
    attach(&g, clone_of(t));
    const int64_t va = space_share(g.s, NULL, host, sizeof(host), true, NULL);
    for (unsigned round = 0; round < 5; round++) {
        live(&g, &random, 20);
        assert_int_equal(space_write(g.s, (uint64_t)va, "x", 1), 0);
        assert_int_equal(space_reset(g.s, &no_vm, &pages), 0);
        assert_whole(g.s);
        assert_int_equal(byte_at(g.s, (uint64_t)va), 'x');
        assert_int_equal(mapped(g.s), t->ledger.used * SPACE_PAGE);
    }
    detach(&g);
    space_template_destroy(t);
    space_destroy(s);
}

static void a_template_can_not_be_changed(void **state)
{
    (void)state;
    struct space *s = warm_space();
    struct space_template *t = template_of(s);
    assert_int_equal(pwrite(t->fd, "x", 1, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(t->fd, 0), -1);
    assert_int_equal(ftruncate(t->fd, 1 << 30), -1);
    assert_true(mmap(NULL, SPACE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd, 0) == MAP_FAILED);
    assert_int_equal(fcntl(t->fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), -1);
    assert_int_equal(fallocate(t->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SPACE_PAGE), -1);
    space_template_destroy(t);
    space_destroy(s);
}

/* Shadowed tables: an entry that loses something counts only after the host's mapping of its page was invalidated,
 * and then a flush is due. */
static void a_reset_sees_entries_that_moved(void **state)
{
    (void)state;
    uint64_t pages;
    struct space *s = warm_space();
    struct space_template *t = template_of(s);
    struct guest g;
    attach(&g, clone_of(t));
    const int64_t moved =
        space_remap(g.s, DATA + 10 * SPACE_PAGE, SPACE_PAGE, SPACE_PAGE, true, FAR + 400 * SPACE_PAGE);
    assert_int_equal(moved, FAR + 400 * SPACE_PAGE);
    guest_writes(&g, (uint64_t)moved, 'm');
    (void)space_wants_flush(g.s);
    const uint64_t page = user_entry_gpa(tables_entry(g.s, (uint64_t)moved)) / SPACE_PAGE;
    assert_int_equal(space_reset(g.s, &no_vm, &pages), 0);
    assert_true(space_wants_flush(g.s));
    assert_int_equal(user_entry_gpa(tables_entry(g.s, DATA + 10 * SPACE_PAGE)) / SPACE_PAGE, page);
    assert_int_equal(tables_entry(g.s, (uint64_t)moved), 0);
    assert_is_template(g.s, t);
    detach(&g);
    space_template_destroy(t);
    space_destroy(s);
}

/* 1,000 clones and 10,000 resets leave no descriptor behind; mappings are looked at by the leak checker. */
static void clones_and_resets_leave_nothing_behind(void **state)
{
    (void)state;
    uint64_t pages;
    struct space *s = warm_space();
    struct space_template *t = template_of(s);
    const int before = dup(0);
    assert_int_equal(close(before), 0);
    struct space *c = NULL;
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(space_create_from(&c, t, NULL), 0);
        for (unsigned k = 0; k < 10; k++) {
            assert_int_equal(space_write(c, DATA + (8 + k) * SPACE_PAGE, "x", 1), 0);
            const int64_t va = space_map(c, 0, 3 * SPACE_PAGE, RW, 0);
            assert_int_equal(space_write(c, (uint64_t)va, "x", 1), 0);
            assert_int_equal(space_reset(c, &no_vm, &pages), 0);
        }
        if (i % 100 == 0) assert_is_template(c, t);
        space_destroy(c);
    }
    const int after = dup(0);
    assert_int_equal(close(after), 0);
    assert_int_equal(after, before);
    space_template_destroy(t);
    space_destroy(s);
}

UNIT_MAIN(UNIT(a_reset_puts_everything_back), UNIT(a_reset_puts_back_as_many_pages_as_were_written),
          UNIT(a_set_that_can_not_grow_means_all_pages), UNIT(clones_do_not_see_each_other),
          UNIT(what_a_clone_is_given_is_zero), UNIT(a_copy_is_the_same_and_apart), UNIT(shared_bytes_outlive_a_reset),
          UNIT(a_template_can_not_be_changed), UNIT(a_reset_sees_entries_that_moved),
          UNIT(clones_and_resets_leave_nothing_behind))

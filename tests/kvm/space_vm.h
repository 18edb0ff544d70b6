/* A space under a real VM: what the processor finds is what the space says, after every change and every reset. Two
 * loops of a few instructions (loops) take an address as a system call's result and touch it. Included
 * by one test of each architecture, which brings the instructions. */
#include "tests/unit/sandbox/space_rig.h"

#include "arch/arch.h"

#define CODE  0x400000ull
#define DATA  0x3ff80000ull /* the tables of two levels end in the midst of it */
#define PAGES 256u
#define STORE (CODE + 64)

/* Machine code. fetch: a system call, then the byte at the address that is its result becomes the next one's first
 * argument. store: a system call, then 1 is written there. */
struct loops {
    uint32_t fetch[4], store[4];
};
static const struct loops loops; /* the test's */

struct guest {
    struct vm vm;
    struct space *s;
    struct user *user;
    unsigned rings_full;
};

static void must(int rc, const struct err *e)
{
    if (rc) fail_msg("%s", e->text);
}

static void guest_open(struct guest *g, struct space *s)
{
    struct err e = {0};
    unsigned long type = 0;
    *g = (struct guest){.vm = VM_INIT, .s = s};
    must(kvm_open(&g->vm.kvm_fd, &e), &e);
    must(arch_vm_type(g->vm.kvm_fd, USER_KERNEL_GPA + USER_KERNEL_MAX, &type, &e), &e);
    must(vm_create_typed(&g->vm, type, &e), &e);
    must(space_attach(s, &g->vm, true, &e), &e);
    const struct user_params p = {.vm = &g->vm, .kernel = space_kernel(s), .root_gpa = space_root(s)};
    must(user_create(&g->user, &p, &e), &e);
    must(space_attach_vcpu(s, user_vcpu(g->user), &e), &e);
}

static void guest_close(struct guest *g)
{
    user_destroy(g->user);
    vm_destroy(&g->vm);
    space_destroy(g->s);
}

static enum user_event run(struct guest *g)
{
    struct err e = {0};
    if (space_wants_flush(g->s)) user_flush(g->user);
    for (;;) {
        const enum user_event event = user_run(g->user, &e);
        if (event == USER_BROKEN) fail_msg("%s", e.text);
        if (event == USER_RING_FULL) {
            g->rings_full++;
            assert_int_equal(space_collect(g->s, &g->vm), 0);
        } else if (event != USER_KICKED)
            return event;
    }
}

/* Touch one address from inside: false, a fault. *byte: what was read. */
static bool touch(struct guest *g, uint64_t loop, uint64_t va, uint8_t *byte)
{
    struct user_call call;
    assert_int_equal(user_begin(g->user, loop, 0), 0);
    assert_int_equal(run(g), USER_CALL);
    user_set_result(g->user, (int64_t)va);
    if (run(g) != USER_CALL) return false;
    user_get_call(g->user, &call);
    if (byte) *byte = (uint8_t)call.arg[0];
    return true;
}

/* Is the processor of the space's opinion about this page, and about its first byte? */
static void assert_seen_alike(struct guest *g, uint64_t va)
{
    uint8_t inside = 0, outside = 0;
    const bool can_read = space_read(g->s, va, &outside, 1) == 0;
    const bool can_write = space_is_mapped(g->s, va, 1, USER_WRITE);
    assert_int_equal(touch(g, CODE, va, &inside), can_read);
    if (can_read) assert_int_equal(inside, outside);
    assert_int_equal(touch(g, STORE, va, NULL), can_write);
}

static struct space_template *program(void)
{
    struct space_template *t = NULL;
    struct space *s = space_of(4 * MiB);
    assert_true(space_map(s, CODE, SPACE_PAGE, USER_READ | USER_EXEC, SPACE_FIXED) > 0);
    assert_int_equal(space_write_any(s, CODE, loops.fetch, sizeof(loops.fetch)), 0);
    assert_int_equal(space_write_any(s, STORE, loops.store, sizeof(loops.store)), 0);
    assert_true(space_map(s, DATA, PAGES * SPACE_PAGE, RW, SPACE_FIXED) > 0);
    assert_int_equal(space_unmap(s, DATA + 200 * SPACE_PAGE, 20 * SPACE_PAGE), 0);
    for (unsigned i = 0; i < PAGES; i += 2) (void)space_write(s, DATA + i * SPACE_PAGE, "t", 1);
    assert_int_equal(space_template_create(&t, s, NULL), 0);
    space_destroy(s);
    return t;
}

static struct space *clone_of(const struct space_template *t)
{
    struct space *s = NULL;
    assert_int_equal(space_create_from(&s, t, NULL), 0);
    return s;
}

static void change(struct guest *g, uint64_t *random)
{
    struct space *s = g->s;
    const uint64_t va = DATA + next_random(random) % PAGES * SPACE_PAGE;
    const uint64_t len = (1 + next_random(random) % 30) * SPACE_PAGE;
    const unsigned prots[] = {0, USER_READ, RW, RW, USER_READ | USER_EXEC};
    const unsigned prot = prots[next_random(random) % 5];
    switch (next_random(random) % 6) {
    case 0: (void)space_map(s, va, len, prot, SPACE_FIXED); break;
    case 1: (void)space_unmap(s, va, len); break;
    case 2:
    case 3: (void)space_protect(s, va, len, prot); break;
    case 4: (void)space_forget(s, va, len); break;
    default: (void)space_remap(s, va, SPACE_PAGE, len, true, DATA + next_random(random) % PAGES * SPACE_PAGE); break;
    }
}

/* What is taken away is gone for the processor, too, with shadowed tables as without. */
static void the_processor_sees_each_change(void **state)
{
    (void)state;
    uint64_t random = 9;
    struct space_template *t = program();
    struct guest g;
    guest_open(&g, clone_of(t));
    for (unsigned i = 0; i < PAGES; i += 3) assert_seen_alike(&g, DATA + i * SPACE_PAGE);
    for (unsigned step = 0; step < 250; step++) {
        change(&g, &random);
        for (unsigned k = 0; k < 6; k++) assert_seen_alike(&g, DATA + next_random(&random) % PAGES * SPACE_PAGE);
    }
    guest_close(&g);
    space_template_destroy(t);
}

static void the_processor_sees_the_template_after_a_reset(void **state)
{
    (void)state;
    uint64_t random = 4, pages;
    struct space_template *t = program();
    const uint64_t hash = space_template_hash(t);
    struct guest g;
    guest_open(&g, clone_of(t));
    for (unsigned round = 0; round < 30; round++) {
        for (unsigned step = 0; step < round % 6; step++) {
            change(&g, &random);
            for (unsigned k = 0; k < 4; k++) assert_seen_alike(&g, DATA + next_random(&random) % PAGES * SPACE_PAGE);
        }
        assert_int_equal(space_reset(g.s, &g.vm, &pages), 0);
        assert_whole(g.s);
        assert_memory_equal(g.s->base, t->base, t->file_pages * SPACE_PAGE);
        assert_memory_equal(g.s->tables, t->tables, t->file_tables * SPACE_PAGE);
        for (unsigned i = round % 7; i < PAGES; i += 7) assert_seen_alike(&g, DATA + i * SPACE_PAGE);
    }
    assert_int_equal(space_template_hash(t), hash);
    guest_close(&g);
    space_template_destroy(t);
}

/* More pages than the ring has entries, each written by the guest alone. */
static void a_reset_finds_what_the_guest_wrote(void **state)
{
    (void)state;
    const unsigned many = 3000;
    uint64_t pages = 0;
    struct space *s = space_of(16 * MiB), *c = NULL;
    struct space_template *t = NULL;
    assert_true(space_map(s, CODE, SPACE_PAGE, USER_READ | USER_EXEC, SPACE_FIXED) > 0);
    assert_int_equal(space_write_any(s, STORE, loops.store, sizeof(loops.store)), 0);
    assert_true(space_map(s, DATA, many * SPACE_PAGE, RW, SPACE_FIXED) > 0);
    assert_int_equal(space_template_create(&t, s, NULL), 0);
    assert_int_equal(space_create_from(&c, t, NULL), 0);
    struct guest g;
    guest_open(&g, c);
    for (unsigned round = 0; round < 3; round++) {
        const unsigned n = round == 1 ? 5 : many;
        assert_int_equal(user_begin(g.user, STORE, 0), 0);
        assert_int_equal(run(&g), USER_CALL);
        for (unsigned i = 0; i < n; i++) {
            user_set_result(g.user, (int64_t)(DATA + i * SPACE_PAGE));
            assert_int_equal(run(&g), USER_CALL);
        }
        assert_int_equal(c->base[user_entry_gpa(tables_entry(c, DATA))], 1);
        assert_int_equal(space_reset(c, &g.vm, &pages), 0);
        assert_int_equal(pages, n);
        assert_memory_equal(c->base, t->base, t->file_pages * SPACE_PAGE);
    }
    if (c->log.kind == DIRTY_RING) assert_true(g.rings_full > 0);
    guest_close(&g);
    space_template_destroy(t);
    space_destroy(s);
}

UNIT_MAIN(UNIT(the_processor_sees_each_change), UNIT(the_processor_sees_the_template_after_a_reset),
          UNIT(a_reset_finds_what_the_guest_wrote))

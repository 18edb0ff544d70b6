/* The recorder against guests whose exits are known: a machine with a counting guest, and four vCPUs that do nothing
 * but leave the guest while somebody reads. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "arch/arch.h"
#include "tests/kvm/guest.h"
#include "tests/kvm/mini.h"
#include "vmm/machine/state.h"
#include "vmm/machine/stats.h"

#define STORES     1000
#define HAMMERS    4
#define HAMMERED   3000 /* stores of each: some tens of rounds of a reader */
#define ROWS       512  /* of one report: classes, registers and the kernel's, of four vCPUs */
#define STATUS     77
#define ARM64_EXIT 0x09020000                        /* debug exit there; x86 snippets know their port */
#define NOWHERE    (arch_info.virtio_base + 0x10000) /* in the devices' hole, behind the last device */

/* What a report said, for look-ups. Names are copied: they are valid during the call only. */
struct rows {
    struct {
        struct stats_row row;
        char name[64];
    } at[ROWS];
    unsigned count;
};

static void keep(void *arg, const struct stats_row *row)
{
    struct rows *rows = arg;
    assert_true(rows->count < ROWS);
    rows->at[rows->count].row = *row;
    (void)snprintf(rows->at[rows->count].name, sizeof(rows->at[0].name), "%s", row->name);
    rows->count++;
}

static void take(struct machine *m, struct rows *rows)
{
    struct stats_info info;
    rows->count = 0;
    assert_int_equal(machine_stats(m, STATS_FULL, &info, keep, rows), 0);
    assert_true(info.hz > 1e6);
    assert_true(info.cost_ns > 0);
}

static const struct stats_row *find(const struct rows *rows, enum stats_kind kind, int vcpu, const char *name)
{
    for (unsigned i = 0; i < rows->count; i++) {
        const struct stats_row *row = &rows->at[i].row;
        if (row->kind == kind && row->vcpu == vcpu && strcmp(rows->at[i].name, name) == 0) return row;
    }
    return NULL;
}

static const struct stats_row *find_register(const struct rows *rows, int vcpu, uint64_t addr)
{
    for (unsigned i = 0; i < rows->count; i++) {
        const struct stats_row *row = &rows->at[i].row;
        if (row->kind == STATS_REGISTER && row->vcpu == vcpu && row->addr == addr) return row;
    }
    return NULL;
}

static uint64_t count_of(const struct stats_row *row)
{
    return row ? row->count : 0;
}

/* ---- a whole machine ---- */

/* A machine whose guest stores STORES bytes where nothing is and reports its status, when that has happened. */
static struct machine *ran(const char *record)
{
    const struct snippet_args args = {
        .target = NOWHERE, .count = STORES, .status = STATUS, .exit_at = ARM64_EXIT, .value = 1};
    struct machine *m = NULL;
    struct config c;
    struct ending end;
    struct err e = {0};

    guest_needs_kvm();
    const int fd = guest_file_of(&snippet_store, &args);
    config_init(&c, machine_devices);
    guest_set(&c, "kernel", "/proc/self/fd/%d", fd);
    guest_set(&c, "memory", "4M");
    guest_set(&c, "console", "off");
    guest_set(&c, "record", "%s", record);
    if (machine_create(&m, &c, NULL, &e) || machine_start(m, &e)) fail_msg("%s", e.text);
    config_fini(&c);
    close(fd);
    assert_int_equal(machine_wait(m, GUEST_END_MS, &end), 0);
    assert_int_equal(end.value, STATUS);
    return m;
}

static void every_store_of_a_counting_guest_is_counted_where_it_went(void **state)
{
    static struct rows rows;
    (void)state;
    struct machine *m = ran("on");
    take(m, &rows);
    const struct stats_row *there = find_register(&rows, 0, NOWHERE);
    assert_int_equal(count_of(there), STORES);
    assert_null(there->device);

    const uint64_t ports = count_of(find(&rows, STATS_CLASS, 0, "port out"));
    const struct stats_row *stores = find(&rows, STATS_CLASS, 0, "mmio write");
    assert_int_equal(count_of(stores) + ports, STORES + 1); /* debug exit is a port or a register */
    assert_int_equal(count_of(find(&rows, STATS_CLASS, 0, "kick")), 1);
    assert_int_equal(count_of(find(&rows, STATS_VCPU, 0, "vCPU")), STORES + 2);
    machine_destroy(m);
}

static void times_are_ordered_as_their_names_say(void **state)
{
    static struct rows rows;
    (void)state;
    struct machine *m = ran("on");
    take(m, &rows);
    const struct stats_row *s = find(&rows, STATS_CLASS, 0, "mmio write");
    const struct stats_times *t = &s->run;
    assert_true(0 < t->min && t->min <= t->p50 && t->p50 <= t->p90 && t->p90 <= t->p99 && t->p99 <= t->p999);
    assert_true(t->p999 <= t->max && t->max <= t->total);
    assert_true(s->first_ns < s->last_ns && s->last_ns - s->first_ns <= s->run.total + s->handler.total);
    machine_destroy(m);
}

/* x86 and arm64 name the same count differently. */
static void the_kernel_counts_the_same_exits(void **state)
{
    static struct rows rows;
    (void)state;
    struct machine *m = ran("on");
    take(m, &rows);
    const struct stats_row *x86 = find(&rows, STATS_KERNEL, 0, "mmio_exits");
    const struct stats_row *kernel = x86 ? x86 : find(&rows, STATS_KERNEL, 0, "mmio_exit_user");
    const uint64_t ours = count_of(find(&rows, STATS_CLASS, 0, "mmio write"));
    const uint64_t exits = count_of(find(&rows, STATS_KERNEL, 0, "exits"));
    machine_destroy(m);
    if (!kernel) {
        print_message("this kernel does not count MMIO exits\n");
        skip();
    }
    assert_int_equal(kernel->count, ours);
    assert_true(exits >= ours);
}

static void record_off_records_nothing(void **state)
{
    static struct rows rows;
    struct stats_info info;
    (void)state;
    struct machine *m = ran("off");
    rows.count = 0;
    assert_int_equal(machine_stats(m, STATS_FULL, &info, keep, &rows), -ENODATA);
    assert_int_equal(rows.count, 0);
    assert_null(m->runner[0].record);
    machine_destroy(m);
}

/* ---- four runners on a bare VM ---- */

struct hammers {
    struct mini mini; /* its vCPU is the first */
    struct vcpu vcpu[HAMMERS];
    struct runner_host host;
    struct machine machine; /* what machine_stats looks at, and no more */
    atomic_uint gone;
};

static uint64_t read_nothing(void *dev, uint64_t offset, unsigned size)
{
    (void)dev;
    (void)offset;
    (void)size;
    return 0;
}

/* The vCPU whose guest reports its end is called out by its own thread: it finishes the store and goes. */
static void on_exit_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct hammers *h = dev;
    (void)offset;
    (void)size;
    (void)value;
    for (unsigned i = 0; i < HAMMERS; i++)
        if (pthread_equal(h->machine.runner[i].thread, pthread_self())) runner_kick(&h->machine.runner[i], RUNNER_END);
}

static const struct bus_ops exit_ops = {.read = read_nothing, .write = on_exit_write};

static void on_entered(void *arg, struct runner *r)
{
    struct hammers *h = arg;
    (void)r;
    pthread_mutex_lock(&h->machine.lock); /* held until every thread is known by its id */
    pthread_mutex_unlock(&h->machine.lock);
}

static void on_end(void *arg, struct runner *r, enum end_reason reason, uint32_t value, const char *detail)
{
    (void)arg;
    (void)value;
    fprintf(stderr, "vCPU %u ended for reason %d: %s\n", r->vcpu->id, (int)reason, detail);
    runner_kick(r, RUNNER_END); /* its counts will be short, which the test sees */
}

static void on_gone(void *arg, struct runner *r)
{
    struct hammers *h = arg;
    (void)r;
    atomic_fetch_add(&h->gone, 1);
}

static void set_up(struct hammers *h, struct runner *runner)
{
    struct err e = {0};
    const struct snippet_args args = {.target = MINI_NOWHERE, .count = HAMMERED, .exit_at = MINI_EXIT};
    const struct bus_range port = {SNIPPET_EXIT_PORT, 1, &exit_ops, h, "exit port"};
    const struct bus_range word = {MINI_EXIT, 4, &exit_ops, h, "exit"};
    struct machine *m = &h->machine;

    mini_open(&h->mini);
    mini_load(&h->mini, &snippet_store, args);
    h->host = (struct runner_host){.entered = on_entered, .end = on_end, .gone = on_gone, .arg = h};
    *m = (struct machine){.vcpu = h->vcpu, .runner = runner, .vcpu_count = HAMMERS};
    pthread_mutex_init(&m->lock, NULL);
    bus_init(&m->mmio);
    bus_init(&m->pio);
    assert_int_equal(bus_add(&m->pio, &port, &e), 0);
    assert_int_equal(bus_add(&m->mmio, &word, &e), 0);
    bus_freeze(&m->mmio);
    bus_freeze(&m->pio);
    for (unsigned i = 0; i < HAMMERS; i++) {
        h->vcpu[i] = (struct vcpu)VCPU_INIT;
        if (i && vcpu_create(&h->mini.vm, i, &h->vcpu[i], &e)) fail_msg("%s", e.text);
        if (i) assert_int_equal(snippet_start(h->mini.vm.fd, h->vcpu[i].fd, MINI_RAM, &args), 0);
        runner[i] = (struct runner){
            .vcpu = i ? &h->vcpu[i] : &h->mini.vcpu, .mmio = &m->mmio, .pio = &m->pio, .host = &h->host};
    }
    h->vcpu[0] = h->mini.vcpu; /* a copy, for the kernel's statistics; the mini's is closed */
    assert_int_equal(stats_create(m, &e), 0);
    assert_int_equal(runner_mind_signal(), 0);
}

static void tear_down(struct hammers *h)
{
    stats_destroy(&h->machine);
    for (unsigned i = 1; i < HAMMERS; i++) vcpu_destroy(&h->vcpu[i]);
    mini_close(&h->mini);
    pthread_mutex_destroy(&h->machine.lock);
}

static void start_all(struct hammers *h)
{
    struct err e = {0};
    pthread_mutex_lock(&h->machine.lock);
    for (unsigned i = 0; i < HAMMERS; i++)
        if (runner_start(&h->machine.runner[i], &e)) fail_msg("%s", e.text);
    pthread_mutex_unlock(&h->machine.lock);
}

static void read_while_they_run(struct hammers *h, struct rows *rows)
{
    uint64_t seen[HAMMERS] = {0};
    while (atomic_load(&h->gone) < HAMMERS) {
        take(&h->machine, rows);
        for (int i = 0; i < HAMMERS; i++) {
            const uint64_t now = count_of(find(rows, STATS_CLASS, i, "mmio write"));
            assert_true(now >= seen[i]);
            seen[i] = now;
        }
    }
}

static void four_hammering_vcpus_are_read_while_they_run_and_exact_at_the_end(void **state)
{
    static struct hammers h;
    static struct runner runner[HAMMERS];
    static struct rows rows;
    uint64_t sum = 0;

    (void)state;
    set_up(&h, runner);
    start_all(&h);
    read_while_they_run(&h, &rows);
    for (unsigned i = 0; i < HAMMERS; i++) pthread_join(runner[i].thread, NULL);
    take(&h.machine, &rows);
    for (int i = 0; i < HAMMERS; i++) {
        const struct stats_row *stores = find_register(&rows, i, MINI_NOWHERE);
        assert_int_equal(count_of(stores), HAMMERED);
        assert_int_equal(count_of(find(&rows, STATS_CLASS, i, "kick")), 1);
        sum += count_of(find(&rows, STATS_VCPU, i, "vCPU"));
    }
    assert_int_equal(sum, HAMMERS * (HAMMERED + 2)); /* and the word to debug exit, and the kick */
    assert_int_equal(count_of(find(&rows, STATS_VCPU, -1, "all vCPUs")), sum);
    tear_down(&h);
}

UNIT_MAIN(UNIT(every_store_of_a_counting_guest_is_counted_where_it_went), UNIT(times_are_ordered_as_their_names_say),
          UNIT(the_kernel_counts_the_same_exits), UNIT(record_off_records_nothing),
          UNIT(four_hammering_vcpus_are_read_while_they_run_and_exact_at_the_end))

/* One vCPU's recorder without a vCPU: made-up exits go in, and what a reader sees is what was made up. */
#include "vmm/core/record.h"

#include <pthread.h>

#include "tests/unit/unit.h"

#define HAMMERED 200000 /* exits while a reader looks: several of its rounds under a sanitizer as well */

static struct record *make(void)
{
    struct record *r = record_create();
    assert_non_null(r);
    return r;
}

static void note(struct record *r, enum record_class class, uint64_t addr, uint64_t run, uint64_t handler)
{
    const struct record_exit x = {.class = class,
                                  .has_addr = class <= RECORD_MMIO_WRITE,
                                  .addr = addr,
                                  .from = 1000,
                                  .left = 1000 + run,
                                  .done = 1000 + run + handler};
    record_exit(r, &x);
}

static const struct record_register *find(const struct record *r, enum record_class class, uint64_t addr)
{
    for (unsigned i = 0; i < record_registers(r); i++) {
        const struct record_place at = record_place(record_register_at(r, i));
        if (at.class == class && at.addr == addr) return record_register_at(r, i);
    }
    return NULL;
}

static void an_exit_is_counted_and_timed_in_its_class_alone(void **state)
{
    (void)state;
    struct record *r = make();
    note(r, RECORD_HALT, 0, 700, 30);
    note(r, RECORD_HALT, 0, 900, 10);
    for (unsigned k = 0; k < RECORD_CLASSES; k++) {
        assert_int_equal(r->of[k].handler.count, k == RECORD_HALT ? 2 : 0);
        assert_int_equal(record_has(r, (enum record_class)k), k == RECORD_HALT);
    }
    assert_int_equal(r->of[RECORD_HALT].run.sum, 1600);
    assert_int_equal(r->of[RECORD_HALT].handler.sum, 40);
    assert_int_equal(r->of[RECORD_HALT].run.max, 900);
    assert_int_equal(r->of[RECORD_HALT].first, 1700);
    assert_int_equal(r->of[RECORD_HALT].last, 1900);
    record_destroy(r);
}

static void what_another_has_counted_is_added_class_by_class(void **state)
{
    (void)state;
    struct record *a = make(), *b = make();
    note(a, RECORD_CALL, 0, 700, 30);
    note(b, RECORD_CALL, 0, 5000, 10);
    note(b, RECORD_CALL, 0, 90, 20000);
    note(b, RECORD_FAULT, 0, 1, 2);
    record_add(a, b);
    const struct hist *const run[] = {&a->of[RECORD_CALL].run};
    const struct hists all = {run, 1};
    const double share[] = {0, 0.5, 1};
    uint64_t at[3];
    hists_quantiles(&all, share, 3, at);
    assert_int_equal(at[0], 90);
    assert_int_equal(at[1], 700);
    assert_int_equal(at[2], 5000);
    assert_int_equal(a->of[RECORD_CALL].run.sum, 5790);
    assert_int_equal(a->of[RECORD_CALL].handler.count, 3);
    assert_int_equal(a->of[RECORD_CALL].handler.max, 20000);
    assert_int_equal(a->of[RECORD_CALL].first, 1700);
    assert_int_equal(a->of[RECORD_CALL].last, 1700);
    assert_true(record_has(a, RECORD_FAULT));
    assert_false(record_has(a, RECORD_KICK));
    assert_int_equal(b->of[RECORD_CALL].run.count, 2);
    record_destroy(b);
    record_destroy(a);
}

static void the_same_number_is_another_register_as_port_and_as_address_read_and_written(void **state)
{
    (void)state;
    struct record *r = make();
    for (unsigned k = RECORD_PORT_IN; k <= RECORD_MMIO_WRITE; k++) note(r, (enum record_class)k, 0x3f8, 10 + k, k);
    for (unsigned k = RECORD_PORT_IN; k <= RECORD_MMIO_WRITE; k++) {
        const struct record_register *reg = find(r, (enum record_class)k, 0x3f8);
        assert_non_null(reg);
        assert_int_equal(reg->count, 1);
        assert_int_equal(reg->run, 10 + k);
        assert_int_equal(reg->handler_max, k);
    }
    record_destroy(r);
}

static void the_highest_address_keeps_its_place(void **state)
{
    (void)state;
    const uint64_t highest = (UINT64_C(1) << 52) - 1;
    struct record *r = make();
    note(r, RECORD_MMIO_WRITE, highest, 1, 1);
    note(r, RECORD_PORT_IN, 0, 1, 1);
    assert_non_null(find(r, RECORD_MMIO_WRITE, highest));
    assert_non_null(find(r, RECORD_PORT_IN, 0));
    record_destroy(r);
}

static void registers_beyond_the_table_are_counted_as_lost_and_stay_in_their_class(void **state)
{
    enum { ADDRESSES = 4 * RECORD_REGISTERS };
    (void)state;
    struct record *r = make();
    uint64_t kept = 0;
    for (unsigned round = 0; round < 2; round++)
        for (uint64_t a = 0; a < ADDRESSES; a++) note(r, RECORD_MMIO_READ, a * 4, 5, 5);
    for (unsigned i = 0; i < record_registers(r); i++) kept += record_register_at(r, i)->count;
    assert_int_equal(kept + r->lost, 2 * ADDRESSES);
    assert_true(kept <= 2 * RECORD_REGISTERS && kept > RECORD_REGISTERS);
    assert_int_equal(r->of[RECORD_MMIO_READ].handler.count, 2 * ADDRESSES);
    record_destroy(r);
}

static void a_counter_that_steps_back_makes_no_endless_exit(void **state)
{
    (void)state;
    struct record *r = make();
    const struct record_exit x = {.class = RECORD_OTHER, .from = 500, .left = 400, .done = 450};
    record_exit(r, &x);
    assert_int_equal(r->of[RECORD_OTHER].run.max, 0);
    assert_int_equal(r->of[RECORD_OTHER].handler.max, 50);
    record_destroy(r);
}

static void a_trace_keeps_each_exit_as_it_was_until_it_is_full(void **state)
{
    (void)state;
    struct record_exit kept[2];
    struct record_trace trace = {.exit = kept, .capacity = 2};
    struct record *r = record_create();
    assert_non_null(r);
    r->trace = &trace;
    for (uint64_t i = 0; i < 3; i++) note(r, RECORD_MMIO_WRITE, 0x1000 + i, 10, 5);
    assert_int_equal(trace.count, 2);
    assert_int_equal(kept[1].addr, 0x1001);
    assert_int_equal(kept[1].left - kept[1].from, 10);
    assert_int_equal(kept[1].done - kept[1].left, 5);
    assert_int_equal(r->of[RECORD_MMIO_WRITE].run.count, 3);
    record_destroy(r);
}

static void *hammer(void *arg)
{
    for (uint64_t i = 0; i < HAMMERED; i++) note(arg, RECORD_PORT_OUT, i % 8, 100 + i % 1000, i % 50);
    return NULL;
}

static void what_a_reader_sees_only_grows_and_is_exact_at_the_end(void **state)
{
    (void)state;
    struct record *r = make();
    const struct record_class_stats *c = &r->of[RECORD_PORT_OUT];
    pthread_t writer;
    const double half = 0.5;
    uint64_t count = 0, sum = 0, median;
    assert_int_equal(pthread_create(&writer, NULL, hammer, r), 0);
    while (count < HAMMERED) {
        const uint64_t now = c->handler.count, now_sum = c->run.sum;
        assert_true(now >= count && now_sum >= sum);
        hists_quantiles(&(struct hists){(const struct hist *[]){&c->run}, 1}, &half, 1, &median);
        if (now) assert_in_range(median, 100, 1099);
        count = now;
        sum = now_sum;
    }
    assert_int_equal(pthread_join(writer, NULL), 0);
    assert_int_equal(c->run.count, HAMMERED);
    assert_int_equal(c->run.sum, HAMMERED / 1000 * (100 * 1000 + 999 * 1000 / 2));
    for (uint64_t a = 0; a < 8; a++) assert_int_equal(find(r, RECORD_PORT_OUT, a)->count, HAMMERED / 8);
    assert_int_equal(r->lost, 0);
    record_destroy(r);
}

UNIT_MAIN(UNIT(an_exit_is_counted_and_timed_in_its_class_alone), UNIT(what_another_has_counted_is_added_class_by_class),
          UNIT(the_same_number_is_another_register_as_port_and_as_address_read_and_written),
          UNIT(the_highest_address_keeps_its_place),
          UNIT(registers_beyond_the_table_are_counted_as_lost_and_stay_in_their_class),
          UNIT(a_counter_that_steps_back_makes_no_endless_exit),
          UNIT(a_trace_keeps_each_exit_as_it_was_until_it_is_full),
          UNIT(what_a_reader_sees_only_grows_and_is_exact_at_the_end))

/* Tracepoints without a kernel: formats as kernels have them, made-up records, made-up tables of symbols. */
#include <elf.h>
#include <stdio.h>

#include "tests/unit/unit.h"
#include "vmm/cli/trace_format.c"
#include "vmm/cli/trace_join.c"

/* ---- formats ---- */

static const char x86[] = "name: kvm_exit\nID: 1473\nformat:\n"
                          "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"
                          "\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n"
                          "\tfield:unsigned int exit_reason;\toffset:8;\tsize:4;\tsigned:0;\n"
                          "\tfield:unsigned long guest_rip;\toffset:16;\tsize:8;\tsigned:0;\n"
                          "\tfield:u32 isa;\toffset:24;\tsize:4;\tsigned:0;\n"
                          "\tfield:char name[16];\toffset:28;\tsize:16;\tsigned:0;\n\n"
                          "print fmt: \"reason %s\", (REC->isa == 1) ? __print_symbolic(REC->exit_reason & 0xffff, "
                          "{ 10, \"CPUID\" }, { 30, \"IO_\" \"INSTRUCTION\" }) : __print_symbolic(REC->exit_reason, "
                          "{ 0x072, \"cpuid\" }, { 0x040 + 14, \"PF excp\" }, { -1, \"invalid_guest_state\" }), 0\n";

static struct trace_format f;

static void fields_are_where_the_text_says(void **state)
{
    (void)state;
    assert_true(trace_format_read(&f, x86));
    assert_int_equal(f.id, 1473);
    const struct trace_field *rip = trace_field(&f, "guest_rip");
    assert_non_null(rip);
    assert_int_equal(rip->offset, 16);
    assert_int_equal(rip->size, 8);
    assert_non_null(trace_field(&f, "name"));
    assert_null(trace_field(&f, "rip"));
}

static void a_value_is_named_by_the_list_of_its_processor(void **state)
{
    (void)state;
    assert_true(trace_format_read(&f, x86));
    assert_string_equal(trace_name(&f, "exit_reason", 0, 10), "CPUID");
    assert_string_equal(trace_name(&f, "exit_reason", 0, 30), "IO_INSTRUCTION");
    assert_string_equal(trace_name(&f, "exit_reason", 1, 0x72), "cpuid");
    assert_string_equal(trace_name(&f, "exit_reason", 1, 78), "PF excp");
    assert_string_equal(trace_name(&f, "exit_reason", 1, UINT64_MAX), "invalid_guest_state");
    assert_null(trace_name(&f, "exit_reason", 1, 10));
    assert_null(trace_name(&f, "exit_reason", 2, 10));
    assert_null(trace_name(&f, "isa", 0, 10));
}

static void a_field_may_have_another_list_than_the_one_beside_it(void **state)
{
    (void)state;
    assert_true(trace_format_read(&f,
                                  "ID: 61\n\tfield:int ret;\toffset:8;\tsize:4;\tsigned:1;\n"
                                  "print fmt: \"%s\", __print_symbolic(REC->ret, {0, \"IRQ\" }, {2, \"TRAP\" }), "
                                  "__print_symbolic(REC->esr_ec, { (0x01), \"WFx\" }, { (0x24), \"DABT_LOW\" })\n"));
    assert_string_equal(trace_name(&f, "ret", 0, 2), "TRAP");
    assert_string_equal(trace_name(&f, "esr_ec", 0, 1), "WFx");
    assert_string_equal(trace_name(&f, "esr_ec", 0, 0x24), "DABT_LOW");
    assert_null(trace_name(&f, "ret", 0, 1));
}

static void a_value_beyond_the_record_is_none(void **state)
{
    (void)state;
    uint8_t record[24] = {[8] = 0x7b, [9] = 1, [16] = 0x38, [23] = 0xff};
    uint64_t value = 7;
    assert_true(trace_format_read(&f, x86));
    assert_true(trace_value(trace_field(&f, "exit_reason"), record, sizeof(record), &value));
    assert_int_equal(value, 0x17b);
    assert_true(trace_value(trace_field(&f, "guest_rip"), record, sizeof(record), &value));
    assert_true(value == 0xff00000000000038);
    assert_false(trace_value(trace_field(&f, "isa"), record, sizeof(record), &value));
    assert_false(trace_value(trace_field(&f, "guest_rip"), record, 23, &value));
    assert_false(trace_value(trace_field(&f, "name"), record, sizeof(record), &value));
}

static void what_is_no_format_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "ID: 5\n",
        "field:int a;\toffset:0;\tsize:4;\tsigned:1;\n",
        "ID: 5\n\tfield:int a;\tsize:4;\n",
        "ID: 5\n\tfield:int a\toffset:0\n",
        "ID: 5\n\tfield:int a;\toffset:99999999;\tsize:4;\tsigned:1;\n",
        "ID: 5\n\tfield:int a;\toffset:0;\tsize:4;\nprint fmt: __print_symbolic(REC->a, { x, \"y\" })\n",
        "ID: 5\n\tfield:int a;\toffset:0;\tsize:4;\nprint fmt: __print_symbolic(REC->a, { 1, \"y })\n",
        "ID: 5\n\tfield:int a;\toffset:0;\tsize:4;\nprint fmt: __print_symbolic(REC->a",
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        if (trace_format_read(&f, texts[i])) fail_msg("taken: %s", texts[i]);
}

static void a_format_without_names_is_one(void **state)
{
    (void)state;
    assert_true(trace_format_read(&f, "ID: 5\n\tfield:int a;\toffset:0;\tsize:4;\nprint fmt: \"%d\", REC->a\n"));
    assert_int_equal(f.lists, 0);
}

/* ---- joined ---- */

static struct trace_join j;
static struct trace_vcpu v;

static void begin(void)
{
    memset(&v, 0, sizeof(v));
    assert_true(trace_join_init(&j));
}

static void give(enum trace_kind kind, uint64_t ns, uint64_t reason, uint64_t address)
{
    const struct trace_event e = {.kind = kind, .ns = ns, .reason = reason, .address = address};
    trace_join_event(&j, &v, &e);
}

static const struct trace_row *row(uint64_t reason, bool is_ours)
{
    for (unsigned i = 0; i < j.rows; i++)
        if (j.row[i].reason == reason && j.row[i].is_ours == is_ours) return &j.row[i];
    return NULL;
}

static void an_exit_lasts_until_the_guest_is_entered_again(void **state)
{
    (void)state;
    begin();
    give(TRACE_EXIT, 1000, 10, 0x40);
    give(TRACE_ENTRY, 1700, 0, 0);
    give(TRACE_EXIT, 2000, 30, 0x50);
    give(TRACE_LEAVE, 2300, 0, 0);
    give(TRACE_ENTRY, 9000, 0, 0);
    assert_int_equal(j.rows, 2);
    assert_int_equal(row(10, false)->total, 700);
    assert_int_equal(row(10, false)->ours, 0);
    assert_int_equal(row(30, true)->total, 7000);
    assert_int_equal(row(30, true)->ours, 6700);
    assert_int_equal(trace_row_quantile(row(30, true), 0.5), 7000);
    assert_int_equal(v.count, 2);
    assert_int_equal(v.total, 7700);
    trace_join_fini(&j);
}

static void the_same_reason_is_told_apart_by_who_handled_it(void **state)
{
    (void)state;
    begin();
    for (unsigned i = 0; i < 10; i++) {
        give(TRACE_EXIT, 1000 * i, 5, 0x40);
        if (i % 2) give(TRACE_LEAVE, 1000 * i + 100, 0, 0);
        give(TRACE_ENTRY, 1000 * i + 200, 0, 0);
    }
    assert_int_equal(row(5, false)->count, 5);
    assert_int_equal(row(5, true)->count, 5);
    trace_join_fini(&j);
}

static void an_exit_whose_end_was_lost_is_counted_as_that(void **state)
{
    (void)state;
    begin();
    give(TRACE_ENTRY, 10, 0, 0); /* the window begins within an exit */
    give(TRACE_LEAVE, 20, 0, 0);
    give(TRACE_EXIT, 1000, 1, 0x40);
    give(TRACE_EXIT, 2000, 2, 0x40);
    give(TRACE_ENTRY, 2100, 0, 0);
    give(TRACE_EXIT, 3000, 3, 0x40); /* and ends within another */
    assert_int_equal(j.rows, 1);
    assert_int_equal(row(2, false)->total, 100);
    assert_int_equal(v.broken, 1);
    assert_int_equal(v.count, 1);
    trace_join_fini(&j);
}

static void time_that_steps_back_lasts_nothing(void **state)
{
    (void)state;
    begin();
    give(TRACE_EXIT, 1000, 1, 0x40);
    give(TRACE_ENTRY, 900, 0, 0);
    assert_int_equal(row(1, false)->total, 0);
    trace_join_fini(&j);
}

static void places_are_sorted_by_count_and_have_the_reason_of_most(void **state)
{
    (void)state;
    begin();
    for (unsigned i = 0; i < 300; i++) {
        give(TRACE_EXIT, i * 10, i % 3 ? 7 : 8, i % 10 ? 0xffffffff81000000 : 0x40);
        give(TRACE_ENTRY, i * 10 + 1 + i % 3, 0, 0);
    }
    trace_join_sort(&j);
    assert_true(j.place[0].address == 0xffffffff81000000);
    assert_int_equal(j.place[0].count, 270);
    assert_int_equal(j.place[0].reason, 7);
    assert_int_equal(j.place[1].address, 0x40);
    assert_int_equal(j.place[1].count, 30);
    assert_int_equal(j.place[2].count, 0);
    assert_int_equal(j.row[0].reason, 7);
    trace_join_fini(&j);
}

static void more_reasons_and_places_than_there_is_room_for_are_counted(void **state)
{
    (void)state;
    begin();
    const unsigned all = TRACE_PLACES_MAX + 1000;
    for (unsigned i = 0; i < all; i++) {
        give(TRACE_EXIT, i * 10ull, i % (TRACE_ROWS_MAX + 10), 0x1000 + i);
        give(TRACE_ENTRY, i * 10ull + 1, 0, 0);
    }
    assert_int_equal(j.rows, TRACE_ROWS_MAX);
    assert_int_equal(v.count, all);
    uint64_t placed = 0;
    for (unsigned i = 0; i < TRACE_PLACES_MAX; i++) placed += j.place[i].count;
    assert_true(placed < all && j.unplaced >= all - placed);
    trace_join_fini(&j);
}

UNIT_MAIN(UNIT(fields_are_where_the_text_says), UNIT(a_value_is_named_by_the_list_of_its_processor),
          UNIT(a_field_may_have_another_list_than_the_one_beside_it), UNIT(a_value_beyond_the_record_is_none),
          UNIT(what_is_no_format_is_refused), UNIT(a_format_without_names_is_one),
          UNIT(an_exit_lasts_until_the_guest_is_entered_again), UNIT(the_same_reason_is_told_apart_by_who_handled_it),
          UNIT(an_exit_whose_end_was_lost_is_counted_as_that), UNIT(time_that_steps_back_lasts_nothing),
          UNIT(places_are_sorted_by_count_and_have_the_reason_of_most),
          UNIT(more_reasons_and_places_than_there_is_room_for_are_counted))

/* Every snippet does what snippets.h says, on a bare vCPU. */
#include "tests/kvm/mini.h"

#include <errno.h>

#define COUNT     5
#define STATUS    77
#define VALUE     'x'
#define READ      0x5a
#define EXIT_MS   60000 /* an exit comes within microseconds; this is for a crowded emulated host */
#define SPIN_MS   20
#define EXITS_MAX 50

static struct mini mini;

static void open_with(const char *name, struct snippet_args args)
{
    const struct snippet *s = mini_snippet(name);

    assert_non_null(s);
    mini_open(&mini);
    mini_load(&mini, s, args);
}

/* The next exit, which must come. */
static const struct kvm_run *next_exit(void)
{
    assert_int_equal(mini_run(&mini, EXIT_MS), 0);
    return mini.vcpu.run;
}

static void ends_with(uint8_t want)
{
    uint8_t status = 0;

    next_exit();
    assert_true(mini_has_ended(&mini, &status));
    assert_int_equal(status, want);
    mini_close(&mini);
}

static void exit_ends_with_its_status(void **state)
{
    (void)state;
    open_with("exit", (struct snippet_args){.status = STATUS});
    ends_with(STATUS);
}

static void stores(const char *name, unsigned count)
{
    open_with(name, (struct snippet_args){.target = MINI_NOWHERE, .value = VALUE, .count = COUNT, .status = STATUS});
    for (unsigned i = 0; i < count; i++) {
        const struct kvm_run *run = next_exit();
        assert_int_equal(run->exit_reason, KVM_EXIT_MMIO);
        assert_int_equal(run->mmio.phys_addr, MINI_NOWHERE);
        assert_true(run->mmio.is_write);
        assert_int_equal(run->mmio.len, 1);
        assert_int_equal(run->mmio.data[0], VALUE);
    }
}

static void store_stores_count_times_then_ends(void **state)
{
    (void)state;
    stores("store", COUNT);
    ends_with(STATUS);
}

static void store_forever_does_not_end(void **state)
{
    (void)state;
    stores("store_forever", EXITS_MAX);
    mini_close(&mini);
}

static void load_ends_with_what_it_read_last(void **state)
{
    (void)state;
    open_with("load", (struct snippet_args){.target = MINI_NOWHERE, .count = COUNT});
    for (unsigned i = 0; i < COUNT; i++) {
        const struct kvm_run *run = next_exit();
        assert_int_equal(run->exit_reason, KVM_EXIT_MMIO);
        assert_false(run->mmio.is_write);
        assert_int_equal(run->mmio.len, 1);
        mini.vcpu.run->mmio.data[0] = i + 1 == COUNT ? READ : 0;
    }
    ends_with(READ);
}

static void tick_counts_until_it_is_interrupted(void **state)
{
    (void)state;
    open_with("tick", (struct snippet_args){.target = MINI_DATA});
    mini_run_until_it_ticks(&mini);
    mini_run_until_it_ticks(&mini);
    mini_close(&mini);
}

static void spin_makes_no_exit(void **state)
{
    (void)state;
    open_with("spin", (struct snippet_args){0});
    assert_int_equal(mini_run(&mini, SPIN_MS), -EINTR);
    mini_close(&mini);
}

/* What it is told is the matter of test_x86_steal and test_arm64_steal: those have a record, and a rival. */
static void steal_goes_on_to_spin(void **state)
{
    (void)state;
    open_with("steal", (struct snippet_args){.target = MINI_DATA});
    assert_int_equal(mini_run(&mini, SPIN_MS), -EINTR);
    mini_close(&mini);
}

/* What is in it is the matter of test_x86_held. */
static void clock_goes_on_to_spin(void **state)
{
    (void)state;
    open_with("clock", (struct snippet_args){.target = MINI_DATA});
    assert_int_equal(mini_run(&mini, SPIN_MS), -EINTR);
    mini_close(&mini);
}

/* Without an interrupt controller in the kernel x86 hands the halt out; arm64 sleeps in the kernel. */
static void halt_never_goes_on(void **state)
{
    (void)state;
    open_with("halt", (struct snippet_args){0});
    for (int i = 0; i < 3; i++) {
        const int rc = mini_run(&mini, SPIN_MS);
        if (!rc)
            assert_int_equal(mini.vcpu.run->exit_reason, KVM_EXIT_HLT);
        else
            assert_int_equal(rc, -EINTR);
    }
    mini_close(&mini);
}

static void outs(const char *name, unsigned count, const char *bytes)
{
    memcpy(mini.ram + (MINI_DATA - MINI_RAM), bytes, strlen(bytes));
    for (unsigned i = 0; i < count;) {
        const struct kvm_run *run = next_exit();
        assert_int_equal(run->exit_reason, KVM_EXIT_IO);
        assert_int_equal(run->io.port, 0x80);
        assert_int_equal(run->io.size, 1);
        assert_int_equal(run->io.direction, KVM_EXIT_IO_OUT);
        for (unsigned j = 0; j < run->io.count; j++, i++)
            assert_int_equal(((const char *)run)[run->io.data_offset + j], bytes[strcmp(name, "print") ? 0 : i]);
    }
}

static void out_writes_count_times_then_ends(void **state)
{
    (void)state;
    open_with("out", (struct snippet_args){.target = 0x80, .value = VALUE, .count = COUNT, .status = STATUS});
    outs("out", COUNT, "x");
    ends_with(STATUS);
}

static void out_forever_does_not_end(void **state)
{
    (void)state;
    open_with("out_forever", (struct snippet_args){.target = 0x80, .value = VALUE});
    outs("out_forever", EXITS_MAX, "x");
    mini_close(&mini);
}

static void print_writes_the_text(void **state)
{
    (void)state;
    open_with("print", (struct snippet_args){.target = 0x80, .text = MINI_DATA, .count = COUNT, .status = STATUS});
    outs("print", COUNT, "hello");
    ends_with(STATUS);
}

static void in_ends_with_what_it_read_last(void **state)
{
    (void)state;
    open_with("in", (struct snippet_args){.target = 0x80, .count = COUNT});
    for (unsigned i = 0; i < COUNT; i++) {
        const struct kvm_run *run = next_exit();
        assert_int_equal(run->exit_reason, KVM_EXIT_IO);
        assert_int_equal(run->io.direction, KVM_EXIT_IO_IN);
        ((uint8_t *)mini.vcpu.run)[run->io.data_offset] = i + 1 == COUNT ? READ : 0;
    }
    ends_with(READ);
}

/* A vCPU without KVM_SET_CPUID2 has no leaves: all registers come back 0. */
static void cpuid_makes_no_exit_and_ends(void **state)
{
    (void)state;
    open_with("cpuid", (struct snippet_args){.value = 0, .count = COUNT, .status = STATUS});
    ends_with(0);
}

static void triple_fault_is_a_shutdown(void **state)
{
    (void)state;
    open_with("triple_fault", (struct snippet_args){0});
    assert_int_equal(next_exit()->exit_reason, KVM_EXIT_SHUTDOWN);
    mini_close(&mini);
}

static void psci_system_off_is_a_system_event(void **state)
{
    (void)state;
    open_with("psci", (struct snippet_args){.value = 0x84000008});
    const struct kvm_run *run = next_exit();
    assert_int_equal(run->exit_reason, KVM_EXIT_SYSTEM_EVENT);
    assert_int_equal(run->system_event.type, KVM_SYSTEM_EVENT_SHUTDOWN);
    mini_close(&mini);
}

/* Each snippet's promise; a test is run where there is its snippet, and a snippet without a test is a failure. */
static const struct {
    const char *snippet;
    struct CMUnitTest test;
} promises[] = {
    {"exit", UNIT(exit_ends_with_its_status)},
    {"store", UNIT(store_stores_count_times_then_ends)},
    {"store_forever", UNIT(store_forever_does_not_end)},
    {"load", UNIT(load_ends_with_what_it_read_last)},
    {"tick", UNIT(tick_counts_until_it_is_interrupted)},
    {"spin", UNIT(spin_makes_no_exit)},
    {"steal", UNIT(steal_goes_on_to_spin)},
    {"clock", UNIT(clock_goes_on_to_spin)},
    {"halt", UNIT(halt_never_goes_on)},
    {"out", UNIT(out_writes_count_times_then_ends)},
    {"out_forever", UNIT(out_forever_does_not_end)},
    {"print", UNIT(print_writes_the_text)},
    {"in", UNIT(in_ends_with_what_it_read_last)},
    {"cpuid", UNIT(cpuid_makes_no_exit_and_ends)},
    {"triple_fault", UNIT(triple_fault_is_a_shutdown)},
    {"psci", UNIT(psci_system_off_is_a_system_event)},
};

static size_t count_here;

static void every_snippet_has_a_test(void **state)
{
    size_t count = 0;

    (void)state;
    while (snippet_list[count]) count++;
    assert_int_equal(count_here, count);
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(promises) + 1];

    for (size_t i = 0; i < COUNT_OF(promises); i++) {
        if (mini_snippet(promises[i].snippet)) tests[count_here++] = promises[i].test;
    }
    tests[count_here] = (struct CMUnitTest)UNIT(every_snippet_has_a_test);
    return _cmocka_run_group_tests("snippets", tests, count_here + 1, NULL, NULL);
}

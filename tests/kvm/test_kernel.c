/* The behaviour of KVM that run loop and doorbells are built on. Where a kernel differs, this says so first. */
#include "tests/kvm/mini.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define COUNT   7
#define STATUS  77
#define READ    0x5a
#define EXIT_MS 60000 /* an exit comes within microseconds; this is for a crowded emulated host */

static struct mini mini;

static void open_with(const struct snippet *s, struct snippet_args args)
{
    mini_open(&mini);
    mini_load(&mini, s, args);
}

static void must_end_with(uint8_t want)
{
    uint8_t status = 0;

    assert_int_equal(mini_run(&mini, EXIT_MS), 0);
    assert_true(mini_has_ended(&mini, &status));
    assert_int_equal(status, want);
}

/* A kick that comes before KVM_RUN is not lost. */
static void immediate_exit_returns_before_the_first_instruction(void **state)
{
    (void)state;
    open_with(&snippet_tick, (struct snippet_args){.target = MINI_DATA});
    mini.vcpu.run->immediate_exit = 1;
    for (int i = 0; i < 3; i++) assert_int_equal(mini_run(&mini, EXIT_MS), -EINTR);
    assert_int_equal(mini_word(&mini), 0);
    mini_close(&mini);
}

static void a_signal_ends_a_run_and_the_guest_goes_on_after_it(void **state)
{
    (void)state;
    open_with(&snippet_tick, (struct snippet_args){.target = MINI_DATA});
    mini_run_until_it_ticks(&mini);
    mini_run_until_it_ticks(&mini);
    mini_close(&mini);
}

/* What a paused vCPU counts on: with immediate_exit, KVM_RUN completes the load and nothing more. */
static void a_load_is_finished_by_the_next_run_even_if_that_exits_at_once(void **state)
{
    (void)state;
    open_with(&snippet_load, (struct snippet_args){.target = MINI_NOWHERE, .count = 1});
    assert_int_equal(mini_run(&mini, EXIT_MS), 0);
    assert_int_equal(mini.vcpu.run->exit_reason, KVM_EXIT_MMIO);
    mini.vcpu.run->mmio.data[0] = READ;
    mini.vcpu.run->immediate_exit = 1;
    assert_int_equal(mini_run(&mini, EXIT_MS), -EINTR);
    mini.vcpu.run->mmio.data[0] = (uint8_t)~READ; /* must not be looked at any more */
    mini.vcpu.run->immediate_exit = 0;
    must_end_with(READ);
    mini_close(&mini);
}

static void a_store_is_not_repeated_after_it_was_finished_with_immediate_exit(void **state)
{
    (void)state;
    open_with(&snippet_store, (struct snippet_args){.target = MINI_NOWHERE, .count = 2, .status = STATUS});
    for (int i = 0; i < 2; i++) {
        assert_int_equal(mini_run(&mini, EXIT_MS), 0);
        assert_int_equal(mini.vcpu.run->exit_reason, KVM_EXIT_MMIO);
        assert_int_equal(mini.vcpu.run->mmio.phys_addr, MINI_NOWHERE);
        mini.vcpu.run->immediate_exit = 1;
        assert_int_equal(mini_run(&mini, EXIT_MS), -EINTR);
        mini.vcpu.run->immediate_exit = 0;
    }
    must_end_with(STATUS);
    mini_close(&mini);
}

/* A doorbell: the store is swallowed by the kernel and counted, the next exit is the one behind it. */
static void a_store_to_an_ioeventfd_signals_it_and_makes_no_exit(void **state)
{
    struct err e = {0};
    uint64_t rings = 0;
    const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const struct vm_ioeventfd bell = {.addr = MINI_NOWHERE, .len = 1, .fd = fd};

    (void)state;
    open_with(&snippet_store, (struct snippet_args){.target = MINI_NOWHERE, .count = COUNT, .status = STATUS});
    assert_int_equal(vm_ioeventfd(&mini.vm, &bell, true, &e), 0);
    must_end_with(STATUS);
    assert_int_equal(read(fd, &rings, sizeof(rings)), sizeof(rings));
    assert_int_equal(rings, COUNT);
    mini_close(&mini);
    close(fd);
}

/* Only the queue whose number is written may be woken. */
static void an_ioeventfd_with_datamatch_hears_no_other_value(void **state)
{
    struct err e = {0};
    uint64_t rings = 0;
    const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const struct vm_ioeventfd bell = {.addr = MINI_NOWHERE, .len = 1, .has_datamatch = true, .datamatch = 1, .fd = fd};

    (void)state;
    open_with(&snippet_store, (struct snippet_args){.target = MINI_NOWHERE, .value = 2, .count = 1, .status = STATUS});
    assert_int_equal(vm_ioeventfd(&mini.vm, &bell, true, &e), 0);
    assert_int_equal(mini_run(&mini, EXIT_MS), 0);
    assert_int_equal(mini.vcpu.run->exit_reason, KVM_EXIT_MMIO);
    assert_int_equal(mini.vcpu.run->mmio.data[0], 2);
    must_end_with(STATUS);
    assert_int_equal(read(fd, &rings, sizeof(rings)), -1);
    assert_int_equal(errno, EAGAIN);
    mini_close(&mini);
    close(fd);
}

/* What the guest wrote is in our mapping when it has exited, and the reverse: one memory, not two. */
static void guest_and_host_see_the_same_memory(void **state)
{
    const uint32_t before = 1000000000;

    (void)state;
    open_with(&snippet_tick, (struct snippet_args){.target = MINI_DATA});
    memcpy(mini.ram + (MINI_DATA - MINI_RAM), &before, sizeof(before));
    mini_run_until_it_ticks(&mini);
    assert_true(mini_word(&mini) > before);
    mini_close(&mini);
}

UNIT_MAIN(UNIT(immediate_exit_returns_before_the_first_instruction),
          UNIT(a_signal_ends_a_run_and_the_guest_goes_on_after_it),
          UNIT(a_load_is_finished_by_the_next_run_even_if_that_exits_at_once),
          UNIT(a_store_is_not_repeated_after_it_was_finished_with_immediate_exit),
          UNIT(a_store_to_an_ioeventfd_signals_it_and_makes_no_exit),
          UNIT(an_ioeventfd_with_datamatch_hears_no_other_value), UNIT(guest_and_host_see_the_same_memory))

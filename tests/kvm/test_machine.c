/* Whole machines on /dev/kvm, each with a snippet for its kernel: start, pause, resume, stop and end, while busy and
 * often, and nothing left behind. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "arch/arch.h"
#include "tests/kvm/guest.h"
#include "tests/kvm/holdings.h"
#include "tests/kvm/mini.h"
#include "vmm/machine/state.h"

#define STATUS      77
#define ROUNDS      1000  /* what the promises say; TEST_ROUNDS in the environment: fewer, for emulated hosts */
#define WARM_UP     10    /* rounds after which libraries and KVM hold what they hold for good */
#define TRIES       50000 /* of TRY_US each: the same for a guest that should go on */
#define TRY_US      200
#define STILL_NS    20000      /* how long a paused guest is watched: some dozen instructions where they are slowest */
#define WORD_OFFSET 0x180000   /* in RAM, behind the image of a snippet and before the end of 4 MiB */
#define ARM64_EXIT  0x09020000 /* debug exit there; x86 snippets know their port */
#define ARM64_UART  0x09000000 /* the console's data register */
#define COM1        0x3f8      /* the same on x86 */
#define BYTES       5000       /* as long as some hundred pauses */
#define NOWHERE                                                                                                        \
    (arch_info.virtio_base + 0x10000) /* in the devices' hole, behind the last device of a machine without any */

static int rounds(void)
{
    const char *fewer = getenv("TEST_ROUNDS");
    return fewer ? atoi(fewer) : ROUNDS;
}

static uint64_t word_gpa(void)
{
    return arch_info.ram_base + WORD_OFFSET;
}

/* A machine of two vCPUs with the snippet as its kernel, built and not started. Its console goes to console_fd. */
static struct machine *build(const struct snippet *s, const struct snippet_args *args, int console_fd)
{
    struct machine *m = NULL;
    struct config c;
    struct err e = {0};

    guest_needs_kvm();
    const int fd = guest_file_of(s, args);
    config_init(&c, machine_devices);
    guest_set(&c, "kernel", "/proc/self/fd/%d", fd);
    guest_set(&c, "memory", "4M");
    guest_set(&c, "cpus", "2");
    if (console_fd < 0)
        guest_set(&c, "console", "off");
    else
        guest_set(&c, "console", "file=/proc/self/fd/%d", console_fd);
    if (machine_create(&m, &c, NULL, &e)) fail_msg("%s", e.text);
    config_fini(&c);
    close(fd);
    return m;
}

static struct machine *start_with_console(const struct snippet *s, const struct snippet_args *args, int console_fd)
{
    struct machine *m = build(s, args, console_fd);
    struct err e = {0};

    if (machine_start(m, &e)) fail_msg("%s", e.text);
    return m;
}

static struct machine *start(const struct snippet *s, const struct snippet_args *args)
{
    return start_with_console(s, args, -1);
}

static struct machine *start_ticking(void)
{
    return start(&snippet_tick, &(struct snippet_args){.target = word_gpa()});
}

static uint32_t word(const struct machine *m)
{
    const uint32_t *at = gmem_slice(&m->mem, word_gpa(), sizeof(*at), GMEM_READ);
    assert_non_null(at);
    return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static void must_go_on(const struct machine *m, uint32_t from)
{
    for (int i = 0; i < TRIES && word(m) == from; i++) usleep(TRY_US);
    assert_int_not_equal(word(m), from);
}

static void must_stand_still(const struct machine *m)
{
    const struct timespec pause = {.tv_nsec = STILL_NS};
    const uint32_t before = word(m);

    nanosleep(&pause, NULL);
    assert_int_equal(word(m), before);
}

static void must_end(struct machine *m, enum end_reason reason, uint32_t value)
{
    struct ending end;
    struct pollfd event = {.fd = machine_event_fd(m), .events = POLLIN};

    assert_int_equal(machine_wait(m, GUEST_END_MS, &end), 0);
    assert_int_equal(end.reason, reason);
    assert_int_equal(end.value, value);
    assert_int_equal(poll(&event, 1, 0), 1);
    machine_destroy(m);
}

/* Between its creation and its start, which empties it: nobody's disk is lost so. */
static void a_consoles_file_is_nobodys_disk_before_the_start_either(void **state)
{
    struct machine *other = NULL;
    struct config c;
    struct err e = {0};
    (void)state;
    const int fd = memfd_create("console", MFD_CLOEXEC);
    assert_int_equal(ftruncate(fd, 1 << 20), 0);
    struct machine *m = build(&snippet_tick, &(struct snippet_args){.target = word_gpa()}, fd);
    config_init(&c, machine_devices);
    guest_set(&c, "console", "off");
    guest_set(&c, "disk", "path=/proc/self/fd/%d", fd);
    assert_int_equal(machine_create(&other, &c, NULL, &e), -EBUSY);
    assert_non_null(strstr(e.text, "in use by another VM"));
    assert_null(other);
    machine_destroy(m);
    assert_int_equal(lseek(fd, 0, SEEK_END), 1 << 20); /* it was not started */
    if (machine_create(&other, &c, NULL, &e)) fail_msg("%s", e.text);
    machine_destroy(other);
    config_fini(&c);
    close(fd);
}

/* ---- ends ---- */

static void the_guests_status_is_the_end(void **state)
{
    (void)state;
    must_end(start(&snippet_exit, &(struct snippet_args){.status = STATUS, .exit_at = ARM64_EXIT}), END_GUEST_STATUS,
             STATUS);
}

/* Floating buses: such an access is the guest's mistake and nobody else's. */
static void accesses_where_nothing_is_read_as_ones_and_change_nothing(void **state)
{
    (void)state;
    must_end(start(&snippet_load, &(struct snippet_args){.target = NOWHERE, .count = 100, .exit_at = ARM64_EXIT}),
             END_GUEST_STATUS, 0xff);
    must_end(start(&snippet_store,
                   &(struct snippet_args){
                       .target = NOWHERE, .value = 1, .count = 100, .status = STATUS, .exit_at = ARM64_EXIT}),
             END_GUEST_STATUS, STATUS);
}

/* As many as it likes: the end still has its own. */
static void a_guests_milestones_do_not_crowd_out_the_end(void **state)
{
    const struct snippet *out = mini_snippet("out");
    const struct snippet_args args = {.target = out ? SNIPPET_EXIT_PORT + 1 : ARM64_EXIT + 1,
                                      .value = 7,
                                      .count = 2 * MACHINE_MILESTONES,
                                      .status = STATUS,
                                      .exit_at = ARM64_EXIT};
    struct machine_milestone at, last = {0};
    struct ending end;

    (void)state;
    struct machine *m = start(out ? out : &snippet_store, &args);
    assert_int_equal(machine_wait(m, GUEST_END_MS, &end), 0);
    for (unsigned i = 0; machine_milestone(m, i, &at); i++) {
        assert_true(at.ns >= last.ns);
        last = at;
    }
    machine_destroy(m);
    assert_int_equal(end.value, STATUS);
    assert_string_equal(last.name, "ended");
}

static void a_stopped_guest_ends_as_stopped(void **state)
{
    (void)state;
    struct machine *m = start_ticking();
    must_go_on(m, 0);
    machine_end(m, END_STOPPED, "asked");
    must_end(m, END_STOPPED, 0);
}

static void the_first_reason_wins(void **state)
{
    (void)state;
    struct machine *m = start_ticking();
    machine_end(m, END_TIMEOUT, "first");
    machine_end(m, END_STOPPED, "second");
    must_end(m, END_TIMEOUT, 0);
}

static void a_paused_guest_can_be_stopped(void **state)
{
    (void)state;
    struct machine *m = start_ticking();
    assert_int_equal(machine_pause(m), 0);
    machine_end(m, END_STOPPED, "asked");
    must_end(m, END_STOPPED, 0);
}

static void waiting_ends_in_time_while_the_guest_runs(void **state)
{
    (void)state;
    struct ending end;
    struct machine *m = start_ticking();
    assert_int_equal(machine_wait(m, 1, &end), -ETIMEDOUT);
    machine_destroy(m); /* stops it first */
}

static void two_machines_run_side_by_side_and_end_apart(void **state)
{
    (void)state;
    struct machine *one = start_ticking(), *two = start_ticking();
    must_go_on(one, 0);
    must_go_on(two, 0);
    assert_int_equal(machine_pause(one), 0);
    machine_end(two, END_STOPPED, "asked");
    must_end(two, END_STOPPED, 0);
    must_stand_still(one);
    const uint32_t before = word(one);
    assert_int_equal(machine_resume(one), 0);
    must_go_on(one, before);
    machine_destroy(one);
}

/* ---- pause and resume ---- */

static void pause_and_resume(struct machine *m, bool does_tick)
{
    for (int i = 0; i < rounds(); i++) {
        assert_int_equal(machine_pause(m), 0);
        const uint32_t before = word(m);
        if (does_tick) must_stand_still(m);
        assert_int_equal(machine_resume(m), 0);
        if (does_tick && i % 10 == 0) must_go_on(m, before);
    }
    machine_end(m, END_STOPPED, "asked");
    must_end(m, END_STOPPED, 0);
}

static void a_busy_guest_is_paused_and_resumed_1000_times(void **state)
{
    (void)state;
    struct machine *m = start_ticking();
    must_go_on(m, 0);
    pause_and_resume(m, true);
}

static void a_guest_that_only_exits_is_paused_and_resumed_1000_times(void **state)
{
    (void)state;
    pause_and_resume(start(&snippet_store_forever, &(struct snippet_args){.target = NOWHERE}), false);
}

static void a_sleeping_guest_is_paused_and_resumed_1000_times(void **state)
{
    (void)state;
    pause_and_resume(start(&snippet_halt, &(struct snippet_args){0}), false);
}

/* Every byte leaves the guest as an exit, and pauses land before, in and behind them: one that was not finished would
 * be missing in the console's file, one that was repeated would be there twice. */
static void no_exit_is_lost_or_repeated_by_pauses(void **state)
{
    const struct snippet *out = mini_snippet("out");
    const struct snippet_args args = {
        .target = out ? COM1 : ARM64_UART, .value = 'x', .count = BYTES, .status = STATUS, .exit_at = ARM64_EXIT};
    struct ending end;

    (void)state;
    const int fd = memfd_create("console", MFD_CLOEXEC);
    struct machine *m = start_with_console(out ? out : &snippet_store, &args, fd);
    while (machine_pause(m) == 0 && machine_resume(m) == 0) {
    }
    assert_int_equal(machine_wait(m, GUEST_END_MS, &end), 0);
    machine_destroy(m);
    assert_int_equal(end.reason, END_GUEST_STATUS);
    assert_int_equal(end.value, STATUS);
    assert_int_equal(lseek(fd, 0, SEEK_END), BYTES);
    close(fd);
}

/* ---- nothing is left behind ---- */

static void a_thousand_rounds_leave_nothing(void (*round)(void))
{
    for (int i = 0; i < WARM_UP; i++) round();
    const struct holdings before = holdings_now();
    for (int i = 0; i < rounds(); i++) round();
    const struct holdings after = holdings_now();
    assert_int_equal(after.fds, before.fds);
    assert_int_equal(after.threads, before.threads);
    /* The allocator may come to hold another arena or two. */
    assert_true(after.mappings < before.mappings + (unsigned)rounds() / 20 + 2);
}

static void create_and_destroy(void)
{
    machine_destroy(build(&snippet_halt, &(struct snippet_args){0}, -1));
}

static void run_and_stop(void)
{
    struct machine *m = start_ticking();
    machine_end(m, END_STOPPED, "asked");
    must_end(m, END_STOPPED, 0);
}

static void a_thousand_machines_never_started_leave_nothing(void **state)
{
    (void)state;
    a_thousand_rounds_leave_nothing(create_and_destroy);
}

static void a_thousand_machines_stopped_while_busy_leave_nothing(void **state)
{
    (void)state;
    a_thousand_rounds_leave_nothing(run_and_stop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(the_guests_status_is_the_end),
        UNIT(a_consoles_file_is_nobodys_disk_before_the_start_either),
        UNIT(accesses_where_nothing_is_read_as_ones_and_change_nothing),
        UNIT(a_guests_milestones_do_not_crowd_out_the_end),
        UNIT(a_stopped_guest_ends_as_stopped),
        UNIT(the_first_reason_wins),
        UNIT(a_paused_guest_can_be_stopped),
        UNIT(waiting_ends_in_time_while_the_guest_runs),
        UNIT(two_machines_run_side_by_side_and_end_apart),
        UNIT(a_busy_guest_is_paused_and_resumed_1000_times),
        UNIT(a_guest_that_only_exits_is_paused_and_resumed_1000_times),
        UNIT(a_sleeping_guest_is_paused_and_resumed_1000_times),
        UNIT(no_exit_is_lost_or_repeated_by_pauses),
        UNIT(a_thousand_machines_never_started_leave_nothing),
        UNIT(a_thousand_machines_stopped_while_busy_leave_nothing),
    };
    holdings_begin();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

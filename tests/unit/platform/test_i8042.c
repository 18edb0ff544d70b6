#include "tests/unit/unit.h"

#include "devices/platform/platform.h"

enum { DATA = 0, COMMAND = 4, OUT_FULL = 1, IN_FULL = 2 };

struct told {
    unsigned ends;
    enum end_reason reason;
};

static void on_end(void *arg, enum end_reason reason, uint32_t value, const char *detail)
{
    struct told *t = arg;
    (void)value, (void)detail;
    t->ends++;
    t->reason = reason;
}

static struct i8042 controller(struct told *t)
{
    struct i8042 k;
    *t = (struct told){0};
    i8042_init(&k, (struct end_sink){.fn = on_end, .arg = t});
    return k;
}
static uint8_t status(struct i8042 *k)
{
    return (uint8_t)i8042_bus_ops.read(k, COMMAND, 1);
}
static uint8_t data(struct i8042 *k)
{
    return (uint8_t)i8042_bus_ops.read(k, DATA, 1);
}
static void command(struct i8042 *k, uint8_t value)
{
    i8042_bus_ops.write(k, COMMAND, 1, value);
}
static void send(struct i8042 *k, uint8_t value)
{
    i8042_bus_ops.write(k, DATA, 1, value);
}

/* Linux, reboot=k: waits for the input buffer, then pulses. */
static void pulse_resets_and_is_never_waited_for(void **state)
{
    struct told t;
    struct i8042 k = controller(&t);
    (void)state;
    assert_false(status(&k) & IN_FULL);
    command(&k, 0xfe);
    assert_int_equal(t.ends, 1);
    assert_int_equal(t.reason, END_RESET);
}

static void every_way_to_pull_the_reset_line_resets(void **state)
{
    static const struct {
        uint8_t command, data;
        unsigned ends;
    } cases[] = {
        {0xfe, 0, 1}, {0xf0, 0, 1},    {0xff, 0, 0},    {0xfd, 0, 0},    {0xd1, 0xfe, 1},
        {0xd1, 3, 0}, {0x60, 0xfe, 0}, {0xd2, 0xfe, 0}, {0xd4, 0xfe, 0}, {0xaa, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct told t;
        struct i8042 k = controller(&t);
        command(&k, cases[i].command);
        send(&k, cases[i].data);
        if (t.ends != cases[i].ends)
            fail_msg("command %#x, data %#x: %u resets", cases[i].command, cases[i].data, t.ends);
    }
}

/* Linux, i8042_flush: reads at most 16 bytes and takes a controller that has more for absent. */
static void linux_finds_no_controller_after_draining(void **state)
{
    struct told t;
    struct i8042 k = controller(&t);
    unsigned drained = 0;
    (void)state;
    while ((status(&k) & OUT_FULL) && drained <= 16) {
        data(&k);
        drained++;
    }
    assert_int_equal(drained, 17);
}

static void a_loader_that_drains_to_the_end_gets_there(void **state)
{
    struct told t;
    struct i8042 k = controller(&t);
    unsigned drained = 0;
    (void)state;
    for (; (status(&k) & OUT_FULL) && drained < 1000; drained++) data(&k);
    assert_in_range(drained, 17, 100);
    assert_false(status(&k) & OUT_FULL);
}

static void commands_are_answered_at_once(void **state)
{
    static const struct {
        uint8_t command;
        int data; /* -1: takes none */
        uint8_t answer;
    } cases[] = {
        {0x20, -1, 0x34},   {0xaa, -1, 0x55},   {0xa9, -1, 0x01},   {0xab, -1, 0x01},   {0xc0, -1, 0x80},
        {0xd0, -1, 0xcf},   {0xd3, 0x5a, 0x5a}, {0xd2, 0xa5, 0xa5}, {0xd4, 0xf2, 0xfe}, /* no mouse */
        {0xae, 0xf2, 0xfe},                                                             /* no keyboard */
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct told t;
        struct i8042 k = controller(&t);
        command(&k, cases[i].command);
        if (cases[i].data >= 0) send(&k, (uint8_t)cases[i].data);
        assert_true(status(&k) & OUT_FULL);
        assert_int_equal(data(&k), cases[i].answer);
        assert_false(status(&k) & OUT_FULL);
        assert_int_equal(t.ends, 0);
    }
}

static void command_byte_is_kept_and_reset_by_the_self_test(void **state)
{
    struct told t;
    struct i8042 k = controller(&t);
    (void)state;
    command(&k, 0x60);
    assert_true(status(&k) & 8);
    send(&k, 0x47);
    assert_false(status(&k) & 8);
    command(&k, 0x20);
    assert_int_equal(data(&k), 0x47);
    command(&k, 0xaa);
    assert_int_equal(data(&k), 0x55);
    command(&k, 0x20);
    assert_int_equal(data(&k), 0x34);
}

static void registers_between_the_ports_are_not_there(void **state)
{
    struct told t;
    struct i8042 k = controller(&t);
    (void)state;
    i8042_bus_ops.write(&k, 1, 1, 0xfe);
    assert_int_equal(i8042_bus_ops.read(&k, 1, 1), 0xff);
    assert_int_equal(t.ends, 0);
}

UNIT_MAIN(UNIT(pulse_resets_and_is_never_waited_for), UNIT(every_way_to_pull_the_reset_line_resets),
          UNIT(linux_finds_no_controller_after_draining), UNIT(a_loader_that_drains_to_the_end_gets_there),
          UNIT(commands_are_answered_at_once), UNIT(command_byte_is_kept_and_reset_by_the_self_test),
          UNIT(registers_between_the_ports_are_not_there))

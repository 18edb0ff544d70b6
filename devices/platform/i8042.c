/* The i8042 keyboard controller with nothing plugged in: resets, A20 and quick probes.
 *
 * It has no interrupt, so a driver that began to talk to a keyboard would wait for its time-outs (half a second each in
 * Linux). A driver first empties the output buffer, and gives up on a controller whose buffer never gets empty. So
 * after power-on the buffer holds more bytes than any driver drains before it decides that nobody is there, and too few
 * to hold up a boot loader that drains to the end. After that, and for commands, it behaves as specified. */
#include "devices/platform/platform.h"

enum { PORT_DATA = 0, PORT_COMMAND = 4 };
enum { STATUS_OUT_FULL = 1, STATUS_SELF_TESTED = 4, STATUS_COMMAND = 8, STATUS_UNLOCKED = 16 };

enum {
    CMD_READ_COMMAND_BYTE = 0x20,
    CMD_WRITE_COMMAND_BYTE = 0x60,
    CMD_DISABLE_AUX = 0xa7,
    CMD_ENABLE_AUX = 0xa8,
    CMD_TEST_AUX = 0xa9,
    CMD_SELF_TEST = 0xaa,
    CMD_TEST_KEYBOARD = 0xab,
    CMD_DISABLE_KEYBOARD = 0xad,
    CMD_ENABLE_KEYBOARD = 0xae,
    CMD_READ_INPUT_PORT = 0xc0,
    CMD_READ_OUTPUT_PORT = 0xd0,
    CMD_WRITE_OUTPUT_PORT = 0xd1,
    CMD_LOOP_KEYBOARD = 0xd2,
    CMD_LOOP_AUX = 0xd3,
    CMD_WRITE_AUX = 0xd4,
    CMD_PULSE = 0xf0, /* 0xf0..0xff: each clear bit of the low four pulses that line of the output port */
};

enum { SELF_TEST_PASSED = 0x55, LINE_STUCK = 1, KEYBOARD_RESEND = 0xfe, OPEN_LINE = 0xff };
enum { OUTPUT_RESET = 1, OUTPUT_A20 = 2, OUTPUT_PORT = 0xcf }; /* bit 0 low: the CPU is held in reset */
enum { INPUT_PORT_UNLOCKED = 0x80 };
enum { COMMAND_BYTE_AT_RESET = 0x30 | STATUS_SELF_TESTED }; /* both ports off, no interrupts */

#define STALE_BYTES 32 /* Linux gives up after 16, other probes sooner */

static void answer(struct i8042 *k, uint8_t byte)
{
    k->stale = 0; /* whoever commands it has found it alive */
    k->output = byte;
    k->has_output = true;
}

static void reset_machine(const struct i8042 *k)
{
    end_report(&k->sink, END_RESET, 0, "the guest pulled the reset line of the i8042");
}

static void command(struct i8042 *k, uint8_t cmd)
{
    switch (cmd) {
    case CMD_READ_COMMAND_BYTE: answer(k, k->command_byte); break;
    case CMD_TEST_AUX: /* nothing is plugged in */
    case CMD_TEST_KEYBOARD: answer(k, LINE_STUCK); break;
    case CMD_SELF_TEST:
        k->command_byte = COMMAND_BYTE_AT_RESET;
        answer(k, SELF_TEST_PASSED);
        break;
    case CMD_READ_INPUT_PORT: answer(k, INPUT_PORT_UNLOCKED); break;
    case CMD_READ_OUTPUT_PORT: answer(k, OUTPUT_PORT); break;
    case CMD_WRITE_COMMAND_BYTE:
    case CMD_WRITE_OUTPUT_PORT:
    case CMD_LOOP_KEYBOARD:
    case CMD_LOOP_AUX:
    case CMD_WRITE_AUX: k->awaiting = cmd; break;
    default:
        if (cmd >= CMD_PULSE && !(cmd & OUTPUT_RESET)) reset_machine(k);
        break; /* enabling and disabling ports nothing is plugged into */
    }
}

static void data(struct i8042 *k, uint8_t byte)
{
    const uint8_t cmd = k->awaiting;
    k->awaiting = 0;
    switch (cmd) {
    case CMD_WRITE_COMMAND_BYTE: k->command_byte = byte; break;
    case CMD_WRITE_OUTPUT_PORT:
        if (!(byte & OUTPUT_RESET)) reset_machine(k);
        break;
    case CMD_LOOP_KEYBOARD:
    case CMD_LOOP_AUX: /* echoes the byte, but not as the mouse's: there is no such port */ answer(k, byte); break;
    default: /* for a keyboard or mouse */ answer(k, KEYBOARD_RESEND); break;
    }
}

static uint8_t read_data(struct i8042 *k)
{
    if (k->stale > 0) {
        k->stale--;
        return OPEN_LINE;
    }
    k->has_output = false;
    return k->output;
}

static uint64_t i8042_read(void *dev, uint64_t offset, unsigned size)
{
    struct i8042 *k = dev;
    (void)size;
    if (offset == PORT_DATA) return read_data(k);
    if (offset != PORT_COMMAND) return OPEN_LINE;
    return STATUS_SELF_TESTED | STATUS_UNLOCKED | (k->awaiting ? STATUS_COMMAND : 0) |
           (k->stale || k->has_output ? STATUS_OUT_FULL : 0);
}

static void i8042_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    (void)size;
    if (offset == PORT_DATA) data(dev, (uint8_t)value);
    if (offset == PORT_COMMAND) command(dev, (uint8_t)value);
}

const struct bus_ops i8042_bus_ops = {.read = i8042_read, .write = i8042_write, .width = 1};

void i8042_init(struct i8042 *k, struct end_sink sink)
{
    *k = (struct i8042){.stale = STALE_BYTES, .command_byte = COMMAND_BYTE_AT_RESET, .sink = sink};
}

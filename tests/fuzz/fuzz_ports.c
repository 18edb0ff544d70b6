/* The x86 machine's ports under a script of accesses of 1 to 8 bytes, most of them at and around its devices: no access
 * has more bits than its size, and a byte that is nobody's reads as ones, whatever its neighbours are. */
#include "arch/x86/layout.h"
#include "arch/x86/platform.h"
#include "tests/fuzz/fuzz.h"

#define OP_BYTES 6u /* what, place, and four bytes of value */
#define AROUND   8u /* ports before and behind a device's first one */

static void on_end(void *arg, enum end_reason reason, uint32_t value, const char *detail)
{
    unsigned *ends = arg;
    (void)value;
    MUST(reason == END_NONE || reason == END_GUEST_STATUS || reason == END_PANIC || reason == END_POWEROFF ||
         reason == END_RESET);
    MUST(detail && detail[0]);
    ++*ends;
}

static void on_mark(void *arg, uint32_t value)
{
    (void)arg;
    MUST(value <= UINT8_MAX);
}

static void step(const struct bus *b, const uint8_t *op)
{
    static const uint16_t places[] = {
        X86_PORT_I8042, X86_PORT_RTC, X86_PORT_DEBUG_EXIT, X86_PORT_COM1, X86_PORT_PVPANIC, X86_PORT_POWER, 0,
        UINT16_MAX};
    const unsigned size = 1 + (op[0] & 7);
    const uint64_t port = (uint16_t)(places[op[1] >> 5] + (op[1] & 31) - AROUND);
    uint64_t value = op[2] | (uint64_t)op[3] << 8 | (uint64_t)op[4] << 16 | (uint64_t)op[5] << 24;
    if (op[0] & 8) {
        bus_write(b, port, size, value | value << 32);
        return;
    }
    value = bus_read(b, port, size);
    MUST(size == 8 || value >> (8 * size) == 0);
    for (unsigned i = 0; i < size; i++) MUST(bus_find(b, port + i, 1) || (value >> (8 * i) & 0xff) == 0xff);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct chario_params off = {.kind = CHARIO_OFF, .in_fd = -1, .out_fd = -1};
    struct platform platform;
    struct chario *console = NULL;
    struct bus pio;
    unsigned ends = 0;
    if (size == 0) return 0;
    bus_init(&pio);
    MUST(chario_create(&console, &off, NULL) == 0);
    const struct arch_params params = {
        .pio = &pio,
        .console = console,
        .sink = {.fn = on_end, .mark = on_mark, .arg = &ends},
        .has_acpi = data[0] & 1,
        .irqchip = ARCH_IRQCHIP_NONE,
    };
    MUST(platform_init(&platform, &params, NULL) == 0);
    bus_freeze(&pio);
    for (size_t i = 1; i + OP_BYTES <= size; i += OP_BYTES) step(&pio, data + i);
    platform_fini(&platform);
    chario_destroy(console);
    return 0;
}

/* The panic device: QEMU's documented interface (docs/specs/pvpanic), one byte-wide register. Its bit 2, a regular
 * shutdown, is not offered: a guest has better ways to say so. */
#include "devices/platform/platform.h"

static uint64_t pvpanic_read(void *dev, uint64_t offset, unsigned size)
{
    (void)dev, (void)offset, (void)size;
    return PVPANIC_PANICKED | PVPANIC_CRASH_LOADED;
}

/* Bits that we did not offer are ignored. Both bits at once are a panic: the guest has given up. */
static void pvpanic_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct pvpanic *p = dev;
    const uint32_t events = value & (PVPANIC_PANICKED | PVPANIC_CRASH_LOADED);
    (void)offset, (void)size;
    if (events & PVPANIC_PANICKED)
        end_report(&p->sink, END_PANIC, events, "the guest's kernel panicked");
    else if (events && !atomic_exchange(&p->has_told, true))
        end_report(&p->sink, END_NONE, events, "the guest's kernel panicked and runs its crash kernel");
}

const struct bus_ops pvpanic_bus_ops = {.read = pvpanic_read, .write = pvpanic_write, .width = 1};

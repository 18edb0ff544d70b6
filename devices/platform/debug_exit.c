/* Debug exit: how a bare-metal guest says with which status it ended, and which milestones it passed. */
#include "devices/platform/platform.h"

enum { REG_STATUS = 0, REG_MILESTONE = 1 };

static uint64_t debug_exit_read(void *dev, uint64_t offset, unsigned size)
{
    (void)dev, (void)offset, (void)size;
    return 0;
}

static void debug_exit_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    const struct debug_exit *d = dev;
    (void)size;
    const uint32_t status = value < UINT32_MAX ? (uint32_t)value : UINT32_MAX; /* a large one must not become 0 */
    if (offset == REG_STATUS) end_report(&d->sink, END_GUEST_STATUS, status, "the guest reported its status");
    if (offset == REG_MILESTONE && d->sink.mark) d->sink.mark(d->sink.arg, (uint8_t)value);
}

const struct bus_ops debug_exit_bus_ops = {.read = debug_exit_read, .write = debug_exit_write};

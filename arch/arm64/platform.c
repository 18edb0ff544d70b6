#include "arch/arm64/platform.h"

#include "arch/arm64/struct_arch.h"

int platform_create(struct arch *a, const struct arch_params *p, struct err *e)
{
    const struct bus_range ranges[] = {
        {ARM64_SERIAL_BASE, SERIAL_SIZE, &serial_bus_ops, NULL, "serial"},
        {ARM64_RTC_BASE, PL031_SIZE, &pl031_bus_ops, &a->rtc, "rtc"},
        {ARM64_DEBUG_EXIT_BASE, ARM64_DEBUG_EXIT_SIZE, &debug_exit_bus_ops, &a->debug_exit, "debug-exit"},
        {ARM64_PVPANIC_BASE, ARM64_PVPANIC_SIZE, &pvpanic_bus_ops, &a->pvpanic, "pvpanic"},
    };
    a->debug_exit = (struct debug_exit){.sink = p->sink};
    a->pvpanic = (struct pvpanic){.sink = p->sink};
    pl031_init(&a->rtc, NULL);
    int rc = irq_init(&a->serial_irq, e);
    if (!rc) rc = serial_create(&a->serial, p->console, a->serial_irq, e);
    for (unsigned i = 0; i < sizeof(ranges) / sizeof(ranges[0]) && !rc; i++) {
        struct bus_range range = ranges[i];
        if (!range.dev) range.dev = a->serial;
        rc = bus_add(p->mmio, &range, e);
    }
    return rc;
}

int platform_connect(struct arch *a, struct err *e)
{
    return err_wrap(e, vm_irqfd(a->vm, ARM64_SPI_SERIAL, a->serial_irq.fd, true, e), "serial port");
}

void platform_destroy(struct arch *a)
{
    serial_destroy(a->serial);
    a->serial = NULL;
    irq_fini(&a->serial_irq);
}

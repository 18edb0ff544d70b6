/* Which device sits at which port. What is not here is not in the machine, and ACPI says so: no PIC, no PIT, no VGA, no
 * PCI. Their ports read as all ones, as a bus does that nobody answers on. The i8042 is here only for kernels that
 * reset through it.
 *
 * The clock is here for guests that read a PC's ports without asking. ACPI says that there is none, since a guest that
 * asks has something better: Linux takes the time from kvm-clock, and its driver would only probe for an interrupt.
 * Without ACPI there is no clock, because Linux then takes pin 8 for its interrupt, and that pin may be a virtio
 * device's. */
#include "arch/x86/platform.h"

#include "arch/x86/layout.h"

#define SLP_EN     0x20u
#define SLP_TYP(v) ((v) >> 2 & 7u)

static uint64_t power_read(void *dev, uint64_t offset, unsigned size)
{
    (void)dev, (void)offset, (void)size;
    return 0; /* WAK_STS is never set: there is no sleep to wake from */
}

static void power_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    const struct power *p = dev;
    (void)size;
    if (offset == POWER_SLEEP_CONTROL && (value & SLP_EN) && SLP_TYP((unsigned)value) == POWER_S5)
        end_report(&p->sink, END_POWEROFF, 0, "ACPI S5");
    else if (offset == POWER_RESET && value == POWER_RESET_VALUE)
        end_report(&p->sink, END_RESET, 0, "ACPI reset register");
}

const struct bus_ops power_bus_ops = {.read = power_read, .write = power_write, .width = 1};

int platform_init(struct platform *p, const struct arch_params *params, struct err *e)
{
    *p = (struct platform){.serial_irq.fd = -1};
    i8042_init(&p->i8042, params->sink);
    mc146818_init(&p->rtc, NULL);
    p->debug_exit.sink = p->pvpanic.sink = p->power.sink = params->sink;
    int rc = irq_init(&p->serial_irq, e);
    if (!rc) rc = serial_create(&p->serial, params->console, p->serial_irq, e);
    const bool has_interrupts = params->irqchip != ARCH_IRQCHIP_NONE; /* else its port is polled */
    if (!rc && has_interrupts) rc = vm_irqfd(params->vm, X86_GSI_SERIAL, p->serial_irq.fd, true, e);
    if (rc) return rc;

    const struct bus_range ports[] = {
        {X86_PORT_COM1, SERIAL_SIZE, &serial_bus_ops, p->serial, "serial"},
        {X86_PORT_I8042, 5, &i8042_bus_ops, &p->i8042, "i8042"},
        {X86_PORT_DEBUG_EXIT, DEBUG_EXIT_SIZE, &debug_exit_bus_ops, &p->debug_exit, "debug-exit"},
        {X86_PORT_PVPANIC, 1, &pvpanic_bus_ops, &p->pvpanic, "pvpanic"},
        {X86_PORT_POWER, POWER_SIZE, &power_bus_ops, &p->power, "power"},
    };
    for (unsigned i = 0; !rc && i < sizeof(ports) / sizeof(ports[0]); i++) rc = bus_add(params->pio, &ports[i], e);
    const struct bus_range rtc = {X86_PORT_RTC, MC146818_SIZE, &mc146818_bus_ops, &p->rtc, "rtc"};
    return rc || !params->has_acpi ? rc : bus_add(params->pio, &rtc, e);
}

void platform_fini(struct platform *p)
{
    serial_destroy(p->serial);
    p->serial = NULL;
    irq_fini(&p->serial_irq); /* its irqfd ends with the eventfd or the VM */
}

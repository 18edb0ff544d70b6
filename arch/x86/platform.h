/* The platform devices of the x86 machine and the ports they sit at (layout.h). */
#ifndef VIREO_X86_PLATFORM_H
#define VIREO_X86_PLATFORM_H

#include "arch/arch.h"
#include "devices/platform/platform.h"

/* ACPI's hardware-reduced power registers (ACPI 6.5, 4.8.3.7), a byte each: sleep control, sleep status, reset. */
#define POWER_SIZE          3
#define POWER_SLEEP_CONTROL 0
#define POWER_SLEEP_STATUS  1
#define POWER_RESET         2
#define POWER_RESET_VALUE   1
#define POWER_S5            5 /* SLP_TYP of \_S5 */
struct power {
    struct end_sink sink;
};
extern const struct bus_ops power_bus_ops; /* dev: struct power * */

struct platform {
    struct irq serial_irq;
    struct serial *serial;
    struct i8042 i8042;
    struct mc146818 rtc;
    struct debug_exit debug_exit;
    struct pvpanic pvpanic;
    struct power power;
};

int platform_init(struct platform *p, const struct arch_params *params, struct err *e);
void platform_fini(struct platform *p); /* half built is legal; zeroed with serial_irq.fd -1 too */

#endif

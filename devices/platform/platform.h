/* Platform devices as bus-agnostic register models; the arch decides on which bus and where they sit.
 * All bus handlers run on vCPU threads and take the device's own lock (or need none). */
#ifndef VIREO_DEVICES_PLATFORM_PLATFORM_H
#define VIREO_DEVICES_PLATFORM_PLATFORM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/backend/chario.h"
#include "vmm/core/bus.h"
#include "vmm/core/ending.h"
#include "vmm/core/irq.h"

/* 16550A UART: 8 byte-wide registers, 16-byte FIFOs. */
struct serial;
#define SERIAL_SIZE 8
int serial_create(struct serial **out, struct chario *io, struct irq irq, struct err *e); /* io, irq: borrowed */
void serial_destroy(struct serial *s);      /* NULL is legal; detaches from io */
extern const struct bus_ops serial_bus_ops; /* dev: struct serial * */

/* i8042 keyboard controller, as much as resets and quick probes need: ports 0x60 (offset 0) and 0x64 (offset 4).
 * Command 0xFE ends the machine with END_RESET. Absent keyboard and mouse: probes end fast. */
struct i8042 { /* atomic for vCPUs that race: they get a mixed-up controller, not undefined behaviour */
    _Atomic uint8_t stale, has_output, output, command_byte, awaiting;
    struct end_sink sink;
};
void i8042_init(struct i8042 *k, struct end_sink sink);
extern const struct bus_ops i8042_bus_ops; /* dev: struct i8042 * */

/* Debug exit. A write of any size at offset 0 ends the machine with END_GUEST_STATUS and the value written (as
 * isa-debug-exit does, without its shift), at most UINT32_MAX. A byte written at offset 1 is a milestone of the guest's
 * boot: the sink's mark is told, and the guest goes on. Reads give 0. */
#define DEBUG_EXIT_SIZE 4 /* a status may be written by the widest port access, so that lies inside */
struct debug_exit {
    struct end_sink sink;
};
extern const struct bus_ops debug_exit_bus_ops; /* dev: struct debug_exit * */

/* The panic device (QEMU's documented pvpanic interface). Reads give the supported events. A write of bit 0 (panicked)
 * ends the machine with END_PANIC; bit 1 (crash kernel loaded) is told once as END_NONE, since it costs a log line. */
struct pvpanic {
    struct end_sink sink;
    atomic_bool has_told;
};
#define PVPANIC_PANICKED     0x01
#define PVPANIC_CRASH_LOADED 0x02
extern const struct bus_ops pvpanic_bus_ops; /* dev: struct pvpanic * */

/* A PC's real-time clock, MC146818: index at offset 0, data at 1. The host's UTC; what is written is dropped, and there
 * is no interrupt. */
#define MC146818_SIZE 2
struct mc146818 {
    uint64_t (*now)(void);
    _Atomic uint8_t index; /* shared by all vCPUs, as on a PC: guests bring a lock */
};
void mc146818_init(struct mc146818 *c, uint64_t (*now)(void)); /* now: nanoseconds since 1970; NULL: the host's */
extern const struct bus_ops mc146818_bus_ops;                  /* dev: struct mc146818 * */

/* PL031 real-time clock (ARM DDI 0224): seconds since 1970 from the host, until the guest sets its own. The alarm's
 * status registers work; its interrupt is not wired, so its node in the tables must not have one. */
#define PL031_SIZE 0x1000
struct pl031 {
    pthread_mutex_t lock; /* of all below */
    uint64_t (*now)(void);
    uint32_t offset; /* guest's time - host's, modulo 2^32 */
    uint32_t load, match, mask;
    uint32_t armed_at; /* guest's time when match was written */
    bool is_armed, has_fired;
};
void pl031_init(struct pl031 *r, uint64_t (*now)(void)); /* now: seconds since 1970; NULL: the host's */
extern const struct bus_ops pl031_bus_ops;               /* dev: struct pl031 * */

#endif

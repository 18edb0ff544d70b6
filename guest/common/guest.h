/* The line between the guest's neutral half (guest/common) and the machine it runs on (guest/x86, guest/arm64).
 *
 * The default guest looks at the machine it was given, uses every disk through virtio-blk and reports by its exit
 * status. It runs on one processor with interrupts off; the others only say that they are there. Where its privileged
 * code is emulated instruction by instruction, each one costs some 0.2 us, so: no clearing of large memory, string
 * instructions for bulk work, and nothing but general-purpose registers. */
#ifndef VIREO_GUEST_H
#define VIREO_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the guest says to the debug-exit register. 1-119 are a guest's own; each failed check has one. */
enum guest_status {
    GUEST_OK = 0,
    GUEST_NO_TABLES = 10,     /* the machine is not described at all */
    GUEST_BAD_TABLE = 11,     /* a table is there, but broken */
    GUEST_NO_MEMORY = 12,     /* no usable memory listed */
    GUEST_BAD_MEMORY = 13,    /* listed memory does not keep what is written */
    GUEST_CPU_MISSING = 14,   /* a processor did not start */
    GUEST_EXCEPTION = 15,     /* this guest itself took a fault it did not expect */
    GUEST_BAD_DEVICE = 20,    /* a listed device is no virtio-mmio version 2 device */
    GUEST_NO_FEATURE = 21,    /* a device lacks, or refuses, a feature the guest needs */
    GUEST_BAD_QUEUE = 22,     /* a queue cannot be set up */
    GUEST_TIMEOUT = 23,       /* a request was not answered */
    GUEST_BAD_USED = 24,      /* the used ring names what was not asked, or a wrong length */
    GUEST_DEVICE_BROKEN = 25, /* the device asks for a reset */
    GUEST_NO_INTERRUPT = 26,  /* a request was answered without an interrupt */
    GUEST_DISK_ERROR = 30,    /* a disk request ended with an error */
    GUEST_DISK_MISMATCH = 31, /* what was read is not what was written */
    GUEST_DISK_OVERRUN = 32,  /* a request past the end was not refused */
    GUEST_NO_ENTROPY = 40,    /* the entropy device gave bytes that are all the same */
};

#define GUEST_MILESTONE_READY 1 /* looked around, at work from here on; what Linux guests report as their init */

#define GUEST_MAX_RANGES  16 /* a microVM has two or three ranges of RAM */
#define GUEST_MAX_DEVICES 32 /* all virtio-mmio slots of the machine */

struct guest_range {
    uint64_t base;
    uint64_t size;
};

struct guest_device {
    uint64_t base;
    uint32_t irq; /* the number the machine's tables use: a GSI, an SPI */
    bool is_edge; /* how the tables say it is triggered */
};

/* Filled once by machine_discover(), then only read. */
struct guest_machine {
    const char *arch;
    const char *tables; /* which description was used: "ACPI", "an MP table", "a device tree" */
    const char *cmdline;
    uint32_t cpu_count;
    uint32_t range_count;
    uint32_t device_count;
    struct guest_range range[GUEST_MAX_RANGES];
    struct guest_device device[GUEST_MAX_DEVICES];
};

/* ---- What an architecture provides ---- */

/* Fill *m from what the boot protocol handed over (boot_params, device tree); sets up the console first, ends the guest
 * by fail() if the description is unusable. */
void machine_discover(const void *boot, struct guest_machine *m);
/* Start every other processor and wait a bounded time. How many run, this one included. */
uint32_t machine_start_cpus(const struct guest_machine *m);
/* What the other processors run, said before they start: `count` of them, in the order in which they come, each on a
 * stack of its own and with interrupts off. Those beyond, all where run is NULL, and one that returns sleep. */
#define MACHINE_STACK_SIZE 8192 /* entry.S of both architectures has the same number */
struct machine_others {
    void (*run)(void);
    uint8_t (*stack)[MACHINE_STACK_SIZE]; /* 16-byte aligned */
    uint64_t count;
};
extern struct machine_others machine_others;
/* Make physical memory at gpa (its 2 MiB at least) readable and writable at the same address. False: out of reach. */
bool machine_map(uint64_t gpa);
/* Let the device's interrupt reach this processor; one device at a time. */
void irq_watch(const struct guest_device *d);
void irq_unwatch(const struct guest_device *d);
/* Did the watched interrupt come since it was last asked for? */
bool irq_take(const struct guest_device *d);
/* A monotonic counter, and how many of its ticks a millisecond has at most: for bounded waits, not for measuring. */
uint64_t machine_ticks(void);
uint64_t machine_ticks_per_ms(void);
void machine_relax(void);
void console_write(const char *text, size_t len);
/* Tell the monitor that a milestone of the boot is passed (the register behind debug exit). */
void machine_mark(uint8_t milestone);
_Noreturn void machine_exit(enum guest_status status);

/* ---- What guest/common provides to all ---- */

/* Called by the entry code on the first processor with what the boot protocol handed over. */
_Noreturn void guest_main(const void *boot);
/* A line of text: %s %c %u %x, with l for 64-bit numbers, no widths. */
__attribute__((format(printf, 1, 2))) void say(const char *fmt, ...);
/* One sentence, then the end of the guest with this status. */
__attribute__((format(printf, 2, 3))) _Noreturn void fail(enum guest_status status, const char *fmt, ...);
/* What follows `prefix` in `text`, NULL if it does not begin with it. */
const char *skip_prefix(const char *text, const char *prefix);

/* The four functions a compiler may call on its own; each architecture has its own cheapest ones. */
void *memcpy(void *to, const void *from, size_t len);
void *memmove(void *to, const void *from, size_t len);
void *memset(void *to, int byte, size_t len);
int memcmp(const void *a, const void *b, size_t len);

/* Memory-mapped registers. One plain load or store each, whatever the compiler thinks of it. */
static inline uint32_t mmio_read32(uint64_t gpa)
{
    return *(const volatile uint32_t *)(uintptr_t)gpa;
}

static inline void mmio_write32(uint64_t gpa, uint32_t value)
{
    *(volatile uint32_t *)(uintptr_t)gpa = value;
}

#endif

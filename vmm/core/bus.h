/* From an address to a device's register. One bus for MMIO, one for port I/O; the same code.
 *
 * Ranges are added while the machine is built, then frozen (sorted): from then on look-up takes no lock. Handlers run
 * on the thread of the vCPU that trapped, several at once: the device brings its own lock. Access size is 1, 2, 4 or
 * 8; a device decides what a size or an unaligned offset means. What no range claims reads as all ones, and writes to
 * it are dropped, as on hardware. */
#ifndef VIREO_CORE_BUS_H
#define VIREO_CORE_BUS_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/err.h"

#define BUS_MAX_RANGES 64 /* 32 virtio slots, the platform devices, and room */

struct bus_ops {
    uint64_t (*read)(void *dev, uint64_t offset, unsigned size);
    void (*write)(void *dev, uint64_t offset, unsigned size, uint64_t value);
};

struct bus_range {
    uint64_t base, size;
    const struct bus_ops *ops;
    void *dev;
    const char *name; /* static: for reports */
};

struct bus {
    struct bus_range range[BUS_MAX_RANGES];
    unsigned count;
    bool is_frozen;
};

void bus_init(struct bus *b);
/* -EEXIST when it overlaps a range, -ENOSPC when full, -EINVAL when empty or wrapping. */
int bus_add(struct bus *b, const struct bus_range *r, struct err *e);
void bus_freeze(struct bus *b);

/* The range that holds [addr, addr+size), or NULL. */
const struct bus_range *bus_find(const struct bus *b, uint64_t addr, unsigned size);
uint64_t bus_read(const struct bus *b, uint64_t addr, unsigned size);
void bus_write(const struct bus *b, uint64_t addr, unsigned size, uint64_t value);

#endif

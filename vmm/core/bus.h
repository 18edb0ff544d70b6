/* From an address to a device's register. One bus for MMIO, one for port I/O; the same code.
 *
 * Ranges are added while the machine is built, then frozen (sorted): from then on look-up takes no lock. Handlers run
 * on the thread of the vCPU that trapped, several at once: the device brings its own lock.
 *
 * An access has 1 to 8 bytes, at any address. Each of its bytes goes to the range that it lies in, whatever range the
 * first one lies in: an access that no device takes whole is split, lowest address first, into pieces of 1, 2, 4 or 8
 * bytes, as large as the range's end and the device's `width` allow. So a wide store to a byte-wide register writes it,
 * and the rest of the store goes to its neighbours, as on a bus of that width. A device decides what an unaligned
 * offset means. Bytes that no range claims read as ones, and writes to them are dropped, as on hardware; so do bytes
 * beyond the last address, which does not wrap to the first. */
#ifndef VIREO_CORE_BUS_H
#define VIREO_CORE_BUS_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/err.h"

#define BUS_MAX_RANGES 64 /* 32 virtio slots, the platform devices, and room */
#define BUS_MAX_ACCESS 8  /* bytes: what KVM hands out at once, and what a value holds */

struct bus_ops {
    uint64_t (*read)(void *dev, uint64_t offset, unsigned size);
    void (*write)(void *dev, uint64_t offset, unsigned size, uint64_t value);
    unsigned width; /* bytes that its registers take at once, a power of two; 0: as many as there are */
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

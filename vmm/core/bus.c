#include "vmm/core/bus.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>

void bus_init(struct bus *b)
{
    *b = (struct bus){0};
}

/* How many ranges start at or below addr: the last of them is the only one that can hold it. */
static inline unsigned ranges_below(const struct bus *b, uint64_t addr)
{
    unsigned low = 0;
    unsigned n = b->count;
    while (n > 0) {
        const unsigned half = n / 2;
        if (b->range[low + half].base <= addr) {
            low += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    return low;
}

int bus_add(struct bus *b, const struct bus_range *r, struct err *e)
{
    assert(!b->is_frozen && r->ops && r->ops->read && r->ops->write);
    assert((r->ops->width & (r->ops->width - 1)) == 0 && r->ops->width <= BUS_MAX_ACCESS);
    const unsigned long long base = r->base;
    if (r->size == 0) return err_set(e, -EINVAL, "%s at 0x%llx: the range is empty", r->name, base);
    if (r->size - 1 > UINT64_MAX - r->base) {
        return err_set(e, -EINVAL, "%s at 0x%llx: 0x%llx bytes reach beyond the address space", r->name, base,
                       (unsigned long long)r->size);
    }
    const unsigned at = ranges_below(b, r->base);
    const struct bus_range *before = at > 0 ? &b->range[at - 1] : NULL;
    const struct bus_range *after = at < b->count ? &b->range[at] : NULL;
    if (before && r->base - before->base < before->size)
        return err_set(e, -EEXIST, "%s at 0x%llx: overlaps %s", r->name, base, before->name);
    if (after && after->base - r->base < r->size)
        return err_set(e, -EEXIST, "%s at 0x%llx: overlaps %s", r->name, base, after->name);
    if (b->count == BUS_MAX_RANGES)
        return err_set(e, -ENOSPC, "%s at 0x%llx: the bus has %d ranges already", r->name, base, BUS_MAX_RANGES);
    for (unsigned i = b->count; i > at; i--) b->range[i] = b->range[i - 1];
    b->range[at] = *r;
    b->count++;
    return 0;
}

void bus_freeze(struct bus *b)
{
    b->is_frozen = true; /* bus_add keeps the table sorted */
}

static inline const struct bus_range *find(const struct bus *b, uint64_t addr, unsigned size)
{
    const unsigned at = ranges_below(b, addr);
    if (at == 0) return NULL;
    const struct bus_range *r = &b->range[at - 1];
    const uint64_t off = addr - r->base;
    return off < r->size && size <= r->size - off ? r : NULL;
}

const struct bus_range *bus_find(const struct bus *b, uint64_t addr, unsigned size)
{
    return find(b, addr, size);
}

static uint64_t mask_of(unsigned size)
{
    return UINT64_MAX >> (64 - 8 * (size < BUS_MAX_ACCESS ? size : BUS_MAX_ACCESS)); /* of 1 byte or more */
}

/* What of an access goes to a device at once. */
struct piece {
    const struct bus_range *range; /* NULL: nobody's */
    unsigned size;
};

static struct piece piece_at(const struct bus *b, uint64_t addr, unsigned left)
{
    struct piece p = {.range = bus_find(b, addr, 1), .size = 1};
    if (!p.range) return p;
    const uint64_t room = p.range->size - (addr - p.range->base);
    const unsigned width = p.range->ops->width ? p.range->ops->width : BUS_MAX_ACCESS;
    while (2 * p.size <= left && 2 * p.size <= width && 2 * p.size <= room) p.size *= 2;
    return p;
}

/* The bytes of an access that there are: none lies beyond the last address. */
static unsigned within_space(uint64_t addr, unsigned size)
{
    return size - 1 > UINT64_MAX - addr ? (unsigned)(UINT64_MAX - addr) + 1 : size;
}

/* Most accesses are taken at once, by this path, which is part of every exit. What needs more than registers is kept
 * out of it. */

/* The range that takes an access at once. NULL: it goes in pieces. */
static inline const struct bus_range *taker(const struct bus *b, uint64_t addr, unsigned size)
{
    const struct bus_range *r = find(b, addr, size);
    const bool is_power = size - 1 < BUS_MAX_ACCESS && (size & (size - 1)) == 0;
    if (!r || !is_power) return NULL;
    return size - 1 <= r->ops->width - 1u ? r : NULL; /* a width of 0 is none: it wraps to the most there is */
}

__attribute__((noinline)) static uint64_t read_pieces(const struct bus *b, uint64_t addr, unsigned size)
{
    const unsigned there = within_space(addr, size);
    uint64_t value = mask_of(size);
    for (unsigned done = 0; done < there;) {
        const struct piece p = piece_at(b, addr + done, there - done);
        const uint64_t mask = mask_of(p.size) << (8 * done);
        if (p.range) {
            const uint64_t got = p.range->ops->read(p.range->dev, addr + done - p.range->base, p.size);
            value = (value & ~mask) | (got << (8 * done) & mask);
        }
        done += p.size;
    }
    return value;
}

__attribute__((noinline)) static void write_pieces(const struct bus *b, uint64_t addr, unsigned size, uint64_t value)
{
    const unsigned there = within_space(addr, size);
    for (unsigned done = 0; done < there;) {
        const struct piece p = piece_at(b, addr + done, there - done);
        if (p.range)
            p.range->ops->write(p.range->dev, addr + done - p.range->base, p.size,
                                value >> (8 * done) & mask_of(p.size));
        done += p.size;
    }
}

uint64_t bus_read(const struct bus *b, uint64_t addr, unsigned size)
{
    const struct bus_range *r = taker(b, addr, size);
    return r ? r->ops->read(r->dev, addr - r->base, size) & mask_of(size) : read_pieces(b, addr, size);
}

void bus_write(const struct bus *b, uint64_t addr, unsigned size, uint64_t value)
{
    const struct bus_range *r = taker(b, addr, size);
    if (r)
        r->ops->write(r->dev, addr - r->base, size, value & mask_of(size));
    else
        write_pieces(b, addr, size, value);
}

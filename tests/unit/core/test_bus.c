#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/core/bus.h"

/* A device that remembers the last access and reads as a pattern with every bit of its offset in it. */
struct probe {
    uint64_t offset, value;
    unsigned size, reads, writes;
};

static uint64_t probe_read(void *dev, uint64_t offset, unsigned size)
{
    struct probe *p = dev;
    p->offset = offset;
    p->size = size;
    p->reads++;
    return p->value;
}

static void probe_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct probe *p = dev;
    *p = (struct probe){.offset = offset, .size = size, .value = value, .reads = p->reads, .writes = p->writes + 1};
}

static const struct bus_ops PROBE_OPS = {.read = probe_read, .write = probe_write};

static struct bus_range range_at(uint64_t base, uint64_t size, struct probe *p)
{
    return (struct bus_range){.base = base, .size = size, .ops = &PROBE_OPS, .dev = p, .name = "probe"};
}

static void add_refuses_what_cannot_be(void **state)
{
    (void)state;
    static const struct {
        uint64_t base, size;
        int rc;
    } cases[] = {
        /* with a range at [0x1000, 0x2000) */
        {0x1000, 0x1000, -EEXIST},
        {0x1fff, 1, -EEXIST},
        {0x0fff, 2, -EEXIST},
        {0x1400, 0x10, -EEXIST},
        {0, UINT64_MAX, -EEXIST},
        {0x3000, 0, -EINVAL},
        {UINT64_MAX, 2, -EINVAL},
        {0x3000, UINT64_MAX, -EINVAL},
        {0x0fff, 1, 0},
        {0x2000, 1, 0},
        {UINT64_MAX - 7, 8, 0},
        {UINT64_MAX, 1, 0},
        {0x2000, UINT64_MAX - 0x1fff, 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bus b;
        struct err e = {0};
        struct probe p = {0};
        bus_init(&b);
        assert_int_equal(bus_add(&b, &(struct bus_range){0x1000, 0x1000, &PROBE_OPS, &p, "first"}, NULL), 0);
        const struct bus_range r = range_at(cases[i].base, cases[i].size, &p);
        assert_int_equal(bus_add(&b, &r, &e), cases[i].rc);
        assert_int_equal(b.count, cases[i].rc == 0 ? 2 : 1);
        if (cases[i].rc != 0) assert_contains(e.text, "probe at 0x");
        if (cases[i].rc == -EEXIST) assert_contains(e.text, "overlaps first");
    }
}

static void a_full_bus_refuses_one_more(void **state)
{
    (void)state;
    struct bus b;
    struct probe p = {0};
    bus_init(&b);
    for (uint64_t i = 0; i <= BUS_MAX_RANGES; i++) {
        const struct bus_range r = range_at(i * 8, 8, &p);
        assert_int_equal(bus_add(&b, &r, NULL), i < BUS_MAX_RANGES ? 0 : -ENOSPC);
    }
}

/* Random tables over a small address space, every address and size, against a map of who owns each byte. */
#define SPACE 512

static void fill_at_random(struct bus *b, uint64_t origin, struct probe *probes, signed char owner[SPACE])
{
    memset(owner, -1, SPACE);
    bus_init(b);
    for (int tries = 0; tries < 40; tries++) {
        const unsigned from = (unsigned)rand() % SPACE, len = 1 + (unsigned)rand() % 24;
        bool is_free = from + len <= SPACE;
        for (unsigned i = from; is_free && i < from + len; i++) is_free = owner[i] < 0;
        const unsigned id = b->count;
        const struct bus_range r = range_at(origin + from, len, &probes[id]);
        if (from + len <= SPACE) assert_int_equal(bus_add(b, &r, NULL), is_free ? 0 : -EEXIST);
        if (is_free) memset(owner + from, (int)id, len);
    }
    bus_freeze(b);
}

static void find_agrees_with_a_byte_map(void **state)
{
    (void)state;
    const uint64_t origins[] = {0, 0xd0000000, UINT64_MAX - SPACE + 1};
    srand(1);
    for (size_t round = 0; round < 60; round++) {
        struct bus b;
        struct probe probes[BUS_MAX_RANGES] = {0};
        signed char owner[SPACE];
        const uint64_t origin = origins[round % COUNT_OF(origins)];
        fill_at_random(&b, origin, probes, owner);
        for (unsigned at = 0; at < SPACE; at++) {
            for (unsigned size = 1; size <= 8; size *= 2) {
                int who = owner[at];
                for (unsigned i = at; who >= 0 && i < at + size; i++) {
                    if (i >= SPACE || owner[i] != who) who = -1;
                }
                const struct bus_range *r = bus_find(&b, origin + at, size);
                if (who < 0)
                    assert_null(r);
                else
                    assert_ptr_equal(r ? r->dev : NULL, &probes[who]);
            }
        }
    }
}

static void access_reaches_the_device_at_its_offset(void **state)
{
    (void)state;
    struct bus b;
    struct probe p[2] = {0};
    bus_init(&b);
    for (unsigned i = 0; i < 2; i++) {
        const struct bus_range r = range_at(0x1000 * (i + 1), 0x100, &p[i]);
        assert_int_equal(bus_add(&b, &r, NULL), 0);
    }
    bus_freeze(&b);
    bus_write(&b, 0x2010, 2, 0xabcdef);
    assert_int_equal(p[1].writes, 1);
    assert_int_equal(p[1].offset, 0x10);
    assert_int_equal(p[1].size, 2);
    assert_int_equal(p[1].value, 0xcdef); /* no more bits than the access has */
    p[0].value = UINT64_MAX;
    assert_int_equal(bus_read(&b, 0x10ff, 1), 0xff);
    assert_int_equal(p[0].offset, 0xff);
    assert_int_equal(p[0].reads + p[0].writes, 1);
}

static void unclaimed_addresses_read_as_ones(void **state)
{
    (void)state;
    struct bus b;
    struct probe p = {0};
    bus_init(&b);
    const struct bus_range r = range_at(0x1000, 0x10, &p);
    assert_int_equal(bus_add(&b, &r, NULL), 0);
    bus_freeze(&b);
    assert_int_equal(bus_read(&b, 0, 1), 0xff);
    assert_int_equal(bus_read(&b, 0, 2), 0xffff);
    assert_int_equal(bus_read(&b, 0, 4), 0xffffffff);
    assert_true(bus_read(&b, UINT64_MAX, 8) == UINT64_MAX);
    bus_write(&b, 0x0ff8, 8, 0);
    bus_write(&b, 0x1010, 8, 0);
    bus_write(&b, UINT64_MAX, 8, 0);
    assert_int_equal(p.reads + p.writes, 0);
}

/* ---- splitting: devices that are bytes of memory, and refuse what they must not be asked ---- */

struct bytes {
    uint8_t *at; /* of the range's first address */
    uint64_t size;
    unsigned width; /* 0: any */
    bool was_asked_wrongly;
};

static bool is_asked_rightly(struct bytes *m, uint64_t offset, unsigned size)
{
    const bool is_power = (size & (size - 1)) == 0 && size <= BUS_MAX_ACCESS;
    if (offset >= m->size || size > m->size - offset || !is_power || (m->width && size > m->width))
        m->was_asked_wrongly = true;
    return !m->was_asked_wrongly;
}

static uint64_t bytes_read(void *dev, uint64_t offset, unsigned size)
{
    struct bytes *m = dev;
    uint64_t value = UINT64_MAX; /* bits that the access does not have are not heard */
    if (is_asked_rightly(m, offset, size)) memcpy(&value, m->at + offset, size);
    return value;
}

static void bytes_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct bytes *m = dev;
    if (size < 8 && value >> (8 * size)) m->was_asked_wrongly = true;
    if (is_asked_rightly(m, offset, size)) memcpy(m->at + offset, &value, size);
}

static const struct bus_ops byte_ops[] = {
    {.read = bytes_read, .write = bytes_write},
    {.read = bytes_read, .write = bytes_write, .width = 1},
    {.read = bytes_read, .write = bytes_write, .width = 2},
    {.read = bytes_read, .write = bytes_write, .width = 4},
};

/* Ranges at random, adjacent ones too, at the start, the middle and the very end of the address space; accesses of 1 to
 * 8 bytes at each address. What must come of it is simple: each byte for itself. */
static void every_byte_of_an_access_goes_to_the_range_it_lies_in(void **state)
{
    (void)state;
    const uint64_t origins[] = {0, 0xd0000000, UINT64_MAX - SPACE + 1};
    srand(2);
    for (size_t round = 0; round < 60; round++) {
        const uint64_t origin = origins[round % COUNT_OF(origins)];
        uint8_t memory[SPACE], before[SPACE], is_claimed[SPACE] = {0};
        struct bytes dev[BUS_MAX_RANGES];
        struct bus b;
        bus_init(&b);
        for (unsigned i = 0; i < SPACE; i++) memory[i] = (uint8_t)rand();
        for (unsigned from = (unsigned)rand() % 4; from < SPACE && b.count < BUS_MAX_RANGES;) {
            unsigned len = 1 + (unsigned)rand() % 12;
            if (len > SPACE - from || rand() % 16 == 0) len = SPACE - from;
            const unsigned kind = (unsigned)rand() % COUNT_OF(byte_ops);
            dev[b.count] = (struct bytes){.at = memory + from, .size = len, .width = byte_ops[kind].width};
            const struct bus_range r = {origin + from, len, &byte_ops[kind], &dev[b.count], "bytes"};
            assert_int_equal(bus_add(&b, &r, NULL), 0);
            memset(is_claimed + from, 1, len);
            from += len + (unsigned)rand() % 3;
        }
        bus_freeze(&b);
        for (unsigned at = 0; at < SPACE; at++) {
            for (unsigned size = 1; size <= BUS_MAX_ACCESS; size++) {
                uint64_t want = 0, value = 0;
                for (unsigned i = 0; i < size; i++) {
                    const bool is_there = at + i < SPACE && is_claimed[at + i];
                    want |= (uint64_t)(is_there ? memory[at + i] : 0xff) << (8 * i);
                    value |= (uint64_t)(rand() & 0xff) << (8 * i);
                }
                assert_true(bus_read(&b, origin + at, size) == want);
                memcpy(before, memory, sizeof(memory));
                bus_write(&b, origin + at, size, value);
                for (unsigned i = 0; i < size && at + i < SPACE; i++)
                    if (is_claimed[at + i]) before[at + i] = (uint8_t)(value >> (8 * i));
                assert_memory_equal(memory, before, sizeof(memory));
            }
        }
        for (unsigned i = 0; i < b.count; i++) assert_false(dev[i].was_asked_wrongly);
    }
}

static void an_access_that_a_device_takes_whole_is_not_split(void **state)
{
    (void)state;
    struct bus b;
    struct probe p = {0};
    bus_init(&b);
    const struct bus_range r = range_at(0x1000, 0x10, &p);
    assert_int_equal(bus_add(&b, &r, NULL), 0);
    bus_freeze(&b);
    for (unsigned size = 1; size <= 8; size *= 2) {
        for (uint64_t at = 0; at <= 0x10 - size; at++) {
            p = (struct probe){0};
            bus_write(&b, 0x1000 + at, size, UINT64_MAX);
            (void)bus_read(&b, 0x1000 + at, size);
            assert_int_equal(p.writes, 1);
            assert_int_equal(p.reads, 1);
            assert_int_equal(p.offset, at);
            assert_int_equal(p.size, size);
        }
    }
}

UNIT_MAIN(UNIT(add_refuses_what_cannot_be), UNIT(a_full_bus_refuses_one_more), UNIT(find_agrees_with_a_byte_map),
          UNIT(access_reaches_the_device_at_its_offset), UNIT(unclaimed_addresses_read_as_ones),
          UNIT(every_byte_of_an_access_goes_to_the_range_it_lies_in),
          UNIT(an_access_that_a_device_takes_whole_is_not_split))

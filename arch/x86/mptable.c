/* The MultiProcessor Specification's tables, 1.4, and Linux' virtio_mmio.device words: for kernels without ACPI. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "arch/x86/layout.h"
#include "arch/x86/tables.h"
#include "devices/virtio/virtio_mmio.h"
#include "vmm/base/endian.h"

#define FLOATING     16u /* 4.1 */
#define HEADER       44u /* 4.2 */
#define REVISION     4u  /* 1.4 */
#define APIC_VERSION 0x14u

/* 4.3: entry types, in the order they must appear */
enum { MP_PROCESSOR, MP_BUS, MP_IOAPIC, MP_INTERRUPT, MP_LOCAL_INTERRUPT };
enum { MP_INT = 0, MP_NMI = 1, MP_EXTINT = 3 };

struct mp {
    uint8_t *table; /* header first */
    uint32_t len;
    uint16_t entries;
    uint8_t ioapic;
};

static uint8_t *mp_add(struct mp *m, uint8_t type, uint32_t size)
{
    uint8_t *p = m->table + m->len;
    p[0] = type;
    m->len += size;
    m->entries++;
    return p;
}

static void add_processor(struct mp *m, uint8_t id)
{
    uint8_t *p = mp_add(m, MP_PROCESSOR, 20);
    p[1] = id;
    p[2] = APIC_VERSION;
    p[3] = id == 0 ? 3 : 1;   /* enabled, and the first one boots */
    le32_write(p + 4, 0x600); /* signature and features: CPUID is what counts, these only must not be zero */
    le32_write(p + 8, 0x201); /* FPU, APIC */
}

/* ISA is the bus whose interrupts are edge and active high unless said otherwise. */
static void add_interrupt(struct mp *m, uint32_t gsi)
{
    uint8_t *p = mp_add(m, MP_INTERRUPT, 8);
    p[1] = MP_INT;
    p[5] = (uint8_t)gsi; /* bus 0, interrupt == pin */
    p[6] = m->ioapic;
    p[7] = (uint8_t)gsi;
}

static void add_local(struct mp *m, uint8_t kind, uint8_t lint)
{
    uint8_t *p = mp_add(m, MP_LOCAL_INTERRUPT, 8);
    p[1] = kind;
    p[6] = 0xff; /* every local APIC */
    p[7] = lint;
}

_Static_assert(FLOATING + HEADER + X86_MAX_VCPUS * 20 + (ARCH_MAX_SLOTS + 5) * 8 <= X86_MPTABLE_ROOM, "the table fits");

static void write_header(struct mp *m)
{
    uint8_t *h = m->table;
    memcpy(h, "PCMP", 4);
    le16_write(h + 4, (uint16_t)m->len);
    h[6] = REVISION;
    memcpy(h + 8, "VIREO   ", 8);
    memcpy(h + 16, "MICROVM     ", 12);
    le16_write(h + 34, m->entries);
    le32_write(h + 36, X86_LAPIC);
    h[7] = table_checksum(h, m->len);
}

int mptable_write(const struct gmem *mem, const struct machine_map *map, struct err *e)
{
    uint8_t *f = gmem_slice(mem, X86_MPTABLE, X86_MPTABLE_ROOM, GMEM_WRITE);
    if (!f || map->cpus > X86_MAX_VCPUS || map->slot_count > ARCH_MAX_SLOTS)
        return err_set(e, -EFAULT, "no room for the MP table");
    struct mp m = {.table = f + FLOATING, .len = HEADER, .ioapic = (uint8_t)map->cpus};
    for (unsigned i = 0; i < map->cpus; i++) add_processor(&m, (uint8_t)i);
    memcpy(mp_add(&m, MP_BUS, 8) + 2, "ISA   ", 6);
    uint8_t *io = mp_add(&m, MP_IOAPIC, 8);
    io[1] = m.ioapic;
    io[2] = 0x20; /* the version register's */
    io[3] = 1;    /* usable */
    le32_write(io + 4, X86_IOAPIC);
    add_interrupt(&m, X86_GSI_SERIAL);
    for (unsigned i = 0; i < map->slot_count; i++) add_interrupt(&m, map->slots[i].gsi);
    add_local(&m, MP_EXTINT, 0);
    add_local(&m, MP_NMI, 1);
    write_header(&m);

    memcpy(f, "_MP_", 4);
    le32_write(f + 4, X86_MPTABLE + FLOATING);
    f[8] = 1; /* length in 16 bytes */
    f[9] = REVISION;
    f[10] = table_checksum(f, FLOATING);
    return 0;
}

int mptable_cmdline(const struct machine_map *map, const char *cmdline, char *out, size_t size, struct err *e)
{
    size_t len = (size_t)snprintf(out, size, "%s", cmdline);
    for (unsigned i = 0; i < map->slot_count && len < size; i++) {
        const struct arch_slot *s = &map->slots[i];
        len += (size_t)snprintf(out + len, size - len, "%svirtio_mmio.device=%lluK@0x%llx:%u", len ? " " : "",
                                (unsigned long long)(s->size >> 10), (unsigned long long)s->base, s->gsi);
    }
    if (len >= size)
        return err_set(e, -E2BIG,
                       "the words for %u devices do not fit on a command line of %zu characters; shorten it or "
                       "use ACPI",
                       map->slot_count, size - 1);
    return 0;
}

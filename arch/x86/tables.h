/* The tables that tell a guest which hardware there is: ACPI, or an MP table and words on the command line. Written
 * into guest memory before it runs; control thread. */
#ifndef VIREO_X86_TABLES_H
#define VIREO_X86_TABLES_H

#include <stddef.h>
#include <stdint.h>

#include "arch/arch.h"

struct machine_map {
    unsigned cpus; /* APIC ids 0..cpus-1; the IOAPIC has id `cpus` */
    const struct arch_slot *slots;
    unsigned slot_count;
};

/* The byte that makes a table's bytes add up to zero, while its place holds 0. */
static inline uint8_t table_checksum(const uint8_t *p, size_t len)
{
    uint8_t sum = 0;
    while (len--) sum = (uint8_t)(sum + *p++);
    return (uint8_t)-sum;
}

/* RSDP, XSDT, FADT, MADT and DSDT from X86_ACPI on. *rsdp: where the guest starts. */
int acpi_write(const struct gmem *mem, const struct machine_map *map, uint64_t *rsdp, struct err *e);
/* Floating pointer and table at X86_MPTABLE (MP 1.4, 4). */
int mptable_write(const struct gmem *mem, const struct machine_map *map, struct err *e);
/* "CMDLINE virtio_mmio.device=4K@0xd0000000:16 ..." into out[size]; -E2BIG when it does not fit. */
int mptable_cmdline(const struct machine_map *map, const char *cmdline, char *out, size_t size, struct err *e);

#endif

/* The MP table (Intel MultiProcessor Specification 1.4): what describes processors where there is no ACPI. */
#include "machine.h"

#define FLOATING_SIZE    16
#define CONFIG_HEADER    44
#define CONFIG_MAX       (16u << 10) /* hundreds of processors fit */
#define EBDA_SEGMENT     0x40e
#define BASE_MEMORY_KIB  0x413
#define BIOS_BASE        0xf0000
#define BIOS_SIZE        0x10000
#define CONVENTIONAL_END 0xa0000
#define ENTRY_CPU        0 /* 4.3.1: 20 bytes, all others 8 */
#define ENTRY_IO_APIC    2 /* 4.3.3 */
#define ENABLED          1u
#define ENTRY_CPU_SIZE   20
#define ENTRY_SIZE       8

/* 4.1: on a 16-byte boundary, its sum 0. Returns the configuration table's address, 0: not here. */
static uint32_t find_floating(uint32_t base, uint32_t size)
{
    for (uint32_t at = base; at + FLOATING_SIZE <= base + size; at += FLOATING_SIZE) {
        const uint8_t *p = at_gpa(at);
        if (get32(p) == 0x5f504d5f /* "_MP_" */ && !table_sum(p, FLOATING_SIZE)) return get32(p + 4);
    }
    return 0;
}

/* The three places of chapter 4, in its order. */
static uint32_t find_config(void)
{
    const uint32_t ebda = (uint32_t)get16(at_gpa(EBDA_SEGMENT)) << 4;
    const uint32_t base_end = (uint32_t)get16(at_gpa(BASE_MEMORY_KIB)) << 10;
    uint32_t config = 0;

    if (ebda && ebda < CONVENTIONAL_END) config = find_floating(ebda, 1024);
    if (!config && base_end >= 1024 && base_end <= CONVENTIONAL_END) config = find_floating(base_end - 1024, 1024);
    if (!config) config = find_floating(CONVENTIONAL_END - 1024, 1024);
    if (!config) config = find_floating(CONVENTIONAL_END - 2048, 1024); /* 639 KiB of base memory */
    if (!config) config = find_floating(BIOS_BASE, BIOS_SIZE);
    return config;
}

bool mptable_read(struct guest_machine *m)
{
    const uint32_t gpa = find_config();

    if (!gpa) return false;
    const uint8_t *config = at_gpa(gpa);
    const uint32_t len = get16(config + 4), count = get16(config + 34);
    if (gpa > MAPPED_END - CONFIG_MAX || memcmp(config, "PCMP", 4) != 0 || len < CONFIG_HEADER || len > CONFIG_MAX ||
        table_sum(config, len))
        fail(GUEST_BAD_TABLE, "the MP configuration table at 0x%x is broken", gpa);
    uint32_t at = CONFIG_HEADER;
    for (uint32_t i = 0; i < count && at + ENTRY_SIZE <= len; i++) {
        const uint8_t *entry = config + at;
        const uint32_t size = entry[0] == ENTRY_CPU ? ENTRY_CPU_SIZE : ENTRY_SIZE;
        if (size > len - at) fail(GUEST_BAD_TABLE, "the MP configuration table at 0x%x ends within an entry", gpa);
        if (entry[0] == ENTRY_CPU && entry[3] & ENABLED) apic_add_cpu(m, entry[1]);
        if (entry[0] == ENTRY_IO_APIC && entry[3] & ENABLED) apic_set_io(get32(entry + 4), 0);
        at += size;
    }
    return true;
}

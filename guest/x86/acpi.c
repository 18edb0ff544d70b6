/* As much of ACPI 6.5 as a machine of processors and virtio-mmio devices needs. No AML is run: a device is found by the
 * bytes of its _HID string and of the two resource descriptors behind it. */
#include "machine.h"

#define HEADER_SIZE     36
#define TABLE_MAX       (64u << 10) /* hundreds of processors or devices fit; more is a broken length */
#define RSDP_SIZE       36
#define RSDP_REVISION   15
#define RSDP_XSDT       24
#define FADT_DSDT       40
#define FADT_X_DSDT     140
#define MADT_ENTRIES    44
#define MADT_CPU        0 /* ACPI 6.5, 5.2.12.2 */
#define MADT_IO_APIC    1 /* 5.2.12.3 */
#define MADT_CPU_X2APIC 9 /* 5.2.12.12 */
#define CPU_ENABLED     1u
#define HID             "LNRO0005" /* virtio-mmio */
#define HID_SIZE        (sizeof(HID) - 1)
#define RESOURCES_REACH 256  /* from a _HID to the end of its _CRS; the next device's _HID ends it earlier */
#define MEMORY32_FIXED  0x86 /* 6.4.3.4, 12 bytes in all */
#define EXTENDED_IRQ    0x89 /* 6.4.3.6, 9 bytes with one interrupt */

/* A table at gpa that can be read whole and sums to 0. */
static const uint8_t *checked_table(uint64_t gpa, const char *what)
{
    if (!gpa || gpa > MAPPED_END - TABLE_MAX) fail(GUEST_BAD_TABLE, "the ACPI tables put the %s at 0x%lx", what, gpa);
    const uint8_t *table = at_gpa(gpa);
    const uint32_t len = get32(table + 4);
    if (len < HEADER_SIZE || len > TABLE_MAX)
        fail(GUEST_BAD_TABLE, "the ACPI %s at 0x%lx claims to have %u bytes", what, gpa, len);
    if (table_sum(table, len)) fail(GUEST_BAD_TABLE, "the ACPI %s at 0x%lx has a wrong checksum", what, gpa);
    return table;
}

static void read_madt(const uint8_t *madt, struct guest_machine *m)
{
    const uint32_t len = get32(madt + 4);

    for (uint32_t at = MADT_ENTRIES; at + 2 <= len;) {
        const uint8_t *entry = madt + at;
        const uint8_t type = entry[0], size = entry[1];
        if (size < 2 || size > len - at)
            fail(GUEST_BAD_TABLE, "the ACPI MADT has an entry of %u bytes at offset %u", size, at);
        if (type == MADT_CPU && size >= 8 && get32(entry + 4) & CPU_ENABLED) apic_add_cpu(m, entry[3]);
        if (type == MADT_CPU_X2APIC && size >= 16 && get32(entry + 8) & CPU_ENABLED) apic_add_cpu(m, get32(entry + 4));
        if (type == MADT_IO_APIC && size >= 12) apic_set_io(get32(entry + 4), get32(entry + 8));
        at += size;
    }
}

/* The first such byte from `at` on, or `end`. One instruction, for DSDTs have thousands of others. */
static const uint8_t *find_byte(const uint8_t *at, const uint8_t *end, uint8_t byte)
{
    size_t left = (size_t)(end - at);
    bool is_found = false;

    if (!left) return end;
    __asm__ volatile("repne scasb" : "+D"(at), "+c"(left), "=@cce"(is_found) : "a"(byte) : "memory");
    return is_found ? at - 1 : end;
}

static bool is_hid(const uint8_t *at, const uint8_t *end)
{
    return (size_t)(end - at) >= HID_SIZE && *at == HID[0] && !memcmp(at, HID, HID_SIZE);
}

/* The resources behind a _HID: the first window and the first interrupt. */
static void read_device(const uint8_t *at, const uint8_t *end, struct guest_machine *m)
{
    uint32_t base = 0, irq = 0;
    bool has_irq = false, is_edge = false;

    if (end - at > RESOURCES_REACH) end = at + RESOURCES_REACH;
    for (; end - at >= 9 && !is_hid(at, end); at++) {
        const uint16_t size = get16(at + 1);
        if (*at == MEMORY32_FIXED && size == 9 && end - at >= 12 && !base) base = get32(at + 4);
        if (*at == EXTENDED_IRQ && size == 6 && at[4] == 1 && !has_irq) {
            has_irq = true;
            is_edge = at[3] >> 1 & 1;
            irq = get32(at + 5);
        }
        if (base && has_irq) {
            add_device(m, base, irq, is_edge);
            return;
        }
    }
    fail(GUEST_BAD_TABLE, "the ACPI DSDT has a %s without a memory window and an interrupt", HID);
}

static void read_dsdt(const uint8_t *dsdt, struct guest_machine *m)
{
    const uint8_t *end = dsdt + get32(dsdt + 4), *at = dsdt + HEADER_SIZE;

    while ((at = find_byte(at, end, (uint8_t)HID[0])) < end) {
        if (is_hid(at, end)) read_device(at + HID_SIZE, end, m);
        at++;
    }
}

static void read_fadt(const uint8_t *fadt, struct guest_machine *m)
{
    const bool has_wide = get32(fadt + 4) >= FADT_X_DSDT + 8;
    const uint64_t wide = has_wide ? get64(fadt + FADT_X_DSDT) : 0;

    read_dsdt(checked_table(wide ? wide : get32(fadt + FADT_DSDT), "DSDT"), m);
}

void acpi_read(uint64_t rsdp, struct guest_machine *m)
{
    const uint8_t *root = at_gpa(rsdp);

    if (rsdp > MAPPED_END - RSDP_SIZE || memcmp(root, "RSD PTR ", 8) != 0 || root[RSDP_REVISION] < 2 ||
        table_sum(root, RSDP_SIZE))
        fail(GUEST_BAD_TABLE, "there is no ACPI 2 RSDP at 0x%lx, where boot_params puts it", rsdp);
    const uint8_t *xsdt = checked_table(get64(root + RSDP_XSDT), "XSDT");
    for (uint32_t at = HEADER_SIZE; at + 8 <= get32(xsdt + 4); at += 8) {
        const uint8_t *table = checked_table(get64(xsdt + at), "table in the XSDT");
        if (!memcmp(table, "APIC", 4)) read_madt(table, m);
        if (!memcmp(table, "FACP", 4)) read_fadt(table, m);
    }
}

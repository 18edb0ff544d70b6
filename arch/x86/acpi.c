/* ACPI for a machine with nothing legacy in it: hardware-reduced (ACPI 6.5, 3.11.1), so a guest finds no SCI, PM timer,
 * FACS, PIC or PIT. Every table lies right behind the one before it: a small machine's tables fit one page.
 *
 * The FADT's boot flags say what is not there, because a guest that has to find out pays in exits and delays. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "arch/x86/aml.h"
#include "arch/x86/layout.h"
#include "arch/x86/platform.h"
#include "arch/x86/tables.h"
#include "devices/virtio/virtio_mmio.h"
#include "vmm/base/checked.h"
#include "vmm/base/endian.h"

#define HEADER      36u      /* 5.2.6, System Description Table header */
#define OEM_ID      "VIREO " /* 6 characters */
#define OEM_TABLE   "VIREOMVM"
#define CREATOR     "VIRE"
#define TABLE_ALIGN 8u

#define XSDT_ENTRIES 2u
#define RSDP_SIZE    36u
#define FADT_SIZE    276u /* 6.x */

/* A table being written. */
struct table {
    uint8_t *at;
    uint64_t gpa;
};

/* Header and checksum, once everything else is in place. */
static void finish(struct table t, const char *signature, uint8_t revision, size_t len)
{
    memcpy(t.at, signature, 4);
    le32_write(t.at + 4, (uint32_t)len);
    t.at[8] = revision;
    t.at[9] = 0;
    memcpy(t.at + 10, OEM_ID, 6);
    memcpy(t.at + 16, OEM_TABLE, 8);
    le32_write(t.at + 24, 1);
    memcpy(t.at + 28, CREATOR, 4);
    le32_write(t.at + 32, 1);
    t.at[9] = table_checksum(t.at, len);
}

static struct table after(struct table t, size_t len)
{
    const size_t step = (size_t)align_up(len, TABLE_ALIGN);
    return (struct table){t.at + step, t.gpa + step};
}

static void add_slot(struct aml *a, const struct arch_slot *s, unsigned uid)
{
    static const char hex[] = "0123456789ABCDEF";
    const char seg[] = {'V', 'R', hex[uid >> 4 & 0xf], hex[uid & 0xf], '\0'};
    const size_t dev = aml_device_begin(a, seg);
    aml_name_string(a, "_HID", "LNRO0005"); /* the id Linux' virtio_mmio and others match */
    aml_name_integer(a, "_UID", uid);
    aml_name_integer(a, "_CCA", 1);
    const size_t crs = aml_resources_begin(a);
    aml_resource_memory32(a, (uint32_t)s->base, (uint32_t)s->size);
    aml_resource_edge(a, s->gsi);
    aml_resources_end(a, crs);
    aml_end(a, dev);
}

static void add_serial(struct aml *a)
{
    const size_t dev = aml_device_begin(a, "COM1");
    aml_name_integer(a, "_HID", aml_eisa_id("PNP0501"));
    aml_name_integer(a, "_UID", 0);
    const size_t crs = aml_resources_begin(a);
    aml_resource_io(a, X86_PORT_COM1, SERIAL_SIZE);
    aml_resource_edge(a, X86_GSI_SERIAL);
    aml_resources_end(a, crs);
    aml_end(a, dev);
}

static void add_pvpanic(struct aml *a)
{
    const size_t dev = aml_device_begin(a, "PEVT");
    aml_name_string(a, "_HID", "QEMU0001"); /* docs/specs/pvpanic of QEMU, whose interface it is */
    const size_t crs = aml_resources_begin(a);
    aml_resource_io(a, X86_PORT_PVPANIC, 1);
    aml_resources_end(a, crs);
    aml_end(a, dev);
}

/* DSDT revision 2: integers of 64 bits. 0 when the room is too small. */
static size_t write_dsdt(struct table t, size_t room, const struct machine_map *map)
{
    struct aml a = {.buf = t.at, .size = room, .len = HEADER};
    const size_t sb = aml_scope_begin(&a, "\\_SB_");
    add_serial(&a);
    add_pvpanic(&a);
    for (unsigned i = 0; i < map->slot_count; i++) add_slot(&a, &map->slots[i], i);
    aml_end(&a, sb);
    aml_name(&a, "_S5_"); /* 16.1 and 7.4.2: SLP_TYP for soft off */
    const size_t s5 = aml_package_begin(&a, 2);
    aml_integer(&a, POWER_S5);
    aml_integer(&a, 0);
    aml_end(&a, s5);
    if (a.is_full) return 0;
    finish(t, "DSDT", 2, a.len);
    return a.len;
}

/* Generic Address Structure (5.2.3.2): a byte-wide I/O port */
static void write_port(uint8_t *gas, uint64_t port)
{
    gas[0] = 1;
    gas[1] = 8;
    gas[3] = 1;
    le64_write(gas + 4, port);
}

#define FADT_WBINVD          (1u << 0)
#define FADT_PWR_BUTTON      (1u << 4) /* set: no fixed button */
#define FADT_SLP_BUTTON      (1u << 5)
#define FADT_RESET_SUPPORTED (1u << 10)
#define FADT_HW_REDUCED      (1u << 20)
#define BOOT_NO_VGA          (1u << 2)
#define BOOT_NO_CMOS_RTC     (1u << 5) /* see platform.c; bits 0 and 1 clear: no legacy devices, no 8042 */

static size_t write_fadt(struct table t, uint64_t dsdt)
{
    le32_write(t.at + 40, (uint32_t)dsdt);
    le16_write(t.at + 109, BOOT_NO_VGA | BOOT_NO_CMOS_RTC);
    le32_write(t.at + 112, FADT_WBINVD | FADT_PWR_BUTTON | FADT_SLP_BUTTON | FADT_RESET_SUPPORTED | FADT_HW_REDUCED);
    write_port(t.at + 116, X86_PORT_POWER + POWER_RESET);
    t.at[128] = POWER_RESET_VALUE;
    t.at[131] = 5; /* minor version: 6.5 */
    le64_write(t.at + 140, dsdt);
    write_port(t.at + 244, X86_PORT_POWER + POWER_SLEEP_CONTROL);
    write_port(t.at + 256, X86_PORT_POWER + POWER_SLEEP_STATUS);
    memcpy(t.at + 268, "VIREO\0\0", 8); /* hypervisor vendor identity */
    finish(t, "FACP", 6, FADT_SIZE);
    return FADT_SIZE;
}

/* MADT (5.2.12) */
#define MADT_HEADER 44u
#define MADT_LAPIC  8u
#define MADT_IOAPIC 12u
#define MADT_NMI    6u

static size_t write_madt(struct table t, unsigned cpus)
{
    uint8_t *p = t.at + MADT_HEADER;
    le32_write(t.at + 36, X86_LAPIC); /* flags stay 0: no dual 8259 */
    for (unsigned i = 0; i < cpus; i++, p += MADT_LAPIC) {
        p[0] = 0;
        p[1] = MADT_LAPIC;
        p[2] = p[3] = (uint8_t)i; /* processor UID and APIC id */
        le32_write(p + 4, 1);     /* enabled */
    }
    p[0] = 1;
    p[1] = MADT_IOAPIC;
    p[2] = (uint8_t)cpus;
    le32_write(p + 4, X86_IOAPIC); /* its GSIs start at 0 */
    p += MADT_IOAPIC;
    p[0] = 4;
    p[1] = MADT_NMI;
    p[2] = 0xff; /* every processor's LINT1 is NMI */
    p[5] = 1;
    const size_t len = (size_t)(p + MADT_NMI - t.at);
    finish(t, "APIC", 5, len);
    return len;
}

static size_t write_xsdt(struct table t, const uint64_t *tables)
{
    for (unsigned i = 0; i < XSDT_ENTRIES; i++) le64_write(t.at + HEADER + i * 8, tables[i]);
    finish(t, "XSDT", 1, HEADER + XSDT_ENTRIES * 8);
    return HEADER + XSDT_ENTRIES * 8;
}

static size_t write_rsdp(struct table t, uint64_t xsdt)
{
    memcpy(t.at, "RSD PTR ", 8);
    memcpy(t.at + 9, OEM_ID, 6);
    t.at[15] = 2;
    le32_write(t.at + 20, RSDP_SIZE);
    le64_write(t.at + 24, xsdt);
    t.at[8] = table_checksum(t.at, 20); /* the 1.0 part */
    t.at[32] = table_checksum(t.at, RSDP_SIZE);
    return RSDP_SIZE;
}

_Static_assert(MADT_HEADER + X86_MAX_VCPUS * MADT_LAPIC + MADT_IOAPIC + MADT_NMI + FADT_SIZE < X86_ACPI_ROOM / 2,
               "half of the room is the DSDT's");

/* On a machine without legacy hardware (FADT_HW_REDUCED) Linux reboots through EFI. As it finds no EFI, it jumps in
 * real mode to a BIOS' entry, f000:fff0. The code there writes the reset register: mov al; mov dx; out dx, al. */
static int write_reset_vector(const struct gmem *mem, struct err *e)
{
    static const uint8_t code[] = {
        0xb0, POWER_RESET_VALUE, 0xba, (X86_PORT_POWER + POWER_RESET) & 0xff, (X86_PORT_POWER + POWER_RESET) >> 8,
        0xee};
    uint8_t *at = gmem_slice(mem, X86_RESET_VECTOR, sizeof(code), GMEM_WRITE);
    if (!at) return err_set(e, -EFAULT, "no memory for the reset vector");
    memcpy(at, code, sizeof(code));
    return 0;
}

int acpi_write(const struct gmem *mem, const struct machine_map *map, uint64_t *rsdp, struct err *e)
{
    const struct table first = {gmem_slice(mem, X86_ACPI, X86_ACPI_ROOM, GMEM_WRITE), X86_ACPI};
    if (!first.at) return err_set(e, -EFAULT, "no memory for the ACPI tables");
    const struct table xsdt = after(first, RSDP_SIZE);
    const struct table fadt = after(xsdt, HEADER + XSDT_ENTRIES * 8);
    const struct table madt = after(fadt, FADT_SIZE);
    const struct table dsdt = after(madt, write_madt(madt, map->cpus));
    if (!write_dsdt(dsdt, X86_ACPI_ROOM - (size_t)(dsdt.gpa - X86_ACPI), map))
        return err_set(e, -ENOSPC, "the ACPI tables of %u devices do not fit", map->slot_count);
    write_fadt(fadt, dsdt.gpa);
    const uint64_t tables[XSDT_ENTRIES] = {fadt.gpa, madt.gpa};
    write_xsdt(xsdt, tables);
    write_rsdp(first, xsdt.gpa);
    *rsdp = first.gpa;
    return write_reset_vector(mem, e);
}

/* What the parts of the x86 guest know of each other. */
#ifndef VIREO_GUEST_X86_MACHINE_H
#define VIREO_GUEST_X86_MACHINE_H

#include "../common/guest.h"

#define MAX_CPUS   256          /* every local APIC id a byte can name */
#define MAPPED_END 0x100000000u /* the boot protocol's page tables reach this far */

/* boot_params ("zero page") fields, Documentation/arch/x86/zero-page.rst and boot.rst. */
#define BOOT_ACPI_RSDP  0x070 /* u64 */
#define BOOT_E820_COUNT 0x1e8 /* u8 */
#define BOOT_CMDLINE    0x228 /* u32 */
#define BOOT_E820_TABLE 0x2d0 /* {u64 base, u64 size, u32 type} packed */
#define BOOT_E820_MAX   128
#define E820_ENTRY_SIZE 20
#define E820_RAM        1

/* Numbers in tables need not be aligned. */
static inline uint16_t get16(const void *at)
{
    uint16_t value;
    __builtin_memcpy(&value, at, sizeof(value));
    return value;
}

static inline uint32_t get32(const void *at)
{
    uint32_t value;
    __builtin_memcpy(&value, at, sizeof(value));
    return value;
}

static inline uint64_t get64(const void *at)
{
    uint64_t value;
    __builtin_memcpy(&value, at, sizeof(value));
    return value;
}

/* Memory at a fixed address. The compiler must not know it: it takes constants this low for null pointers. */
static inline const uint8_t *at_gpa(uint64_t gpa)
{
    __asm__("" : "+r"(gpa));
    return (const uint8_t *)(uintptr_t)gpa;
}

/* The 8-bit sum that is 0 over every ACPI and MP table. */
uint8_t table_sum(const uint8_t *at, size_t len);
void add_device(struct guest_machine *m, uint64_t base, uint32_t irq, bool is_edge);

/* acpi.c: processors and the I/O APIC from the MADT, devices from the DSDT (ACPI 6.5). */
void acpi_read(uint64_t rsdp, struct guest_machine *m);
/* mptable.c: processors and the I/O APIC from the MP table (MP specification 1.4); false: there is none. */
bool mptable_read(struct guest_machine *m);
/* cmdline.c: devices from words `virtio_mmio.device=SIZE@BASE:IRQ` (admin-guide/kernel-parameters.txt). */
void cmdline_read(struct guest_machine *m);

/* machine.c: one gate of the table that all processors share, and that table for the one that asks. */
void idt_set(unsigned vector, uint64_t entry);
void idt_load(void);

/* apic.c */
void apic_add_cpu(struct guest_machine *m, uint32_t apic_id);
void apic_set_io(uint64_t base, uint32_t first_gsi);
void apic_open(void);

/* entry.S */
extern const uint8_t exception_stubs[], ap_trampoline[], ap_trampoline_end[];
void interrupt_stub(void);
void spurious_stub(void);
#define EXCEPTION_COUNT     32
#define EXCEPTION_STUB_SIZE 8
#define VECTOR_DEVICE       0x30
#define VECTOR_SPURIOUS     0x3f /* low four bits set, as the oldest APICs want it */
#define VECTOR_COUNT        0x40

#endif

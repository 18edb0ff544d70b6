/* For programs that run inside a Vireo machine, without an operating system: where its devices are, and the few calls
 * that a small guest needs. C99 and later, C++, and assembler (the constants alone). docs/guests.md says in which state
 * a guest is entered and what each device does; nothing here needs a library.
 *
 * A guest may also find all of this by itself: by ACPI or an MP table on x86, by the device tree on arm64. */
#ifndef VIREO_GUEST_H
#define VIREO_GUEST_H

/* ---- x86-64: ports, then guest-physical addresses ---- */
#define VIREO_X86_PORT_EXIT   0xf4  /* a write of any size: ends the VM, with that status */
#define VIREO_X86_PORT_MARK   0xf5  /* a byte: "guest N" among the VM's milestones */
#define VIREO_X86_PORT_SERIAL 0x3f8 /* 16550A; the console */
#define VIREO_X86_PORT_PANIC  0x505 /* a byte, VIREO_GUEST_PANICKED: ends the VM */
#define VIREO_X86_PORT_POWER  0x600 /* a byte, VIREO_X86_POWER_OFF: ends the VM */
#define VIREO_X86_PORT_RESET  0x602 /* a byte, 1: the same */
#define VIREO_X86_POWER_OFF   0x34  /* SLP_EN, and SLP_TYP 5 (ACPI 6.5, 4.8.3.7) */

#define VIREO_X86_RAM_BASE   0x0
#define VIREO_X86_HOLE_START 0xc0000000  /* devices; RAM goes on above, */
#define VIREO_X86_HOLE_END   0x100000000 /* here */
#define VIREO_X86_VIRTIO     0xd0000000  /* virtio-mmio windows, VIREO_GUEST_VIRTIO_SIZE each */
#define VIREO_X86_VIRTIO_IRQ 5           /* window i: this + i, a pin of the IOAPIC, edge */
#define VIREO_X86_SERIAL_IRQ 4
#define VIREO_X86_IOAPIC     0xfec00000
#define VIREO_X86_LAPIC      0xfee00000

/* ---- arm64: guest-physical addresses ---- */
#define VIREO_ARM64_GICD       0x08000000 /* distributor of the GIC, whose version is the host's */
#define VIREO_ARM64_GICC       0x08010000 /* GICv2: CPU interface */
#define VIREO_ARM64_GICR       0x08100000 /* GICv3: redistributors, 128 KiB a vCPU */
#define VIREO_ARM64_SERIAL     0x09000000 /* 16550A, byte-wide; the console */
#define VIREO_ARM64_RTC        0x09010000 /* PL031 */
#define VIREO_ARM64_EXIT       0x09020000 /* as VIREO_X86_PORT_EXIT */
#define VIREO_ARM64_MARK       0x09020001 /* a byte */
#define VIREO_ARM64_PANIC      0x09030000 /* a byte */
#define VIREO_ARM64_VIRTIO     0x0a000000
#define VIREO_ARM64_VIRTIO_IRQ 16 /* window i: shared peripheral interrupt this + i (interrupt ID 32 more), edge */
#define VIREO_ARM64_SERIAL_IRQ 1
#define VIREO_ARM64_RAM_BASE   0x40000000

/* ---- both ---- */
#define VIREO_GUEST_VIRTIO_SIZE 0x1000
#define VIREO_GUEST_VIRTIO_MAX  32
#define VIREO_GUEST_PANICKED    1   /* panic device: the guest's kernel has panicked */
#define VIREO_GUEST_STATUS_MAX  119 /* as an exit status; a larger one is told as this, and whole beside it */

#ifndef __ASSEMBLER__
#include <stdint.h>

#if defined(__x86_64__) || defined(__i386__)
static inline void vireo_guest_out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void vireo_guest_out16(uint16_t port, uint16_t value)
{
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint8_t vireo_guest_in8(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

#define VIREO_GUEST_WRITE8(name, value)  vireo_guest_out8(VIREO_X86_PORT_##name, value)
#define VIREO_GUEST_WRITE16(name, value) vireo_guest_out16(VIREO_X86_PORT_##name, value)
#define VIREO_GUEST_SERIAL_LSR()         vireo_guest_in8(VIREO_X86_PORT_SERIAL + 5)
#elif defined(__aarch64__)
/* One plain access each: KVM can't tell the monitor of any other kind. */
static inline void vireo_guest_store8(uint64_t address, uint8_t value)
{
    __asm__ volatile("strb %w0, [%1]" : : "r"(value), "r"(address) : "memory");
}

static inline void vireo_guest_store16(uint64_t address, uint16_t value)
{
    __asm__ volatile("strh %w0, [%1]" : : "r"(value), "r"(address) : "memory");
}

static inline uint8_t vireo_guest_load8(uint64_t address)
{
    uint32_t value;
    __asm__ volatile("ldrb %w0, [%1]" : "=r"(value) : "r"(address) : "memory");
    return (uint8_t)value;
}

#define VIREO_GUEST_WRITE8(name, value)  vireo_guest_store8(VIREO_ARM64_##name, value)
#define VIREO_GUEST_WRITE16(name, value) vireo_guest_store16(VIREO_ARM64_##name, value)
#define VIREO_GUEST_SERIAL_LSR()         vireo_guest_load8(VIREO_ARM64_SERIAL + 5)
#endif

#ifdef VIREO_GUEST_WRITE8
/* The VM ends with this status: 1 to VIREO_GUEST_STATUS_MAX is what `vireo run` then exits with. */
static inline __attribute__((noreturn)) void vireo_guest_exit(uint16_t status)
{
    for (;;) VIREO_GUEST_WRITE16(EXIT, status);
}

/* The VM ends as one whose kernel has panicked. */
static inline __attribute__((noreturn)) void vireo_guest_panic(void)
{
    for (;;) VIREO_GUEST_WRITE8(PANIC, VIREO_GUEST_PANICKED);
}

/* A milestone, "guest N": when it was reached is told by `vireo run --boot-times` and vireo_vm_milestone. */
static inline void vireo_guest_mark(uint8_t n)
{
    VIREO_GUEST_WRITE8(MARK, n);
}

/* A character on the console, when there is room for it (line status bit 5). */
static inline void vireo_guest_putc(char c)
{
    while (!(VIREO_GUEST_SERIAL_LSR() & 0x20)) continue;
    VIREO_GUEST_WRITE8(SERIAL, (uint8_t)c);
}

static inline void vireo_guest_puts(const char *text)
{
    while (*text) vireo_guest_putc(*text++);
}
#endif
#endif
#endif

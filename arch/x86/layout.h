/* Where things lie in an x86-64 Vireo machine: guest addresses, ports, interrupt pins. Constants only.
 *
 *   0x00000  left alone: interrupt vectors and BIOS data area, zero
 *   0x01000  boot information: zero page, or PVH start info, or Multiboot info } for a PVH or Multiboot kernel that
 *   0x02000  command line; the GDT at its page's end                           } is linked here: elsewhere (load.h)
 *   0x03000  page tables: PML4, PDPT, four PDs of 2 MiB pages (64-bit entry only)
 *   0x09000  free: kernels put their real-mode code for the other processors here
 *   0x9fc00  reserved (EBDA in a PC)
 *   0xe0000  ACPI tables, where a BIOS would keep them, so that a scan finds the RSDP (ACPI 6.5, 5.2.5.1)
 *   0xf0000  MP table (MP 1.4, 4: found by a scan), with --no-acpi instead of ACPI
 *   1 MiB    kernel, initrd, free RAM
 *   3 GiB    hole: devices. virtio-mmio 0xd0000000, IOAPIC 0xfec00000, LAPIC 0xfee00000, KVM's own pages 0xfffbd000
 *   4 GiB    the rest of RAM
 *
 * What the loader writes lies close together, because every page it touches is paid for at each start. */
#ifndef VIREO_X86_LAYOUT_H
#define VIREO_X86_LAYOUT_H

#define X86_BOOT_INFO    0x1000u
#define X86_BOOT_ROOM    0x1000u
#define X86_CMDLINE      0x2000u
#define X86_CMDLINE_ROOM 0xf00u /* with its NUL. Linux takes 2048; a Multiboot line has the kernel's name before it */
#define X86_GDT          0x2f00u
#define X86_BOOT_END     0x3000u /* of information, command line and GDT, which stay together */
#define X86_PML4         0x3000u
#define X86_PDPT         0x4000u
#define X86_PD           0x5000u
#define X86_LOW_END      0x9000u

#define X86_BASE_END     0x9fc00u /* RAM the guest may use below 1 MiB ends here */
#define X86_ACPI         0xe0000u
#define X86_ACPI_ROOM    0x10000u
#define X86_MPTABLE      0xf0000u
#define X86_MPTABLE_ROOM 0x10000u
#define X86_RESET_VECTOR 0xffff0u
#define X86_HIMEM        0x100000u
#define X86_MIN_RAM      0x200000u /* tables and a small kernel */

#define X86_HOLE_START 0xc0000000u
#define X86_HOLE_END   0x100000000ull
#define X86_VIRTIO     0xd0000000u
#define X86_IOAPIC     0xfec00000u
#define X86_LAPIC      0xfee00000u
#define X86_KVM_TSS    0xfffbd000u /* three pages KVM takes on Intel CPUs that can't run real mode (api.rst 4.36) */

/* GDT, as the 64-bit boot protocol wants it (boot.rst: __BOOT_CS 0x10, __BOOT_DS 0x18). */
#define X86_SEL_CODE 0x10u
#define X86_SEL_DATA 0x18u
#define X86_SEL_TSS  0x20u

/* Ports */
#define X86_PORT_I8042      0x60u /* data; 0x64 command */
#define X86_PORT_RTC        0x70u
#define X86_PORT_DEBUG_EXIT 0xf4u /* isa-debug-exit's customary place */
#define X86_PORT_COM1       0x3f8u
#define X86_PORT_PVPANIC    0x505u /* its customary place */
#define X86_PORT_POWER      0x600u /* ours, told in the FADT: sleep control, sleep status, reset */

/* IOAPIC pins are the GSIs, from 0: COM1 at 4 as on a PC's ISA bus, where a guest without ACPI looks for it, and right
 * after it the virtio windows. The IOAPIC shows only the pins that are in use, and leaves no gap, because kernels go
 * through all of them at start and at reboot, with a dozen exits each. */
#define X86_GSI_SERIAL  4u
#define X86_GSI_VIRTIO  5u
#define X86_IOAPIC_PINS 37u /* at most: every window in use */

#define X86_MAX_VCPUS 64u /* ids fit xAPIC and the 8 destination bits of our IOAPIC, tables their room */

#endif

/* What a kernel is told at its entry: memory map, command line, initrd, ACPI root. It is written as Linux's zero page,
 * PVH start info or Multiboot info where the kernel leaves room for it (struct loaded). Also the descriptor and page
 * tables that the kernel is entered with. */
#ifndef VIREO_X86_BOOTPARAMS_H
#define VIREO_X86_BOOTPARAMS_H

#include <stdint.h>

#include "arch/x86/load.h"
#include "vmm/base/err.h"
#include "vmm/core/gmem.h"

/* E820 types (ACPI 6.5, 15) */
enum { E820_RAM = 1, E820_RESERVED = 2 };
#define MEMMAP_MAX 8 /* RAM below and above the hole, two reserved places, and room */

struct memmap {
    unsigned count;
    struct {
        uint64_t addr, size;
        uint32_t type;
    } entry[MEMMAP_MAX];
};
void memmap_build(const struct gmem *mem, struct memmap *out);

struct boot_info {
    const struct loaded *kernel;
    uint64_t initrd, initrd_size; /* size 0: none */
    uint64_t rsdp;                /* 0: no ACPI */
};

/* Writes the command line, for Multiboot with `name` as the first word: only those kernels expect a program's name
 * there. name: what the user gave as kernel. -E2BIG with a sentence when the line is longer than the kernel takes. */
int boot_write_cmdline(const struct gmem *mem, const struct loaded *k, const char *name, const char *cmdline,
                       struct err *e);
/* The memory there is fresh: only what is not zero is written. */
int boot_write_info(const struct gmem *mem, const struct boot_info *b, struct err *e);
/* GDT for every protocol; page tables for long mode: RAM below the hole and the device hole, one to one. */
int boot_write_tables(const struct gmem *mem, const struct loaded *k, struct err *e);

#define MULTIBOOT_BOOT_MAGIC 0x2badb002u

#endif

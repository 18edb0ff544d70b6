#include "arch/x86/bootparams.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "arch/x86/layout.h"
#include "vmm/base/concat.h"
#include "vmm/base/endian.h"

#define GIB (1ull << 30)

static void memmap_add(struct memmap *m, uint64_t addr, uint64_t size, uint32_t type)
{
    if (size == 0 || m->count == MEMMAP_MAX) return;
    m->entry[m->count].addr = addr;
    m->entry[m->count].size = size;
    m->entry[m->count].type = type;
    m->count++;
}

void memmap_build(const struct gmem *mem, struct memmap *out)
{
    const uint64_t low_end = load_low_end(mem);
    out->count = 0;
    memmap_add(out, 0, X86_BASE_END, E820_RAM);
    memmap_add(out, X86_BASE_END, 0xa0000 - X86_BASE_END, E820_RESERVED);
    memmap_add(out, X86_ACPI, X86_HIMEM - X86_ACPI, E820_RESERVED);
    memmap_add(out, X86_HIMEM, low_end > X86_HIMEM ? low_end - X86_HIMEM : 0, E820_RAM);
    for (unsigned i = 0; i < mem->count; i++)
        if (mem->region[i].gpa >= X86_HOLE_END) memmap_add(out, mem->region[i].gpa, mem->region[i].size, E820_RAM);
}

/* Where this kernel's information, command line and GDT lie, from where they lie by default. */
static uint64_t place_of(const struct loaded *k, uint64_t by_default)
{
    return k->info + (by_default - X86_BOOT_INFO);
}

int boot_write_cmdline(const struct gmem *mem, const struct loaded *k, const char *name, const char *cmdline,
                       struct err *e)
{
    const size_t len = strlen(cmdline);
    const char *slash = strrchr(name, '/');
    const char *first = k->protocol == BOOT_MULTIBOOT ? (slash ? slash + 1 : name) : "";
    if (len > k->cmdline_max)
        return err_set(e, -E2BIG, "takes a command line of at most %u characters and this one has %zu; shorten it",
                       k->cmdline_max, len);
    char *to = gmem_slice(mem, place_of(k, X86_CMDLINE), X86_CMDLINE_ROOM, GMEM_WRITE);
    if (!to) return err_set(e, -EFAULT, "no memory for the command line");
    to[0] = '\0';
    if (concat(to, X86_CMDLINE_ROOM, first) && concat(to, X86_CMDLINE_ROOM, *first ? " " : "") &&
        concat(to, X86_CMDLINE_ROOM, cmdline))
        return 0;
    return err_set(e, -E2BIG, "has name and command line of %zu characters, %u fit; shorten them",
                   strlen(first) + 1 + len, X86_CMDLINE_ROOM - 1);
}

/* boot.rst, "The Linux/x86 Boot Protocol" and zero-page.rst. */
static void write_zero_page(uint8_t *page, const struct boot_info *b, const struct memmap *map)
{
    struct boot_params *bp = (struct boot_params *)(void *)page;
    bp->acpi_rsdp_addr = b->rsdp;
    bp->hdr = b->kernel->header;
    bp->hdr.cmd_line_ptr = (uint32_t)place_of(b->kernel, X86_CMDLINE);
    bp->hdr.ramdisk_image = (uint32_t)b->initrd; /* below 4 GiB: load_initrd */
    bp->hdr.ramdisk_size = (uint32_t)b->initrd_size;
    bp->e820_entries = (uint8_t)map->count;
    for (unsigned i = 0; i < map->count; i++)
        bp->e820_table[i] = (struct boot_e820_entry){map->entry[i].addr, map->entry[i].size, map->entry[i].type};
}

/* xen/include/public/arch-x86/hvm/start_info.h, version 1: start info, then one module, then the memory map. */
#define PVH_MAGIC  0x336ec578u
#define PVH_MODULE 0x40u
#define PVH_MEMMAP 0x80u
#define PVH_ENTRY  24u

static void write_pvh(uint8_t *page, const struct boot_info *b, const struct memmap *map)
{
    le32_write(page + 0x00, PVH_MAGIC);
    le32_write(page + 0x04, 1); /* version: with a memory map */
    le64_write(page + 0x18, place_of(b->kernel, X86_CMDLINE));
    le64_write(page + 0x20, b->rsdp);
    if (b->initrd_size) {
        le32_write(page + 0x0c, 1);
        le64_write(page + 0x10, b->kernel->info + PVH_MODULE);
        le64_write(page + PVH_MODULE, b->initrd);
        le64_write(page + PVH_MODULE + 8, b->initrd_size);
    }
    le64_write(page + 0x28, b->kernel->info + PVH_MEMMAP);
    le32_write(page + 0x30, map->count);
    for (unsigned i = 0; i < map->count; i++) {
        uint8_t *entry = page + PVH_MEMMAP + i * PVH_ENTRY;
        le64_write(entry, map->entry[i].addr);
        le64_write(entry + 8, map->entry[i].size);
        le32_write(entry + 16, map->entry[i].type);
    }
}

/* Multiboot 0.6.96, 3.3: info, one module, the map, the loader's name. The module's string is empty: the kernel alone
 * gives it a meaning, our user gave none, and a path of the host is none of the guest's business. */
#define MB_HAS_MEM     (1u << 0)
#define MB_HAS_CMDLINE (1u << 2)
#define MB_HAS_MODS    (1u << 3)
#define MB_HAS_MMAP    (1u << 6)
#define MB_HAS_LOADER  (1u << 9)
#define MB_MODULE      0x80u
#define MB_LOADER      0xa0u
#define MB_NO_STRING   0xb0u /* an empty one */
#define MB_MMAP        0x100u
#define MB_MMAP_ENTRY  24u /* with its size field, which does not count itself */

static void write_multiboot(uint8_t *page, const struct boot_info *b, const struct memmap *map)
{
    const uint32_t info = (uint32_t)b->kernel->info; /* below 4 GiB, as all of low RAM */
    uint32_t flags = MB_HAS_MEM | MB_HAS_CMDLINE | MB_HAS_MMAP | MB_HAS_LOADER;
    uint64_t upper = 0;
    for (unsigned i = 0; i < map->count; i++) {
        uint8_t *entry = page + MB_MMAP + i * MB_MMAP_ENTRY;
        le32_write(entry, MB_MMAP_ENTRY - 4);
        le64_write(entry + 4, map->entry[i].addr);
        le64_write(entry + 12, map->entry[i].size);
        le32_write(entry + 20, map->entry[i].type);
        if (map->entry[i].addr == X86_HIMEM) upper = map->entry[i].size;
    }
    if (b->initrd_size) {
        flags |= MB_HAS_MODS;
        le32_write(page + 20, 1);
        le32_write(page + 24, info + MB_MODULE);
        le32_write(page + MB_MODULE, (uint32_t)b->initrd);
        le32_write(page + MB_MODULE + 4, (uint32_t)(b->initrd + b->initrd_size));
        le32_write(page + MB_MODULE + 8, info + MB_NO_STRING);
    }
    le32_write(page + 0, flags);
    le32_write(page + 4, X86_BASE_END >> 10); /* KiB */
    le32_write(page + 8, (uint32_t)(upper >> 10));
    le32_write(page + 16, (uint32_t)place_of(b->kernel, X86_CMDLINE));
    le32_write(page + 44, map->count * MB_MMAP_ENTRY);
    le32_write(page + 48, info + MB_MMAP);
    le32_write(page + 64, info + MB_LOADER);
    memcpy(page + MB_LOADER, "Vireo", sizeof("Vireo"));
}

int boot_write_info(const struct gmem *mem, const struct boot_info *b, struct err *e)
{
    struct memmap map;
    uint8_t *page = gmem_slice(mem, b->kernel->info, X86_BOOT_ROOM, GMEM_WRITE);
    if (!page) return err_set(e, -EFAULT, "no memory for the boot information");
    memmap_build(mem, &map);
    switch (b->kernel->protocol) {
    case BOOT_LINUX64: write_zero_page(page, b, &map); break;
    case BOOT_PVH: write_pvh(page, b, &map); break;
    case BOOT_MULTIBOOT: write_multiboot(page, b, &map); break;
    }
    return 0;
}

/* Descriptors (SDM vol. 3, 3.4.5): flat, 4 GiB. The 32-bit protocols start with the same selectors and a 32-bit code
 * segment; the TSS is only there because VMX wants TR to hold one. */
#define GDT_CODE64 0x00af9b000000ffffull
#define GDT_CODE32 0x00cf9b000000ffffull
#define GDT_DATA   0x00cf93000000ffffull
#define GDT_TSS    0x00008b0000000067ull

#define PTE_TABLE 0x003ull /* present, writable */
#define PTE_2MIB  0x083ull /* and a page (SDM vol. 3, table 4-18) */

static int write_page_tables(const struct gmem *mem, struct err *e)
{
    /* GiBs with neither RAM nor devices have no PD at all, so nobody pays for its page. Pages are 2 MiB, never 1 GiB,
     * which software KVMs refuse. */
    const unsigned ram = (unsigned)((load_low_end(mem) + GIB - 1) / GIB);
    uint8_t *tables = gmem_slice(mem, X86_PML4, X86_LOW_END - X86_PML4, GMEM_WRITE);
    if (!tables) return err_set(e, -EFAULT, "no memory for the page tables");
    le64_write(tables, X86_PDPT | PTE_TABLE);
    for (unsigned g = 0; g < 4; g++) {
        if (g >= ram && g != X86_HOLE_START / GIB) continue;
        uint8_t *pd = tables + (X86_PD - X86_PML4) + g * GMEM_PAGE;
        le64_write(tables + (X86_PDPT - X86_PML4) + g * 8, (X86_PD + g * GMEM_PAGE) | PTE_TABLE);
        for (unsigned i = 0; i < 512; i++) le64_write(pd + i * 8, g * GIB | (uint64_t)i << 21 | PTE_2MIB);
    }
    return 0;
}

int boot_write_tables(const struct gmem *mem, const struct loaded *k, struct err *e)
{
    uint8_t *gdt = gmem_slice(mem, place_of(k, X86_GDT), X86_BOOT_END - X86_GDT, GMEM_WRITE);
    if (!gdt) return err_set(e, -EFAULT, "no memory for the GDT");
    le64_write(gdt + X86_SEL_CODE, k->protocol == BOOT_LINUX64 ? GDT_CODE64 : GDT_CODE32);
    le64_write(gdt + X86_SEL_DATA, GDT_DATA);
    le64_write(gdt + X86_SEL_TSS, GDT_TSS);
    return k->protocol == BOOT_LINUX64 ? write_page_tables(mem, e) : 0;
}

/* Multiboot 0.6.96 headers. ELF images bring their segments (load_elf.c); others say in the header where they go. */
#include "arch/x86/load.h"

#include <errno.h>

#include "vmm/base/endian.h"

#define MB_SEARCH      8192u /* 3.1: the header is wholly in the first 8192 bytes, 4-aligned */
#define MB_HEADER      12u   /* magic, flags, checksum */
#define MB_FULL_HEADER 32u   /* and the address fields */
#define MB_MAGIC       0x1badb002u
#define MB_PAGE_ALIGN  (1u << 0)     /* modules on pages: always so here */
#define MB_MEMORY      (1u << 1)     /* memory map wanted: always given */
#define MB_VIDEO       (1u << 2)     /* a wish: there is no display, and info.flags bit 11 says so */
#define MB_MUST_KNOW   0xffffu       /* 3.1.2: bits a loader that does not know them must refuse */
#define MB_INITRD_END  0xc0000000ull /* modules may lie anywhere in low RAM */

bool multiboot_find(const struct image *img, struct multiboot_header *out)
{
    uint8_t head[MB_SEARCH];
    const uint64_t len = img->size < MB_SEARCH ? img->size : MB_SEARCH;
    if (image_read(img, 0, head, len, NULL)) return false;
    for (uint64_t off = 0; off + MB_HEADER <= len; off += 4) {
        const uint8_t *p = head + off;
        if (le32_read(p) != MB_MAGIC) continue;
        const uint32_t flags = le32_read(p + 4);
        if ((uint32_t)(MB_MAGIC + flags + le32_read(p + 8)) != 0) continue; /* the three add up to zero */
        *out = (struct multiboot_header){.off = off, .flags = flags};
        if (!(flags & MULTIBOOT_HAS_ADDRESSES)) return true;
        if (off + MB_FULL_HEADER > len) return false;
        out->header_addr = le32_read(p + 12);
        out->load_addr = le32_read(p + 16);
        out->load_end = le32_read(p + 20);
        out->bss_end = le32_read(p + 24);
        out->entry = le32_read(p + 28);
        return true;
    }
    return false;
}

/* Multiboot 2, 3.1.1: the header is wholly in the first 32768 bytes, 8-aligned; its first four words add up to zero. */
#define MB2_SEARCH 32768u
#define MB2_HEADER 16u
#define MB2_MAGIC  0xe85250d6u

int multiboot_check_others(const struct image *img, struct err *e)
{
    uint8_t head[MB2_SEARCH];
    const uint64_t len = img->size < MB2_SEARCH ? img->size : MB2_SEARCH;
    const int rc = image_read(img, 0, head, len, e);
    if (rc) return rc;
    for (uint64_t off = 0; off + MB_HEADER <= len; off += 4) {
        const uint32_t magic = le32_read(head + off),
                       sum = magic + le32_read(head + off + 4) + le32_read(head + off + 8);
        if (magic == MB_MAGIC && sum == 0)
            return err_set(
                e, -ENOEXEC,
                "has its Multiboot 1 header at byte %llu, not wholly in the first %u, where boot loaders look; "
                "link it to the front",
                (unsigned long long)off, MB_SEARCH);
        if (magic == MB2_MAGIC && off % 8 == 0 && off + MB2_HEADER <= len && sum + le32_read(head + off + 12) == 0)
            return err_set(
                e, -ENOEXEC,
                "has a Multiboot 2 header, and that protocol is not booted here; build it with a PVH note or "
                "a Multiboot 1 header");
    }
    return 0;
}

int multiboot_check(const struct multiboot_header *h, struct err *e)
{
    const uint32_t unknown = h->flags & MB_MUST_KNOW & ~(MB_PAGE_ALIGN | MB_MEMORY | MB_VIDEO);
    if (unknown)
        return err_set(e, -ENOEXEC, "asks for Multiboot features 0x%x, which we do not have; build it without",
                       unknown);
    return 0;
}

int load_multiboot(const struct image *img, const struct multiboot_header *h, const struct gmem *mem,
                   struct loaded *out, struct err *e)
{
    int rc = multiboot_check(h, e);
    if (rc) return rc;
    if (!(h->flags & MULTIBOOT_HAS_ADDRESSES))
        return err_set(e, -ENOEXEC, "has a Multiboot 1 header without addresses and is no ELF file; link it as ELF");
    /* load_addr lies as far before header_addr as its byte in the file lies before the header. */
    if (h->header_addr < h->load_addr || h->header_addr - h->load_addr > h->off)
        return err_set(e, -ENOEXEC,
                       "says its Multiboot header at 0x%x is before the file's start at 0x%x; link it anew",
                       h->header_addr, h->load_addr);
    const uint64_t off = h->off - (h->header_addr - h->load_addr);
    if (h->load_end && h->load_end < h->load_addr)
        return err_set(e, -ENOEXEC, "ends loading at 0x%x, before it begins at 0x%x; link it anew", h->load_end,
                       h->load_addr);
    const uint64_t len = h->load_end ? h->load_end - h->load_addr : img->size - off; /* 0: the whole file */
    uint64_t end = h->load_addr + len;
    if (h->bss_end) { /* 0: no bss */
        if (h->bss_end < end)
            return err_set(e, -ENOEXEC, "ends its bss at 0x%x, before its data ends at 0x%llx; link it anew",
                           h->bss_end, (unsigned long long)end);
        end = h->bss_end;
    }
    if (h->entry < h->load_addr || h->entry >= end)
        return err_set(e, -ENOEXEC, "has its entry 0x%x outside 0x%x-0x%llx, what it loads; link it anew", h->entry,
                       h->load_addr, (unsigned long long)end);
    const struct load_piece piece = {h->load_addr, end - h->load_addr, "the image"};
    rc = load_check_place(mem, BOOT_MULTIBOOT, &piece, e);
    out->protocol = BOOT_MULTIBOOT;
    out->entry = h->entry;
    out->end = end;
    out->initrd_end = MB_INITRD_END;
    if (!rc) rc = load_place_info(mem, &piece, 1, out, e);
    return rc ? rc : image_place(img, off, len, mem, h->load_addr, e);
}

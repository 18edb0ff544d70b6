#include "arch/x86/load.h"

#include <errno.h>
#include <string.h>

#include "arch/x86/layout.h"
#include "vmm/base/checked.h"
#include "vmm/base/endian.h"

#define MIB(bytes) ((unsigned long long)(((bytes) + (1u << 20) - 1) >> 20)) /* rounded up: what to ask for */

uint64_t load_low_end(const struct gmem *mem)
{
    return mem->count > 0 && mem->region[0].gpa == 0 ? mem->region[0].size : 0;
}

int load_check_place(const struct gmem *mem, uint64_t gpa, uint64_t size, const char *what, struct err *e)
{
    static const struct {
        uint64_t start, end;
    } ours[] = {{X86_BOOT_INFO, X86_LOW_END}, {X86_BASE_END, X86_HIMEM}};
    const uint64_t low_end = load_low_end(mem);
    uint64_t end;
    if (!checked_add(gpa, size, &end) || end > X86_HOLE_START)
        return err_set(e, -ENOEXEC,
                       "%s (%llu bytes at 0x%llx) does not end below 0x%x, where devices begin; link it lower", what,
                       (unsigned long long)size, (unsigned long long)gpa, X86_HOLE_START);
    if (end > low_end)
        return err_set(e, -ENOEXEC, "%s (%llu bytes at 0x%llx) does not fit into %llu MiB; use --memory %lluM or more",
                       what, (unsigned long long)size, (unsigned long long)gpa, (unsigned long long)(low_end >> 20),
                       MIB(end));
    for (unsigned i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        if (gpa < ours[i].end && end > ours[i].start)
            return err_set(
                e, -ENOEXEC,
                "%s (%llu bytes at 0x%llx) lies over 0x%llx-0x%llx, where the boot information goes; link it "
                "at 1 MiB or above",
                what, (unsigned long long)size, (unsigned long long)gpa, (unsigned long long)ours[i].start,
                (unsigned long long)ours[i].end);
    }
    return 0;
}

/* What people give by mistake, with the way out. */
static int refuse_unknown(const struct image *img, struct err *e)
{
    static const struct {
        uint8_t off, len;
        const char *magic, *sentence;
    } known[] = {
        {0, 2, "\x1f\x8b", "is gzip-compressed; unpack it (zcat) or give the bzImage"},
        {0, 6,
         "\xfd"
         "7zXZ\0",
         "is xz-compressed; unpack it (xzcat) or give the bzImage"},
        {0, 4, "\x28\xb5\x2f\xfd", "is zstd-compressed; unpack it (zstdcat) or give the bzImage"},
        {0x38, 4, "ARM\x64", "is an arm64 kernel; give one for x86-64"},
        {0, 6, "070701", "is a cpio archive; give it as --initrd"},
    };
    uint8_t head[64] = {0};
    const uint64_t len = img->size < sizeof(head) ? img->size : sizeof(head);
    const int rc = image_read(img, 0, head, len, e);
    if (rc) return rc;
    for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (memcmp(head + known[i].off, known[i].magic, known[i].len) == 0)
            return err_set(e, -ENOEXEC, "%s", known[i].sentence);
    }
    return err_set(e, -ENOEXEC, "is no kernel we know; give a bzImage, an ELF vmlinux or a Multiboot 1 image");
}

int load_kernel(const struct image *img, const struct gmem *mem, struct loaded *out, struct err *e)
{
    struct multiboot_header mb;
    struct loaded l = {.cmdline_max = LOAD_CMDLINE_MAX};
    int rc;
    if (is_bzimage(img))
        rc = load_bzimage(img, mem, &l, e);
    else if (is_elf(img))
        rc = load_elf(img, mem, &l, e);
    else if (multiboot_find(img, &mb))
        rc = load_multiboot(img, &mb, mem, &l, e);
    else
        rc = refuse_unknown(img, e);
    if (rc) return rc;
    *out = l;
    return 0;
}

int load_initrd(const struct image *img, const struct gmem *mem, const struct loaded *kernel, uint64_t *gpa,
                struct err *e)
{
    const uint64_t low_end = load_low_end(mem);
    const uint64_t limit = align_down(kernel->initrd_end < low_end ? kernel->initrd_end : low_end, GMEM_PAGE);
    const uint64_t floor = align_up(kernel->end, GMEM_PAGE);
    if (limit < floor || img->size > limit - floor) {
        const uint64_t size = align_up(img->size < X86_HOLE_START ? img->size : X86_HOLE_START, GMEM_PAGE);
        if (size + floor > kernel->initrd_end)
            return err_set(e, -ENOEXEC,
                           "%llu MiB do not fit between the kernel's end and 0x%llx, the highest address it "
                           "takes an initrd at; make it smaller or use --disk",
                           MIB(img->size), (unsigned long long)kernel->initrd_end);
        return err_set(e, -ENOEXEC, "%llu MiB do not fit beside the kernel into %llu MiB; use --memory %lluM or more",
                       MIB(img->size), (unsigned long long)(low_end >> 20), MIB(size + floor));
    }
    *gpa = align_down(limit - img->size, GMEM_PAGE);
    return image_place(img, 0, img->size, mem, *gpa, e);
}

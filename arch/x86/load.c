/* Which loader takes a kernel. */
#include "arch/x86/load.h"

#include <errno.h>

#include "arch/x86/layout.h"

static int refuse_unknown(const struct image *img, struct err *e)
{
    static const struct image_mistake mistakes[] = {
        IMAGE_MISTAKE(0, "\x1f\x8b", "is gzip-compressed; unpack it (zcat) or give the bzImage"),
        IMAGE_MISTAKE(0, "\3757zXZ\0", "is xz-compressed; unpack it (xzcat) or give the bzImage"),
        IMAGE_MISTAKE(0, "\x28\xb5\x2f\xfd", "is zstd-compressed; unpack it (zstdcat) or give the bzImage"),
        IMAGE_MISTAKE(0x38, "ARM\x64", "is an arm64 kernel; give one for x86-64"),
        IMAGE_MISTAKE(0, "070701", "is a cpio archive; give it as --initrd"),
    };
    uint8_t head[64];
    const uint64_t len = img->size < sizeof(head) ? img->size : sizeof(head);
    int rc = image_read(img, 0, head, len, e);
    if (!rc) rc = multiboot_check_others(img, e);
    if (!rc) rc = image_refuse_mistakes(mistakes, sizeof(mistakes) / sizeof(mistakes[0]), head, len, e);
    if (rc) return rc;
    return err_set(e, -ENOEXEC, "is no kernel we know; give a bzImage, an ELF vmlinux or a Multiboot 1 image");
}

int load_kernel(const struct image *img, const struct gmem *mem, struct loaded *out, struct err *e)
{
    struct multiboot_header mb;
    struct loaded l = {.cmdline_max = LOAD_CMDLINE_MAX, .info = X86_BOOT_INFO};
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

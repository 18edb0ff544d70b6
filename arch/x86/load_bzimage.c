/* bzImage by the 64-bit boot protocol (Documentation/arch/x86/boot.rst): the real-mode part is skipped, the
 * protected-mode part goes to its preferred address and is entered in long mode 0x200 bytes in. */
#include "arch/x86/layout.h"
#include "arch/x86/load.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "vmm/base/checked.h"

#define HEADER_OFF    0x1f1u /* of struct setup_header in the file */
#define HEADER_END    0x290u /* the zero page's next field: a header never reaches it */
#define JUMP_TARGET   0x201u /* this byte + 0x202 is the header's end */
#define BOOT_FLAG     0xaa55u
#define HDRS          0x53726448u /* "HdrS" */
#define PROTOCOL_2_12 0x20cu      /* xloadflags: the first to say that there is a 64-bit entry */
#define ENTRY_64      0x200u
#define SECTOR        512u
#define PARAGRAPH     16u /* syssize counts these */

_Static_assert(sizeof(struct setup_header) <= HEADER_END - HEADER_OFF, "the header fits its place in the zero page");

bool is_bzimage(const struct image *img)
{
    struct setup_header h;
    if (image_read(img, HEADER_OFF, &h, sizeof(h), NULL)) return false;
    return h.boot_flag == BOOT_FLAG && h.header == HDRS;
}

/* The header as long as this kernel has it; zeros beyond. */
static int read_header(const struct image *img, struct setup_header *h, struct err *e)
{
    uint8_t jump;
    int rc = image_read(img, JUMP_TARGET, &jump, sizeof(jump), e);
    if (rc) return rc;
    size_t len = 0x202u + jump - HEADER_OFF;
    if (len > sizeof(*h)) len = sizeof(*h);
    memset(h, 0, sizeof(*h));
    rc = image_read(img, HEADER_OFF, h, len, e);
    if (rc) return rc;
    if (h->version < PROTOCOL_2_12)
        return err_set(e, -ENOEXEC,
                       "speaks boot protocol %u.%02u, 2.12 is the oldest with a 64-bit entry; use Linux 3.8 or newer",
                       h->version >> 8, h->version & 0xffu);
    if (!(h->xloadflags & XLF_KERNEL_64) || !(h->loadflags & LOADED_HIGH))
        return err_set(e, -ENOEXEC, "is a 32-bit bzImage; use one built for x86-64");
    return 0;
}

/* Where it goes: to its preferred address, since a kernel that is loaded below it moves itself there. To 1 MiB if it
 * names none, or one that is not as aligned as it says. */
static int load_address(const struct setup_header *h, uint64_t *out, struct err *e)
{
    const uint64_t align = h->kernel_alignment;
    if (align == 0 || (align & (align - 1)))
        return err_set(e, -ENOEXEC, "has a header with kernel alignment 0x%llx, no power of two; get a whole copy",
                       (unsigned long long)align);
    if (h->pref_address >= X86_HIMEM && (!h->relocatable_kernel || (h->pref_address & (align - 1)) == 0)) {
        *out = h->pref_address;
        return 0;
    }
    *out = align_up(X86_HIMEM, align);
    return 0;
}

int load_bzimage(const struct image *img, const struct gmem *mem, struct loaded *out, struct err *e)
{
    struct setup_header h;
    uint64_t base = 0;
    int rc = read_header(img, &h, e);
    if (!rc) rc = load_address(&h, &base, e);
    if (rc) return rc;

    const uint64_t off = (uint64_t)((h.setup_sects ? h.setup_sects : 4u) + 1u) * SECTOR; /* 0 means 4 */
    uint64_t len = (uint64_t)h.syssize * PARAGRAPH;
    if (off >= img->size || len == 0 || (len > img->size - off && len - (img->size - off) >= PARAGRAPH))
        return err_set(e, -ENOEXEC, "is cut short: its header promises %llu bytes, the file has %llu; get a whole copy",
                       (unsigned long long)(off + len), (unsigned long long)img->size);
    if (len > img->size - off) len = img->size - off; /* the last paragraph may be a part */
    const uint64_t need = h.init_size > len ? h.init_size : len;
    if (len <= ENTRY_64)
        return err_set(e, -ENOEXEC, "has only %llu bytes of kernel, no room for its entry; get a whole copy",
                       (unsigned long long)len);
    rc = load_check_place(mem, BOOT_LINUX64, &(struct load_piece){base, need, "the kernel"}, e);
    if (!rc) rc = image_place(img, off, len, mem, base, e);
    if (rc) return rc;

    h.type_of_loader = 0xff; /* no number assigned */
    out->protocol = BOOT_LINUX64;
    out->entry = base + ENTRY_64;
    out->end = base + need;
    out->initrd_end = (uint64_t)h.initrd_addr_max + 1;
    if (h.cmdline_size && h.cmdline_size < out->cmdline_max) out->cmdline_max = h.cmdline_size;
    out->header = h;
    return 0;
}

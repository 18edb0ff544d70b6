#include "arch/arm64/load_image.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "arch/arm64/load_stream.h"
#include "vmm/base/checked.h"
#include "vmm/base/endian.h"

#define HEAD_MAX 520 /* of the file: the farthest magic that tells a foreign kernel ends here */

#define FLAG_BIG_ENDIAN 0x1u
#define FLAG_PAGE_SIZE  1 /* two bits from here; 0: not said */

#define INITRD_REACH (32ULL << 30) /* booting.rst: kernel and initrd share a window of this size */

#define PE_POINTER  0x3c /* Microsoft PE format: offset of the "PE\0\0" signature, as an EFI-stub Image has it */
#define PE_SECTIONS 16   /* more than any EFI stub; the rest is not looked at */

struct image_header { /* booting.rst, section 4 */
    struct le32 code[2];
    struct le64 text_offset, image_size, flags;
    struct le64 reserved[3];
    uint8_t magic[4]; /* "ARM\x64" */
    struct le32 pe_offset;
};
_Static_assert(sizeof(struct image_header) == 64, "booting.rst");

struct zboot_header {
    uint8_t mz[4], zimg[4];
    struct le32 payload_offset, payload_size;
    struct le32 reserved[2];
    char compression[32]; /* "gzip", "zstd22", "xzkern", ...: NUL-terminated when honest */
};

/* ---- telling what it is ---- */

static bool has_magic(const uint8_t *head, uint64_t len, uint64_t off, const char *magic, uint64_t magic_len)
{
    return range_fits(off, magic_len, len) && memcmp(head + off, magic, magic_len) == 0;
}

static bool is_image(const uint8_t *head, uint64_t len)
{
    return has_magic(head, len, 56, "ARM\x64", 4);
}

/* A64 instructions have their main group in bits 28:25 (Arm ARM, C4.1). No program starts with one of the groups that
 * are unallocated or vector instructions, and files of other kinds mostly do. */
static bool is_instruction(uint32_t word)
{
    const unsigned group = (word >> 25) & 0xf;
    return group == 0x8 || group == 0x9 || group == 0xa || group == 0xb || group == 0x4 || group == 0x5 ||
           group == 0x6 || group == 0xc || group == 0xd || group == 0xe;
}

/* Code of this length has bytes that no text has, while text can look like an instruction. */
static bool is_text(const uint8_t *head, uint64_t len)
{
    uint64_t i = 0;
    while (i < len && (isprint(head[i]) || isspace(head[i]))) i++;
    return i == len;
}

static int refuse_foreign(const uint8_t *head, uint64_t len, struct err *e)
{
    static const struct image_mistake mistakes[] = {
        IMAGE_MISTAKE(0, "\177ELF", "is an ELF file; give the Image made from it (objcopy -O binary)"),
        IMAGE_MISTAKE(0, "\3757zXZ", "is xz-compressed; unpack it (xzcat), or give a gzip-compressed one"),
        IMAGE_MISTAKE(0, "\x28\xb5\x2f\xfd", "is zstd-compressed; unpack it (zstdcat), or give a gzip-compressed one"),
        IMAGE_MISTAKE(0, "\x04\x22\x4d\x18", "is lz4-compressed; unpack it (lz4cat), or give a gzip-compressed one"),
        IMAGE_MISTAKE(0, "\x02\x21\x4c\x18", "is lz4-compressed; unpack it (lz4cat), or give a gzip-compressed one"),
        IMAGE_MISTAKE(0, "\x5d\0\0", "is lzma-compressed; unpack it (lzcat), or give a gzip-compressed one"),
        IMAGE_MISTAKE(0, "BZh", "is bzip2-compressed; unpack it (bzcat), or give a gzip-compressed one"),
        IMAGE_MISTAKE(0, "\x1f\x8b", "is compressed twice; unpack it once (zcat)"),
        IMAGE_MISTAKE(0, "\x27\x05\x19\x56", "is a U-Boot image; give the Image inside it"),
        IMAGE_MISTAKE(0, "\xd0\x0d\xfe\xed", "is a device tree or FIT image; give the Image inside it"),
        IMAGE_MISTAKE(0, "070701", "is a cpio archive; give it as --initrd"),
        IMAGE_MISTAKE(0, "QFI\xfb", "is a qcow2 disk image; give a kernel here"),
        IMAGE_MISTAKE(0x24, "\x18\x28\x6f\x01", "is a 32-bit ARM kernel; give a 64-bit one (arm64 Image)"),
        IMAGE_MISTAKE(0x38, "RSC\x05", "is a RISC-V kernel; give one for arm64"),
        IMAGE_MISTAKE(0x202, "HdrS", "is an x86 kernel; give one for arm64"),
        IMAGE_MISTAKE(0, "MZ", "is an EFI program without an arm64 kernel's header; give an arm64 Image"),
        IMAGE_MISTAKE(0x1fe, "\x55\xaa", "is a disk image; give it as --disk and a kernel here"),
    };
    const int rc = image_refuse_mistakes(mistakes, sizeof(mistakes) / sizeof(mistakes[0]), head, len, e);
    if (rc) return rc;
    if (is_text(head, len)) return err_set(e, -ENOEXEC, "is a text file; give an arm64 kernel");
    if (len < sizeof(uint32_t) || !is_instruction(le32_read(head)))
        return err_set(e, -ENOEXEC,
                       "is no arm64 kernel: neither an Image header nor an instruction begins it; "
                       "give an Image, a gzip-compressed or zboot one, or a flat binary");
    return 0;
}

/* How much of a name from the file may be shown: letters and digits. */
static int shown(const char *name, int max)
{
    int len = 0;
    while (len < max && isalnum((unsigned char)name[len])) len++;
    return len;
}

static int open_zboot(struct stream *s, const uint8_t *head, struct err *e)
{
    struct zboot_header h;
    memcpy(&h, head, sizeof(h));
    const uint64_t off = le32_get(h.payload_offset), size = le32_get(h.payload_size);
    if (strncmp(h.compression, "gzip", sizeof(h.compression)) != 0)
        return err_set(e, -ENOEXEC,
                       "is an EFI zboot image compressed by %.*s, and gzip is what can be unpacked here; "
                       "give the Image inside it",
                       shown(h.compression, sizeof(h.compression)), h.compression);
    if (!range_fits(off, size, s->img->size))
        return err_set(e, -ENOEXEC,
                       "is cut short: the kernel in this EFI zboot image (%llu bytes at offset %llu) ends "
                       "after its %llu bytes; get a whole copy",
                       (unsigned long long)size, (unsigned long long)off, (unsigned long long)s->img->size);
    return stream_open(s, off, size, true, e);
}

static int open_stream(struct stream *s, struct err *e)
{
    uint8_t head[HEAD_MAX];
    const uint64_t len = s->img->size < HEAD_MAX ? s->img->size : HEAD_MAX;
    const int rc = image_read(s->img, 0, head, len, e);
    if (rc) return rc;
    if (len >= sizeof(struct zboot_header) && has_magic(head, len, 0, "MZ", 2) && has_magic(head, len, 4, "zimg", 4))
        return open_zboot(s, head, e);
    return stream_open(s, 0, s->img->size, has_magic(head, len, 0, "\x1f\x8b", 2), e);
}

/* ---- placing it ---- */

struct placement {
    uint64_t gpa;
    uint64_t size; /* in memory, as the header says; 0: it does not */
};

static int check_flags(uint64_t flags, unsigned page_sizes, struct err *e)
{
    static const unsigned kib[] = {0, 4, 16, 64};
    const unsigned size = (unsigned)(flags >> FLAG_PAGE_SIZE) & 3;
    if (flags & FLAG_BIG_ENDIAN)
        return err_set(e, -ENOEXEC, "is a big-endian kernel; give a little-endian one (CONFIG_CPU_BIG_ENDIAN off)");
    if (size != 0 && !(page_sizes & 1u << size))
        return err_set(e, -ENOEXEC, "uses %u KiB pages, which this host's processors do not; give one with %s pages",
                       kib[size], page_sizes & IMAGE_PAGES_4K ? "4 KiB" : "other");
    return 0;
}

static int no_room(uint64_t gpa, uint64_t size, const struct image_window *w, struct err *e)
{
    return err_set(e, -ENOEXEC, "takes %llu bytes at 0x%llx and does not fit into %llu MiB; use --memory %lluM or more",
                   (unsigned long long)size, (unsigned long long)gpa, (unsigned long long)((w->end - w->base) >> 20),
                   IMAGE_MIB(gpa - w->base + size) + 1);
}

static int place(const uint8_t *head, uint64_t len, const struct image_window *w, struct placement *out, struct err *e)
{
    struct image_header h;
    if (!is_image(head, len)) {
        *out = (struct placement){.gpa = w->base + IMAGE_FLAT_OFFSET};
        const int rc = refuse_foreign(head, len, e);
        return rc || out->gpa < w->end ? rc : no_room(out->gpa, len, w, e);
    }
    memcpy(&h, head, sizeof(h));
    const int rc = check_flags(le64_get(h.flags), w->page_sizes, e);
    if (rc) return rc;
    const uint64_t size = le64_get(h.image_size), offset = size ? le64_get(h.text_offset) : IMAGE_FLAT_OFFSET;
    /* Linux before 3.17 left the size 0 and the offset in either byte order; its offset is the customary one. */
    if (offset >= IMAGE_BASE_ALIGN || offset % sizeof(uint32_t) != 0 || size > IMAGE_MAX_BYTES)
        return err_set(e, -ENOEXEC,
                       "is damaged: its header wants %llu bytes of memory at offset 0x%llx; get a good copy",
                       (unsigned long long)size, (unsigned long long)offset);
    *out = (struct placement){.gpa = w->base + offset, .size = size};
    return range_fits(offset, size ? size : sizeof(h), w->end - w->base) ? 0 : no_room(out->gpa, size, w, e);
}

/* An EFI-stub Image lists its sections, so whether the file holds all of them can be checked. Of other kernels it can't
 * be known. */
static int check_whole(const uint8_t *data, uint64_t len, struct err *e)
{
    const uint64_t pe = len >= PE_POINTER + 4 ? le32_read(data + PE_POINTER) : 0;
    if (!is_image(data, len) || !has_magic(data, len, 0, "MZ", 2) || pe == 0 || !range_fits(pe, 24, len)) return 0;
    if (memcmp(data + pe, "PE\0", 4) != 0) return 0;
    const unsigned count = le16_read(data + pe + 6), optional = le16_read(data + pe + 20);
    for (unsigned i = 0; i < count && i < PE_SECTIONS; i++) {
        const uint64_t row = pe + 24 + optional + i * 40ull;
        if (!range_fits(row, 40, len)) return 0;
        const uint64_t size = le32_read(data + row + 16), off = le32_read(data + row + 20);
        if (!range_fits(off, size, len))
            return err_set(e, -ENOEXEC, "is cut short: its sections go to byte %llu, and it has %llu; get a whole copy",
                           (unsigned long long)(off + size), (unsigned long long)len);
    }
    return 0;
}

static int too_long(const struct stream *s, uint64_t room, const struct image_window *w, const struct placement *p,
                    struct err *e)
{
    if (room == IMAGE_MAX_BYTES)
        return err_set(e, -ENOEXEC, "is larger than %llu MiB, more than any kernel; give an arm64 Image",
                       IMAGE_MAX_BYTES >> 20);
    return no_room(p->gpa, s->is_gzip ? room + 1 : s->img->size, w, e);
}

static int copy_in(struct stream *s, const uint8_t *head, uint64_t head_len, const struct image_window *w,
                   const struct placement *p, uint64_t *len, struct err *e)
{
    const uint64_t window = w->end - p->gpa, room = window < IMAGE_MAX_BYTES ? window : IMAGE_MAX_BYTES;
    uint8_t *to = gmem_slice(w->mem, p->gpa, room, GMEM_WRITE);
    if (!to || head_len > room || (!s->is_gzip && s->img->size > room)) return too_long(s, room, w, p, e);
    uint8_t extra;
    uint64_t got = 0, more = 0;
    memcpy(to, head, head_len);
    int rc = stream_read(s, to + head_len, room - head_len, &got, e);
    *len = head_len + got;
    if (!rc && *len == room) rc = stream_read(s, &extra, 1, &more, e);
    if (rc) return rc;
    return more ? too_long(s, room, w, p, e) : check_whole(to, *len, e);
}

int load_kernel(const struct image *img, const struct image_window *w, struct loaded *out, struct err *e)
{
    struct stream s = {.img = img};
    uint8_t head[HEAD_MAX];
    uint64_t head_len = 0, len = 0;
    struct placement p = {0};
    int rc = open_stream(&s, e);
    if (rc) return rc;
    rc = stream_read(&s, head, sizeof(head), &head_len, e);
    if (!rc) rc = place(head, head_len, w, &p, e);
    if (!rc) rc = copy_in(&s, head, head_len, w, &p, &len, e);
    stream_close(&s);
    if (rc) return rc;
    *out = (struct loaded){
        .entry = p.gpa, .end = p.gpa + (len > p.size ? len : p.size), .is_flat = !is_image(head, head_len)};
    return 0;
}

/* ---- the initrd ---- */

/* The highest page-aligned place for size bytes in a range; 0: none. */
static uint64_t highest(uint64_t start, uint64_t end, uint64_t size)
{
    start = align_up(start, GMEM_PAGE);
    return start < end && size <= end - start ? align_down(end - size, GMEM_PAGE) : 0;
}

int load_initrd(const struct image *img, const struct initrd_room *r, uint64_t *gpa, struct err *e)
{
    const uint64_t ram = gmem_total(r->mem), reach = ram < INITRD_REACH ? ram : INITRD_REACH;
    uint64_t at = highest(r->kernel_end, r->dtb, img->size);
    if (!at) at = highest(r->dtb_end, r->base + reach, img->size);
    if (at) {
        *gpa = at;
        return image_place(img, 0, img->size, r->mem, at, e);
    }
    if (img->size >= INITRD_REACH)
        return err_set(e, -ENOEXEC, "%llu MiB are more than kernels take (%llu MiB); use --disk for so much",
                       IMAGE_MIB(img->size), INITRD_REACH >> 20);
    const uint64_t below = r->kernel_end - r->base + img->size + (r->dtb_end - r->dtb) + GMEM_PAGE;
    return err_set(e, -ENOEXEC, "%llu MiB do not fit beside the kernel into %llu MiB; use --memory %lluM or more",
                   IMAGE_MIB(img->size), (unsigned long long)(ram >> 20),
                   IMAGE_MIB(below > ram ? below : ram + img->size));
}

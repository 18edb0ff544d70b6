/* ELF kernels: a vmlinux by its PVH note or the 64-bit boot protocol, a Multiboot image by its header. Only program
 * headers count. ELF32 and ELF64 are read into one form. */
#include "arch/x86/layout.h"
#include "arch/x86/load.h"

#include <elf.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/checked.h"
#include "vmm/base/concat.h"
#include "vmm/base/endian.h"

#define ELF_MAX_SEGMENTS 64            /* a vmlinux has 5; the bound keeps the overlap test and the reading short */
#define ELF_MAX_NOTES    1024          /* in one segment, two reads each; a vmlinux has a dozen */
#define NOTE_PVH         18            /* XEN_ELFNOTE_PHYS32_ENTRY: desc is the 32-bit physical entry */
#define INITRD_END       0x80000000ull /* what a bzImage of the same kernel says in initrd_addr_max */

struct segment {
    uint32_t type;
    uint64_t off, filesz, memsz, paddr, align;
};

struct elf {
    bool is_64;
    uint64_t entry;
    unsigned count;
    struct segment seg[ELF_MAX_SEGMENTS];
};

bool is_elf(const struct image *img)
{
    uint8_t magic[SELFMAG];
    return image_read(img, 0, magic, sizeof(magic), NULL) == 0 && memcmp(magic, ELFMAG, SELFMAG) == 0;
}

static void from_phdr64(const Elf64_Phdr *p, struct segment *s)
{
    *s = (struct segment){p->p_type, p->p_offset, p->p_filesz, p->p_memsz, p->p_paddr, p->p_align};
}

static void from_phdr32(const Elf32_Phdr *p, struct segment *s)
{
    *s = (struct segment){p->p_type, p->p_offset, p->p_filesz, p->p_memsz, p->p_paddr, p->p_align};
}

static int read_segments(const struct image *img, struct elf *f, uint64_t phoff, unsigned entsize, struct err *e)
{
    const size_t want = f->is_64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
    if (f->count == 0)
        return err_set(e, -ENOEXEC, "is an ELF file without program headers; give a linked kernel (vmlinux)");
    if (f->count > ELF_MAX_SEGMENTS || entsize != want)
        return err_set(e, -ENOEXEC,
                       "has %u program headers of %u bytes, we take %u of %zu; give an x86-64 kernel (vmlinux)",
                       f->count, entsize, ELF_MAX_SEGMENTS, want);
    for (unsigned i = 0; i < f->count; i++) {
        union {
            Elf64_Phdr p64;
            Elf32_Phdr p32;
        } p;
        uint64_t off;
        if (!checked_add(phoff, i * want, &off)) off = UINT64_MAX;
        const int rc = image_read(img, off, &p, want, e);
        if (rc) return rc;
        if (f->is_64)
            from_phdr64(&p.p64, &f->seg[i]);
        else
            from_phdr32(&p.p32, &f->seg[i]);
    }
    return 0;
}

static int read_elf(const struct image *img, struct elf *f, struct err *e)
{
    union {
        unsigned char ident[EI_NIDENT];
        Elf64_Ehdr h64;
        Elf32_Ehdr h32;
    } h;
    int rc = image_read(img, 0, h.ident, sizeof(h.ident), e);
    if (rc) return rc;
    f->is_64 = h.ident[EI_CLASS] == ELFCLASS64;
    rc = image_read(img, 0, &h, f->is_64 ? sizeof(h.h64) : sizeof(h.h32), e);
    if (rc) return rc;
    const unsigned machine = f->is_64 ? h.h64.e_machine : h.h32.e_machine;
    const unsigned type = f->is_64 ? h.h64.e_type : h.h32.e_type;
    if (h.ident[EI_DATA] != ELFDATA2LSB || machine != (f->is_64 ? EM_X86_64 : EM_386))
        return err_set(e, -ENOEXEC, "is an ELF file for another processor (machine %u); give one for x86", machine);
    if (type != ET_EXEC && type != ET_DYN)
        return err_set(e, -ENOEXEC, "is an ELF file of type %u, no executable; give a linked kernel (vmlinux)", type);
    f->entry = f->is_64 ? h.h64.e_entry : h.h32.e_entry;
    f->count = f->is_64 ? h.h64.e_phnum : h.h32.e_phnum;
    return f->is_64 ? read_segments(img, f, h.h64.e_phoff, h.h64.e_phentsize, e)
                    : read_segments(img, f, h.h32.e_phoff, h.h32.e_phentsize, e);
}

/* The next row to load, at or after *i; *i is left behind it. Every step uses this, so that all agree on the rows. */
static const struct segment *next_load(const struct elf *f, unsigned *i)
{
    while (*i < f->count) {
        const struct segment *s = &f->seg[(*i)++];
        if (s->type == PT_LOAD && (s->memsz > 0 || s->filesz > 0)) return s;
    }
    return NULL;
}

static bool overlap(const struct load_piece *a, const struct load_piece *b)
{
    return a->gpa < b->gpa + b->size && b->gpa < a->gpa + a->size; /* both ends are checked: no wrap */
}

/* The pieces before this one are checked. */
static int check_segment(const struct segment *s, const struct gmem *mem, enum boot_protocol protocol,
                         const struct load_piece *first, const struct load_piece *piece, struct err *e)
{
    if (s->filesz > s->memsz)
        return err_set(e, -ENOEXEC, "%s has %llu bytes in the file but only %llu in memory; get a whole copy",
                       piece->name, (unsigned long long)s->filesz, (unsigned long long)s->memsz);
    const int rc = load_check_place(mem, protocol, piece, e);
    if (rc) return rc;
    for (const struct load_piece *p = first; p < piece; p++) {
        if (overlap(p, piece))
            return err_set(e, -ENOEXEC, "%s and %s lie over each other at 0x%llx; link it anew", p->name, piece->name,
                           (unsigned long long)piece->gpa);
    }
    return 0;
}

static int check_segments(const struct elf *f, const struct gmem *mem, struct loaded *out, struct err *e)
{
    struct load_piece pieces[ELF_MAX_SEGMENTS];
    const struct segment *s;
    bool has_entry = false;
    unsigned count = 0;
    for (unsigned i = 0; (s = next_load(f, &i)) != NULL; count++) {
        struct load_piece *p = &pieces[count];
        *p = (struct load_piece){.gpa = s->paddr, .size = s->memsz, .name = "segment "};
        concat_number(p->name, sizeof(p->name), i - 1);
        const int rc = check_segment(s, mem, out->protocol, pieces, p, e);
        if (rc) return rc;
        if (p->gpa + p->size > out->end) out->end = p->gpa + p->size;
        if (out->entry >= p->gpa && out->entry - p->gpa < p->size) has_entry = true;
    }
    if (!has_entry)
        return err_set(e, -ENOEXEC,
                       "has its entry 0x%llx outside its segments; give a kernel linked with physical addresses",
                       (unsigned long long)out->entry);
    return out->protocol == BOOT_LINUX64 ? 0 : load_place_info(mem, pieces, count, out, e);
}

/* All are checked before the first byte is written. Memory beyond filesz is not cleared: it is fresh and zero, and
 * touching it would cost its pages. */
static int place_segments(const struct image *img, const struct elf *f, const struct gmem *mem, struct loaded *out,
                          struct err *e)
{
    const struct segment *s;
    int rc = check_segments(f, mem, out, e);
    for (unsigned i = 0; !rc && (s = next_load(f, &i)) != NULL;)
        if (s->filesz > 0) rc = image_place(img, s->off, s->filesz, mem, s->paddr, e);
    return rc;
}

/* ---- notes ---- */

struct notes { /* what was found in all of them */
    bool has_pvh;
    uint64_t pvh_entry;
    const struct segment *unreadable; /* or NULL */
};

enum notes_end { NOTES_OVER, NOTES_PVH, NOTES_UNREADABLE };

static enum notes_end read_pvh(const struct image *img, uint64_t desc, uint32_t size, uint64_t *entry)
{
    uint8_t value[8] = {0};
    const uint64_t len = size < sizeof(value) ? size : sizeof(value);
    if (len < 4 || image_read(img, desc, value, len < 8 ? 4 : 8, NULL)) return NOTES_UNREADABLE;
    *entry = le64_read(value);
    return NOTES_PVH;
}

/* One segment's notes, name and description aligned to `step` bytes. The segment is within the file. */
static enum notes_end walk_notes(const struct image *img, const struct segment *s, uint64_t step, uint64_t *entry)
{
    uint64_t off = 0;
    for (unsigned n = 0; range_fits(off, sizeof(Elf64_Nhdr), s->filesz); n++) {
        Elf64_Nhdr h;
        char owner[4];
        if (n == ELF_MAX_NOTES || image_read(img, s->off + off, &h, sizeof(h), NULL)) return NOTES_UNREADABLE;
        const uint64_t name = off + sizeof(h), desc = align_up(name + h.n_namesz, step);
        if (!range_fits(name, h.n_namesz, s->filesz) || !range_fits(desc, h.n_descsz, s->filesz))
            return NOTES_UNREADABLE;
        if (h.n_type == NOTE_PVH && h.n_namesz == sizeof(owner) &&
            image_read(img, s->off + name, owner, sizeof(owner), NULL) == 0 && memcmp(owner, "Xen", 4) == 0)
            return read_pvh(img, s->off + desc, h.n_descsz, entry);
        off = align_up(desc + h.n_descsz, step);
    }
    return NOTES_OVER;
}

/* Xen steps through notes by 4 whatever their segment says, and so do those who write its notes. Notes aligned to 8, as
 * the gABI has them for segments that say so, exist as well. So both ways are tried: a note that only one of them finds
 * is still that note. */
static int find_notes(const struct image *img, const struct elf *f, struct notes *out, struct err *e)
{
    for (unsigned i = 0; i < f->count && !out->has_pvh; i++) {
        const struct segment *s = &f->seg[i];
        if (s->type != PT_NOTE || s->filesz == 0) continue;
        if (!range_fits(s->off, s->filesz, img->size))
            return err_set(e, -ENOEXEC, "is cut short: the notes of segment %u are missing; get a whole copy", i);
        const enum notes_end by4 = walk_notes(img, s, 4, &out->pvh_entry);
        const enum notes_end by8 = by4 == NOTES_PVH ? by4 : walk_notes(img, s, 8, &out->pvh_entry);
        out->has_pvh = by8 == NOTES_PVH;
        if (by4 == NOTES_UNREADABLE && by8 == NOTES_UNREADABLE) out->unreadable = s;
    }
    return 0;
}

/* ---- which protocol ---- */

/* Nothing in the file asks for another entry, so a 64-bit one is entered in long mode. But a file that is certainly
 * made for something else would only crash there. */
static int check_linux64(const struct image *img, const struct elf *f, const struct notes *notes, struct err *e)
{
    const int rc = multiboot_check_others(img, e);
    if (rc) return rc;
    if (!f->is_64)
        return err_set(e, -ENOEXEC,
                       "is a 32-bit ELF file with neither a PVH note nor a Multiboot 1 header; give one that has");
    for (unsigned i = 0; i < f->count; i++) {
        if (f->seg[i].type == PT_INTERP)
            return err_set(e, -ENOEXEC, "is a program for an operating system, no kernel: it asks for an interpreter");
    }
    if (notes->unreadable)
        return err_set(e, -ENOEXEC,
                       "has notes that make no sense in segment %u, so whether it wants to be booted by PVH can't be "
                       "told; get a whole copy",
                       (unsigned)(notes->unreadable - f->seg));
    return 0;
}

int load_elf(const struct image *img, const struct gmem *mem, struct loaded *out, struct err *e)
{
    struct elf f;
    struct multiboot_header mb;
    struct notes notes = {0};
    int rc = read_elf(img, &f, e);
    if (!rc) rc = find_notes(img, &f, &notes, e);
    if (rc) return rc;

    out->entry = notes.has_pvh ? notes.pvh_entry : f.entry;
    out->initrd_end = INITRD_END;
    if (notes.has_pvh) {
        out->protocol = BOOT_PVH;
    } else if (multiboot_find(img, &mb)) {
        rc = multiboot_check(&mb, e);
        if (rc) return rc;
        if (mb.flags & MULTIBOOT_HAS_ADDRESSES) return load_multiboot(img, &mb, mem, out, e);
        out->protocol = BOOT_MULTIBOOT;
    } else {
        rc = check_linux64(img, &f, &notes, e);
        if (rc) return rc;
        out->protocol = BOOT_LINUX64;
        out->header = (struct setup_header){.boot_flag = 0xaa55,
                                            .header = 0x53726448,
                                            .version = 0x20c,
                                            .type_of_loader = 0xff,
                                            .loadflags = LOADED_HIGH};
    }
    return place_segments(img, &f, mem, out, e);
}

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
#include "vmm/base/endian.h"

#define ELF_MAX_SEGMENTS 64            /* a vmlinux has 5; the bound keeps the overlap test and the reading short */
#define ELF_MAX_NOTES    16384         /* bytes of notes in one segment; a vmlinux has under 1 KiB */
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

static bool overlap(const struct segment *a, const struct segment *b)
{
    return a->paddr < b->paddr + b->memsz && b->paddr < a->paddr + a->memsz; /* both ends are checked: no wrap */
}

static int check_segment(const struct elf *f, unsigned i, const struct gmem *mem, struct err *e)
{
    const struct segment *s = &f->seg[i];
    char what[24];
    snprintf(what, sizeof(what), "segment %u", i);
    if (s->filesz > s->memsz)
        return err_set(e, -ENOEXEC, "%s has %llu bytes in the file but only %llu in memory; get a whole copy", what,
                       (unsigned long long)s->filesz, (unsigned long long)s->memsz);
    const int rc = load_check_place(mem, s->paddr, s->memsz, what, e);
    if (rc) return rc;
    for (unsigned k = 0; k < i; k++) {
        if (f->seg[k].type == PT_LOAD && overlap(s, &f->seg[k]))
            return err_set(e, -ENOEXEC, "segments %u and %u lie over each other at 0x%llx; link it anew", k, i,
                           (unsigned long long)s->paddr);
    }
    return 0;
}

/* Memory beyond filesz is not cleared: it is fresh and zero, and touching it would cost its pages. */
static int place_segments(const struct image *img, const struct elf *f, const struct gmem *mem, struct loaded *out,
                          struct err *e)
{
    bool has_entry = false;
    for (unsigned i = 0; i < f->count; i++) {
        const struct segment *s = &f->seg[i];
        if (s->type != PT_LOAD || s->memsz == 0) continue;
        const int rc = check_segment(f, i, mem, e);
        if (rc) return rc;
        if (s->paddr + s->memsz > out->end) out->end = s->paddr + s->memsz;
        if (out->entry >= s->paddr && out->entry < s->paddr + s->memsz) has_entry = true;
    }
    if (!has_entry)
        return err_set(e, -ENOEXEC,
                       "has its entry 0x%llx outside its segments; give a kernel linked with physical addresses",
                       (unsigned long long)out->entry);
    for (unsigned i = 0; i < f->count; i++) { /* all checked before the first byte is written */
        const struct segment *s = &f->seg[i];
        if (s->type != PT_LOAD || s->filesz == 0) continue;
        const int rc = image_place(img, s->off, s->filesz, mem, s->paddr, e);
        if (rc) return rc;
    }
    return 0;
}

/* One notes segment. Notes that make no sense end the search: they are optional, so that is no error. */
static bool find_note(const uint8_t *notes, uint64_t size, uint64_t align, uint64_t *entry)
{
    const uint64_t a = align == 8 ? 8 : 4; /* gABI says 4; GNU property notes come with 8 */
    uint64_t off = 0;
    while (range_fits(off, sizeof(Elf64_Nhdr), size)) {
        Elf64_Nhdr n;
        memcpy(&n, notes + off, sizeof(n));
        const uint64_t name = off + sizeof(n), desc = align_up(name + n.n_namesz, a);
        if (!range_fits(name, n.n_namesz, size) || !range_fits(desc, n.n_descsz, size)) return false;
        if (n.n_type == NOTE_PVH && n.n_namesz == 4 && memcmp(notes + name, "Xen", 4) == 0 && n.n_descsz >= 4) {
            *entry = n.n_descsz >= 8 ? le64_read(notes + desc) : le32_read(notes + desc);
            return true;
        }
        off = align_up(desc + n.n_descsz, a);
    }
    return false;
}

static int find_pvh(const struct image *img, const struct elf *f, bool *found, uint64_t *entry, struct err *e)
{
    for (unsigned i = 0; i < f->count; i++) {
        const struct segment *s = &f->seg[i];
        uint8_t notes[ELF_MAX_NOTES];
        if (s->type != PT_NOTE || s->filesz > sizeof(notes)) continue;
        const int rc = image_read(img, s->off, notes, s->filesz, e);
        if (rc) return rc;
        *found = find_note(notes, s->filesz, s->align, entry);
        if (*found) return 0;
    }
    return 0;
}

int load_elf(const struct image *img, const struct gmem *mem, struct loaded *out, struct err *e)
{
    struct elf f;
    struct multiboot_header mb;
    bool is_pvh = false;
    int rc = read_elf(img, &f, e);
    if (rc) return rc;

    out->entry = f.entry;
    out->initrd_end = INITRD_END;
    rc = find_pvh(img, &f, &is_pvh, &out->entry, e);
    if (rc) return rc;
    if (is_pvh) {
        out->protocol = BOOT_PVH;
    } else if (multiboot_find(img, &mb)) {
        rc = multiboot_check(&mb, e);
        if (rc) return rc;
        if (mb.flags & MULTIBOOT_HAS_ADDRESSES) return load_multiboot(img, &mb, mem, out, e);
        out->protocol = BOOT_MULTIBOOT;
    } else if (f.is_64) {
        out->protocol = BOOT_LINUX64;
        out->header = (struct setup_header){.boot_flag = 0xaa55,
                                            .header = 0x53726448,
                                            .version = 0x20c,
                                            .type_of_loader = 0xff,
                                            .loadflags = LOADED_HIGH};
    } else {
        return err_set(e, -ENOEXEC,
                       "is a 32-bit ELF file with neither a PVH note nor a Multiboot 1 header; give one that has");
    }
    return place_segments(img, &f, mem, out, e);
}

/* Kernels in ELF files, of 64 bits and of 32, with their PVH notes and Multiboot headers; flat Multiboot images. As
 * they should be, and spoiled in one place each. */
#include <elf.h>

#include "tests/unit/arch/x86_load_rig.h"

/* ---- ELF ---- */

#define ELF_CODE 0x1000u /* file offset of the first segment */
#define ELF_ADDR 0x1000000u

static Elf64_Ehdr *ehdr(struct rig *r)
{
    return (Elf64_Ehdr *)(void *)r->file;
}

static Elf64_Phdr *phdr(struct rig *r, unsigned i)
{
    return (Elf64_Phdr *)(void *)(r->file + sizeof(Elf64_Ehdr)) + i;
}

static void make_elf64(struct rig *r)
{
    memset(r->file, 0, sizeof(r->file));
    r->size = ELF_CODE + 0x2000;
    *ehdr(r) = (Elf64_Ehdr){
        .e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_EXEC,
        .e_machine = EM_X86_64,
        .e_entry = ELF_ADDR + 0x40,
        .e_phoff = sizeof(Elf64_Ehdr),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = 2,
    };
    *phdr(r, 0) = (Elf64_Phdr){PT_LOAD, PF_R | PF_X, ELF_CODE, 0xffffffff81000000, ELF_ADDR, 0x1000, 0x1000, 0x1000};
    *phdr(r, 1) = (Elf64_Phdr){PT_LOAD, PF_R | PF_W, ELF_CODE + 0x1000, 0xffffffff81002000, ELF_ADDR + 0x2000, 0x800,
                               0x3000,  0x1000};
    for (size_t i = ELF_CODE; i < r->size; i++) r->file[i] = (uint8_t)(i * 5 + 1);
}

/* A third header: a note segment with one note of this owner, type and 4 or 8 bytes. */
static void add_note(struct rig *r, const char *owner, uint32_t type, uint32_t entry, uint32_t desc_size)
{
    uint8_t *n = r->file + 0x800;
    le32_write(n, 4);
    le32_write(n + 4, desc_size);
    le32_write(n + 8, type);
    memcpy(n + 12, owner, 4);
    le64_write(n + 16, entry);
    *phdr(r, 2) = (Elf64_Phdr){PT_NOTE, PF_R, 0x800, 0, 0, 16 + desc_size, 16 + desc_size, 4};
    ehdr(r)->e_phnum = 3;
}

static void elf64_boots_by_the_64_bit_protocol(void **state)
{
    struct rig *r = *state;
    make_elf64(r);
    assert_loads(r);
    assert_int_equal(r->loaded.protocol, BOOT_LINUX64);
    assert_int_equal(r->loaded.entry, ELF_ADDR + 0x40);
    assert_int_equal(r->loaded.end, ELF_ADDR + 0x5000);
    assert_int_equal(r->loaded.header.header, 0x53726448);
    assert_memory_equal(r->ram + ELF_ADDR, r->file + ELF_CODE, 0x1000);
    assert_memory_equal(r->ram + ELF_ADDR + 0x2000, r->file + ELF_CODE + 0x1000, 0x800);
    assert_int_equal(r->ram[ELF_ADDR + 0x2800], 0);
}

static void elf64_with_a_pvh_note_boots_by_it(void **state)
{
    struct rig *r = *state;
    for (uint32_t size = 4; size <= 8; size += 4) {
        make_elf64(r);
        add_note(r, "Xen", 18, ELF_ADDR + 0x80, size);
        assert_loads(r);
        assert_int_equal(r->loaded.protocol, BOOT_PVH);
        assert_int_equal(r->loaded.entry, ELF_ADDR + 0x80);
    }
}

static void notes_of_others_are_not_the_pvh_note(void **state)
{
    struct rig *r = *state;
    make_elf64(r);
    add_note(r, "GNU", 18, ELF_ADDR + 0x80, 4);
    assert_loads(r);
    assert_int_equal(r->loaded.protocol, BOOT_LINUX64);
    add_note(r, "Xen", 6, ELF_ADDR + 0x80, 4);
    assert_loads(r);
    assert_int_equal(r->loaded.protocol, BOOT_LINUX64);
}

/* One note at `at` in the note segment: the owner's four characters, a type, a description of `size` bytes with this in
 * front. Where the next one begins when notes are aligned to `step`. */
static uint32_t put_note(struct rig *r, uint32_t at, const char *owner, uint32_t type, uint32_t size, uint32_t value,
                         uint32_t step)
{
    uint8_t *n = r->file + 0x800 + at;
    le32_write(n, 4);
    le32_write(n + 4, size);
    le32_write(n + 8, type);
    memcpy(n + 12, owner, 4);
    if (size >= 4) le32_write(n + 16, value);
    return at + 16 + (size + step - 1) / step * step;
}

static void notes_are_read_in_both_layouts_whatever_their_segment_says(void **state)
{
    static const uint32_t sizes[] = {0, 1, 4, 12, 16, 20}; /* of the description before the PVH note's */
    struct rig *r = *state;
    for (uint32_t align = 0; align <= 16; align = align ? align * 2 : 1) {
        for (uint32_t step = 4; step <= 8; step += 4) {
            for (size_t i = 0; i < COUNT_OF(sizes); i++) {
                make_elf64(r);
                uint32_t len = put_note(r, 0, "GNU", 5, sizes[i], 0x01020304, step);
                len = put_note(r, len, "Xen", 6, sizes[i], 0x01020304, step);
                len = put_note(r, len, "Xen", 18, 4, ELF_ADDR + 0x80, step);
                len = put_note(r, len, "Xen", 7, 4, 1, step);
                *phdr(r, 2) = (Elf64_Phdr){PT_NOTE, PF_R, 0x800, 0, 0, len, len, align};
                ehdr(r)->e_phnum = 3;
                assert_loads(r);
                assert_int_equal(r->loaded.protocol, BOOT_PVH);
                assert_int_equal(r->loaded.entry, ELF_ADDR + 0x80);
            }
        }
    }
}

static void a_pvh_note_behind_many_others_is_found(void **state)
{
    struct rig *r = *state;
    uint32_t len = 0;
    make_elf64(r);
    phdr(r, 0)->p_offset = phdr(r, 1)->p_offset = 0xc000;
    r->size = 0xf000;
    for (unsigned i = 0; i < 1000; i++) len = put_note(r, len, "Abc", 18, 16, 1, 4); /* more than 16 KiB */
    len = put_note(r, len, "Xen", 18, 4, ELF_ADDR + 0x80, 4);
    *phdr(r, 2) = (Elf64_Phdr){PT_NOTE, PF_R, 0x800, 0, 0, len, len, 4};
    ehdr(r)->e_phnum = 3;
    assert_loads(r);
    assert_int_equal(r->loaded.protocol, BOOT_PVH);
}

static void notes_that_can_not_be_read_are_refused_for_a_kernel_that_says_nothing_else(void **state)
{
    struct rig *r = *state;
    for (size_t field = 0; field < 2; field++) { /* wild sizes */
        make_elf64(r);
        add_note(r, "Xen", 18, ELF_ADDR + 0x80, 4);
        le32_write(r->file + 0x800 + field * 4, 0xfffffffd);
        assert_refused(r, "has notes that make no sense in segment 2");
    }
    make_elf64(r);
    add_note(r, "Xen", 18, ELF_ADDR + 0x80, 4);
    le32_write(r->file + 0x804, 2); /* no room for an address */
    assert_refused(r, "has notes that make no sense in segment 2");
    add_note(r, "Xen", 18, ELF_ADDR + 0x80, 4);
    phdr(r, 2)->p_offset = r->size - 4;
    assert_refused(r, "the notes of segment 2 are missing");
    make_elf64(r); /* with a header of Multiboot its notes do not matter */
    add_note(r, "Xen", 18, ELF_ADDR + 0x80, 4);
    le32_write(r->file + 0x800, 0xfffffffd);
    le32_write(r->file + ELF_CODE, 0x1badb002);
    le32_write(r->file + ELF_CODE + 4, 0);
    le32_write(r->file + ELF_CODE + 8, 0u - 0x1badb002u);
    assert_loads(r);
    assert_int_equal(r->loaded.protocol, BOOT_MULTIBOOT);
}

static void put_multiboot2(uint8_t *at, uint32_t arch)
{
    le32_write(at, 0xe85250d6);
    le32_write(at + 4, arch);
    le32_write(at + 8, 24);
    le32_write(at + 12, 0u - 0xe85250d6u - arch - 24u);
}

static void kernels_made_for_another_entry_are_not_entered_in_long_mode(void **state)
{
    struct rig *r = *state;
    static const uint32_t places[] = {ELF_CODE, ELF_CODE + 8, 32768 - 16};
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        make_elf64(r);
        if (r->size < places[i] + 16) r->size = places[i] + 16;
        put_multiboot2(r->file + places[i], 0);
        assert_refused(r, "has a Multiboot 2 header");
        add_note(r, "Xen", 18, ELF_ADDR + 0x80, 4); /* with a PVH note besides it is booted by that */
        assert_loads(r);
        assert_int_equal(r->loaded.protocol, BOOT_PVH);
    }
    make_elf64(r);
    put_multiboot2(r->file + ELF_CODE, 0);
    r->file[ELF_CODE + 12]++; /* its checksum */
    assert_loads(r);
    make_elf64(r);
    put_multiboot2(r->file + ELF_CODE + 4, 0); /* not where one may be */
    assert_loads(r);
    memset(r->file, 0x11, sizeof(r->file)); /* a flat image */
    r->size = 0x8000;
    put_multiboot2(r->file + 0x40, 0);
    assert_refused(r, "has a Multiboot 2 header");
    make_elf64(r);
    r->size = 16384;
    le32_write(r->file + 8192, 0x1badb002);
    le32_write(r->file + 8196, 3);
    le32_write(r->file + 8200, 0u - 0x1badb002u - 3u);
    assert_refused(r, "has its Multiboot 1 header at byte 8192");
    make_elf64(r);
    ehdr(r)->e_phnum = 3;
    *phdr(r, 2) = (Elf64_Phdr){PT_INTERP, PF_R, ELF_CODE, 0, 0, 16, 16, 1};
    assert_refused(r, "is a program for an operating system");
}

static void pvh_entry_must_be_inside_a_segment(void **state)
{
    struct rig *r = *state;
    make_elf64(r);
    add_note(r, "Xen", 18, ELF_ADDR + 0x1800, 4);
    assert_refused(r, "outside its segments");
}

static void no_headers(struct rig *r)
{
    ehdr(r)->e_phnum = 0;
}
static void many_headers(struct rig *r)
{
    ehdr(r)->e_phnum = 65;
}
static void wrong_entsize(struct rig *r)
{
    ehdr(r)->e_phentsize = 32;
}
static void headers_outside(struct rig *r)
{
    ehdr(r)->e_phoff = r->size - 8;
}
static void headers_wrap(struct rig *r)
{
    ehdr(r)->e_phoff = UINT64_MAX - 8;
}
static void arm_machine(struct rig *r)
{
    ehdr(r)->e_machine = EM_AARCH64;
}
static void big_endian(struct rig *r)
{
    ehdr(r)->e_ident[EI_DATA] = ELFDATA2MSB;
}
static void object_file(struct rig *r)
{
    ehdr(r)->e_type = ET_REL;
}
static void entry_outside(struct rig *r)
{
    ehdr(r)->e_entry = 0xffffffff81000040;
}
static void file_cut(struct rig *r)
{
    r->size -= 0x1900;
}
static void offset_wild(struct rig *r)
{
    phdr(r, 0)->p_offset = UINT64_MAX;
}
static void filesz_over_memsz(struct rig *r)
{
    phdr(r, 0)->p_memsz = 0x10;
}
static void bytes_without_memory(struct rig *r)
{
    phdr(r, 1)->p_memsz = 0;
}
static void bytes_without_memory_anywhere(struct rig *r)
{
    phdr(r, 1)->p_memsz = 0;
    phdr(r, 1)->p_paddr = X86_ACPI; /* where nothing may be placed */
}
static void memsz_huge(struct rig *r)
{
    phdr(r, 1)->p_memsz = UINT64_MAX;
}
static void paddr_wraps(struct rig *r)
{
    phdr(r, 1)->p_paddr = UINT64_MAX - 0x100;
}
static void beyond_ram(struct rig *r)
{
    phdr(r, 1)->p_memsz = RAM_SIZE;
}
static void in_the_hole(struct rig *r)
{
    phdr(r, 1)->p_paddr = X86_VIRTIO;
}
static void overlapping(struct rig *r)
{
    phdr(r, 1)->p_paddr = ELF_ADDR + 0xfff;
}
static void over_boot_info(struct rig *r)
{
    phdr(r, 1)->p_paddr = 0x8000;
}
static void over_tables(struct rig *r)
{
    phdr(r, 1)->p_paddr = X86_HIMEM - 0x2fff;
}

static void elf64_spoiled_in_one_place_is_refused(void **state)
{
    static const struct {
        void (*spoil)(struct rig *r);
        const char *why;
    } row[] = {
        {no_headers, "without program headers"},
        {many_headers, "65 program headers"},
        {wrong_entsize, "program headers of 32 bytes"},
        {headers_outside, "cut short"},
        {headers_wrap, "cut short"},
        {arm_machine, "another processor (machine 183)"},
        {big_endian, "another processor"},
        {object_file, "no executable"},
        {entry_outside, "outside its segments"},
        {file_cut, "cut short"},
        {offset_wild, "cut short"},
        {filesz_over_memsz, "only 16 in memory"},
        {bytes_without_memory, "segment 1 has 2048 bytes in the file but only 0 in memory"},
        {bytes_without_memory_anywhere, "segment 1 has 2048 bytes in the file but only 0 in memory"},
        {memsz_huge, "where devices begin"},
        {paddr_wraps, "where devices begin"},
        {beyond_ram, "use --memory 49M or more"},
        {in_the_hole, "where devices begin"},
        {overlapping, "segment 0 and segment 1 lie over each other"},
        {over_boot_info, "where boot information and the page tables of the 64-bit entry go"},
        {over_tables, "where boot information goes"},
    };
    struct rig *r = *state;
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        make_elf64(r);
        row[i].spoil(r);
        assert_refused(r, row[i].why);
    }
}

/* Empty rows, as linkers leave them: they are no segments, and lie over nothing. */
static void rows_without_a_byte_are_not_there(void **state)
{
    struct rig *r = *state;
    static const uint64_t places[] = {0, ELF_ADDR + 0x800, X86_ACPI, X86_VIRTIO, UINT64_MAX};
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        make_elf64(r);
        *phdr(r, 2) = *phdr(r, 1);
        *phdr(r, 1) = (Elf64_Phdr){PT_LOAD, PF_R, UINT64_MAX, 0, places[i], 0, 0, 1};
        ehdr(r)->e_phnum = 3;
        assert_loads(r);
        assert_int_equal(r->loaded.end, ELF_ADDR + 0x5000);
    }
}

static void refused_images_leave_memory_alone(void **state)
{
    struct rig *r = *state;
    make_elf64(r);
    phdr(r, 1)->p_paddr = ELF_ADDR + 0xfff;
    assert_refused(r, "over each other");
    for (size_t i = 0; i < 0x1000; i++) assert_int_equal(r->ram[ELF_ADDR + i], 0);
}

/* ---- Multiboot ---- */

static void put_multiboot(uint8_t *at, uint32_t flags, const uint32_t address[5])
{
    le32_write(at, 0x1badb002);
    le32_write(at + 4, flags);
    le32_write(at + 8, 0u - 0x1badb002u - flags);
    for (unsigned i = 0; address && i < 5; i++) le32_write(at + 12 + i * 4, address[i]);
}

static void make_elf32(struct rig *r)
{
    memset(r->file, 0, sizeof(r->file));
    r->size = ELF_CODE + 0x1000;
    *(Elf32_Ehdr *)(void *)r->file = (Elf32_Ehdr){
        .e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_EXEC,
        .e_machine = EM_386,
        .e_entry = 0x400010,
        .e_phoff = sizeof(Elf32_Ehdr),
        .e_phentsize = sizeof(Elf32_Phdr),
        .e_phnum = 1,
    };
    *(Elf32_Phdr *)(void *)(r->file + sizeof(Elf32_Ehdr)) =
        (Elf32_Phdr){PT_LOAD, ELF_CODE, 0x400000, 0x400000, 0x1000, 0x1000, PF_R | PF_X, 0x1000};
}

static void elf32_with_a_multiboot_header_boots_by_it(void **state)
{
    struct rig *r = *state;
    make_elf32(r);
    put_multiboot(r->file + ELF_CODE, 3, NULL);
    assert_loads(r);
    assert_int_equal(r->loaded.protocol, BOOT_MULTIBOOT);
    assert_int_equal(r->loaded.entry, 0x400010);
}

static void elf32_without_any_header_is_refused(void **state)
{
    struct rig *r = *state;
    make_elf32(r);
    assert_refused(r, "neither a PVH note nor a Multiboot 1 header");
    put_multiboot(r->file + ELF_CODE, 3, NULL);
    r->file[ELF_CODE + 8]++; /* its checksum */
    assert_refused(r, "neither a PVH note nor a Multiboot 1 header");
}

static void multiboot_features_we_lack_are_refused(void **state)
{
    struct rig *r = *state;
    make_elf32(r);
    put_multiboot(r->file + ELF_CODE, 1u << 3, NULL);
    assert_refused(r, "Multiboot features 0x8");
    put_multiboot(r->file + ELF_CODE, 1u << 2, NULL); /* a display: a wish */
    assert_loads(r);
}

/* A flat image of 0x800 bytes with its header at 0x100, loaded at 2 MiB. */
static void make_flat(struct rig *r, const uint32_t address[5])
{
    memset(r->file, 0x11, sizeof(r->file));
    r->size = 0x800;
    put_multiboot(r->file + 0x100, MULTIBOOT_HAS_ADDRESSES, address);
}

static void multiboot_addresses_place_a_flat_image(void **state)
{
    struct rig *r = *state;
    make_flat(r, (uint32_t[]){0x200100, 0x200000, 0, 0x203000, 0x200120});
    assert_loads(r);
    assert_int_equal(r->loaded.protocol, BOOT_MULTIBOOT);
    assert_int_equal(r->loaded.entry, 0x200120);
    assert_int_equal(r->loaded.end, 0x203000);
    assert_memory_equal(r->ram + 0x200000, r->file, 0x800);
    make_flat(r, (uint32_t[]){0x300100, 0x3000c0, 0x300200, 0, 0x300120});
    assert_loads(r);
    assert_memory_equal(r->ram + 0x3000c0, r->file + 0xc0, 0x140);
    assert_int_equal(r->ram[0x300200], 0);
}

static void multiboot_addresses_that_make_no_sense_are_refused(void **state)
{
    static const struct {
        uint32_t address[5];
        const char *why;
    } row[] = {
        {{0x1fff00, 0x200000, 0, 0, 0x200000}, "before the file's start"},
        {{0x200200, 0x200000, 0, 0, 0x200000}, "before the file's start"},
        {{0x200100, 0x200000, 0x1ff000, 0, 0x200000}, "before it begins"},
        {{0x200100, 0x200000, 0x200900, 0, 0x200000}, "cut short"},
        {{0x200100, 0x200000, 0, 0x200100, 0x200000}, "before its data ends"},
        {{0x200100, 0x200000, 0, 0, 0x200800}, "has its entry"},
        {{0x200100, 0x200000, 0, 0, 0x1fffff}, "has its entry"},
        {{0x9fb00, 0x9fa00, 0, 0, 0x9fa00}, "where boot information goes"},
        {{0xe0100, 0xe0000, 0, 0, 0xe0000}, "where boot information goes"},
        {{0xfffff900, 0xfffff800, 0, 0, 0xfffff800}, "where devices begin"},
        {{0x8000100, 0x8000000, 0, 0, 0x8000000}, "use --memory 129M or more"},
    };
    struct rig *r = *state;
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        make_flat(r, row[i].address);
        assert_refused(r, row[i].why);
    }
}

static void multiboot_header_must_begin_in_the_first_8_kib(void **state)
{
    struct rig *r = *state;
    const uint32_t address[5] = {0x200000 + 8192 - 32, 0x200000, 0, 0, 0x200000};
    memset(r->file, 0x11, sizeof(r->file));
    r->size = 16384;
    put_multiboot(r->file + 8192 - 32, MULTIBOOT_HAS_ADDRESSES, address);
    assert_loads(r);
    memset(r->file, 0x11, sizeof(r->file));
    put_multiboot(r->file + 8192 - 28, MULTIBOOT_HAS_ADDRESSES, address);
    assert_refused(r, "has its Multiboot 1 header at byte 8164");
}

/* Linked anywhere in low memory: there are no page tables to make way for, and the information makes way itself. */
static void multiboot_kernels_may_lie_anywhere_in_low_memory(void **state)
{
    struct rig *r = *state;
    const uint32_t size = 0x3000;
    for (uint32_t at = 0; at + size <= X86_BASE_END; at += 0x800) {
        memset(r->ram + r->loaded.info, 0, size);
        make_flat(r, (uint32_t[]){at + 0x100, at, 0, at + size, at + 0x120});
        assert_loads(r);
        assert_int_equal(r->loaded.entry, at + 0x120);
        const uint64_t info = r->loaded.info, info_end = info + X86_BOOT_END - X86_BOOT_INFO;
        assert_true(info % 4096 == 0 && info >= X86_BOOT_INFO && info_end <= X86_BASE_END);
        assert_true(info >= at + size || info_end <= at);
        if (at >= X86_BOOT_END) assert_int_equal(info, X86_BOOT_INFO);
    }
}

static void information_goes_behind_a_kernel_that_fills_low_memory(void **state)
{
    struct rig *r = *state;
    const struct image initrd = {.fd = -1, .data = r->file, .size = 4096};
    uint64_t gpa = 0;
    make_flat(r, (uint32_t[]){0x100, 0, 0, X86_BASE_END, 0x120});
    assert_loads(r);
    assert_int_equal(r->loaded.info, X86_HIMEM);
    assert_int_equal(r->loaded.end, X86_HIMEM + X86_BOOT_END - X86_BOOT_INFO);
    make_elf32(r); /* one piece of it fills low memory, the other lies above */
    put_multiboot(r->file + ELF_CODE, 3, NULL);
    Elf32_Phdr *p = (Elf32_Phdr *)(void *)(r->file + sizeof(Elf32_Ehdr));
    p[1] = (Elf32_Phdr){PT_LOAD, ELF_CODE, 0x800, 0x800, 0x1000, X86_BASE_END - 0x800, PF_R, 0x1000};
    ((Elf32_Ehdr *)(void *)r->file)->e_phnum = 2;
    assert_loads(r);
    assert_int_equal(r->loaded.info, 0x401000);
    assert_int_equal(r->loaded.end, 0x403000);
    r->loaded.initrd_end = 0x404000; /* the initrd keeps off it */
    assert_int_equal(load_initrd(&initrd, &r->mem, &r->loaded, &gpa, &r->err), 0);
    assert_int_equal(gpa, 0x403000);
    make_elf32(r);
    put_multiboot(r->file + ELF_CODE, 3, NULL);
    p[0].p_memsz = RAM_SIZE - 0x400000;
    p[1] = (Elf32_Phdr){PT_LOAD, ELF_CODE, 0x800, 0x800, 0x1000, X86_BASE_END - 0x800, PF_R, 0x1000};
    ((Elf32_Ehdr *)(void *)r->file)->e_phnum = 2;
    assert_refused(r, "leaves no room for its boot information in 32 MiB; use --memory 33M or more");
}

UNIT_MAIN(RIGGED(elf64_boots_by_the_64_bit_protocol), RIGGED(elf64_with_a_pvh_note_boots_by_it),
          RIGGED(notes_of_others_are_not_the_pvh_note),
          RIGGED(notes_are_read_in_both_layouts_whatever_their_segment_says),
          RIGGED(a_pvh_note_behind_many_others_is_found),
          RIGGED(notes_that_can_not_be_read_are_refused_for_a_kernel_that_says_nothing_else),
          RIGGED(kernels_made_for_another_entry_are_not_entered_in_long_mode),
          RIGGED(rows_without_a_byte_are_not_there), RIGGED(pvh_entry_must_be_inside_a_segment),
          RIGGED(elf64_spoiled_in_one_place_is_refused), RIGGED(refused_images_leave_memory_alone),
          RIGGED(elf32_with_a_multiboot_header_boots_by_it), RIGGED(elf32_without_any_header_is_refused),
          RIGGED(multiboot_features_we_lack_are_refused), RIGGED(multiboot_addresses_place_a_flat_image),
          RIGGED(multiboot_addresses_that_make_no_sense_are_refused),
          RIGGED(multiboot_header_must_begin_in_the_first_8_kib),
          RIGGED(multiboot_kernels_may_lie_anywhere_in_low_memory),
          RIGGED(information_goes_behind_a_kernel_that_fills_low_memory))

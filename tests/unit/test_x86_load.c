/* The kernel loaders of x86: bzImage, ELF and Multiboot images built here, each spoiled in one place. The sentence of a
 * refusal is part of the promise: it names what is wrong. */
#include "tests/unit/unit.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arch/x86/layout.h"
#include "arch/x86/load.h"
#include "vmm/base/endian.h"

#define MIB      (1u << 20)
#define RAM_SIZE (32u * MIB)
#define FILE_MAX 65536u

struct rig {
    uint8_t *ram;
    struct gmem mem;
    uint8_t file[FILE_MAX]; /* the image under test */
    size_t size;
    struct loaded loaded;
    struct err err;
};

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof(*r));
    assert_non_null(r);
    r->ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(r->ram, MAP_FAILED);
    gmem_init(&r->mem);
    assert_int_equal(gmem_add_host(&r->mem, 0, RAM_SIZE, r->ram, NULL), 0);
    gmem_freeze(&r->mem);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;
    gmem_fini(&r->mem);
    munmap(r->ram, RAM_SIZE);
    free(r);
    return 0;
}

/* From memory of exactly the file's size, so that a sanitizer sees a read past its end. */
static int load(struct rig *r)
{
    uint8_t *exact = malloc(r->size);
    assert_non_null(exact);
    memcpy(exact, r->file, r->size);
    const struct image img = {.fd = -1, .data = exact, .size = r->size};
    memset(&r->err, 0, sizeof(r->err));
    const int rc = load_kernel(&img, &r->mem, &r->loaded, &r->err);
    free(exact);
    return rc;
}

static void assert_loads(struct rig *r)
{
    const int rc = load(r);
    if (rc) fail_msg("refused: %s", r->err.text);
}

static void assert_refused(struct rig *r, const char *why)
{
    assert_int_equal(load(r), -ENOEXEC);
    assert_contains(r->err.text, why);
}

/* ---- bzImage ---- */

#define SETUP_SECTS 3u
#define BZ_OFF      ((SETUP_SECTS + 1) * 512u)
#define BZ_LEN      4096u
#define BZ_ENTRY    0x200u

static struct setup_header *bz_header(struct rig *r)
{
    return (struct setup_header *)(void *)(r->file + 0x1f1);
}

static void make_bzimage(struct rig *r)
{
    memset(r->file, 0, sizeof(r->file));
    r->size = BZ_OFF + BZ_LEN;
    *bz_header(r) = (struct setup_header){
        .setup_sects = SETUP_SECTS,
        .syssize = BZ_LEN / 16,
        .boot_flag = 0xaa55,
        .jump = 0x66eb, /* to 0x268: the length of a 2.15 header */
        .header = 0x53726448,
        .version = 0x20f,
        .loadflags = LOADED_HIGH,
        .initrd_addr_max = 0x7fffffff,
        .kernel_alignment = 0x200000,
        .relocatable_kernel = 1,
        .xloadflags = XLF_KERNEL_64,
        .cmdline_size = 2047,
        .pref_address = 0x1000000,
        .init_size = 2 * MIB,
    };
    for (size_t i = 0; i < BZ_LEN; i++) r->file[BZ_OFF + i] = (uint8_t)(i * 7 + 1);
}

static void bzimage_goes_to_its_preferred_address(void **state)
{
    struct rig *r = *state;
    make_bzimage(r);
    assert_loads(r);
    assert_int_equal(r->loaded.protocol, BOOT_LINUX64);
    assert_int_equal(r->loaded.entry, 0x1000000 + BZ_ENTRY);
    assert_int_equal(r->loaded.end, 0x1000000 + 2 * MIB);
    assert_int_equal(r->loaded.initrd_end, 0x80000000);
    assert_int_equal(r->loaded.header.type_of_loader, 0xff);
    assert_memory_equal(r->ram + 0x1000000, r->file + BZ_OFF, BZ_LEN);
}

static void bzimage_without_setup_sects_has_four(void **state)
{
    struct rig *r = *state;
    make_bzimage(r);
    memmove(r->file + 5 * 512, r->file + BZ_OFF, BZ_LEN);
    r->size = 5 * 512 + BZ_LEN;
    bz_header(r)->setup_sects = 0;
    assert_loads(r);
    assert_memory_equal(r->ram + 0x1000000, r->file + 5 * 512, BZ_LEN);
}

static void bzimage_without_a_preferred_address_goes_above_1_mib(void **state)
{
    struct rig *r = *state;
    make_bzimage(r);
    bz_header(r)->pref_address = 0x1000;
    assert_loads(r);
    assert_int_equal(r->loaded.entry, 0x200000 + BZ_ENTRY);
}

static void bzimage_header_ends_where_its_jump_says(void **state)
{
    struct rig *r = *state;
    make_bzimage(r);
    bz_header(r)->jump = 0x30eb; /* to 0x232: before xloadflags */
    assert_refused(r, "32-bit bzImage");
    bz_header(r)->jump = 0xffeb; /* far beyond the header we know */
    assert_loads(r);
}

static void bzimage_may_lack_a_part_of_its_last_paragraph(void **state)
{
    struct rig *r = *state;
    make_bzimage(r);
    r->size -= 15;
    assert_loads(r);
    r->size -= 1;
    assert_refused(r, "cut short");
}

static void set_32_bit(struct rig *r)
{
    bz_header(r)->xloadflags = 0;
}
static void set_low(struct rig *r)
{
    bz_header(r)->loadflags = 0;
}
static void set_old(struct rig *r)
{
    bz_header(r)->version = 0x20b;
}
static void set_align_0(struct rig *r)
{
    bz_header(r)->kernel_alignment = 0;
}
static void set_align_3(struct rig *r)
{
    bz_header(r)->kernel_alignment = 3;
}
static void set_sects_wild(struct rig *r)
{
    bz_header(r)->setup_sects = 255;
}
static void set_syssize_0(struct rig *r)
{
    bz_header(r)->syssize = 0;
}
static void set_syssize_huge(struct rig *r)
{
    bz_header(r)->syssize = 0xffffffff;
}
static void set_tiny(struct rig *r)
{
    bz_header(r)->syssize = 0x200 / 16;
}
static void set_init_huge(struct rig *r)
{
    bz_header(r)->init_size = 0xffffffff;
}
static void set_init_big(struct rig *r)
{
    bz_header(r)->init_size = 64 * MIB;
}
static void set_pref_wraps(struct rig *r)
{
    bz_header(r)->pref_address = UINT64_MAX & ~0x1fffffull;
}
static void set_pref_far(struct rig *r)
{
    bz_header(r)->pref_address = 0x40000000;
}

static void bzimage_spoiled_in_one_place_is_refused(void **state)
{
    static const struct {
        void (*spoil)(struct rig *r);
        const char *why;
    } row[] = {
        {set_32_bit, "32-bit bzImage"},
        {set_low, "32-bit bzImage"},
        {set_old, "boot protocol 2.11"},
        {set_align_0, "no power of two"},
        {set_align_3, "no power of two"},
        {set_sects_wild, "cut short"},
        {set_syssize_0, "cut short"},
        {set_syssize_huge, "cut short"},
        {set_tiny, "no room for its entry"},
        {set_init_huge, "where devices begin"},
        {set_init_big, "use --memory 80M or more"},
        {set_pref_wraps, "where devices begin"},
        {set_pref_far, "use --memory 1026M or more"},
    };
    struct rig *r = *state;
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        make_bzimage(r);
        row[i].spoil(r);
        assert_refused(r, row[i].why);
    }
}

static void bzimage_cut_anywhere_is_refused_or_no_bzimage(void **state)
{
    struct rig *r = *state;
    make_bzimage(r);
    const size_t whole = r->size;
    for (r->size = 1; r->size < whole - 15; r->size += r->size < 0x300 ? 1 : 97) assert_int_equal(load(r), -ENOEXEC);
}

static void bzimage_says_how_long_its_command_line_may_be(void **state)
{
    struct rig *r = *state;
    make_bzimage(r);
    bz_header(r)->cmdline_size = 255;
    assert_loads(r);
    assert_int_equal(r->loaded.cmdline_max, 255);
    bz_header(r)->cmdline_size = 0x7fffffff;
    assert_loads(r);
    assert_int_equal(r->loaded.cmdline_max, LOAD_CMDLINE_MAX);
}

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

static void notes_with_wild_sizes_end_the_search(void **state)
{
    struct rig *r = *state;
    for (size_t field = 0; field < 2; field++) {
        make_elf64(r);
        add_note(r, "Xen", 18, ELF_ADDR + 0x80, 4);
        le32_write(r->file + 0x800 + field * 4, 0xfffffffd);
        assert_loads(r);
        assert_int_equal(r->loaded.protocol, BOOT_LINUX64);
    }
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
        {memsz_huge, "where devices begin"},
        {paddr_wraps, "where devices begin"},
        {beyond_ram, "use --memory 49M or more"},
        {in_the_hole, "where devices begin"},
        {overlapping, "segments 0 and 1 lie over each other"},
        {over_boot_info, "where the boot information goes"},
        {over_tables, "where the boot information goes"},
    };
    struct rig *r = *state;
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        make_elf64(r);
        row[i].spoil(r);
        assert_refused(r, row[i].why);
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
        {{0x1100, 0x1000, 0, 0, 0x1000}, "where the boot information goes"},
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
    assert_refused(r, "no kernel we know");
}

/* ---- the rest ---- */

static void mistaken_files_are_called_by_their_name(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *why;
    } row[] = {
        {"\x1f\x8b\x08", 3, "gzip-compressed"},
        {"\xfd"
         "7zXZ\0",
         6, "xz-compressed"},
        {"\x28\xb5\x2f\xfd", 4, "zstd-compressed"},
        {"070701", 6, "give it as --initrd"},
        {"#!/bin/sh\n", 10, "no kernel we know"},
        {"\x7f"
         "ELF",
         4, "cut short"},
        {"x", 1, "no kernel we know"},
    };
    struct rig *r = *state;
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        memcpy(r->file, row[i].bytes, row[i].len);
        r->size = row[i].len;
        assert_refused(r, row[i].why);
    }
}

static struct image bytes_of(size_t size)
{
    static uint8_t bytes[8 * MIB];
    for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)(i * 3 + 1);
    return (struct image){.fd = -1, .data = bytes, .size = size};
}

static void initrd_goes_as_high_as_the_kernel_allows(void **state)
{
    struct rig *r = *state;
    struct loaded k = {.end = 0x1200001, .initrd_end = 0x80000000};
    const struct image img = bytes_of(5000);
    uint64_t gpa = 0;
    assert_int_equal(load_initrd(&img, &r->mem, &k, &gpa, &r->err), 0);
    assert_int_equal(gpa, RAM_SIZE - 8192);
    assert_memory_equal(r->ram + gpa, img.data, 5000);
    k.initrd_end = 0x1800000;
    assert_int_equal(load_initrd(&img, &r->mem, &k, &gpa, &r->err), 0);
    assert_int_equal(gpa, 0x1800000 - 8192);
}

static void initrd_that_does_not_fit_says_how_much_memory_does(void **state)
{
    struct rig *r = *state;
    const struct loaded k = {.end = RAM_SIZE - 4 * MIB, .initrd_end = 0x80000000};
    uint64_t gpa = 1;
    struct image img = bytes_of(4 * MIB);
    assert_int_equal(load_initrd(&img, &r->mem, &k, &gpa, &r->err), 0);
    img = bytes_of(4 * MIB + 1);
    gpa = 1;
    assert_int_equal(load_initrd(&img, &r->mem, &k, &gpa, &r->err), -ENOEXEC);
    assert_contains(r->err.text, "use --memory 33M or more");
    assert_int_equal(gpa, 1);
    img.size = UINT64_MAX - 5;
    assert_int_equal(load_initrd(&img, &r->mem, &k, &gpa, &r->err), -ENOEXEC);
    assert_contains(r->err.text, "make it smaller");
}

static void initrd_above_the_kernels_limit_is_refused(void **state)
{
    struct rig *r = *state;
    const struct loaded k = {.end = 0x1200000, .initrd_end = 0x1300000};
    const struct image img = bytes_of(2 * MIB);
    uint64_t gpa;
    assert_int_equal(load_initrd(&img, &r->mem, &k, &gpa, &r->err), -ENOEXEC);
    assert_contains(r->err.text, "0x1300000, the highest address");
}

/* A big file takes another way into memory (a mapping under a lease) than a small one or bytes. */
static void big_files_arrive_whole_with_their_holes(void **state)
{
    struct rig *r = *state;
    const size_t size = 3 * MIB + 123;
    const struct image want = bytes_of(size);
    char path[] = "/tmp/vireo-load-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    memset((uint8_t *)(uintptr_t)want.data + MIB, 0, MIB + 17); /* pages of zeros inside */
    assert_int_equal(write(fd, want.data, size), (ssize_t)size);
    close(fd);
    struct image img;
    for (uint64_t off = 0; off < 5000; off += 777) {
        assert_int_equal(image_open(&img, path, &r->err), 0);
        memset(r->ram + 0x400000, 0, size);
        assert_int_equal(image_place(&img, off, size - off, &r->mem, 0x400000, &r->err), 0);
        assert_memory_equal(r->ram + 0x400000, want.data + off, size - off);
        assert_int_equal(r->ram[0x400000 + size - off], 0);
        image_close(&img);
    }
    const int writer = open(path, O_WRONLY | O_CLOEXEC); /* no lease beside it: the file is read instead */
    assert_true(writer >= 0);
    assert_int_equal(image_open(&img, path, &r->err), 0);
    memset(r->ram + 0x400000, 0, size);
    assert_int_equal(image_place(&img, 0, size, &r->mem, 0x400000, &r->err), 0);
    assert_memory_equal(r->ram + 0x400000, want.data, size);
    image_close(&img);
    close(writer);
    assert_int_equal(image_open(&img, path, &r->err), 0);
    assert_int_equal(truncate(path, 2 * MIB), 0); /* between open and read */
    assert_int_equal(image_place(&img, 0, size, &r->mem, 0x400000, &r->err), -ENOEXEC);
    assert_contains(r->err.text, "cut short");
    image_close(&img);
    unlink(path);
}

static void images_are_regular_files_with_something_in_them(void **state)
{
    struct rig *r = *state;
    struct image img;
    char path[] = "/tmp/vireo-load-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(image_open(&img, path, &r->err), -ENOEXEC);
    assert_contains(r->err.text, "is empty");
    unlink(path);
    assert_int_equal(image_open(&img, path, &r->err), -ENOENT);
    assert_int_equal(image_open(&img, "/tmp", &r->err), -EISDIR);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(image_open(&img, path, &r->err), -EINVAL); /* and does not wait for a writer */
    assert_contains(r->err.text, "no regular file");
    unlink(path);
}

#define RIGGED(promise) cmocka_unit_test_setup_teardown(promise, setup, teardown)

UNIT_MAIN(RIGGED(bzimage_goes_to_its_preferred_address), RIGGED(bzimage_without_setup_sects_has_four),
          RIGGED(bzimage_without_a_preferred_address_goes_above_1_mib), RIGGED(bzimage_header_ends_where_its_jump_says),
          RIGGED(bzimage_may_lack_a_part_of_its_last_paragraph), RIGGED(bzimage_spoiled_in_one_place_is_refused),
          RIGGED(bzimage_cut_anywhere_is_refused_or_no_bzimage), RIGGED(bzimage_says_how_long_its_command_line_may_be),
          RIGGED(elf64_boots_by_the_64_bit_protocol), RIGGED(elf64_with_a_pvh_note_boots_by_it),
          RIGGED(notes_of_others_are_not_the_pvh_note), RIGGED(notes_with_wild_sizes_end_the_search),
          RIGGED(pvh_entry_must_be_inside_a_segment), RIGGED(elf64_spoiled_in_one_place_is_refused),
          RIGGED(refused_images_leave_memory_alone), RIGGED(elf32_with_a_multiboot_header_boots_by_it),
          RIGGED(elf32_without_any_header_is_refused), RIGGED(multiboot_features_we_lack_are_refused),
          RIGGED(multiboot_addresses_place_a_flat_image), RIGGED(multiboot_addresses_that_make_no_sense_are_refused),
          RIGGED(multiboot_header_must_begin_in_the_first_8_kib), RIGGED(mistaken_files_are_called_by_their_name),
          RIGGED(initrd_goes_as_high_as_the_kernel_allows), RIGGED(initrd_that_does_not_fit_says_how_much_memory_does),
          RIGGED(initrd_above_the_kernels_limit_is_refused), RIGGED(big_files_arrive_whole_with_their_holes),
          RIGGED(images_are_regular_files_with_something_in_them))

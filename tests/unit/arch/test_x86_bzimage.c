/* bzImages as they should be, and spoiled in one place each. */
#include "tests/unit/arch/x86_load_rig.h"

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

UNIT_MAIN(RIGGED(bzimage_goes_to_its_preferred_address), RIGGED(bzimage_without_setup_sects_has_four),
          RIGGED(bzimage_without_a_preferred_address_goes_above_1_mib), RIGGED(bzimage_header_ends_where_its_jump_says),
          RIGGED(bzimage_may_lack_a_part_of_its_last_paragraph), RIGGED(bzimage_spoiled_in_one_place_is_refused),
          RIGGED(bzimage_cut_anywhere_is_refused_or_no_bzimage), RIGGED(bzimage_says_how_long_its_command_line_may_be))

/* The kernel loader on images built here: each promise is one way an image is right or wrong. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "arch/arm64/load_image.h"
#include "vmm/base/endian.h"

#define MIB      (1024u * 1024u)
#define RAM_BASE UINT64_C(0x40000000)
#define RAM_SIZE (4 * MIB)
#define KERNEL   9000 /* bytes of the sample kernels: a few pages and a bit */

#define NOP 0xd503201fu

/* A machine's RAM and the image being tried on it. */
struct rig {
    uint8_t *ram;
    struct gmem mem;
    struct image_window window;
    struct loaded loaded;
    struct err err;
};

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof(*r));
    assert_non_null(r);
    r->ram = malloc(RAM_SIZE);
    assert_non_null(r->ram);
    memset(r->ram, 0xa5, RAM_SIZE);
    gmem_init(&r->mem);
    assert_int_equal(gmem_add_host(&r->mem, RAM_BASE, RAM_SIZE, r->ram, NULL), 0);
    gmem_freeze(&r->mem);
    r->window = (struct image_window){
        .mem = &r->mem, .base = RAM_BASE, .end = RAM_BASE + RAM_SIZE, .page_sizes = IMAGE_PAGES_4K | IMAGE_PAGES_64K};
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;
    gmem_fini(&r->mem);
    free(r->ram);
    free(r);
    return 0;
}

static void fill_code(uint8_t *image, size_t len)
{
    for (size_t i = 0; i + 4 <= len; i += 4) le32_write(image + i, NOP + (uint32_t)(i << 8 & 0x1f00000));
}

/* An Image that is right: tests spoil one field each. */
static void make_image(uint8_t *image)
{
    fill_code(image, KERNEL);
    le32_write(image, 0xfa405a4d); /* ccmp x18, #0, #0xd, pl: "MZ", and harmless */
    le64_write(image + 8, 0);
    le64_write(image + 16, 2 * KERNEL);
    le64_write(image + 24, 0xa); /* little-endian, 4 KiB pages, anywhere */
    memset(image + 32, 0, 24);
    memcpy(image + 56, "ARM\x64", 4);
    le32_write(image + 60, 0);
}

static size_t gzip(const uint8_t *data, size_t len, uint8_t *out, size_t room)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)data;
    z.avail_in = (uInt)len;
    z.next_out = out;
    z.avail_out = (uInt)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    const size_t size = z.total_out;
    deflateEnd(&z);
    return size;
}

static size_t make_zboot(uint8_t *out, size_t room, const char *compression)
{
    uint8_t image[KERNEL];
    make_image(image);
    memset(out, 0, 512);
    memcpy(out, "MZ\0\0zimg", 8);
    const size_t size = gzip(image, sizeof(image), out + 512, room - 512);
    le32_write(out + 8, 512);
    le32_write(out + 12, (uint32_t)size);
    strcpy((char *)out + 24, compression);
    memset(out + 512 + size, 0xee, 100); /* what follows the payload is not ours */
    return 512 + size + 100;
}

static int load(struct rig *r, const void *data, size_t len)
{
    struct image img;
    assert_int_equal(image_from_memory(&img, data, len, &r->err), 0);
    return load_kernel(&img, &r->window, &r->loaded, &r->err);
}

static void assert_loads(struct rig *r, const void *data, size_t len)
{
    if (load(r, data, len)) fail_msg("not loaded: %s", r->err.text);
}

static void assert_refused(struct rig *r, const void *data, size_t len, const char *why)
{
    assert_int_equal(load(r, data, len), -ENOEXEC);
    assert_contains(r->err.text, why);
}

/* ---- what loads ---- */

static void image_lies_where_its_header_says(void **state)
{
    struct rig *r = *state;
    uint8_t image[KERNEL];
    make_image(image);
    le64_write(image + 8, 0x1000);
    assert_loads(r, image, sizeof(image));
    assert_int_equal(r->loaded.entry, RAM_BASE + 0x1000);
    assert_memory_equal(r->ram + 0x1000, image, sizeof(image));
    assert_int_equal(r->ram[0x1000 + KERNEL], 0xa5);
    assert_int_equal(r->ram[0xfff], 0xa5);
}

static void image_occupies_what_its_header_says(void **state)
{
    struct rig *r = *state;
    uint8_t image[KERNEL];
    make_image(image);
    assert_loads(r, image, sizeof(image));
    assert_int_equal(r->loaded.end, RAM_BASE + 2 * KERNEL);
}

static void image_longer_than_its_header_says_occupies_its_length(void **state)
{
    struct rig *r = *state;
    uint8_t image[KERNEL];
    make_image(image);
    le64_write(image + 16, 100);
    assert_loads(r, image, sizeof(image));
    assert_int_equal(r->loaded.end, RAM_BASE + KERNEL);
}

static void image_without_a_size_goes_to_the_customary_offset(void **state)
{
    struct rig *r = *state;
    uint8_t image[KERNEL];
    make_image(image);
    le64_write(image + 16, 0);
    le64_write(image + 8, 0x0000080000000000); /* in the wrong byte order, as such kernels may have it */
    assert_loads(r, image, sizeof(image));
    assert_int_equal(r->loaded.entry, RAM_BASE + IMAGE_FLAT_OFFSET);
}

static void flat_image_is_entered_at_its_first_byte(void **state)
{
    struct rig *r = *state;
    uint8_t image[KERNEL];
    fill_code(image, sizeof(image));
    assert_loads(r, image, sizeof(image));
    assert_int_equal(r->loaded.entry, RAM_BASE + IMAGE_FLAT_OFFSET);
    assert_int_equal(r->loaded.end, RAM_BASE + IMAGE_FLAT_OFFSET + KERNEL);
    assert_memory_equal(r->ram + IMAGE_FLAT_OFFSET, image, sizeof(image));
}

static void flat_image_of_one_instruction_loads(void **state)
{
    struct rig *r = *state;
    uint8_t image[4];
    le32_write(image, NOP);
    assert_loads(r, image, sizeof(image));
    assert_memory_equal(r->ram + IMAGE_FLAT_OFFSET, image, sizeof(image));
    assert_int_equal(r->ram[IMAGE_FLAT_OFFSET + 4], 0xa5);
}

static void gzip_image_unpacks_to_the_same_bytes(void **state)
{
    struct rig *r = *state;
    uint8_t image[KERNEL], packed[2 * KERNEL];
    make_image(image);
    assert_loads(r, packed, gzip(image, sizeof(image), packed, sizeof(packed)));
    assert_int_equal(r->loaded.entry, RAM_BASE);
    assert_memory_equal(r->ram, image, sizeof(image));
    assert_int_equal(r->ram[KERNEL], 0xa5);
}

static void gzip_of_many_chunks_unpacks_whole(void **state)
{
    struct rig *r = *state;
    const size_t len = 2 * MIB;
    uint8_t *image = malloc(len), *packed = malloc(len + MIB);
    assert_non_null(image);
    assert_non_null(packed);
    srand(2);
    for (size_t i = 0; i < len; i++) image[i] = (uint8_t)rand();
    le32_write(image, NOP);
    assert_loads(r, packed, gzip(image, len, packed, len + MIB));
    assert_memory_equal(r->ram + IMAGE_FLAT_OFFSET, image, len);
    free(image);
    free(packed);
}

static void zboot_unpacks_the_kernel_inside(void **state)
{
    struct rig *r = *state;
    uint8_t image[KERNEL], zboot[3 * KERNEL];
    make_image(image);
    assert_loads(r, zboot, make_zboot(zboot, sizeof(zboot), "gzip"));
    assert_int_equal(r->loaded.entry, RAM_BASE);
    assert_int_equal(r->loaded.end, RAM_BASE + 2 * KERNEL);
    assert_memory_equal(r->ram, image, sizeof(image));
}

static void image_that_just_fits_loads(void **state)
{
    struct rig *r = *state;
    uint8_t image[KERNEL];
    make_image(image);
    le64_write(image + 16, RAM_SIZE);
    assert_loads(r, image, sizeof(image));
    assert_int_equal(r->loaded.end, r->window.end);
}

/* ---- what does not ---- */

static void foreign_files_are_named(void **state)
{
    static const struct {
        size_t off;
        const char *magic;
        size_t len;
        const char *why;
    } rows[] = {
        {0, "\177ELF\2\1\1", 7, "is an ELF file"},
        {0, "\3757zXZ", 5, "is xz-compressed"},
        {0, "\x28\xb5\x2f\xfd", 4, "is zstd-compressed"},
        {0, "\x04\x22\x4d\x18", 4, "is lz4-compressed"},
        {0, "\x02\x21\x4c\x18", 4, "is lz4-compressed"},
        {0, "\x5d\0\0\0", 4, "is lzma-compressed"},
        {0, "BZh9", 4, "is bzip2-compressed"},
        {0, "070701", 6, "is a cpio archive"},
        {0, "QFI\xfb", 4, "is a qcow2 disk image"},
        {0x1fe, "\x55\xaa", 2, "is a disk image"},
        {0, "MZ\220\0", 4, "is an EFI program"},
        {0x24, "\x18\x28\x6f\x01", 4, "is a 32-bit ARM kernel"},
        {0x38, "RSC\x05", 4, "is a RISC-V kernel"},
        {0x202, "HdrS", 4, "is an x86 kernel"},
        {0, "\0\0\0\0", 4, "is no arm64 kernel"},
        {0, "\xff\xff\xff\xff", 4, "is no arm64 kernel"},
    };
    struct rig *r = *state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint8_t image[KERNEL];
        fill_code(image, sizeof(image));
        memcpy(image + rows[i].off, rows[i].magic, rows[i].len);
        assert_refused(r, image, sizeof(image), rows[i].why);
    }
}

/* "root" is a branch, as instructions go. */
static void text_is_not_taken_for_a_flat_kernel(void **state)
{
    static const char passwd[] = "root:x:0:0:root:/root:/bin/bash\n\tdaemon:x:1:1::/usr/sbin:/usr/sbin/nologin\r\n";
    struct rig *r = *state;
    assert_refused(r, passwd, sizeof(passwd) - 1, "is a text file");
    assert_loads(r, passwd, sizeof(passwd)); /* with its NUL it may be code */
}

static void big_endian_image_is_refused(void **state)
{
    struct rig *r = *state;
    uint8_t image[KERNEL];
    make_image(image);
    le64_write(image + 24, 0xb);
    assert_refused(r, image, sizeof(image), "is a big-endian kernel");
}

static void page_size_the_host_lacks_is_refused(void **state)
{
    struct rig *r = *state;
    uint8_t image[KERNEL];
    make_image(image);
    le64_write(image + 24, 0xc);
    assert_refused(r, image, sizeof(image), "uses 16 KiB pages");
    le64_write(image + 24, 0xe);
    assert_loads(r, image, sizeof(image));
    le64_write(image + 24, 0x8); /* not said */
    assert_loads(r, image, sizeof(image));
}

static void image_larger_than_memory_says_how_much_it_needs(void **state)
{
    struct rig *r = *state;
    uint8_t image[KERNEL];
    make_image(image);
    le64_write(image + 16, RAM_SIZE + 1);
    assert_refused(r, image, sizeof(image), "use --memory 6M or more");
    le64_write(image + 16, RAM_SIZE - 0xfff);
    le64_write(image + 8, 0x1000);
    assert_refused(r, image, sizeof(image), "does not fit into 4 MiB");
}

static void file_larger_than_memory_is_refused(void **state)
{
    struct rig *r = *state;
    uint8_t *image = malloc(RAM_SIZE);
    assert_non_null(image);
    fill_code(image, RAM_SIZE);
    assert_refused(r, image, RAM_SIZE, "does not fit into 4 MiB");
    assert_loads(r, image, RAM_SIZE - IMAGE_FLAT_OFFSET);
    free(image);
}

static void impossible_sizes_and_offsets_are_refused(void **state)
{
    static const struct {
        uint64_t offset, size;
    } rows[] = {{0, UINT64_MAX}, {UINT64_MAX, 1}, {UINT64_MAX - 4095, 4096},
                {1ull << 63, 1}, {2 * MIB, 4096}, {2, 4096}};
    struct rig *r = *state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint8_t image[KERNEL];
        make_image(image);
        le64_write(image + 8, rows[i].offset);
        le64_write(image + 16, rows[i].size);
        assert_refused(r, image, sizeof(image), "is damaged: its header wants");
    }
}

static void gzip_that_unpacks_beyond_memory_is_refused(void **state)
{
    struct rig *r = *state;
    uint8_t *image = malloc(2 * RAM_SIZE), *packed = malloc(MIB);
    assert_non_null(image);
    assert_non_null(packed);
    for (size_t i = 0; i < 2 * RAM_SIZE; i += 4) le32_write(image + i, NOP);
    assert_refused(r, packed, gzip(image, 2 * RAM_SIZE, packed, MIB), "does not fit into 4 MiB");
    const size_t exact = RAM_SIZE - IMAGE_FLAT_OFFSET;
    assert_loads(r, packed, gzip(image, exact, packed, MIB));
    assert_int_equal(r->loaded.end, r->window.end);
    free(image);
    free(packed);
}

static void truncated_gzip_is_refused_wherever_it_is_cut(void **state)
{
    struct rig *r = *state;
    uint8_t image[KERNEL], packed[2 * KERNEL];
    make_image(image);
    const size_t size = gzip(image, sizeof(image), packed, sizeof(packed));
    for (size_t len = 2; len < size; len++) {
        if (load(r, packed, len) == 0) fail_msg("%zu of %zu bytes were enough", len, size);
        assert_contains(r->err.text, "is cut short");
    }
}

static void gzip_with_a_flipped_bit_is_refused(void **state)
{
    struct rig *r = *state;
    uint8_t image[KERNEL], packed[2 * KERNEL];
    make_image(image);
    const size_t size = gzip(image, sizeof(image), packed, sizeof(packed));
    for (size_t i = 10; i < size; i += 7) { /* the ten bytes of the gzip header carry a date and the like */
        packed[i] ^= 0x10;
        if (load(r, packed, size) == 0) fail_msg("the flip at byte %zu was not seen", i);
        packed[i] ^= 0x10;
    }
    assert_loads(r, packed, size);
}

static void gzip_in_gzip_is_refused(void **state)
{
    struct rig *r = *state;
    uint8_t image[KERNEL], once[2 * KERNEL], twice[3 * KERNEL];
    make_image(image);
    const size_t size = gzip(image, sizeof(image), once, sizeof(once));
    assert_refused(r, twice, gzip(once, size, twice, sizeof(twice)), "is compressed twice");
}

static void zboot_names_a_compression_it_cannot_unpack(void **state)
{
    struct rig *r = *state;
    uint8_t zboot[3 * KERNEL];
    assert_refused(r, zboot, make_zboot(zboot, sizeof(zboot), "zstd22"), "compressed by zstd22");
    memset(zboot + 24, 'x', 32); /* no NUL */
    assert_refused(r, zboot, sizeof(zboot), "compressed by xxxxxxxx");
    zboot[26] = '\x1b'; /* would speak to the terminal */
    assert_refused(r, zboot, sizeof(zboot), "compressed by xx, ");
}

static void zboot_payload_beyond_the_file_is_refused(void **state)
{
    struct rig *r = *state;
    uint8_t zboot[3 * KERNEL];
    const size_t size = make_zboot(zboot, sizeof(zboot), "gzip");
    le32_write(zboot + 12, (uint32_t)size - 511);
    assert_refused(r, zboot, size, "is cut short");
    le32_write(zboot + 8, UINT32_MAX);
    le32_write(zboot + 12, UINT32_MAX);
    assert_refused(r, zboot, size, "is cut short");
}

static void short_files_are_refused(void **state)
{
    struct rig *r = *state;
    uint8_t image[KERNEL];
    make_image(image);
    for (size_t len = 1; len < 4; len++) assert_int_equal(load(r, image + 4, len), -ENOEXEC);
}

/* One section whose data the header puts at bytes 4096 to 8192 of the file. */
static void truncated_efi_stub_image_is_refused(void **state)
{
    struct rig *r = *state;
    uint8_t image[KERNEL];
    make_image(image);
    le32_write(image + 60, 64);
    memset(image + 64, 0, 24 + 40);
    memcpy(image + 64, "PE\0\0", 4);
    le16_write(image + 64 + 6, 1);
    le32_write(image + 64 + 24 + 16, 4096);
    le32_write(image + 64 + 24 + 20, 4096);
    assert_loads(r, image, 8192);
    assert_refused(r, image, 8191, "is cut short: its sections go to byte 8192");
    le32_write(image + 60, UINT32_MAX); /* a pointer out of the file is no PE header */
    assert_loads(r, image, 8191);
}

static void failed_load_leaves_the_result_alone(void **state)
{
    struct rig *r = *state;
    uint8_t image[KERNEL] = {0};
    r->loaded = (struct loaded){.entry = 1, .end = 2};
    assert_int_equal(load(r, image, sizeof(image)), -ENOEXEC);
    assert_int_equal(r->loaded.entry, 1);
    assert_int_equal(r->loaded.end, 2);
}

/* ---- the initrd ---- */

static int place_initrd(struct rig *r, const void *data, uint64_t size, uint64_t kernel_end, uint64_t *gpa)
{
    struct image img;
    const struct initrd_room room = {.mem = &r->mem,
                                     .base = RAM_BASE,
                                     .kernel_end = kernel_end,
                                     .dtb = RAM_BASE + 2 * MIB,
                                     .dtb_end = RAM_BASE + 2 * MIB + 65536};
    assert_int_equal(image_from_memory(&img, data, size, &r->err), 0);
    return load_initrd(&img, &room, gpa, &r->err);
}

static void initrd_goes_right_below_the_device_tree(void **state)
{
    struct rig *r = *state;
    const uint8_t data[5000] = {7, 7, 7};
    uint64_t gpa;
    assert_int_equal(place_initrd(r, data, sizeof(data), RAM_BASE + MIB, &gpa), 0);
    assert_int_equal(gpa, RAM_BASE + 2 * MIB - 8192);
    assert_memory_equal(r->ram + 2 * MIB - 8192, data, sizeof(data));
}

static void initrd_never_overlaps_kernel_or_device_tree(void **state)
{
    struct rig *r = *state;
    uint8_t *data = calloc(1, RAM_SIZE);
    assert_non_null(data);
    for (uint64_t size = 1; size <= RAM_SIZE; size += 65521) {
        for (uint64_t end = RAM_BASE; end <= RAM_BASE + 2 * MIB; end += 130003) {
            uint64_t gpa;
            if (place_initrd(r, data, size, end, &gpa)) continue;
            const bool is_below = gpa >= end && gpa + size <= RAM_BASE + 2 * MIB;
            const bool is_above = gpa >= RAM_BASE + 2 * MIB + 65536 && gpa + size <= RAM_BASE + RAM_SIZE;
            assert_true(is_below || is_above);
            assert_int_equal(gpa % 4096, 0);
        }
    }
    free(data);
}

static void initrd_that_does_not_fit_says_how_much_it_needs(void **state)
{
    struct rig *r = *state;
    uint8_t *data = calloc(1, 3 * MIB);
    uint64_t gpa = 42;
    assert_non_null(data);
    assert_int_equal(place_initrd(r, data, 3 * MIB, RAM_BASE + MIB, &gpa), -ENOEXEC);
    assert_contains(r->err.text, "3 MiB do not fit beside the kernel into 4 MiB; use --memory 5M or more");
    assert_int_equal(gpa, 42);
    free(data);
}

#define LOADER(promise) cmocka_unit_test_setup_teardown(promise, setup, teardown)
UNIT_MAIN(LOADER(image_lies_where_its_header_says), LOADER(image_occupies_what_its_header_says),
          LOADER(image_longer_than_its_header_says_occupies_its_length),
          LOADER(image_without_a_size_goes_to_the_customary_offset), LOADER(flat_image_is_entered_at_its_first_byte),
          LOADER(flat_image_of_one_instruction_loads), LOADER(gzip_image_unpacks_to_the_same_bytes),
          LOADER(gzip_of_many_chunks_unpacks_whole), LOADER(zboot_unpacks_the_kernel_inside),
          LOADER(image_that_just_fits_loads), LOADER(foreign_files_are_named),
          LOADER(text_is_not_taken_for_a_flat_kernel), LOADER(big_endian_image_is_refused),
          LOADER(page_size_the_host_lacks_is_refused), LOADER(image_larger_than_memory_says_how_much_it_needs),
          LOADER(file_larger_than_memory_is_refused), LOADER(impossible_sizes_and_offsets_are_refused),
          LOADER(gzip_that_unpacks_beyond_memory_is_refused), LOADER(truncated_gzip_is_refused_wherever_it_is_cut),
          LOADER(gzip_with_a_flipped_bit_is_refused), LOADER(gzip_in_gzip_is_refused),
          LOADER(zboot_names_a_compression_it_cannot_unpack), LOADER(zboot_payload_beyond_the_file_is_refused),
          LOADER(short_files_are_refused), LOADER(truncated_efi_stub_image_is_refused),
          LOADER(failed_load_leaves_the_result_alone), LOADER(initrd_goes_right_below_the_device_tree),
          LOADER(initrd_never_overlaps_kernel_or_device_tree), LOADER(initrd_that_does_not_fit_says_how_much_it_needs))

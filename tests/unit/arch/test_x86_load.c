/* What is common to kernels of all kinds on x86: files that are none, initrds, and how a file comes into memory. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/arch/x86_load_rig.h"

static void mistaken_files_are_called_by_their_name(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *why;
    } row[] = {
        {"\x1f\x8b\x08", 3, "gzip-compressed"},
        {"\3757zXZ\0", 6, "xz-compressed"},
        {"\x28\xb5\x2f\xfd", 4, "zstd-compressed"},
        {"070701", 6, "give it as --initrd"},
        {"#!/bin/sh\n", 10, "no kernel we know"},
        {"\177ELF", 4, "cut short"},
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
    assert_int_equal(image_open(&img, path, &r->err), 0);
    assert_int_equal(truncate(path, 2 * MIB), 0); /* between open and read */
    assert_int_equal(image_place(&img, 0, size, &r->mem, 0x400000, &r->err), -ENOEXEC);
    assert_contains(r->err.text, "cut short");
    image_close(&img);
    unlink(path);
}

/* What would only receive zeros costs nothing: not a page of it is there afterwards. */
static void blocks_of_zeros_leave_memory_untouched(void **state)
{
    struct rig *r = *state;
    const size_t size = 8 * MIB;
    unsigned char is_resident[RAM_SIZE / 4096];
    char path[] = "/tmp/vireo-load-XXXXXX";
    const int fd = mkstemp(path);
    struct image img;
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    assert_int_equal(pwrite(fd, "x", 1, (off_t)size - 1), 1);
    assert_int_equal(image_open(&img, path, &r->err), 0);
    assert_int_equal(image_place(&img, 0, size, &r->mem, 0x400000, &r->err), 0);
    assert_int_equal(mincore(r->ram + 0x400000, size - 2 * MIB, is_resident), 0);
    for (size_t i = 0; i < (size - 2 * MIB) / 4096; i++) assert_int_equal(is_resident[i] & 1, 0);
    assert_int_equal(r->ram[0x400000 + size - 1], 'x');
    image_close(&img);
    close(fd);
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

UNIT_MAIN(RIGGED(mistaken_files_are_called_by_their_name), RIGGED(blocks_of_zeros_leave_memory_untouched),
          RIGGED(initrd_goes_as_high_as_the_kernel_allows), RIGGED(initrd_that_does_not_fit_says_how_much_memory_does),
          RIGGED(initrd_above_the_kernels_limit_is_refused), RIGGED(big_files_arrive_whole_with_their_holes),
          RIGGED(images_are_regular_files_with_something_in_them))

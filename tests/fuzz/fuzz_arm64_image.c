/* Whatever bytes are called a kernel: the loader says no, or puts a kernel inside the memory it was given and nowhere
 * else. Gzip would hide its content from the fuzzer behind a checksum, so the first byte may ask that the rest be
 * packed here, alone or as an EFI zboot image.
 *
 * The loader is pure code, so it is fuzzed on any machine: its source is taken in, since the library of another
 * architecture has no such thing. */
#include "arch/arm64/load_image.c"
#include "arch/arm64/load_stream.c"
#include "tests/fuzz/fuzz.h"

#define RAM_BASE  UINT64_C(0x40000000)
#define RAM_SIZE  (1u << 20) /* flat kernels go to its middle */
#define PAYLOAD   512u       /* where the packed kernel of a zboot image begins */
#define INPUT_MAX 65536u

enum { AS_IT_IS, PACKED, ZBOOT, FORMS };

static size_t pack(const uint8_t *data, size_t size, uint8_t *out, size_t room)
{
    z_stream z = {0};
    MUST(deflateInit2(&z, 1, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    z.next_in = (Bytef *)(uintptr_t)data;
    z.avail_in = (uInt)size;
    z.next_out = out;
    z.avail_out = (uInt)room;
    MUST(deflate(&z, Z_FINISH) == Z_STREAM_END);
    (void)deflateEnd(&z);
    return z.total_out;
}

/* In memory of exactly its size, so that a read past the end is seen. */
static struct image dress(unsigned form, const uint8_t *data, size_t size)
{
    uint8_t *room = calloc(1, PAYLOAD + size + size / 1000 + 1024);
    MUST(room);
    size_t len = size;
    if (form == AS_IT_IS) {
        memcpy(room, data, size);
    } else if (form == PACKED) {
        len = pack(data, size, room, size + size / 1000 + 1024);
    } else {
        const size_t packed = pack(data, size, room + PAYLOAD, size + size / 1000 + 1024);
        memcpy(room, "MZ\0\0zimg", 8);
        le32_write(room + 8, PAYLOAD);
        le32_write(room + 12, (uint32_t)packed);
        memcpy(room + 24, "gzip", 5);
        len = PAYLOAD + packed;
    }
    uint8_t *exact = malloc(len);
    MUST(exact);
    memcpy(exact, room, len);
    free(room);
    return (struct image){.fd = -1, .data = exact, .size = len};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > INPUT_MAX) return 0;
    uint8_t *ram = malloc(RAM_SIZE);
    struct gmem mem;
    struct err e = {0};
    struct loaded l = {0};
    MUST(ram);
    gmem_init(&mem);
    MUST(gmem_add_host(&mem, RAM_BASE, RAM_SIZE, ram, NULL) == 0);
    gmem_freeze(&mem);
    const struct image img = dress(data[0] % FORMS, data + 1, size - 1);
    const struct image_window w = {
        .mem = &mem, .base = RAM_BASE, .end = RAM_BASE + RAM_SIZE, .page_sizes = data[0] >> 4 & 0xe};
    const int rc = load_kernel(&img, &w, &l, &e);
    if (rc) {
        MUST(rc < 0 && e.code == rc && e.text[0] && l.entry == 0);
    } else {
        MUST(l.entry >= w.base && l.entry < l.end && l.end <= w.end && l.entry % 4 == w.base % 4);
        uint64_t gpa = 0;
        const struct initrd_room room = {
            .mem = &mem, .base = w.base, .kernel_end = l.end, .dtb = w.end - 65536, .dtb_end = w.end};
        if (load_initrd(&img, &room, &gpa, &e) == 0) MUST(gpa >= l.end && gpa + img.size <= room.dtb);
    }
    free((void *)(uintptr_t)img.data);
    gmem_fini(&mem);
    free(ram);
    return 0;
}

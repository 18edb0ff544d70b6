/* Makes a picture, writes it as PNG in memory (libpng, zlib), reads it again, and compresses what it has: all of it is
 * printed as sums, so that a run elsewhere can be compared. */
#include <png.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define WIDTH  257
#define HEIGHT 131

struct bytes {
    unsigned char *at;
    size_t used, room, next;
};

static void put(png_structp png, png_bytep data, size_t size)
{
    struct bytes *b = png_get_io_ptr(png);
    if (b->used + size > b->room) {
        b->room = 2 * (b->used + size);
        b->at = realloc(b->at, b->room);
        if (!b->at) png_error(png, "no memory");
    }
    memcpy(b->at + b->used, data, size);
    b->used += size;
}

static void get(png_structp png, png_bytep data, size_t size)
{
    struct bytes *b = png_get_io_ptr(png);
    if (size > b->used - b->next) png_error(png, "the end");
    memcpy(data, b->at + b->next, size);
    b->next += size;
}

static void flush(png_structp png)
{
    (void)png;
}

static void encode(struct bytes *out, unsigned char *pixels)
{
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    if (setjmp(png_jmpbuf(png))) exit(2);
    png_set_write_fn(png, out, put, flush);
    png_set_IHDR(png, info, WIDTH, HEIGHT, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_ADAM7, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_bytep row[HEIGHT];
    for (unsigned y = 0; y < HEIGHT; y++) row[y] = pixels + y * WIDTH * 3;
    png_set_rows(png, info, row);
    png_write_png(png, info, PNG_TRANSFORM_IDENTITY, NULL);
    png_destroy_write_struct(&png, &info);
}

static int decode(struct bytes *in, const unsigned char *pixels)
{
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    if (setjmp(png_jmpbuf(png))) return 3;
    png_set_read_fn(png, in, get);
    png_read_png(png, info, PNG_TRANSFORM_IDENTITY, NULL);
    png_bytepp row = png_get_rows(png, info);
    int differ = png_get_image_width(png, info) != WIDTH || png_get_image_height(png, info) != HEIGHT;
    for (unsigned y = 0; y < HEIGHT && !differ; y++) differ = memcmp(row[y], pixels + y * WIDTH * 3, WIDTH * 3) != 0;
    png_destroy_read_struct(&png, &info, NULL);
    return differ;
}

int main(void)
{
    static unsigned char pixels[WIDTH * HEIGHT * 3], packed[sizeof(pixels) + 1000], again[sizeof(pixels)];
    struct bytes picture = {0};
    uLongf size = sizeof(packed), back = sizeof(again);
    for (size_t i = 0; i < sizeof(pixels); i++) pixels[i] = (unsigned char)(i * i / 977 + i % 31);
    encode(&picture, pixels);
    printf("png %zu bytes, crc %08lx\n", picture.used, crc32(0, picture.at, (uInt)picture.used));
    printf("read again: %d\n", decode(&picture, pixels));
    picture.at[picture.used / 2] ^= 0x55;
    picture.next = 0;
    printf("spoilt: %d\n", decode(&picture, pixels));
    if (compress2(packed, &size, pixels, sizeof(pixels), 9)) return 4;
    printf("deflate %lu bytes, adler %08lx\n", size, adler32(1, packed, (uInt)size));
    return uncompress(again, &back, packed, size) || back != sizeof(pixels) || memcmp(again, pixels, back);
}

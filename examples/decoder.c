/* The untrusted part of examples/plugin_host.c: decodes PNG images with libpng. It is an ordinary static program; only
 * main does nothing, as its function is called from outside. */
#include <png.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* in: the bytes of an image; out: width and height, 4 bytes each, then 4 bytes a pixel (RGBA). 0, or what is wrong: 1,
 * the image; 2, too large for out. */
__attribute__((used)) int64_t decode(const void *in, size_t in_size, void *out, size_t *out_size)
{
    png_image image = {.version = PNG_IMAGE_VERSION};
    const size_t room = *out_size;
    *out_size = 0;
    if (!png_image_begin_read_from_memory(&image, in, in_size)) return 1;
    image.format = PNG_FORMAT_RGBA;
    const uint64_t pixels = (uint64_t)image.width * image.height;
    if (room < 8 || pixels > (room - 8) / 4) {
        png_image_free(&image);
        return 2;
    }
    uint32_t size[2] = {image.width, image.height};
    if (!png_image_finish_read(&image, NULL, (char *)out + sizeof(size), 0, NULL)) return 1;
    memcpy(out, size, sizeof(size));
    *out_size = sizeof(size) + (size_t)pixels * 4;
    return 0;
}

int main(void)
{
    return 0;
}

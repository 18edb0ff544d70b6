/* A kernel or initrd for both architectures' loaders: a file, or bytes in memory. Reads are exact and bounds-checked,
 * and go from the file straight into guest memory. Set-up only, one thread. */
#ifndef VIREO_ARCH_IMAGE_H
#define VIREO_ARCH_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/err.h"
#include "vmm/core/gmem.h"

/* Where an image comes from: the first of these that is given; none: there is no image. Borrowed. */
struct image_source {
    const char *path;
    const void *data;
    uint64_t size; /* of data */
    int fd;        /* an open file, which is read from its start; its offset stays */
    bool has_fd;
};
bool image_is_given(const struct image_source *s);
const char *image_name(const struct image_source *s); /* for messages and Multiboot: the path, or a word for it */
/* 0: there is no image, or its size can't be known. */
uint64_t image_size_of(const struct image_source *s);

struct image {
    int fd;              /* -1: in memory */
    bool is_borrowed;    /* fd is not ours to close */
    const uint8_t *data; /* borrowed */
    uint64_t size;
};

/* Refuses what is no regular file, and an empty one. */
int image_open_source(struct image *img, const struct image_source *s, struct err *e);
int image_open(struct image *img, const char *path, struct err *e);
int image_from_memory(struct image *img, const void *data, uint64_t size, struct err *e);
void image_close(struct image *img);

/* Exactly len bytes from off, or "is cut short". */
int image_read(const struct image *img, uint64_t off, void *buf, uint64_t len, struct err *e);
/* The same into guest memory at gpa, which must be RAM. */
int image_place(const struct image *img, uint64_t off, uint64_t len, const struct gmem *mem, uint64_t gpa,
                struct err *e);

/* What people give by mistake, by the bytes at a place in the file, with the way out. */
struct image_mistake {
    uint16_t off, len;
    const char *magic, *sentence;
};
#define IMAGE_MISTAKE(off, magic, sentence)                                                                            \
    {                                                                                                                  \
        off, sizeof(magic) - 1, magic, sentence                                                                        \
    }
/* -ENOEXEC and the sentence of the first of count rows that fits the first bytes of a file; 0: none does. */
int image_refuse_mistakes(const struct image_mistake *rows, unsigned count, const uint8_t *head, uint64_t len,
                          struct err *e);

#define IMAGE_MIB(bytes) ((unsigned long long)(((bytes) + (1u << 20) - 1) >> 20)) /* rounded up: what to ask for */

#endif

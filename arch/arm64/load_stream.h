/* A kernel's bytes in order, unpacked on the way when they are gzip's. Set-up only, one thread. */
#ifndef VIREO_ARM64_LOAD_STREAM_H
#define VIREO_ARM64_LOAD_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <zlib.h>

#include "arch/image.h"
#include "vmm/base/err.h"

#define STREAM_CHUNK 32768 /* compressed bytes per read; on the stack */

struct stream { /* zero but for img before stream_open */
    const struct image *img;
    uint64_t off, end; /* of what has not been read from the file */
    bool is_gzip, is_over;
    z_stream z;
    uint8_t chunk[STREAM_CHUNK];
};

/* len bytes of the file from off, which are inside it. Close it after a success. 0 or -ENOMEM. */
int stream_open(struct stream *s, uint64_t off, uint64_t len, bool is_gzip, struct err *e);
void stream_close(struct stream *s);
/* Up to len bytes; fewer only at the end. */
int stream_read(struct stream *s, uint8_t *to, uint64_t len, uint64_t *got, struct err *e);

#endif

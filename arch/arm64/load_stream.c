#include "arch/arm64/load_stream.h"

#include <errno.h>

#define GZIP_WINDOW  (16 + MAX_WBITS) /* zlib: expect a gzip header */
#define INFLATE_STEP (1u << 30)       /* zlib counts in unsigned int */

int stream_open(struct stream *s, uint64_t off, uint64_t len, bool is_gzip, struct err *e)
{
    s->off = off;
    s->end = off + len;
    s->is_gzip = is_gzip;
    if (is_gzip && inflateInit2(&s->z, GZIP_WINDOW) != Z_OK) return err_set(e, -ENOMEM, "no memory to unpack it");
    return 0;
}

void stream_close(struct stream *s)
{
    if (s->is_gzip) (void)inflateEnd(&s->z);
}

static int fill(struct stream *s, struct err *e)
{
    const uint64_t left = s->end - s->off, n = left < STREAM_CHUNK ? left : STREAM_CHUNK;
    if (n == 0) return err_set(e, -ENOEXEC, "is cut short: its gzip data has no end; get a whole copy");
    const int rc = image_read(s->img, s->off, s->chunk, n, e);
    if (rc) return rc;
    s->off += n;
    s->z.next_in = s->chunk;
    s->z.avail_in = (uInt)n;
    return 0;
}

static int unpack(struct stream *s, uint8_t *to, uint64_t len, uint64_t *got, struct err *e)
{
    uint64_t done = 0;
    while (done < len && !s->is_over) {
        int rc = s->z.avail_in == 0 ? fill(s, e) : 0;
        if (rc) return rc;
        const uint64_t want = len - done < INFLATE_STEP ? len - done : INFLATE_STEP;
        s->z.next_out = to + done;
        s->z.avail_out = (uInt)want;
        rc = inflate(&s->z, Z_NO_FLUSH);
        if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
            return err_set(e, rc == Z_MEM_ERROR ? -ENOMEM : -ENOEXEC, "is damaged: gzip says %s; get a good copy",
                           s->z.msg ? s->z.msg : "no more than that");
        done += want - s->z.avail_out;
        s->is_over = rc == Z_STREAM_END;
    }
    *got = done;
    return 0;
}

int stream_read(struct stream *s, uint8_t *to, uint64_t len, uint64_t *got, struct err *e)
{
    if (s->is_gzip) return unpack(s, to, len, got, e);
    const uint64_t left = s->end - s->off, n = left < len ? left : len;
    const int rc = image_read(s->img, s->off, to, n, e);
    if (rc) return rc;
    s->off += n;
    *got = n;
    return 0;
}

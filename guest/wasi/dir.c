/* fd_readdir. A cookie is the system's own offset of the next entry (getdents64(2), d_off), so that nothing is kept. */
#include <dirent.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/wasi/wasi.h"

#define BATCH 4096 /* bytes of the system's entries: as much as wasi-libc asks for at a time */

struct entry { /* $dirent of WASI; the name follows */
    uint64_t next, ino;
    uint32_t name_len;
    uint8_t type, pad[3];
};

struct out {
    uint8_t *buf;
    uint32_t size, used;
};

/* What does not fit is cut: the module sees the full buffer and comes again with the last cookie. */
static void put(struct out *o, const void *bytes, uint32_t len)
{
    const uint32_t room = o->size - o->used, n = len < room ? len : room;
    memcpy(o->buf + o->used, bytes, n);
    o->used += n;
}

static void put_entry(struct out *o, const struct dirent64 *d)
{
    const struct entry e = {.next = (uint64_t)d->d_off,
                            /* What lies above a preopened directory is not the module's to know. */
                            .ino = strcmp(d->d_name, "..") == 0 ? 0 : d->d_ino,
                            .name_len = (uint32_t)strlen(d->d_name),
                            .type = wasi_filetype((unsigned)d->d_type << 12 /* DTTOIF */)};
    put(o, &e, sizeof(e));
    put(o, d->d_name, e.name_len);
}

uint32_t WASI_CALL(fd_readdir)(struct wasi *w, uint32_t fd, uint32_t buf_at, uint32_t size, uint64_t cookie,
                               uint32_t used_at)
{
    union {
        struct dirent64 first; /* for its alignment */
        char bytes[BATCH];
    } batch;
    struct wasi_fd *f;
    struct out o = {.buf = wasi_slice(w, buf_at, size), .size = size};
    const uint32_t rc = wasi_fd_get(w, fd, RIGHT(FD_READDIR), &f);
    if (rc) return rc;
    if (!o.buf || !wasi_slice(w, used_at, sizeof(uint32_t))) return WASI_FAULT;
    if (lseek(f->host, (off_t)cookie, SEEK_SET) < 0) return wasi_last();
    while (o.used < o.size) {
        const long n = syscall(SYS_getdents64, f->host, batch.bytes, sizeof(batch));
        if (n < 0) return wasi_last();
        if (n == 0) break;
        for (long at = 0; at < n && o.used < o.size;) {
            const struct dirent64 *d = (const struct dirent64 *)(const void *)(batch.bytes + at);
            put_entry(&o, d);
            at += d->d_reclen;
        }
    }
    return wasi_put(w, used_at, &o.used, sizeof(o.used));
}

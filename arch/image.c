#include "arch/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/checked.h"
#include "vmm/base/fd.h"

static int open_failed(struct err *e)
{
    const int rc = err_errno(e, "open");
    if (rc == -ENOENT) err_hint(e, "check the path");
    if (rc == -EACCES) err_hint(e, "let this user read it, or use a copy");
    return rc;
}

/* Its size, or why it is no image. */
static int check_file(int fd, uint64_t *size, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) < 0) return err_errno(e, "stat");
    if (!S_ISREG(st.st_mode))
        return err_set(e, S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL, "is %s; give a regular file",
                       S_ISDIR(st.st_mode) ? "a directory" : "no regular file");
    if (st.st_size == 0) return err_set(e, -ENOEXEC, "is empty; give a file with something in it");
    *size = (uint64_t)st.st_size;
    return 0;
}

int image_open(struct image *img, const char *path, struct err *e)
{
    uint64_t size;
    /* A FIFO must not make us wait for a writer. */
    const int fd = fd_own(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (fd < 0) return open_failed(e);
    const int rc = check_file(fd, &size, e);
    if (rc) {
        close(fd);
        return rc;
    }
    *img = (struct image){.fd = fd, .size = size};
    return 0;
}

int image_open_source(struct image *img, const struct image_source *s, struct err *e)
{
    uint64_t size;
    if (s->path) return image_open(img, s->path, e);
    if (s->data || !s->has_fd) return image_from_memory(img, s->data, s->size, e);
    const int rc = check_file(s->fd, &size, e);
    if (!rc) *img = (struct image){.fd = s->fd, .is_borrowed = true, .size = size};
    return rc;
}

bool image_is_given(const struct image_source *s)
{
    return s->path || s->data || s->has_fd;
}

const char *image_name(const struct image_source *s)
{
    return s->path ? s->path : s->data ? "(memory)" : "(descriptor)";
}

uint64_t image_size_of(const struct image_source *s)
{
    struct stat st;
    if (!s->path && s->data) return s->size;
    if (!image_is_given(s) || (s->path ? stat(s->path, &st) : fstat(s->fd, &st)) < 0) return 0;
    return (uint64_t)st.st_size;
}

int image_from_memory(struct image *img, const void *data, uint64_t size, struct err *e)
{
    if (!data || size == 0) return err_set(e, -ENOEXEC, "is empty; this build has no embedded guest, use --kernel");
    *img = (struct image){.fd = -1, .data = data, .size = size};
    return 0;
}

void image_close(struct image *img)
{
    if (img->fd >= 0 && !img->is_borrowed) close(img->fd);
    img->fd = -1;
}

static int cut_short(const struct image *img, uint64_t off, uint64_t len, struct err *e)
{
    return err_set(e, -ENOEXEC, "is cut short: %llu bytes at offset %llu are missing from its %llu; get a whole copy",
                   (unsigned long long)len, (unsigned long long)off, (unsigned long long)img->size);
}

static int read_failed(uint64_t off, struct err *e)
{
    const int rc = err_errno(e, "read at offset %llu", (unsigned long long)off);
    if (rc == -EIO) err_hint(e, "the disk or file system that holds it fails; use a copy elsewhere");
    return rc;
}

int image_read(const struct image *img, uint64_t off, void *buf, uint64_t len, struct err *e)
{
    if (!range_fits(off, len, img->size)) return cut_short(img, off, len, e);
    if (img->fd < 0) {
        memcpy(buf, img->data + off, len);
        return 0;
    }
    uint8_t *to = buf;
    while (len > 0) {
        const ssize_t n = pread(img->fd, to, len, (off_t)off);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return read_failed(off, e);
        if (n == 0) return cut_short(img, off, len, e); /* truncated since it was opened */
        to += n;
        off += (uint64_t)n;
        len -= (uint64_t)n;
    }
    return 0;
}

int image_refuse_mistakes(const struct image_mistake *rows, unsigned count, const uint8_t *head, uint64_t len,
                          struct err *e)
{
    for (unsigned i = 0; i < count; i++) {
        const struct image_mistake *m = &rows[i];
        if (range_fits(m->off, m->len, len) && memcmp(head + m->off, m->magic, m->len) == 0)
            return err_set(e, -ENOEXEC, "%s", m->sentence);
    }
    return 0;
}

/* ---- into guest memory ---- */

/* Guest memory is fresh, that is, zero. Memory that would only receive zeros stays untouched, so that the host need not
 * find and clear pages for it. The first pieces of a block are read into a buffer and looked at; from the first piece
 * that is not all zeros, the rest of the block is read to its place. The file is never mapped: in a mapping, a bad
 * sector or a file that somebody cuts short becomes a SIGBUS, which would end the whole program. */
#define BLOCK (UINT64_C(2) << 20) /* a huge page: one touch, and the host may give all of it */
#define PIECE 32768u              /* on the stack, and still in the nearest cache when it is copied */

static bool is_zero(const uint8_t *p, uint64_t len)
{
    return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

/* One block or a part of it. */
static int place_block(const struct image *img, uint64_t off, uint64_t len, uint8_t *to, struct err *e)
{
    uint8_t piece[PIECE];
    uint64_t done = 0;
    for (bool is_fresh = true; is_fresh && done < len;) {
        const uint64_t n = len - done < PIECE ? len - done : PIECE;
        const int rc = image_read(img, off + done, piece, n, e);
        if (rc) return rc;
        is_fresh = is_zero(piece, n);
        if (!is_fresh) memcpy(to + done, piece, n);
        done += n;
    }
    return done < len ? image_read(img, off + done, to + done, len - done, e) : 0;
}

int image_place(const struct image *img, uint64_t off, uint64_t len, const struct gmem *mem, uint64_t gpa,
                struct err *e)
{
    uint8_t *to = gmem_slice(mem, gpa, len, GMEM_WRITE);
    if (!to)
        return err_set(e, -ENOEXEC, "%llu bytes at guest address 0x%llx are outside memory; give more --memory",
                       (unsigned long long)len, (unsigned long long)gpa);
    if (!range_fits(off, len, img->size)) return cut_short(img, off, len, e);
    if (img->fd < 0) return image_read(img, off, to, len, e);
    int rc = 0;
    while (len > 0 && !rc) {
        const uint64_t rest = BLOCK - (uintptr_t)to % BLOCK, n = len < rest ? len : rest;
        rc = place_block(img, off, n, to, e);
        to += n;
        off += n;
        len -= n;
    }
    return rc;
}

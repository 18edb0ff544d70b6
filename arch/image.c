#include "arch/image.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
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

int image_open(struct image *img, const char *path, struct err *e)
{
    struct stat st;
    const int fd =
        fd_own(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)); /* a FIFO must not make us wait for a writer */
    if (fd < 0) return open_failed(e);
    int rc = 0;
    if (fstat(fd, &st) < 0)
        rc = err_errno(e, "stat");
    else if (!S_ISREG(st.st_mode))
        rc = err_set(e, S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL, "is %s; give a regular file",
                     S_ISDIR(st.st_mode) ? "a directory" : "no regular file");
    else if (st.st_size == 0)
        rc = err_set(e, -ENOEXEC, "is empty; give a file with something in it");
    if (rc) {
        close(fd);
        return rc;
    }
    *img = (struct image){.fd = fd, .size = (uint64_t)st.st_size};
    return 0;
}

int image_from_memory(struct image *img, const void *data, uint64_t size, struct err *e)
{
    if (!data || size == 0) return err_set(e, -ENOEXEC, "is empty; this build has no embedded guest, use --kernel");
    *img = (struct image){.fd = -1, .data = data, .size = size};
    return 0;
}

void image_close(struct image *img)
{
    if (img->fd >= 0) close(img->fd);
    img->fd = -1;
}

static int cut_short(const struct image *img, uint64_t off, uint64_t len, struct err *e)
{
    return err_set(e, -ENOEXEC, "is cut short: %llu bytes at offset %llu are missing from its %llu; get a whole copy",
                   (unsigned long long)len, (unsigned long long)off, (unsigned long long)img->size);
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
        if (n < 0) return err_errno(e, "read");
        if (n == 0) return cut_short(img, off, len, e); /* truncated since it was opened */
        to += n;
        off += (uint64_t)n;
        len -= (uint64_t)n;
    }
    return 0;
}

/* ---- into guest memory ---- */

/* From this size on an image is mapped and copied by us instead of read: guest memory that would only receive zeros
 * then stays untouched, so the host need not find and clear pages for it. Below, the calls cost more than they save. */
#define MAP_FROM (UINT64_C(1) << 20)

static bool is_zero(const uint8_t *p, uint64_t len)
{
    return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

/* Guest memory is fresh, that is, zero. Runs of pages with something in them are copied at once. */
static void copy_nonzero(uint8_t *to, const uint8_t *from, uint64_t len)
{
    uint64_t run = 0, off = 0; /* [run, off): to be copied */
    while (off < len) {
        const uint64_t piece = len - off < GMEM_PAGE ? len - off : GMEM_PAGE;
        if (is_zero(from + off, piece)) {
            memcpy(to + run, from + run, off - run);
            run = off + piece;
        }
        off += piece;
    }
    memcpy(to + run, from + run, len - run);
}

/* A mapping of a file is safe to read only while nobody can cut the file short: a read lease makes those who want to
 * write wait (fcntl(2), Leases), the few milliseconds of the copy. It takes the file's owner or root and a file system
 * that has leases; else the file is read. The signal that tells of a break is one that does nothing by default. */
static bool place_mapped(const struct image *img, uint64_t off, uint64_t len, uint8_t *to)
{
    bool is_done = false;
    struct stat st;
    if (fcntl(img->fd, F_SETSIG, SIGURG) < 0 || fcntl(img->fd, F_SETLEASE, F_RDLCK) < 0) return false;
    const uint64_t skip = off % GMEM_PAGE;
    if (fstat(img->fd, &st) == 0 && range_fits(off, len, (uint64_t)st.st_size)) { /* as it is under the lease */
        const uint8_t *map = mmap(NULL, len + skip, PROT_READ, MAP_SHARED, img->fd, (off_t)(off - skip));
        if (map != MAP_FAILED) {
            madvise((void *)(uintptr_t)map, len + skip, MADV_SEQUENTIAL); /* a page read once is no page in use */
            copy_nonzero(to, map + skip, len);
            munmap((void *)(uintptr_t)map, len + skip);
            is_done = true;
        }
    }
    fcntl(img->fd, F_SETLEASE, F_UNLCK);
    return is_done;
}

int image_place(const struct image *img, uint64_t off, uint64_t len, const struct gmem *mem, uint64_t gpa,
                struct err *e)
{
    uint8_t *to = gmem_slice(mem, gpa, len, GMEM_WRITE);
    if (!to)
        return err_set(e, -ENOEXEC, "%llu bytes at guest address 0x%llx are outside memory; give more --memory",
                       (unsigned long long)len, (unsigned long long)gpa);
    if (!range_fits(off, len, img->size)) return cut_short(img, off, len, e);
    if (img->fd >= 0 && len >= MAP_FROM && place_mapped(img, off, len, to)) return 0;
    return image_read(img, off, to, len, e);
}

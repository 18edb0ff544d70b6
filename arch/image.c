#include "arch/image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/checked.h"

int image_open(struct image *img, const char *path, struct err *e)
{
    struct stat st;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not make us wait for a writer */
    if (fd < 0) return err_errno(e, "open");
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

int image_place(const struct image *img, uint64_t off, uint64_t len, const struct gmem *mem, uint64_t gpa,
                struct err *e)
{
    void *to = gmem_slice(mem, gpa, len, GMEM_WRITE);
    if (!to)
        return err_set(e, -ENOEXEC, "%llu bytes at guest address 0x%llx are outside memory; give more --memory",
                       (unsigned long long)len, (unsigned long long)gpa);
    return image_read(img, off, to, len, e);
}

/* Bytes of the program's memory, page by page, by the tables that its processor uses. */
#include <errno.h>
#include <string.h>

#include "vmm/base/checked.h"
#include "vmm/sandbox/struct_space.h"

/* A page of the program's: where it is with us, and what the program may do to it. */
struct page {
    uint8_t *host;
    uint64_t gpa;
    unsigned prot;
};

static bool find_page(const struct space *s, uint64_t va, struct page *out)
{
    if (va < USER_MIN || va >= USER_END) return false;
    const uint64_t entry = tables_entry(s, align_down(va, SPACE_PAGE));
    out->gpa = user_entry_gpa(entry);
    out->prot = user_entry_prot(entry);
    out->host = out->gpa ? space_host(s, out->gpa) : NULL;
    return out->host;
}

static uint64_t left_of_page(uint64_t va, uint64_t len)
{
    const uint64_t left = SPACE_PAGE - va % SPACE_PAGE;
    return len < left ? len : left;
}

static bool is_there(const struct space *s, uint64_t va, uint64_t len, unsigned prot)
{
    struct page page;
    for (uint64_t n; len; va += n, len -= n) {
        if (!find_page(s, va, &page) || prot & ~page.prot) return false;
        n = left_of_page(va, len);
    }
    return true;
}

/* What lies within one page, as most does: looked up once. */
static bool read_in_page(const struct space *s, uint64_t va, void *buf, uint64_t len)
{
    struct page page;
    if (!find_page(s, va, &page) || !(page.prot & USER_READ)) return false;
    memcpy(buf, page.host + va % SPACE_PAGE, len);
    return true;
}

static bool write_in_page(struct space *s, uint64_t va, const void *buf, uint64_t len)
{
    struct page page;
    if (!find_page(s, va, &page) || !(page.prot & USER_WRITE)) return false;
    page_set_add(&s->written, page.gpa / SPACE_PAGE);
    memcpy(page.host + va % SPACE_PAGE, buf, len);
    return true;
}

int space_read(const struct space *s, uint64_t va, void *buf, uint64_t len)
{
    struct page page;
    uint8_t *to = buf;
    if (len && left_of_page(va, len) == len) return read_in_page(s, va, buf, len) ? 0 : -EFAULT;
    if (!is_there(s, va, len, USER_READ)) return -EFAULT;
    for (uint64_t n; len; va += n, len -= n, to += n) {
        if (!find_page(s, va, &page)) return -EFAULT;
        n = left_of_page(va, len);
        memcpy(to, page.host + va % SPACE_PAGE, n);
    }
    return 0;
}

static int write_bytes(struct space *s, uint64_t va, const void *buf, uint64_t len)
{
    struct page page;
    const uint8_t *from = buf;
    for (uint64_t n; len; va += n, len -= n, from += n) {
        if (!find_page(s, va, &page)) return -EFAULT;
        n = left_of_page(va, len);
        page_set_add(&s->written, page.gpa / SPACE_PAGE);
        memcpy(page.host + va % SPACE_PAGE, from, n);
    }
    return 0;
}

int space_write(struct space *s, uint64_t va, const void *buf, uint64_t len)
{
    if (len && left_of_page(va, len) == len) return write_in_page(s, va, buf, len) ? 0 : -EFAULT;
    return is_there(s, va, len, USER_WRITE) ? write_bytes(s, va, buf, len) : -EFAULT;
}

int space_write_any(struct space *s, uint64_t va, const void *buf, uint64_t len)
{
    return is_there(s, va, len, 0) ? write_bytes(s, va, buf, len) : -EFAULT;
}

int space_read_string(const struct space *s, uint64_t va, char *buf, uint64_t size)
{
    struct page page;
    for (uint64_t done = 0, n; done < size; done += n, va += n) {
        if (!find_page(s, va, &page) || !(page.prot & USER_READ)) return -EFAULT;
        n = left_of_page(va, size - done);
        memcpy(buf + done, page.host + va % SPACE_PAGE, n);
        const char *end = memchr(buf + done, '\0', n);
        if (end) return (int)(end - buf);
    }
    return -ENAMETOOLONG;
}

int space_pieces(struct space *s, uint64_t va, uint64_t len, unsigned access, struct iovec *iov, unsigned max,
                 uint64_t *done)
{
    struct page page;
    unsigned n = 0;
    *done = 0;
    for (uint64_t size; len; va += size, len -= size, *done += size) {
        if (!find_page(s, va, &page) || access & ~page.prot) break;
        size = left_of_page(va, len);
        uint8_t *at = page.host + va % SPACE_PAGE;
        const bool is_next = n && (uint8_t *)iov[n - 1].iov_base + iov[n - 1].iov_len == at;
        if (!is_next && n == max) break;
        if (access & USER_WRITE) page_set_add(&s->written, page.gpa / SPACE_PAGE);
        if (is_next)
            iov[n - 1].iov_len += size;
        else
            iov[n++] = (struct iovec){.iov_base = at, .iov_len = size};
    }
    return len && !n && max ? -EFAULT : (int)n;
}

void space_wrote(struct space *s, uint64_t va, uint64_t len)
{
    struct page page;
    for (uint64_t n; len; va += n, len -= n) {
        if (!find_page(s, va, &page)) return;
        n = left_of_page(va, len);
        page_set_add(&s->written, page.gpa / SPACE_PAGE);
    }
}

static int mem_read(void *arg, uint64_t va, void *buf, uint64_t len)
{
    return space_read(arg, va, buf, len);
}

static int mem_write(void *arg, uint64_t va, const void *buf, uint64_t len)
{
    return space_write(arg, va, buf, len);
}

struct user_mem space_mem(struct space *s)
{
    return (struct user_mem){.read = mem_read, .write = mem_write, .arg = s};
}

/* Bytes between us and a program: each address is looked up in its page tables, with its rights. */
#include <errno.h>
#include <string.h>

#include "vmm/sandbox/struct_space.h"

/* The host's bytes at va and how many follow in its page; NULL: not there, or not with these rights. */
static uint8_t *look_up(struct space *s, uint64_t va, unsigned access, uint64_t *here, uint64_t *gpa)
{
    if (!space_is_user(va, 1)) return NULL;
    const uint64_t *entry = space_entry(s, va, false);
    if (!entry || !user_entry_is_present(*entry) || (user_entry_prot(*entry) & access) != access) return NULL;
    *here = SPACE_PAGE - va % SPACE_PAGE;
    *gpa = user_entry_gpa(*entry);
    uint8_t *page = space_host(s, *gpa);
    return page ? page + va % SPACE_PAGE : NULL;
}

enum direction { OUT, IN };

static int copy(struct space *s, uint64_t va, void *buf, uint64_t len, unsigned access, enum direction d)
{
    uint64_t here, gpa;
    /* Twice, so that it is all or nothing. */
    for (uint64_t at = 0; at < len; at += here)
        if (len > USER_END - va || !look_up(s, va + at, access, &here, &gpa)) return -EFAULT;
    for (uint64_t at = 0; at < len; at += here) {
        uint8_t *host = look_up(s, va + at, access, &here, &gpa);
        const uint64_t n = here < len - at ? here : len - at;
        if (d == IN) {
            memcpy(host, (const uint8_t *)buf + at, n);
            space_mark(s, gpa / SPACE_PAGE);
        } else {
            memcpy((uint8_t *)buf + at, host, n);
        }
    }
    return 0;
}

int space_read(const struct space *s, uint64_t va, void *buf, uint64_t len)
{
    return va > USER_END ? -EFAULT : copy((struct space *)(uintptr_t)s, va, buf, len, USER_READ, OUT);
}

int space_write(struct space *s, uint64_t va, const void *buf, uint64_t len)
{
    return va > USER_END ? -EFAULT : copy(s, va, (void *)(uintptr_t)buf, len, USER_WRITE, IN);
}

int space_write_any(struct space *s, uint64_t va, const void *buf, uint64_t len)
{
    return va > USER_END ? -EFAULT : copy(s, va, (void *)(uintptr_t)buf, len, 0, IN);
}

int space_read_string(const struct space *s, uint64_t va, char *buf, uint64_t size)
{
    uint64_t here, gpa, at = 0;
    while (at < size) {
        const uint8_t *host =
            va <= USER_END - at ? look_up((struct space *)(uintptr_t)s, va + at, USER_READ, &here, &gpa) : NULL;
        if (!host) return -EFAULT;
        const uint64_t n = here < size - at ? here : size - at;
        memcpy(buf + at, host, n);
        const char *end = memchr(buf + at, 0, n);
        if (end) return (int)(end - buf);
        at += n;
    }
    return -ENAMETOOLONG;
}

int space_pieces(struct space *s, uint64_t va, uint64_t len, unsigned access, struct iovec *iov, unsigned max,
                 uint64_t *done)
{
    unsigned count = 0;
    uint64_t here, gpa;
    *done = 0;
    if (va > USER_END) return -EFAULT;
    while (*done < len) {
        uint8_t *host = va <= USER_END - *done ? look_up(s, va + *done, access, &here, &gpa) : NULL;
        if (!host) break;
        const uint64_t n = here < len - *done ? here : len - *done;
        if (count && (uint8_t *)iov[count - 1].iov_base + iov[count - 1].iov_len == host)
            iov[count - 1].iov_len += n;
        else if (count == max)
            break;
        else
            iov[count++] = (struct iovec){host, n};
        if (access & USER_WRITE) space_mark(s, gpa / SPACE_PAGE);
        *done += n;
    }
    return *done || !len ? (int)count : -EFAULT;
}

void space_wrote(struct space *s, uint64_t va, uint64_t len)
{
    uint64_t here, gpa;
    for (uint64_t at = 0; at < len; at += here) {
        if (!look_up(s, va + at, 0, &here, &gpa)) return;
        space_mark(s, gpa / SPACE_PAGE);
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

/* A page that the kernel has to ask us for (userfaultfd): whoever carries out a write from it sits in the kernel until
 * the test lets go. That is what a hung server or a dying disk does to a write. */
#ifndef VIREO_TESTS_TRAP_H
#define VIREO_TESTS_TRAP_H

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#define TRAP_BYTES 4096u
#define HOLD_MS    60000 /* nobody waits so long but where a promise is broken */

struct trap {
    int fd; /* -1: not set */
    uint8_t *page;
    bool is_own; /* the page was made for it */
};

/* On a page of private anonymous memory, whose content is lost. False: not permitted here. */
static inline bool trap_set(struct trap *t, uint8_t *page)
{
    struct uffdio_api api = {.api = UFFD_API};
    t->fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK); /* poll works on such a one only */
    t->page = page;
    if (t->fd < 0) return false;
    assert_int_equal(ioctl(t->fd, UFFDIO_API, &api), 0);
    assert_int_equal(madvise(page, TRAP_BYTES, MADV_DONTNEED), 0);
    struct uffdio_register r = {.range = {(uintptr_t)page, TRAP_BYTES}, .mode = UFFDIO_REGISTER_MODE_MISSING};
    assert_int_equal(ioctl(t->fd, UFFDIO_REGISTER, &r), 0);
    return true;
}
static inline bool trap_set_new(struct trap *t)
{
    void *page = mmap(NULL, TRAP_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(page, MAP_FAILED);
    t->is_own = true;
    return trap_set(t, page);
}
/* Until somebody hangs in it. */
static inline void trap_await(const struct trap *t)
{
    struct pollfd p = {.fd = t->fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, HOLD_MS), 1);
    assert_int_equal(p.revents, POLLIN);
}
static inline void trap_let_go(const struct trap *t)
{
    struct uffdio_zeropage z = {.range = {(uintptr_t)t->page, TRAP_BYTES}};
    assert_int_equal(ioctl(t->fd, UFFDIO_ZEROPAGE, &z), 0);
}
/* Whoever still hangs is let go. */
static inline void trap_remove(struct trap *t)
{
    if (t->fd >= 0) close(t->fd);
    if (t->is_own && t->page) munmap(t->page, TRAP_BYTES);
    *t = (struct trap){.fd = -1};
}

#endif

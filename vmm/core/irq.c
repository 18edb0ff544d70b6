#include "vmm/core/irq.h"

#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/base/fd.h"

int irq_init(struct irq *i, struct err *e)
{
    i->fd = fd_own(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    if (i->fd < 0) return err_errno(e, "eventfd for an interrupt");
    return 0;
}

void irq_fini(struct irq *i)
{
    if (i->fd >= 0) close(i->fd);
    i->fd = -1;
}

void irq_raise(const struct irq *i)
{
    const uint64_t one = 1;
    if (i->fd < 0) return;
    /* Fails only with EAGAIN at 2^64-2 unread raises: then one is pending anyway. */
    const ssize_t n = write(i->fd, &one, sizeof(one));
    (void)n;
}

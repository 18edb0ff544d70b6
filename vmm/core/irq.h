/* An interrupt is an eventfd: in a machine KVM listens to it (irqfd), in a test the test does. Edges only: each raise
 * is one interrupt, and raises that meet an unread one merge. */
#ifndef VIREO_CORE_IRQ_H
#define VIREO_CORE_IRQ_H

#include "vmm/base/err.h"

struct irq {
    int fd; /* -1: not connected, raising does nothing */
};

int irq_init(struct irq *i, struct err *e); /* fd is non-blocking, close-on-exec */
void irq_fini(struct irq *i);               /* legal on fd -1 and twice */
void irq_raise(const struct irq *i);        /* any thread, one write(2) */

#endif

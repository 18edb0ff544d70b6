#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "vmm/core/irq.h"

static void raises_merge_into_one_readable_event(void **state)
{
    (void)state;
    struct irq irq;
    uint64_t count;
    assert_int_equal(irq_init(&irq, NULL), 0);
    assert_int_equal(read(irq.fd, &count, sizeof(count)), -1);
    assert_int_equal(errno, EAGAIN);
    for (int i = 0; i < 3; i++) irq_raise(&irq);
    assert_int_equal(read(irq.fd, &count, sizeof(count)), sizeof(count));
    assert_int_equal(count, 3);
    assert_int_equal(read(irq.fd, &count, sizeof(count)), -1);
    irq_fini(&irq);
}

static void fd_is_not_inherited(void **state)
{
    (void)state;
    struct irq irq;
    assert_int_equal(irq_init(&irq, NULL), 0);
    assert_true(fcntl(irq.fd, F_GETFD) & FD_CLOEXEC);
    irq_fini(&irq);
}

/* 2^64-2 is the most an eventfd counts: another raise must return rather than wait for a reader. */
static void raise_never_blocks(void **state)
{
    (void)state;
    struct irq irq;
    const uint64_t most = UINT64_MAX - 1;
    assert_int_equal(irq_init(&irq, NULL), 0);
    assert_int_equal(write(irq.fd, &most, sizeof(most)), sizeof(most));
    irq_raise(&irq);
    irq_fini(&irq);
}

static void unconnected_irq_does_nothing(void **state)
{
    (void)state;
    struct irq irq = {.fd = -1};
    irq_raise(&irq);
    irq_fini(&irq);
    assert_int_equal(irq_init(&irq, NULL), 0);
    irq_fini(&irq);
    irq_fini(&irq);
    assert_int_equal(irq.fd, -1);
    irq_raise(&irq);
}

UNIT_MAIN(UNIT(raises_merge_into_one_readable_event), UNIT(fd_is_not_inherited), UNIT(raise_never_blocks),
          UNIT(unconnected_irq_does_nothing))

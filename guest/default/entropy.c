#include "entropy.h"

#define WANTED 32 /* bytes; that all are equal by chance happens once in 2^248 times */

static struct {
    struct virtio_ring ring;
    uint8_t byte[WANTED];
} dma __attribute__((section(".bss.noinit"), aligned(16)));

void entropy_test(struct virtio_device *d)
{
    uint32_t length[SLOT_COUNT], varied = 0;

    virtio_start(d, 0, &dma.ring);
    memset(dma.byte, 0, WANTED);
    virtio_put(d, 0, &(struct virtio_piece){dma.byte, WANTED, true}, 1);
    virtio_run(d, 1, length);
    if (!length[0] || length[0] > WANTED)
        fail(GUEST_BAD_USED, "the entropy device at 0x%lx was asked for %u bytes and gave %u", d->at->base,
             (unsigned)WANTED, length[0]);
    for (uint32_t i = 1; i < length[0]; i++) varied |= dma.byte[i] ^ dma.byte[0];
    if (length[0] > 1 && !varied)
        fail(GUEST_NO_ENTROPY, "the entropy device at 0x%lx gave %u times the byte 0x%x", d->at->base, length[0],
             dma.byte[0]);
    say("  %u bytes of entropy", length[0]);
    virtio_stop(d);
}

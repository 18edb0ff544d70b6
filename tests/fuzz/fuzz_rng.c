/* The entropy device under a script of a driver. As long as the driver keeps the rules, each buffer comes back filled,
 * by no more than was asked for; when it does not, nothing outside guest memory may be touched. */
#include "devices/devices.h"
#include "tests/fuzz/script.h"

#define BUFFER_MAX 2048u

/* Two buffers in a row; the byte behind them is the guest's own. */
static void ask(struct script_guest *g, struct script *in)
{
    struct ring *r = &g->ring[0];
    const uint32_t first = 1 + take(in, 2) % BUFFER_MAX, second = 1 + take(in, 2) % BUFFER_MAX;
    const uint64_t gpa = RING_MEM_GPA + SCRIPT_AREA;
    uint8_t *behind = ring_host(&g->mem, gpa + first + second);
    struct ring_used used;
    if (g->is_raw || r->free_count < 2) return;
    *behind = 0xa5;
    const struct ring_seg seg[] = {{gpa, first, true}, {gpa + first, second, true}};
    ring_add(r, seg, 2);
    script_notify(g, 0);
    MUST(ring_take_used(r, &used) && used.len > 0 && used.len <= first + second);
    MUST(*behind == 0xa5);
}

static void step(struct script_guest *g, struct script *in)
{
    switch (take(in, 1) % 8) {
    case 0: script_raw(g, in); break;
    case 1: script_notify(g, 0); break;
    case 2: {
        const bool was_raw = g->is_raw;
        g->dev->ops->deactivate(g->dev);
        script_activate(g, (uint64_t)take(in, 1) << 28);
        g->is_raw = was_raw;
        break;
    }
    case 3: script_turn(g); break;
    default: ask(g, in); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script in = {data, size};
    struct script_guest g;
    struct virtio_dev *d = NULL;
    script_begin(&g);
    MUST(virtio_rng_create(&d, NULL) == 0);
    script_set_device(&g, d);
    script_activate(&g, UINT64_MAX);
    for (unsigned i = 0; i < SCRIPT_OPS_MAX && in.left > 0; i++) step(&g, &in);
    MUST(g.host_failures == 0);
    d->ops->deactivate(d);
    d->ops->destroy(d);
    script_end(&g);
    return 0;
}

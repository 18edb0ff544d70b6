/* What the fuzz targets of ring devices share: a guest whose driver follows a script, sometimes the rules too. Memory
 * is on the heap, so that a sanitizer sees the first byte beyond it. */
#ifndef VIREO_TESTS_SCRIPT_H
#define VIREO_TESTS_SCRIPT_H

#include "tests/fuzz/fuzz.h"
#include "tests/unit/virtio/ring.h"

#define SCRIPT_MEM_BYTES (96u << 10)
#define SCRIPT_RING_SIZE 16u     /* raw indices often hit */
#define SCRIPT_AREA      0x4000u /* buffers lie above it, the rings below */
#define SCRIPT_OPS_MAX   512u    /* longer scripts say nothing new */

struct script_guest {
    struct ring_mem mem;
    struct ring ring[2];
    struct loop loop;
    struct virtio_dev *dev;
    unsigned wants_notify; /* queues, by bit */
    unsigned host_failures;
    bool is_broken;
    bool is_raw; /* a rule was broken on purpose: only survival is asked for */
};

static inline void script_on_used(void *arg)
{
    (void)arg;
}
static inline void script_on_fault(void *arg, const char *why)
{
    struct script_guest *g = arg;
    MUST(why && g->is_raw); /* a driver that keeps the rules is never at fault */
    g->is_broken = true;
}
static inline void script_on_host_failed(void *arg, const char *why)
{
    MUST(why);
    ((struct script_guest *)arg)->host_failures++;
}
static inline void script_on_host_error(void *arg, const char *what)
{
    MUST(what);
    ((struct script_guest *)arg)->host_failures++;
}
static inline void script_on_renotify(void *arg, unsigned queue)
{
    ((struct script_guest *)arg)->wants_notify |= 1u << queue;
}
/* Devices here have nothing in flight that could come back later. */
static inline void script_on_quiet(void *arg)
{
    (void)arg;
    abort();
}
static const struct virtio_up script_up = {
    script_on_used,     script_on_used,       script_on_fault, script_on_host_failed,
    script_on_renotify, script_on_host_error, script_on_quiet,
};

static inline void script_activate(struct script_guest *g, uint64_t features)
{
    g->mem.next = RING_MEM_GPA;
    memset(g->mem.host, 0, SCRIPT_AREA);
    g->dev->features = features & (g->dev->ops->features(g->dev) | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX);
    for (unsigned i = 0; i < 2; i++) {
        ring_init(&g->ring[i], &g->mem, SCRIPT_RING_SIZE);
        const struct virtq_config cfg = ring_config(&g->ring[i]);
        MUST(virtq_init(&g->dev->vq[i], &cfg, &g->mem.gmem, g->dev->features) == 0);
    }
    MUST(g->dev->ops->activate(g->dev) == 0);
    g->is_broken = g->is_raw = false;
    g->wants_notify = 0;
}

static inline void script_begin(struct script_guest *g)
{
    memset(g, 0, sizeof(*g));
    g->mem.host = aligned_alloc(GMEM_PAGE, SCRIPT_MEM_BYTES);
    MUST(g->mem.host);
    memset(g->mem.host, 0, SCRIPT_MEM_BYTES);
    gmem_init(&g->mem.gmem);
    MUST(gmem_add_host(&g->mem.gmem, RING_MEM_GPA, SCRIPT_MEM_BYTES, g->mem.host, NULL) == 0);
    gmem_freeze(&g->mem.gmem);
    MUST(loop_init(&g->loop, NULL) == 0);
}

static inline void script_set_device(struct script_guest *g, struct virtio_dev *d)
{
    g->dev = d;
    d->mem = &g->mem.gmem;
    d->loop = &g->loop;
    d->up = &script_up;
    d->up_arg = g;
    MUST(!d->ops->prepare || d->ops->prepare(d, NULL) == 0);
}

static inline void script_end(struct script_guest *g)
{
    loop_fini(&g->loop);
    gmem_fini(&g->mem.gmem);
    free(g->mem.host);
}

static inline void script_notify(struct script_guest *g, unsigned queue)
{
    if (g->is_broken) return; /* the transport listens no more */
    g->dev->ops->notify(g->dev, queue);
    for (unsigned turns = 0; g->wants_notify && !g->is_broken && turns < 64;
         turns++) { /* raw chains may go on for long */
        const unsigned q = (unsigned)__builtin_ctz(g->wants_notify);
        g->wants_notify &= g->wants_notify - 1;
        g->dev->ops->notify(g->dev, q);
    }
    for (unsigned i = 0; i < 2; i++) MUST(virtq_is_valid(&g->dev->vq[i]));
}

static inline void script_stop(void *arg)
{
    loop_stop(arg);
}
/* What the host's side has for the device now. */
static inline void script_turn(struct script_guest *g)
{
    struct loop_job job = {.fn = script_stop, .arg = &g->loop};
    if (g->is_broken) return;
    loop_post(&g->loop, &job);
    loop_run(&g->loop);
}

/* An address that is often good, sometimes at an edge, seldom nonsense. */
static inline uint64_t script_address(struct script *in)
{
    const uint32_t a = take(in, 1), b = take(in, 2);
    switch (a & 7) {
    case 0: return RING_MEM_GPA + SCRIPT_MEM_BYTES - (b & 31);
    case 1: return RING_MEM_GPA - (b & 31);
    case 2: return UINT64_MAX - (b & 31);
    case 3: return (uint64_t)b << 40;
    default: return RING_MEM_GPA + (a >> 3 & 1) * SCRIPT_AREA + b % (SCRIPT_MEM_BYTES - SCRIPT_AREA);
    }
}

/* One step that breaks the rules, or may. */
static inline void script_raw(struct script_guest *g, struct script *in)
{
    const uint32_t what = take(in, 1);
    struct ring *r = &g->ring[what >> 7];
    g->is_raw = true;
    switch (what % 6) {
    case 0: {
        const uint16_t i = (uint16_t)(take(in, 1) % SCRIPT_RING_SIZE);
        const uint64_t gpa = script_address(in);
        const uint32_t len = take(in, 1) % 4 == 0 ? take(in, 4) : take(in, 2), link = take(in, 1);
        ring_set_desc(r, i, (struct ring_seg){gpa, len, false}, (uint16_t)(link & 7), (uint16_t)(link >> 3));
        break;
    }
    case 1: ring_offer(r, (uint16_t)(take(in, 1) % (SCRIPT_RING_SIZE + 2))); break;
    case 2: ring_set_avail_idx(r, (uint16_t)(r->avail_idx + (int8_t)take(in, 1))); break;
    case 3: g->mem.host[take(in, 2) % (SCRIPT_AREA + 64)] = (uint8_t)take(in, 1); break;
    case 4: ring_set_used_event(r, (uint16_t)take(in, 2)); break;
    default: ring_set_avail_flags(r, (uint16_t)take(in, 1)); break;
    }
}

#endif

#include "tests/unit/virtio/ring.h"

#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/base/checked.h"
#include "vmm/base/endian.h"

#define WAIT_MS 30000 /* a test machine may be busy; nothing a device does takes this long */

void ring_mem_init(struct ring_mem *m)
{
    struct err e;
    void *p = mmap(NULL, RING_MEM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert(p != MAP_FAILED);
    m->host = p;
    m->next = RING_MEM_GPA;
    gmem_init(&m->gmem);
    const int rc = gmem_add_host(&m->gmem, RING_MEM_GPA, RING_MEM_SIZE, m->host, &e);
    assert(rc == 0);
    gmem_freeze(&m->gmem);
}

void ring_mem_fini(struct ring_mem *m)
{
    gmem_fini(&m->gmem);
    munmap(m->host, RING_MEM_SIZE);
}

uint64_t ring_alloc(struct ring_mem *m, uint64_t len, uint64_t align)
{
    const uint64_t gpa = align_up(m->next, align);
    assert(range_fits(gpa - RING_MEM_GPA, len, RING_MEM_SIZE));
    m->next = gpa + len;
    return gpa;
}

void *ring_host(const struct ring_mem *m, uint64_t gpa)
{
    assert(gpa >= RING_MEM_GPA && gpa - RING_MEM_GPA < RING_MEM_SIZE);
    return m->host + (gpa - RING_MEM_GPA);
}

static struct le16 *word(const struct ring *r, uint64_t gpa)
{
    return ring_host(r->mem, gpa);
}

void ring_init(struct ring *r, struct ring_mem *m, uint16_t size)
{
    assert(size > 0 && size <= VIRTQ_MAX_SIZE);
    *r = (struct ring){.mem = m, .size = size, .free_count = size};
    r->desc = ring_alloc(m, 16u * size, 16);
    r->avail = ring_alloc(m, 6 + 2u * size, 2);
    r->used = ring_alloc(m, 6 + 8u * size, 4);
    for (unsigned i = 0; i < size; i++) r->next[i] = (uint16_t)(i + 1);
}

struct virtq_config ring_config(const struct ring *r)
{
    return (struct virtq_config){
        .size = r->size, .is_ready = true, .desc = r->desc, .avail = r->avail, .used = r->used};
}

/* Plain stores: ring_offer publishes them with release order. */
static void store_desc(uint8_t *d, struct ring_seg seg, uint16_t flags, uint16_t next)
{
    le64_write(d, seg.gpa);
    le32_write(d + 8, seg.len);
    le16_write(d + 12, flags);
    le16_write(d + 14, next);
}

void ring_set_desc(struct ring *r, uint16_t i, struct ring_seg seg, uint16_t flags, uint16_t next)
{
    assert(i < r->size);
    store_desc(ring_host(r->mem, r->desc + 16u * i), seg, flags, next);
}

static uint16_t take_desc(struct ring *r)
{
    assert(r->free_count > 0);
    const uint16_t i = r->free_head;
    r->free_head = r->next[i];
    r->free_count--;
    return i;
}

uint16_t ring_build(struct ring *r, const struct ring_seg *seg, unsigned count)
{
    assert(count > 0);
    uint16_t head = 0, last = 0;
    for (unsigned i = 0; i < count; i++) {
        const uint16_t d = take_desc(r);
        const uint16_t link = i + 1 < count ? RING_F_NEXT : 0;
        ring_set_desc(r, d, seg[i], (uint16_t)(link | (seg[i].is_in ? RING_F_WRITE : 0)), r->free_head);
        if (i == 0) head = d;
        last = d;
    }
    r->next[last] = r->size; /* ends the driver's own list */
    return head;
}

uint16_t ring_add(struct ring *r, const struct ring_seg *seg, unsigned count)
{
    const uint16_t head = ring_build(r, seg, count);
    ring_offer(r, head);
    return head;
}

uint16_t ring_add_indirect(struct ring *r, const struct ring_seg *seg, unsigned count)
{
    const uint64_t table = ring_alloc(r->mem, 16u * count, 16);
    for (unsigned i = 0; i < count; i++) {
        const uint16_t link = i + 1 < count ? RING_F_NEXT : 0;
        store_desc(ring_host(r->mem, table + 16u * i), seg[i], (uint16_t)(link | (seg[i].is_in ? RING_F_WRITE : 0)),
                   (uint16_t)(i + 1));
    }
    const uint16_t head = take_desc(r);
    r->next[head] = r->size;
    ring_set_desc(r, head, (struct ring_seg){table, 16u * count, false}, RING_F_INDIRECT, 0);
    ring_offer(r, head);
    return head;
}

void ring_offer(struct ring *r, uint16_t head)
{
    le16_store(word(r, r->avail + 4 + 2u * (r->avail_idx % r->size)), head);
    ring_set_avail_idx(r, (uint16_t)(r->avail_idx + 1));
}

void ring_set_avail_idx(struct ring *r, uint16_t idx)
{
    r->avail_idx = idx;
    le16_store_release(word(r, r->avail + 2), idx);
}

void ring_set_avail_flags(struct ring *r, uint16_t flags)
{
    le16_store(word(r, r->avail), flags);
}

void ring_set_used_event(struct ring *r, uint16_t event)
{
    le16_store(word(r, r->avail + 4 + 2u * r->size), event);
}

uint16_t ring_used_flags(const struct ring *r)
{
    return le16_load(word(r, r->used));
}

uint16_t ring_avail_event(const struct ring *r)
{
    return le16_load(word(r, r->used + 4 + 8u * r->size));
}

uint16_t ring_used_idx(const struct ring *r)
{
    return le16_load_acquire(word(r, r->used + 2));
}

unsigned ring_used_count(const struct ring *r)
{
    return (uint16_t)(ring_used_idx(r) - r->last_used);
}

bool ring_take_used(struct ring *r, struct ring_used *out)
{
    if (ring_used_count(r) == 0) return false;
    const struct le32 *e = ring_host(r->mem, r->used + 4 + 8u * (r->last_used % r->size));
    *out = (struct ring_used){le32_load(&e[0]), le32_load(&e[1])};
    assert(out->id < r->size);
    r->last_used++;
    for (uint16_t d = (uint16_t)out->id; d < r->size;) {
        const uint16_t after = r->next[d];
        r->next[d] = r->free_head;
        r->free_head = d;
        r->free_count++;
        d = after;
    }
    return true;
}

unsigned fd_count(void)
{
    unsigned n = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert(dir);
    while (readdir(dir)) n++;
    closedir(dir);
    return n - 3; /* ".", ".." and the folder's own */
}

struct fd_limit fd_limit_set(unsigned more)
{
    struct rlimit l;
    int rc = getrlimit(RLIMIT_NOFILE, &l);
    assert(rc == 0);
    const struct fd_limit before = {l.rlim_cur};
    const int next = dup(STDIN_FILENO); /* the lowest free number */
    assert(next >= 0);
    close(next);
    l.rlim_cur = (rlim_t)next + more;
    rc = setrlimit(RLIMIT_NOFILE, &l);
    assert(rc == 0);
    return before;
}

unsigned fd_limit_release(struct fd_limit before)
{
    struct rlimit l;
    int rc = getrlimit(RLIMIT_NOFILE, &l);
    assert(rc == 0);
    l.rlim_cur = before.before;
    rc = setrlimit(RLIMIT_NOFILE, &l);
    assert(rc == 0);
    return fd_count();
}

static void on_interrupt(void *arg)
{
    ((struct rig *)arg)->interrupts++;
}
static void on_config_changed(void *arg)
{
    ((struct rig *)arg)->config_changes++;
}
static void on_fault(void *arg, const char *why)
{
    struct rig *r = arg;
    r->faults++;
    (void)snprintf(r->why, sizeof(r->why), "%s", why);
}
static void on_host_failed(void *arg, const char *why)
{
    struct rig *r = arg;
    r->host_failures++;
    (void)snprintf(r->why, sizeof(r->why), "%s", why);
}
static void on_host_error(void *arg, const char *what)
{
    struct rig *r = arg;
    r->host_errors++;
    (void)snprintf(r->why, sizeof(r->why), "%s", what);
}
static void on_renotify(void *arg, unsigned queue)
{
    ((struct rig *)arg)->renotify |= 1u << queue;
}
static void on_quiet(void *arg)
{
    ((struct rig *)arg)->is_quiet = true;
}
static const struct virtio_up rig_up = {
    on_interrupt, on_config_changed, on_fault, on_host_failed, on_renotify, on_host_error, on_quiet,
};

void rig_init(struct rig *r, struct virtio_dev *dev, uint64_t features)
{
    struct err e;
    *r = (struct rig){.dev = dev};
    ring_mem_init(&r->mem);
    const int rc = loop_init(&r->loop, &e);
    assert(rc == 0);
    dev->mem = &r->mem.gmem;
    dev->loop = &r->loop;
    dev->up = &rig_up;
    dev->up_arg = r;
    dev->features = features | VIRTIO_F_VERSION_1;
    const int prepared = dev->ops->prepare ? dev->ops->prepare(dev, &e) : 0;
    assert(prepared == 0);
}

void rig_activate(struct rig *r)
{
    struct virtio_dev *d = r->dev;
    for (unsigned i = 0; i < d->ops->queue_count; i++) {
        ring_init(&r->ring[i], &r->mem, d->ops->queue_size[i]);
        const struct virtq_config cfg = ring_config(&r->ring[i]);
        const int rc = virtq_init(&d->vq[i], &cfg, &r->mem.gmem, d->features);
        assert(rc == 0);
    }
    const int rc = d->ops->activate(d);
    assert(rc == 0);
    r->is_active = true;
    for (unsigned i = 0; i < d->ops->queue_count; i++) rig_notify(r, i);
}

void rig_reset(struct rig *r)
{
    r->is_quiet = !r->is_active || r->dev->ops->deactivate(r->dev);
    while (!r->is_quiet) loop_turn(&r->loop, -1);
    r->is_active = false;
    r->renotify = 0;
}

void rig_fini(struct rig *r)
{
    rig_reset(r);
    r->dev->ops->destroy(r->dev);
    loop_fini(&r->loop);
    ring_mem_fini(&r->mem);
}

uint64_t rig_alloc(struct rig *r, uint64_t len)
{
    return ring_alloc(&r->mem, len, 16);
}

void *rig_host(const struct rig *r, uint64_t gpa)
{
    return ring_host(&r->mem, gpa);
}

/* What the device asked to be called again for; it drains at most a queue size a call, so this ends. */
static void renotify(struct rig *r)
{
    while (r->renotify != 0) {
        const unsigned queue = (unsigned)__builtin_ctz(r->renotify);
        r->renotify &= r->renotify - 1;
        r->dev->ops->notify(r->dev, queue);
    }
}

void rig_notify(struct rig *r, unsigned queue)
{
    r->dev->ops->notify(r->dev, queue);
    renotify(r);
}

static void stop(void *arg)
{
    loop_stop(arg);
}

void rig_run(struct rig *r, int ms)
{
    struct loop_timer timer = {.fn = stop, .arg = &r->loop};
    loop_timer_set(&r->loop, &timer, (uint64_t)ms * 1000000u);
    loop_run(&r->loop);
    renotify(r);
}

void rig_wait_used(struct rig *r, unsigned queue)
{
    for (int waited = 0; ring_used_count(&r->ring[queue]) == 0; waited++) {
        assert(waited < WAIT_MS);
        rig_run(r, 1);
    }
}

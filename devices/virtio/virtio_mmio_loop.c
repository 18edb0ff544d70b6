/* The transport's part on the loop thread: what the device says, the doorbells, activation. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "devices/virtio/virtio_mmio_state.h"

#define WHY_MAX 128 /* a sentence and an errno's */

enum { INT_USED = 1, INT_CONFIG = 2 }; /* InterruptStatus, 4.2.2 */

/* ---- what the device says ---- */

static void raise_interrupt(struct virtio_mmio *t, unsigned bit)
{
    /* The bit is set before the interrupt is raised. The interrupt is raised even when the bit was set already: a
     * driver may acknowledge after it looked at the queue (4.2.3.4.1), and without this edge it would miss a
     * completion. */
    atomic_fetch_or(&t->interrupt_status, bit);
    irq_raise(&t->irq);
}

static void on_used(void *arg)
{
    raise_interrupt(arg, INT_USED);
}

static void on_config_changed(void *arg)
{
    struct virtio_mmio *t = arg;
    atomic_fetch_add(&t->config_generation, 1);
    raise_interrupt(t, INT_CONFIG);
}

static void set_needs_reset(struct virtio_mmio *t)
{
    if (!atomic_exchange(&t->needs_reset, true)) raise_interrupt(t, INT_CONFIG); /* 2.1.2 */
}

/* A doorbell keeps its place in the loop, since there may be none later, but nothing wakes it. To change what is waited
 * for needs nothing of the host. */
static void hush(struct doorbell *b)
{
    (void)loop_modify(b->t->loop, &b->source, 0);
}

static void on_fault(void *arg, const char *why)
{
    struct virtio_mmio *t = arg;
    virtio_mmio_log(t, &t->logged_faults, "the guest broke the protocol, the device waits for a reset: ", why);
    for (unsigned i = 0; i < t->dev->ops->queue_count; i++) hush(&t->bell[i]);
    set_needs_reset(t);
}

static void on_host_failed(void *arg, const char *why)
{
    struct virtio_mmio *t = arg;
    log_limited(t->log, &t->logged_failures, LOG_ERROR, "%s: %s", t->label, why);
    if (t->host.host_failed) t->host.host_failed(t->host.arg, t->label, why);
}

static void on_host_error(void *arg, const char *what)
{
    struct virtio_mmio *t = arg;
    virtio_mmio_log(t, &t->logged_errors, what, "");
}

/* By the loop and not at once, so that one busy queue leaves room for every other source. */
static void on_renotify(void *arg, unsigned queue)
{
    struct virtio_mmio *t = arg;
    assert(queue < t->dev->ops->queue_count);
    virtio_mmio_ring(&t->bell[queue]);
}

static void set_busy(struct virtio_mmio *t, bool is_busy)
{
    pthread_mutex_lock(&t->quiet_lock);
    t->is_busy = is_busy;
    pthread_cond_broadcast(&t->quiet);
    pthread_mutex_unlock(&t->quiet_lock);
}

static void on_quiet(void *arg)
{
    struct virtio_mmio *t = arg;
    struct virtio_dev *d = t->dev;
    assert(t->is_leaving);
    for (unsigned i = 0; i < d->ops->queue_count; i++) d->vq[i] = (struct virtq){0};
    t->is_active = t->is_leaving = false;
    set_busy(t, false);
}

const struct virtio_up virtio_mmio_up = {
    .interrupt = on_used,
    .config_changed = on_config_changed,
    .fault = on_fault,
    .host_failed = on_host_failed,
    .renotify = on_renotify,
    .host_error = on_host_error,
    .quiet = on_quiet,
};

/* ---- doorbells ---- */

void virtio_mmio_ring(struct doorbell *b)
{
    const uint64_t one = 1;
    atomic_fetch_add_explicit(&b->own, 1, memory_order_relaxed);
    /* Fails only with EAGAIN at 2^64-2 unread rings, and then it has been rung anyway. */
    const ssize_t n = write(b->fd, &one, sizeof(one));
    (void)n;
}

/* An eventfd holds how often it was rung; what was not us was KVM. Our rings are counted before they ring, so some may
 * not be in the eventfd yet: these are owed, and found in what it holds next. */
static void count_saved(struct doorbell *b, uint64_t rung)
{
    b->owed += atomic_exchange_explicit(&b->own, 0, memory_order_relaxed);
    const uint64_t ours = b->owed < rung ? b->owed : rung;
    b->owed -= ours;
    const uint64_t before = atomic_load_explicit(&b->saved, memory_order_relaxed);
    atomic_store_explicit(&b->saved, before + rung - ours, memory_order_relaxed);
}

void virtio_mmio_on_doorbell(void *arg, uint32_t events)
{
    struct doorbell *b = arg;
    uint64_t count = 0;
    (void)events;
    /* Cleared before the queue is looked at, so that a ring meanwhile is not lost. */
    const ssize_t n = read(b->fd, &count, sizeof(count));
    (void)n; /* EAGAIN: somebody read it first; looking at the queue does no harm */
    count_saved(b, count);
    b->t->dev->ops->notify(b->t->dev, b->queue);
}

static void listen_to(struct virtio_mmio *t, unsigned queue)
{
    struct doorbell *b = &t->bell[queue];
    (void)loop_modify(t->loop, &b->source, EPOLLIN);
    /* If this is refused (no more ioeventfds), doorbells come as exits, which is slower and works as well. */
    b->is_hooked = t->host.doorbell && t->host.doorbell(t->host.arg, queue, b->fd, true) == 0;
    virtio_mmio_ring(b); /* the driver may have offered buffers before, and rung nobody */
}

/* ---- activation ---- */

/* The checked copies of the queues; NULL, or what is wrong with one. */
static const char *check_queues(struct virtio_mmio *t)
{
    struct virtio_dev *d = t->dev;
    for (unsigned i = 0; i < d->ops->queue_count; i++) {
        d->vq[i] = (struct virtq){0};
        if (!t->queue[i].is_ready) continue;
        if (t->queue[i].size > d->ops->queue_size[i]) return "a queue is larger than QueueNumMax";
        if (virtq_init(&d->vq[i], &t->queue[i], d->mem, t->driver_features) != 0)
            return "a queue is no power of two, misaligned, overlapping or outside memory";
    }
    return NULL;
}

/* The host lacks this now and may have it later. */
static bool is_shortage(int rc)
{
    return rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM || rc == -ENOSPC || rc == -ENOBUFS || rc == -EAGAIN;
}

/* The host failed, so this isn't counted as a fault of the guest. A shortage may pass, so the machine lives: the guest
 * reads NEEDS_RESET, and a reset tries again. */
static void fail_to_start(struct virtio_mmio *t, int rc)
{
    char why[WHY_MAX];
    const bool can_pass = is_shortage(rc);
    (void)snprintf(why, sizeof(why), "the host could not start the device%s: %s",
                   can_pass ? ", which waits for a reset" : "", strerrordesc_np(-rc));
    set_needs_reset(t);
    if (can_pass)
        virtio_mmio_log(t, &t->logged_errors, why, "");
    else
        on_host_failed(t, why);
}

void virtio_mmio_activate(void *arg)
{
    struct virtio_mmio *t = arg;
    struct virtio_dev *d = t->dev;
    const char *why = check_queues(t);
    if (why) {
        virtio_fault(d, why);
        return;
    }
    d->features = t->driver_features;
    const int rc = d->ops->activate(d);
    if (rc != 0) {
        fail_to_start(t, rc);
        return;
    }
    t->is_active = true;
    for (unsigned i = 0; i < d->ops->queue_count; i++)
        if (d->vq[i].size != 0 && !atomic_load(&t->needs_reset)) listen_to(t, i);
}

void virtio_mmio_deactivate(void *arg)
{
    struct virtio_mmio *t = arg;
    struct virtio_dev *d = t->dev;
    if (!t->is_active || t->is_leaving) return;
    for (unsigned i = 0; i < d->ops->queue_count; i++) {
        struct doorbell *b = &t->bell[i];
        hush(b);
        if (b->is_hooked) (void)t->host.doorbell(t->host.arg, i, b->fd, false);
        b->is_hooked = false;
    }
    t->is_leaving = true;
    set_busy(t, true);
    if (d->ops->deactivate(d)) on_quiet(t);
}

/* The virtio-mmio transport is made and taken down here. See virtio_mmio.h for its place and threads. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/virtio/virtio_mmio_state.h"
#include "vmm/base/concat.h"
#include "vmm/base/fd.h"

void virtio_mmio_log(struct virtio_mmio *t, struct log_bucket *logged, const char *what, const char *why)
{
    log_limited(t->log, logged, LOG_WARN, "%s: %s%s", t->label, what, why);
}

struct virtio_dev *virtio_mmio_dev(struct virtio_mmio *t)
{
    return t->dev;
}

uint64_t virtio_mmio_saved_exits(const struct virtio_mmio *t, unsigned queue)
{
    assert(queue < t->dev->ops->queue_count);
    return atomic_load_explicit(&t->bell[queue].saved, memory_order_relaxed);
}

/* Everything but the device, which on a failed creation is still the caller's. */
static void free_transport(struct virtio_mmio *t)
{
    for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++) {
        loop_remove(t->loop, &t->bell[i].source);
        if (t->bell[i].fd >= 0) close(t->bell[i].fd);
    }
    pthread_cond_destroy(&t->quiet);
    pthread_mutex_destroy(&t->quiet_lock);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

/* On failure free_transport cleans up. */
static int make_bell(struct doorbell *b, struct err *e)
{
    b->fd = fd_own(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    if (b->fd < 0) {
        const int rc = err_errno(e, "%s: eventfd for a doorbell", b->t->label);
        err_as(e, ERR_HOST);
        return rc;
    }
    b->source = (struct loop_source){.fd = b->fd, .fn = virtio_mmio_on_doorbell, .arg = b};
    return err_wrap(e, loop_reserve(b->t->loop, &b->source, e), "%s", b->t->label);
}

int virtio_mmio_create(struct virtio_mmio **out, const struct virtio_mmio_params *p, struct err *e)
{
    struct virtio_dev *d = p->dev;
    assert(d->ops->queue_count > 0 && d->ops->queue_count <= VIRTIO_MAX_QUEUES);
    struct virtio_mmio *t = calloc(1, sizeof(*t));
    if (!t) {
        (void)err_set(e, -ENOMEM, "%s: out of memory for its transport", p->label);
        err_as(e, ERR_HOST);
        return -ENOMEM;
    }
    *t = (struct virtio_mmio){.dev = d, .loop = p->loop, .irq = p->irq, .host = p->host, .log = p->log};
    concat(t->label, sizeof(t->label), p->label);
    pthread_mutex_init(&t->lock, NULL); /* none of these can fail without attributes */
    pthread_mutex_init(&t->quiet_lock, NULL);
    pthread_cond_init(&t->quiet, NULL);
    for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++) t->bell[i] = (struct doorbell){.t = t, .queue = i, .fd = -1};
    d->mem = p->mem;
    d->loop = p->loop;
    d->up = &virtio_mmio_up;
    d->up_arg = t;
    int rc = 0;
    for (unsigned i = 0; i < d->ops->queue_count && !rc; i++) rc = make_bell(&t->bell[i], e);
    if (!rc && d->ops->prepare) rc = err_wrap(e, d->ops->prepare(d, e), "%s", t->label);
    if (rc) {
        free_transport(t);
        return rc;
    }
    t->offered = d->ops->features(d) | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1;
    *out = t;
    return 0;
}

void virtio_mmio_abandon(struct virtio_mmio *t)
{
    pthread_mutex_lock(&t->quiet_lock);
    t->is_abandoned = true;
    pthread_cond_broadcast(&t->quiet);
    pthread_mutex_unlock(&t->quiet_lock);
}

bool virtio_mmio_quiesce(struct virtio_mmio *t)
{
    loop_call(t->loop, virtio_mmio_deactivate, t);
    return !t->is_active;
}

void virtio_mmio_destroy(struct virtio_mmio *t)
{
    if (!t) return;
    const bool is_quiet = virtio_mmio_quiesce(t);
    assert(is_quiet);
    (void)is_quiet;
    log_rest(t->log, &t->logged_faults, LOG_WARN, t->label);
    log_rest(t->log, &t->logged_errors, LOG_WARN, t->label);
    t->dev->ops->destroy(t->dev);
    free_transport(t);
}

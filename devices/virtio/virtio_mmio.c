/* The virtio-mmio transport, version 2 (VIRTIO 1.2, 4.2). See virtio_mmio.h for its place and threads.
 *
 * Registers are decoded here and nowhere else. Two tables say what the driver may do when: status_step (which status
 * bit may follow which) and reg_rule (which register may be written in which status). What they don't allow is ignored,
 * counted and, the first times, logged: a register written at a bad moment damages nothing of ours.
 * A broken ring is more: the device gets DEVICE_NEEDS_RESET and hears no doorbell until the driver resets it. */
#include "devices/virtio/virtio_mmio.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/base/concat.h"
#include "vmm/base/endian.h"
#include "vmm/base/fd.h"

#define MAGIC_VALUE 0x74726976u /* "virt" */
#define VERSION     2u
#define VENDOR_ID   0x4f455256u /* "VREO"; means nothing to drivers */

/* Lines a device may cost in the log, for each of the two kinds: a guest can make faults as fast as it can exit, and
 * ask a full disk as often as it likes. */
#define LABEL_MAX 96  /* "disk 0 (file name)" */
#define WHY_MAX   128 /* a sentence and an errno's */

enum reg {
    REG_MAGIC_VALUE = 0x000,
    REG_VERSION = 0x004,
    REG_DEVICE_ID = 0x008,
    REG_VENDOR_ID = 0x00c,
    REG_DEVICE_FEATURES = 0x010,
    REG_DEVICE_FEATURES_SEL = 0x014,
    REG_DRIVER_FEATURES = 0x020,
    REG_DRIVER_FEATURES_SEL = 0x024,
    REG_QUEUE_SEL = 0x030,
    REG_QUEUE_NUM_MAX = 0x034,
    REG_QUEUE_NUM = 0x038,
    REG_QUEUE_READY = 0x044,
    REG_QUEUE_NOTIFY = VIRTIO_MMIO_QUEUE_NOTIFY,
    REG_INTERRUPT_STATUS = 0x060,
    REG_INTERRUPT_ACK = 0x064,
    REG_STATUS = 0x070,
    REG_QUEUE_DESC_LOW = 0x080,
    REG_QUEUE_DESC_HIGH = 0x084,
    REG_QUEUE_DRIVER_LOW = 0x090,
    REG_QUEUE_DRIVER_HIGH = 0x094,
    REG_QUEUE_DEVICE_LOW = 0x0a0,
    REG_QUEUE_DEVICE_HIGH = 0x0a4,
    REG_SHM_SEL = 0x0ac,
    REG_SHM_LEN_LOW = 0x0b0,
    REG_SHM_LEN_HIGH = 0x0b4,
    REG_SHM_BASE_LOW = 0x0b8,
    REG_SHM_BASE_HIGH = 0x0bc,
    REG_CONFIG_GENERATION = 0x0fc,
    REG_CONFIG = 0x100,
};

enum status { /* 2.1 */
              S_ACKNOWLEDGE = 0x01,
              S_DRIVER = 0x02,
              S_DRIVER_OK = 0x04,
              S_FEATURES_OK = 0x08,
              S_NEEDS_RESET =
                  0x40, /* ours: a driver may write back what it read, so this bit of a write is not looked at */
              S_FAILED = 0x80,
};

enum { INT_USED = 1, INT_CONFIG = 2 }; /* InterruptStatus, 4.2.2 */

/* The order of initialization, 3.1.1: a bit may be set once the ones it needs are. */
static const struct {
    uint8_t bit, needs;
} status_step[] = {
    {S_ACKNOWLEDGE, 0},
    {S_DRIVER, S_ACKNOWLEDGE},
    {S_FEATURES_OK, S_ACKNOWLEDGE | S_DRIVER},
    {S_DRIVER_OK, S_ACKNOWLEDGE | S_DRIVER | S_FEATURES_OK},
    {S_FAILED, 0},
};

/* Every register that may be written, and when. Features are settled by FEATURES_OK (3.1.1); queues are described after
 * that and frozen by DRIVER_OK, from when on the device owns its checked copy of them. */
static const struct {
    uint16_t reg;
    uint8_t needs, forbids;
} reg_rule[] = {
    {REG_DEVICE_FEATURES_SEL, 0, 0},
    {REG_DRIVER_FEATURES_SEL, 0, 0},
    {REG_DRIVER_FEATURES, S_DRIVER, S_FEATURES_OK},
    {REG_QUEUE_SEL, 0, 0},
    {REG_QUEUE_NUM, S_FEATURES_OK, S_DRIVER_OK},
    {REG_QUEUE_READY, S_FEATURES_OK, S_DRIVER_OK},
    {REG_QUEUE_DESC_LOW, S_FEATURES_OK, S_DRIVER_OK},
    {REG_QUEUE_DESC_HIGH, S_FEATURES_OK, S_DRIVER_OK},
    {REG_QUEUE_DRIVER_LOW, S_FEATURES_OK, S_DRIVER_OK},
    {REG_QUEUE_DRIVER_HIGH, S_FEATURES_OK, S_DRIVER_OK},
    {REG_QUEUE_DEVICE_LOW, S_FEATURES_OK, S_DRIVER_OK},
    {REG_QUEUE_DEVICE_HIGH, S_FEATURES_OK, S_DRIVER_OK},
    {REG_SHM_SEL, 0, 0},
    {REG_STATUS, 0, 0},
};

struct doorbell {
    struct virtio_mmio *t;
    unsigned queue;
    int fd;         /* eventfd: rung by KVM, by a QueueNotify exit, or by ourselves to come back to a queue */
    bool is_hooked; /* the host signals fd without an exit */
    struct loop_source source;
    _Atomic uint64_t own;   /* rings of ours that were not heard yet, counted before they ring */
    uint64_t owed;          /* loop thread: those that were taken from own and not found in fd yet */
    _Atomic uint64_t saved; /* written by the loop thread: what fd held beyond our own */
};

struct virtio_mmio {
    /* Const after creation. */
    struct virtio_dev *dev;
    struct loop *loop;
    struct irq irq;
    struct virtio_mmio_host host;
    const struct log *log;
    char label[LABEL_MAX];
    uint64_t offered; /* features */

    pthread_mutex_t lock; /* guards the next block: what the guest programmed */
    uint32_t device_features_sel, driver_features_sel, queue_sel;
    uint64_t driver_features;
    bool has_features_above_63;
    uint8_t status; /* without S_NEEDS_RESET */
    struct virtq_config queue[VIRTIO_MAX_QUEUES];

    atomic_uint interrupt_status, config_generation;
    atomic_bool needs_reset;
    struct log_bucket logged_faults, logged_errors,
        logged_failures; /* of the guest; of the host, passing and lasting */

    /* A reset waits here, holding `lock`, while its device's last requests are with the host's kernel. */
    pthread_mutex_t quiet_lock; /* guards the next block; taken after `lock` or alone */
    pthread_cond_t quiet;
    bool is_busy;      /* deactivated, and not quiet yet */
    bool is_abandoned; /* the machine ends: nobody waits any more */

    /* Loop thread only. */
    bool is_active;  /* between a successful activate and quiet */
    bool is_leaving; /* of that time, since deactivate */
    struct doorbell bell[VIRTIO_MAX_QUEUES];
};

/* Bounded: a guest must not be able to fill the host's log, nor to use up what the host has to tell. */
static void log_some(struct virtio_mmio *t, struct log_bucket *logged, const char *what, const char *why)
{
    log_limited(t->log, logged, LOG_WARN, "%s: %s%s", t->label, what, why);
}

/* A register access that the tables or the specification forbid: it has no effect. Any vCPU thread. */
static void ignore(struct virtio_mmio *t, const char *why)
{
    atomic_fetch_add_explicit(&t->dev->fault_count, 1, memory_order_relaxed);
    log_some(t, &t->logged_faults, "ignored a register write of the guest: ", why);
}

/* A doorbell keeps its place in the loop, which may have none later; nobody is called for it. A change of what is
 * waited for takes nothing from the host. */
static void hush(struct doorbell *b)
{
    (void)loop_modify(b->t->loop, &b->source, 0);
}

/* What the device says. All on the loop thread. */

static void raise_interrupt(struct virtio_mmio *t, unsigned bit)
{
    /* The bit is seen before the interrupt is. Raised even when the bit is set already: a driver may acknowledge after
     * it looked at the queue (4.2.3.4.1), and then a swallowed edge would be a lost completion. */
    atomic_fetch_or(&t->interrupt_status, bit);
    irq_raise(&t->irq);
}

static void on_used(void *arg)
{
    raise_interrupt(arg, INT_USED);
}

static void on_config_changed(void *arg)
{
    struct virtio_mmio *const t = arg;
    atomic_fetch_add(&t->config_generation, 1);
    raise_interrupt(t, INT_CONFIG);
}

static void on_fault(void *arg, const char *why)
{
    struct virtio_mmio *const t = arg;
    log_some(t, &t->logged_faults, "the guest broke the protocol, the device waits for a reset: ", why);
    for (unsigned i = 0; i < t->dev->ops->queue_count; i++) hush(&t->bell[i]);
    if (!atomic_exchange(&t->needs_reset, true)) raise_interrupt(t, INT_CONFIG); /* 2.1.2 */
}

static void on_host_failed(void *arg, const char *why)
{
    struct virtio_mmio *const t = arg;
    log_limited(t->log, &t->logged_failures, LOG_ERROR, "%s: %s", t->label, why);
    if (t->host.host_failed) t->host.host_failed(t->host.arg, t->label, why);
}

static void on_host_error(void *arg, const char *what)
{
    struct virtio_mmio *const t = arg;
    log_some(t, &t->logged_errors, what, "");
}

static void ring(struct doorbell *b)
{
    const uint64_t one = 1;
    atomic_fetch_add_explicit(&b->own, 1, memory_order_relaxed);
    /* Fails only with EAGAIN at 2^64-2 unread rings: then it is rung anyway. */
    const ssize_t n = write(b->fd, &one, sizeof(one));
    (void)n;
}

/* Through the loop and not at once, so that one busy queue leaves room for every other source. */
static void on_renotify(void *arg, unsigned queue)
{
    struct virtio_mmio *const t = arg;
    assert(queue < t->dev->ops->queue_count);
    ring(&t->bell[queue]);
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
    struct virtio_mmio *const t = arg;
    struct virtio_dev *const d = t->dev;
    assert(t->is_leaving);
    for (unsigned i = 0; i < d->ops->queue_count; i++) d->vq[i] = (struct virtq){0};
    t->is_active = t->is_leaving = false;
    set_busy(t, false);
}

static const struct virtio_up up = {
    on_used, on_config_changed, on_fault, on_host_failed, on_renotify, on_host_error, on_quiet,
};

/* Activation. On the loop thread, by loop_call, while the caller holds the lock. */

/* An eventfd holds how often it was rung; what was not us was KVM. Taken first, ours may not have rung yet: then it is
 * owed and found in what comes next. */
static void count_saved(struct doorbell *b, uint64_t rung)
{
    b->owed += atomic_exchange_explicit(&b->own, 0, memory_order_relaxed);
    const uint64_t ours = b->owed < rung ? b->owed : rung;
    b->owed -= ours;
    const uint64_t before = atomic_load_explicit(&b->saved, memory_order_relaxed);
    atomic_store_explicit(&b->saved, before + rung - ours, memory_order_relaxed);
}

static void on_doorbell(void *arg, uint32_t events)
{
    struct doorbell *const b = arg;
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
    struct doorbell *const b = &t->bell[queue];
    (void)loop_modify(t->loop, &b->source, EPOLLIN);
    /* Refused (out of ioeventfds): doorbells then come as exits, slower and as good. */
    b->is_hooked = t->host.doorbell && t->host.doorbell(t->host.arg, queue, b->fd, true) == 0;
    ring(b); /* the driver may have offered buffers before, and rung nobody */
}

/* The checked copies of the queues; NULL, or what is wrong with one. */
static const char *check_queues(struct virtio_mmio *t)
{
    struct virtio_dev *const d = t->dev;
    for (unsigned i = 0; i < d->ops->queue_count; i++) {
        d->vq[i] = (struct virtq){0};
        if (!t->queue[i].is_ready) continue;
        if (t->queue[i].size > d->ops->queue_size[i]) return "a queue is larger than QueueNumMax";
        if (virtq_init(&d->vq[i], &t->queue[i], d->mem, t->driver_features) != 0)
            return "a queue is no power of two, misaligned, overlapping or outside memory";
    }
    return NULL;
}

/* What the host is short of now it may have later. */
static bool is_shortage(int rc)
{
    return rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM || rc == -ENOSPC || rc == -ENOBUFS || rc == -EAGAIN;
}

/* The host's failure and not a fault of the guest's: it isn't counted as one. A shortage passes, so the machine lives;
 * the guest reads NEEDS_RESET, and a reset tries anew. */
static void fail_to_start(struct virtio_mmio *t, int rc)
{
    char why[WHY_MAX];
    const bool can_pass = is_shortage(rc);
    (void)snprintf(why, sizeof(why), "the host could not start the device%s: %s",
                   can_pass ? ", which waits for a reset" : "", strerrordesc_np(-rc));
    if (!atomic_exchange(&t->needs_reset, true)) raise_interrupt(t, INT_CONFIG); /* 2.1.2 */
    if (can_pass)
        log_some(t, &t->logged_errors, why, "");
    else
        on_host_failed(t, why);
}

static void activate(void *arg)
{
    struct virtio_mmio *const t = arg;
    struct virtio_dev *const d = t->dev;
    const char *const why = check_queues(t);
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
    for (unsigned i = 0; i < d->ops->queue_count; i++) {
        if (d->vq[i].size != 0 && !atomic_load(&t->needs_reset)) listen_to(t, i);
    }
}

static void deactivate(void *arg)
{
    struct virtio_mmio *const t = arg;
    struct virtio_dev *const d = t->dev;
    if (!t->is_active || t->is_leaving) return;
    for (unsigned i = 0; i < d->ops->queue_count; i++) {
        struct doorbell *const b = &t->bell[i];
        hush(b);
        if (b->is_hooked) (void)t->host.doorbell(t->host.arg, i, b->fd, false);
        b->is_hooked = false;
    }
    t->is_leaving = true;
    set_busy(t, true);
    if (d->ops->deactivate(d)) on_quiet(t);
}

/* Registers. On a vCPU thread, with the lock, except where said. */

/* True: the device is quiet. False: it isn't, and the machine ends. The loop goes on meanwhile, other devices with it,
 * and so does the time limit. */
static bool wait_quiet(struct virtio_mmio *t)
{
    pthread_mutex_lock(&t->quiet_lock);
    while (t->is_busy && !t->is_abandoned) pthread_cond_wait(&t->quiet, &t->quiet_lock);
    const bool is_quiet = !t->is_busy;
    pthread_mutex_unlock(&t->quiet_lock);
    return is_quiet;
}

/* A driver may use the device anew once it has written 0 (Linux does not read it back), so the write takes as long as
 * the requests in flight do. */
static void reset(struct virtio_mmio *t)
{
    loop_call(t->loop, deactivate, t);
    if (!wait_quiet(t)) return; /* the guest has no instruction after this one */
    t->device_features_sel = t->driver_features_sel = t->queue_sel = 0;
    t->driver_features = 0;
    t->has_features_above_63 = false;
    t->status = 0;
    memset(t->queue, 0, sizeof(t->queue));
    atomic_store(&t->interrupt_status, 0);
    atomic_store(&t->needs_reset, false);
}

static bool are_features_ok(const struct virtio_mmio *t)
{
    return (t->driver_features & ~t->offered) == 0 && !t->has_features_above_63 &&
           (t->driver_features & VIRTIO_F_VERSION_1) != 0; /* 6.1: without it, it is a legacy driver */
}

static void write_status(struct virtio_mmio *t, uint32_t value)
{
    if (value == 0) {
        reset(t);
        return;
    }
    const uint32_t wanted = value & ~(uint32_t)S_NEEDS_RESET;
    uint32_t now = t->status, known = 0;
    for (unsigned i = 0; i < sizeof(status_step) / sizeof(status_step[0]); i++) {
        const uint8_t bit = status_step[i].bit;
        known |= bit;
        if ((wanted & bit) == 0 || (now & bit) != 0) continue;
        if ((now & status_step[i].needs) != status_step[i].needs) {
            ignore(t, "Status: a step of the initialization was left out");
            return;
        }
        /* 3.1.1 (6): the driver reads Status back to see whether the bit stayed. */
        if (bit != S_FEATURES_OK || are_features_ok(t)) now |= bit;
    }
    if ((t->status & ~wanted) != 0 || (wanted & ~known) != 0) {
        ignore(t, "Status: a bit was cleared, or one that does not exist was set");
        return;
    }
    const bool is_starting = (now & ~t->status & S_DRIVER_OK) != 0;
    t->status = (uint8_t)now;
    if (is_starting) loop_call(t->loop, activate, t);
}

static void set_half(uint64_t *v, bool is_high, uint32_t half)
{
    *v = is_high ? (*v & UINT32_MAX) | (uint64_t)half << 32 : (*v & ~(uint64_t)UINT32_MAX) | half;
}

static void write_features(struct virtio_mmio *t, uint32_t value)
{
    if (t->driver_features_sel < 2) {
        set_half(&t->driver_features, t->driver_features_sel == 1, value);
    } else {
        t->has_features_above_63 |= value != 0; /* we offer none of those */
    }
}

static void write_queue(struct virtio_mmio *t, unsigned reg, uint32_t value)
{
    if (t->queue_sel >= t->dev->ops->queue_count) {
        ignore(t, "QueueSel names a queue the device does not have");
        return;
    }
    struct virtq_config *const q = &t->queue[t->queue_sel];
    if (reg == REG_QUEUE_READY) {
        q->is_ready = value == 1;
        return;
    }
    if (q->is_ready) {
        ignore(t, "a register of a queue that is ready (4.2.2.2)");
        return;
    }
    switch (reg) {
    case REG_QUEUE_NUM: q->size = value <= UINT16_MAX ? (uint16_t)value : 0; break; /* 0 is refused at DRIVER_OK */
    case REG_QUEUE_DESC_LOW:
    case REG_QUEUE_DESC_HIGH: set_half(&q->desc, reg == REG_QUEUE_DESC_HIGH, value); break;
    case REG_QUEUE_DRIVER_LOW:
    case REG_QUEUE_DRIVER_HIGH: set_half(&q->avail, reg == REG_QUEUE_DRIVER_HIGH, value); break;
    default: set_half(&q->used, reg == REG_QUEUE_DEVICE_HIGH, value); break;
    }
}

/* NULL when the tables allow the write, else why not. */
static const char *why_not(const struct virtio_mmio *t, unsigned reg, uint32_t value)
{
    /* A driver that takes its queues away after a reset, or gives up early, clears what is clear already. */
    if (reg == REG_QUEUE_READY && value == 0 && (t->status & S_DRIVER_OK) == 0) return NULL;
    for (unsigned i = 0; i < sizeof(reg_rule) / sizeof(reg_rule[0]); i++) {
        if (reg_rule[i].reg != reg) continue;
        if ((t->status & reg_rule[i].needs) != reg_rule[i].needs) return "too early in the initialization";
        return (t->status & reg_rule[i].forbids) != 0 ? "too late: it is settled" : NULL;
    }
    return "no such register, or it is read-only";
}

static void write_reg(struct virtio_mmio *t, unsigned reg, uint32_t value)
{
    const char *const why = why_not(t, reg, value);
    if (why) {
        ignore(t, why);
        return;
    }
    switch (reg) {
    case REG_DEVICE_FEATURES_SEL: t->device_features_sel = value; break;
    case REG_DRIVER_FEATURES_SEL: t->driver_features_sel = value; break;
    case REG_DRIVER_FEATURES: write_features(t, value); break;
    case REG_QUEUE_SEL: t->queue_sel = value; break;
    case REG_SHM_SEL: break; /* there is no region to select */
    case REG_STATUS: write_status(t, value); break;
    default: write_queue(t, reg, value); break;
    }
}

static uint32_t read_reg(const struct virtio_mmio *t, unsigned reg)
{
    const struct virtio_ops *const ops = t->dev->ops;
    const bool has_queue = t->queue_sel < ops->queue_count;
    switch (reg) {
    case REG_MAGIC_VALUE: return MAGIC_VALUE;
    case REG_VERSION: return VERSION;
    case REG_DEVICE_ID: return ops->id;
    case REG_VENDOR_ID: return VENDOR_ID;
    case REG_DEVICE_FEATURES:
        return t->device_features_sel < 2 ? (uint32_t)(t->offered >> (32 * t->device_features_sel)) : 0;
    case REG_QUEUE_NUM_MAX: return has_queue ? ops->queue_size[t->queue_sel] : 0;
    case REG_QUEUE_READY: return has_queue && t->queue[t->queue_sel].is_ready;
    case REG_STATUS: return t->status | (atomic_load(&t->needs_reset) ? (uint32_t)S_NEEDS_RESET : 0);
    case REG_SHM_LEN_LOW:
    case REG_SHM_LEN_HIGH:
    case REG_SHM_BASE_LOW:
    case REG_SHM_BASE_HIGH: return UINT32_MAX; /* -1: no such region */
    case REG_CONFIG_GENERATION: return atomic_load(&t->config_generation);
    default: return 0;
    }
}

static uint64_t read_config(const struct virtio_mmio *t, uint64_t off, unsigned size)
{
    const struct virtio_ops *const ops = t->dev->ops;
    uint8_t bytes[8] = {0};
    if (off < ops->config_size) {
        const uint32_t room = ops->config_size - (uint32_t)off;
        ops->config_read(t->dev, (uint32_t)off, bytes, size < room ? size : room);
    }
    return le64_read(bytes);
}

struct config_write {
    struct virtio_dev *dev;
    uint32_t off, len;
    uint8_t bytes[8];
};

static void call_config_write(void *arg)
{
    const struct config_write *const w = arg;
    w->dev->ops->config_write(w->dev, w->off, w->bytes, w->len);
}

static void write_config(struct virtio_mmio *t, uint64_t off, unsigned size, uint64_t value)
{
    const struct virtio_ops *const ops = t->dev->ops;
    if (!ops->config_write || off > ops->config_size || size > ops->config_size - off) {
        ignore(t, "configuration space is read-only there");
        return;
    }
    struct config_write w = {.dev = t->dev, .off = (uint32_t)off, .len = size};
    le64_write(w.bytes, value);
    loop_call(t->loop, call_config_write, &w);
}

static uint64_t bus_read_mmio(void *dev, uint64_t offset, unsigned size)
{
    struct virtio_mmio *const t = dev;
    /* Read at every interrupt: no lock. */
    if (offset == REG_INTERRUPT_STATUS && size == 4) return atomic_load(&t->interrupt_status);
    if (offset < REG_CONFIG && (size != 4 || offset % 4 != 0)) return 0;
    pthread_mutex_lock(&t->lock);
    const uint64_t value =
        offset >= REG_CONFIG ? read_config(t, offset - REG_CONFIG, size) : read_reg(t, (unsigned)offset);
    pthread_mutex_unlock(&t->lock);
    return value;
}

static void bus_write_mmio(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct virtio_mmio *const t = dev;
    if (offset < REG_CONFIG && (size != 4 || offset % 4 != 0)) {
        ignore(t, "registers are 32 bits wide and aligned (4.2.2.2)");
    } else if (offset == REG_QUEUE_NOTIFY) { /* no lock: another vCPU may be waiting for the loop under it */
        if (value < t->dev->ops->queue_count) {
            ring(&t->bell[value]);
        } else {
            ignore(t, "QueueNotify names a queue the device does not have");
        }
    } else if (offset == REG_INTERRUPT_ACK) {
        atomic_fetch_and(&t->interrupt_status, ~(unsigned)value);
    } else {
        pthread_mutex_lock(&t->lock);
        if (offset >= REG_CONFIG) {
            write_config(t, offset - REG_CONFIG, size, value);
        } else {
            write_reg(t, (unsigned)offset, (uint32_t)value);
        }
        pthread_mutex_unlock(&t->lock);
    }
}

const struct bus_ops virtio_mmio_bus_ops = {.read = bus_read_mmio, .write = bus_write_mmio};

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
    b->source = (struct loop_source){.fd = b->fd, .fn = on_doorbell, .arg = b};
    return err_wrap(e, loop_reserve(b->t->loop, &b->source, e), "%s", b->t->label);
}

int virtio_mmio_create(struct virtio_mmio **out, const struct virtio_mmio_params *p, struct err *e)
{
    struct virtio_dev *const d = p->dev;
    assert(d->ops->queue_count > 0 && d->ops->queue_count <= VIRTIO_MAX_QUEUES);
    struct virtio_mmio *const t = calloc(1, sizeof(*t));
    if (!t) {
        (void)err_set(e, -ENOMEM, "%s: out of memory for its transport", p->label);
        err_as(e, ERR_HOST);
        return -ENOMEM;
    }
    *t = (struct virtio_mmio){.dev = d, .loop = p->loop, .irq = p->irq, .host = p->host, .log = p->log};
    concat(t->label, sizeof(t->label), p->label);
    (void)pthread_mutex_init(&t->lock, NULL); /* none of these can fail without attributes */
    (void)pthread_mutex_init(&t->quiet_lock, NULL);
    (void)pthread_cond_init(&t->quiet, NULL);
    for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++) t->bell[i] = (struct doorbell){.t = t, .queue = i, .fd = -1};
    d->mem = p->mem;
    d->loop = p->loop;
    d->up = &up;
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
    loop_call(t->loop, deactivate, t);
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

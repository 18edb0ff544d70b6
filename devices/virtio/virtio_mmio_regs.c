/* The transport's registers (VIRTIO 1.2, 4.2.2). On a vCPU thread, with the lock, except where said.
 *
 * Registers are decoded here and nowhere else. Two tables say what the driver may do when: status_step (which status
 * bit may follow which) and reg_rule (in which status a register may be written). What they don't allow is ignored,
 * counted and, the first times, logged: a register written at a bad moment damages nothing of ours. A broken ring is
 * worse: the device gets DEVICE_NEEDS_RESET and hears no doorbell until the driver resets it. */
#include <string.h>

#include "devices/virtio/virtio_mmio_state.h"
#include "vmm/base/endian.h"

#define MAGIC_VALUE 0x74726976u /* "virt" */
#define VERSION     2u
#define VENDOR_ID   0x4f455256u /* "VREO"; means nothing to drivers */

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

/* 2.1. NEEDS_RESET is ours alone: a driver may write back what it read, so that bit of a write is not looked at. */
enum status {
    S_ACKNOWLEDGE = 0x01,
    S_DRIVER = 0x02,
    S_DRIVER_OK = 0x04,
    S_FEATURES_OK = 0x08,
    S_NEEDS_RESET = 0x40,
    S_FAILED = 0x80,
};

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

/* Every register that may be written, and when. FEATURES_OK settles the features (3.1.1). Queues are described after
 * that, and DRIVER_OK freezes them: from then on the device owns its checked copy. */
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

/* A register access that the tables or the specification forbid: it has no effect. Any vCPU thread. */
static void ignore(struct virtio_mmio *t, const char *why)
{
    atomic_fetch_add_explicit(&t->dev->fault_count, 1, memory_order_relaxed);
    virtio_mmio_log(t, &t->logged_faults, "ignored a register write of the guest: ", why);
}

/* True: the device is quiet. False: it isn't, and the machine ends. Meanwhile the loop goes on, and with it other
 * devices and the time limit. */
static bool wait_quiet(struct virtio_mmio *t)
{
    pthread_mutex_lock(&t->quiet_lock);
    while (t->is_busy && !t->is_abandoned) pthread_cond_wait(&t->quiet, &t->quiet_lock);
    const bool is_quiet = !t->is_busy;
    pthread_mutex_unlock(&t->quiet_lock);
    return is_quiet;
}

/* A driver may use the device anew as soon as it has written 0 (Linux does not read it back), so the write takes as
 * long as the requests in flight do. */
static void reset(struct virtio_mmio *t)
{
    loop_call(t->loop, virtio_mmio_deactivate, t);
    if (!wait_quiet(t)) return; /* the machine ends: the guest runs no further instruction */
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
    if (is_starting) loop_call(t->loop, virtio_mmio_activate, t);
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
    struct virtq_config *q = &t->queue[t->queue_sel];
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
    /* A driver that takes its queues away after a reset, or gives up early, may clear what is clear already. */
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
    const char *why = why_not(t, reg, value);
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
    const struct virtio_ops *ops = t->dev->ops;
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
    const struct virtio_ops *ops = t->dev->ops;
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
    const struct config_write *w = arg;
    w->dev->ops->config_write(w->dev, w->off, w->bytes, w->len);
}

static void write_config(struct virtio_mmio *t, uint64_t off, unsigned size, uint64_t value)
{
    const struct virtio_ops *ops = t->dev->ops;
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
    struct virtio_mmio *t = dev;
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
    struct virtio_mmio *t = dev;
    if (offset < REG_CONFIG && (size != 4 || offset % 4 != 0)) {
        ignore(t, "registers are 32 bits wide and aligned (4.2.2.2)");
    } else if (offset == REG_QUEUE_NOTIFY) { /* without the lock: another vCPU may hold it and wait for the loop */
        if (value < t->dev->ops->queue_count)
            virtio_mmio_ring(&t->bell[value]);
        else
            ignore(t, "QueueNotify names a queue the device does not have");
    } else if (offset == REG_INTERRUPT_ACK) {
        atomic_fetch_and(&t->interrupt_status, ~(unsigned)value);
    } else {
        pthread_mutex_lock(&t->lock);
        if (offset >= REG_CONFIG)
            write_config(t, offset - REG_CONFIG, size, value);
        else
            write_reg(t, (unsigned)offset, (uint32_t)value);
        pthread_mutex_unlock(&t->lock);
    }
}

const struct bus_ops virtio_mmio_bus_ops = {.read = bus_read_mmio, .write = bus_write_mmio};

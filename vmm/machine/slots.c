/* The devices of a machine. Each kind of device has one row (slots.h): the keys by which the user asks for it, and the
 * function that makes one. Slot i is a virtio-mmio window at a fixed address with a fixed GSI, whichever device sits in
 * it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/clock.h"
#include "vmm/base/concat.h"
#include "vmm/config/console.h"
#include "vmm/machine/slots.h"
#include "vmm/machine/state.h"

static bool is_console_wanted(const struct config *cfg)
{
    return cfg->console != CONSOLE_OFF && cfg->has_virtio_console;
}

static int make_console(struct machine *m, const struct config_device *d, struct virtio_dev **out, struct err *e)
{
    (void)d;
    return virtio_console_create(out, m->console, e);
}

static const struct slot_kind slot_console = {
    .device =
        {
            .name = "console",
            .key = {{"console", "stdio|file=PATH|pty|off", "where the guest's console goes (default stdio)",
                     .set = config_set_console},
                    {"console-max", "SIZE", "what the guest may write to a console's file; 0: all (default 64M)",
                     .set = config_set_console_max, .flags = SETTING_OR_NUMBER},
                    {"console-device", "both|serial", "serial port and virtio console, or the serial port alone",
                     .set = config_set_console_device},
                    {"escape", NULL, "Ctrl-A x ends the VM; on by itself when a terminal is the console",
                     .set = config_set_escape}},
        },
    .is_implied = is_console_wanted,
    .make = make_console,
};

static int make_rng(struct machine *m, const struct config_device *d, struct virtio_dev **out, struct err *e)
{
    (void)m;
    (void)d;
    return virtio_rng_create(out, e);
}

static const struct slot_kind slot_rng = {
    .device = {.name = "rng", .key = {{"rng", NULL, "add an entropy device", .set = NULL}}, .most = 1},
    .make = make_rng,
};

/* In the order of the slots, and of the help text. */
const struct device_kind *const machine_devices[] = {
    &slot_disk.device, &slot_net.device, &slot_console.device, &slot_rng.device, NULL,
};

static void on_irq(void *arg, uint32_t events)
{
    struct slot *s = arg;
    uint64_t count;
    struct err e;
    (void)events;
    const ssize_t n = read(s->irq.fd, &count, sizeof(count));
    (void)n; /* EAGAIN: one interrupt too many does no harm */
    if (vm_irq_pulse(&s->machine->vm, arch_info.irq_line + s->gsi, &e))
        life_end(s->machine, -1, END_DEVICE, 0, e.text); /* without interrupts the guest would hang */
}

/* Have KVM deliver the slot's interrupt itself (irqfd). The kernel may lack the memory for it. Then the loop delivers
 * it, with a system call for each interrupt; it has kept a place for that. The next start of the driver tries irqfd
 * again. */
static void connect_irq(struct slot *s)
{
    struct machine *m = s->machine;
    struct err e;
    if (s->is_connected) return;
    if (vm_irqfd(&m->vm, s->gsi, s->irq.fd, true, &e) == 0) {
        loop_remove(&m->loop, &s->irq_source);
        s->is_connected = true;
        return;
    }
    if (!s->is_relayed) log_write(m->log, LOG_WARN, "%s: interrupts go through system calls: %s", s->label, e.text);
    s->is_relayed = true;
    (void)loop_modify(&m->loop, &s->irq_source, EPOLLIN);
}

/* The driver is ready, or gone. From its first doorbell on KVM delivers the interrupt, and a queue rings without an
 * exit to us. A guest that never drives the device pays for neither. Loop thread. */
static int on_doorbell(void *arg, unsigned queue, int fd, bool on)
{
    struct slot *s = arg;
    const struct vm_ioeventfd io = {
        .addr = s->base + VIRTIO_MMIO_QUEUE_NOTIFY,
        .len = sizeof(uint32_t),
        .has_datamatch = true,
        .datamatch = queue,
        .fd = fd,
    };
    struct err e;
    if (on) connect_irq(s);
    if (on && !s->was_started) life_mark(s->machine, s->label);
    s->was_started |= on;
    const int rc = vm_ioeventfd(&s->machine->vm, &io, on, &e);
    if (rc)
        log_limited(s->machine->log, &s->logged, LOG_WARN, "%s: queue %u rings through exits: %s", s->label, queue,
                    e.text);
    return rc;
}

static void on_host_failed(void *arg, const char *device, const char *why)
{
    struct slot *s = arg;
    char detail[END_DETAIL_MAX];
    (void)snprintf(detail, sizeof(detail), "%s: %s", device, why);
    life_end(s->machine, -1, END_DEVICE, 0, detail);
}

/* Put the device into the next free slot. Owns dev from here on, on failure too. */
static int plug(struct machine *m, struct virtio_dev *dev, const char *label, struct err *e)
{
    struct slot *s = &m->slot[m->slot_count++]; /* from here slots_destroy cleans up */
    *s = (struct slot){
        .machine = m,
        .irq = {.fd = -1},
        .base = arch_info.virtio_base + (uint64_t)(s - m->slot) * VIRTIO_MMIO_SIZE,
        .gsi = arch_info.virtio_gsi + (uint32_t)(s - m->slot),
    };
    concat(s->label, sizeof(s->label), label);
    int rc = err_wrap(e, irq_init(&s->irq, e), "%s", s->label);
    s->irq_source = (struct loop_source){.fd = s->irq.fd, .fn = on_irq, .arg = s};
    if (!rc) rc = err_wrap(e, loop_reserve(&m->loop, &s->irq_source, e), "%s", s->label);
    const struct virtio_mmio_params p = {
        .dev = dev,
        .mem = &m->mem,
        .loop = &m->loop,
        .irq = s->irq,
        .host = {.doorbell = on_doorbell, .host_failed = on_host_failed, .arg = s},
        .log = m->log,
        .label = s->label,
    };
    if (!rc) rc = virtio_mmio_create(&s->transport, &p, e);
    if (rc) {
        dev->ops->destroy(dev);
        return rc;
    }
    const struct bus_range range = {.base = s->base,
                                    .size = VIRTIO_MMIO_SIZE,
                                    .ops = &virtio_mmio_bus_ops,
                                    .dev = s->transport,
                                    .name = dev->ops->name};
    return bus_add(&m->mmio, &range, e);
}

static int create_one(struct machine *m, const struct slot_kind *k, const struct config_device *d, struct err *e)
{
    struct virtio_dev *dev = NULL;
    char label[SLOT_LABEL_MAX] = "";
    const char *id = k->id ? k->id(d) : d ? d->id : "";
    concat(label, sizeof(label), k->device.name);
    concat(label, sizeof(label), " ");
    concat_number(label, sizeof(label), d ? d->index : 0);
    if (id[0]) {
        concat(label, sizeof(label), " (");
        concat(label, sizeof(label), id);
        concat(label, sizeof(label), ")");
    }
    if (m->slot_count == ARCH_MAX_SLOTS)
        return err_set(e, -ENOSPC, "%s: all %d device slots are taken", label, ARCH_MAX_SLOTS);
    const int rc = k->make(m, d, &dev, e);
    return rc ? err_wrap(e, rc, "%s", label) : plug(m, dev, label, e);
}

int slots_create(struct machine *m, const struct config *cfg, struct err *e)
{
    int rc = 0;
    for (const struct device_kind *const *kind = machine_devices; *kind && !rc; kind++) {
        const struct slot_kind *k = (const struct slot_kind *)*kind; /* whose first member it is */
        const struct config_device *d;
        if (k->is_implied && k->is_implied(cfg)) rc = create_one(m, k, NULL, e);
        for (unsigned n = 0; !rc && (d = config_device(cfg, *kind, n)) != NULL; n++) rc = create_one(m, k, d, e);
    }
    return rc;
}

void slots_abandon(struct machine *m)
{
    for (unsigned i = 0; i < m->slot_count; i++)
        if (m->slot[i].transport) virtio_mmio_abandon(m->slot[i].transport);
}

/* Ask every device to become quiet. NULL when all are, else the label of one that is not. */
static const char *first_busy(struct machine *m)
{
    const char *busy = NULL;
    for (unsigned i = m->slot_count; i-- > 0;)
        if (m->slot[i].transport && !virtio_mmio_quiesce(m->slot[i].transport)) busy = m->slot[i].label;
    return busy;
}

const char *slots_stop(struct machine *m, int timeout_ms)
{
    const uint64_t deadline = now_ns() + (uint64_t)(timeout_ms < 0 ? 0 : timeout_ms) * 1000000u;
    const char *busy;
    while ((busy = first_busy(m)) != NULL) {
        const uint64_t now = now_ns();
        if (timeout_ms >= 0 && now >= deadline) return busy;
        loop_turn(&m->loop, timeout_ms < 0 ? -1 : (int)((deadline - now) / 1000000u) + 1);
    }
    return NULL;
}

void slots_destroy(struct machine *m)
{
    for (unsigned i = 0; i < m->slot_count; i++) {
        virtio_mmio_destroy(m->slot[i].transport);
        loop_remove(&m->loop, &m->slot[i].irq_source);
        irq_fini(&m->slot[i].irq);
    }
    m->slot_count = 0;
}

/* The default guest's story: look, use, report. */
#include "../common/guest.h"
#include "disk.h"
#include "entropy.h"

#define MIB 20

static uint64_t check_memory(const struct guest_machine *m)
{
    uint64_t total = 0;

    for (uint32_t i = 0; i < m->range_count; i++) {
        const struct guest_range *r = &m->range[i];
        const uint64_t last = r->base + (r->size & ~7ull) - 8;
        total += r->size;
        if (r->size < 8 || !machine_map(last)) continue;
        /* The range's last word: the one that is missing when a size is wrong. What was there is put back. */
        volatile uint64_t *word = (volatile uint64_t *)(uintptr_t)last;
        const uint64_t before = *word;
        *word = ~before;
        const uint64_t after = *word;
        *word = before;
        if (after != ~before)
            fail(GUEST_BAD_MEMORY, "memory at 0x%lx does not keep what is written: 0x%lx became 0x%lx", last, ~before,
                 after);
    }
    if (!total) fail(GUEST_NO_MEMORY, "%s lists no usable memory", m->tables);
    say("memory: %lu MiB in %u range%s, up to 0x%lx", total >> MIB, m->range_count, m->range_count == 1 ? "" : "s",
        m->range[m->range_count - 1].base + m->range[m->range_count - 1].size);
    return total;
}

static void check_cpus(const struct guest_machine *m)
{
    const uint32_t started = machine_start_cpus(m);

    say("vCPUs: %u of %u started", started, m->cpu_count);
    if (started != m->cpu_count)
        fail(GUEST_CPU_MISSING, "%u of %u vCPUs started; the others did not answer", started, m->cpu_count);
}

struct tally {
    uint32_t devices;
    uint32_t disks;
};

/* Name every device and use the ones the guest knows how to use. */
static struct tally check_devices(const struct guest_machine *m)
{
    struct tally t = {0, 0};

    for (uint32_t i = 0; i < m->device_count; i++) {
        struct virtio_device d;
        virtio_probe(&d, &m->device[i]);
        if (!d.id) continue; /* an empty slot: VIRTIO 1.2, 4.2.3.1 */
        t.devices++;
        say("%s (id %u) at 0x%lx, interrupt %u", virtio_name(d.id), d.id, d.at->base, d.at->irq);
        if (d.id == VIRTIO_ID_RNG) entropy_test(&d);
        if (d.id == VIRTIO_ID_BLK) {
            disk_test(&d);
            t.disks++;
        }
    }
    if (!t.devices) say("devices: none");
    return t;
}

_Noreturn void guest_main(const void *boot)
{
    static struct guest_machine m;

    machine_discover(boot, &m);
    machine_mark(GUEST_MILESTONE_READY);
    say("Vireo's built-in guest on %s, described by %s", m.arch, m.tables);
    check_cpus(&m);
    const uint64_t memory = check_memory(&m);
    const struct tally t = check_devices(&m);
    say("guest: all well: %u vCPU%s, %lu MiB, %u device%s, %u disk%s", m.cpu_count, m.cpu_count == 1 ? "" : "s",
        memory >> MIB, t.devices, t.devices == 1 ? "" : "s", t.disks, t.disks == 1 ? "" : "s");
    machine_exit(GUEST_OK);
}

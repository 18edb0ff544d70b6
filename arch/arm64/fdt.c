#include "arch/arm64/fdt.h"

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#include "arch/arm64/layout.h"
#include "devices/platform/platform.h"

#define NAME_MAX_BYTES 32       /* a node's name with its unit address */
#define KASLR_BYTES    8        /* chosen/kaslr-seed is a 64-bit number */
#define CLOCK_HZ       24000000 /* of the PL031's bus; nothing depends on it */
#define SERIAL_HZ      1843200  /* a 16550's customary crystal; there is no wire to time */

enum { GIC_SPI = 0, GIC_PPI = 1 };                /* first cell of an interrupt: interrupt-controller/arm,gic.yaml */
enum { IRQ_EDGE_RISING = 1, IRQ_LEVEL_HIGH = 4 }; /* its third */
enum { PHANDLE_GIC = 1, PHANDLE_CLOCK };

/* libfdt writes in sequence and says after each step whether there was room. The first failure is kept. */
struct tree {
    void *fdt;
    int rc;
};

static void keep(struct tree *t, int rc)
{
    if (t->rc == 0) t->rc = rc;
}

static void node(struct tree *t, const char *name)
{
    keep(t, fdt_begin_node(t->fdt, name));
}

static void node_at(struct tree *t, const char *name, uint64_t address)
{
    char full[NAME_MAX_BYTES];
    (void)snprintf(full, sizeof(full), "%s@%llx", name, (unsigned long long)address);
    node(t, full);
}

static void end(struct tree *t)
{
    keep(t, fdt_end_node(t->fdt));
}

static void bytes(struct tree *t, const char *name, const void *value, size_t len)
{
    keep(t, fdt_property(t->fdt, name, value, (int)len));
}

static void flag(struct tree *t, const char *name)
{
    bytes(t, name, NULL, 0);
}

static void text(struct tree *t, const char *name, const char *value)
{
    bytes(t, name, value, strlen(value) + 1);
}

static void u32(struct tree *t, const char *name, uint32_t value)
{
    keep(t, fdt_property_u32(t->fdt, name, value));
}

static void u64(struct tree *t, const char *name, uint64_t value)
{
    keep(t, fdt_property_u64(t->fdt, name, value));
}

/* reg: pairs of address and size, two cells each. */
static void reg(struct tree *t, const uint64_t *pairs, unsigned count)
{
    fdt64_t cells[4];
    for (unsigned i = 0; i < 2 * count; i++) cells[i] = cpu_to_fdt64(pairs[i]);
    bytes(t, "reg", cells, 2 * count * sizeof(cells[0]));
}

static void reg1(struct tree *t, uint64_t base, uint64_t size)
{
    reg(t, (const uint64_t[]){base, size}, 1);
}

static void spi_edge(struct tree *t, uint32_t spi)
{
    const fdt32_t cells[] = {cpu_to_fdt32(GIC_SPI), cpu_to_fdt32(spi), cpu_to_fdt32(IRQ_EDGE_RISING)};
    bytes(t, "interrupts", cells, sizeof(cells));
}

/* ---- the nodes ---- */

static void chosen(struct tree *t, const struct fdt_machine *m)
{
    char console[NAME_MAX_BYTES];
    (void)snprintf(console, sizeof(console), "/serial@%llx", ARM64_SERIAL_BASE);
    node(t, "chosen");
    text(t, "bootargs", m->cmdline);
    text(t, "stdout-path", console);
    if (m->initrd_end > m->initrd_start) {
        u64(t, "linux,initrd-start", m->initrd_start);
        u64(t, "linux,initrd-end", m->initrd_end);
    }
    bytes(t, "kaslr-seed", m->seed, KASLR_BYTES);
    bytes(t, "rng-seed", m->seed + KASLR_BYTES, FDT_SEED_BYTES - KASLR_BYTES);
    end(t);
}

static void memory(struct tree *t, const struct fdt_machine *m)
{
    node_at(t, "memory", m->ram_base);
    text(t, "device_type", "memory");
    reg1(t, m->ram_base, m->ram_size);
    end(t);
}

static void cpus(struct tree *t, const struct fdt_machine *m)
{
    node(t, "cpus");
    u32(t, "#address-cells", 2);
    u32(t, "#size-cells", 0);
    for (unsigned i = 0; i < m->cpus; i++) {
        node_at(t, "cpu", m->mpidr[i]);
        text(t, "device_type", "cpu");
        text(t, "compatible", "arm,armv8");
        u64(t, "reg", m->mpidr[i]);
        text(t, "enable-method", "psci");
        end(t);
    }
    end(t);
}

static void psci(struct tree *t)
{
    static const char compatible[] = "arm,psci-1.0\0arm,psci-0.2";
    node(t, "psci");
    bytes(t, "compatible", compatible, sizeof(compatible));
    text(t, "method", "hvc");
    end(t);
}

static void gic(struct tree *t, const struct fdt_machine *m)
{
    static const char v3_names[] = "arm,gic-v3";
    /* What it is, then what guests look for that know GICv2 by its first core: the binding's order. */
    static const char v2_names[] = "arm,gic-400\0arm,cortex-a15-gic";
    const bool is_v3 = m->gic == GIC_V3;
    const uint64_t v3[] = {ARM64_GICD_BASE, ARM64_GICD_SIZE, ARM64_GICR_BASE, m->cpus * ARM64_GICR_STRIDE};
    const uint64_t v2[] = {ARM64_GICD_BASE, ARM64_GICV2_GICD_SIZE, ARM64_GICC_BASE, ARM64_GICC_SIZE};
    node_at(t, "interrupt-controller", ARM64_GICD_BASE);
    bytes(t, "compatible", is_v3 ? v3_names : v2_names, is_v3 ? sizeof(v3_names) : sizeof(v2_names));
    flag(t, "interrupt-controller");
    u32(t, "#interrupt-cells", 3);
    u32(t, "#address-cells", 0); /* an interrupt parent must say so */
    reg(t, is_v3 ? v3 : v2, 2);
    u32(t, "phandle", PHANDLE_GIC);
    end(t);
}

static void timer(struct tree *t, const struct fdt_machine *m)
{
    static const uint32_t ppi[] = {ARM64_PPI_TIMER_SECURE, ARM64_PPI_TIMER_PHYS, ARM64_PPI_TIMER_VIRT,
                                   ARM64_PPI_TIMER_HYP}; /* in the binding's order */
    /* A GICv2 wants the CPUs that share a private interrupt, as a mask in bits 15:8. */
    const uint32_t mask = m->gic == GIC_V2 ? ((1u << m->cpus) - 1) << 8 : 0;
    fdt32_t cells[3 * sizeof(ppi) / sizeof(ppi[0])];
    for (unsigned i = 0; i < sizeof(ppi) / sizeof(ppi[0]); i++) {
        cells[3 * i] = cpu_to_fdt32(GIC_PPI);
        cells[3 * i + 1] = cpu_to_fdt32(ppi[i]);
        cells[3 * i + 2] = cpu_to_fdt32(mask | IRQ_LEVEL_HIGH);
    }
    node(t, "timer");
    text(t, "compatible", "arm,armv8-timer");
    bytes(t, "interrupts", cells, sizeof(cells));
    flag(t, "always-on"); /* it counts while the guest sleeps */
    end(t);
}

static void clock_24mhz(struct tree *t)
{
    node(t, "apb-pclk");
    text(t, "compatible", "fixed-clock");
    u32(t, "#clock-cells", 0);
    u32(t, "clock-frequency", CLOCK_HZ);
    u32(t, "phandle", PHANDLE_CLOCK);
    end(t);
}

static void platform(struct tree *t)
{
    static const char rtc[] = "arm,pl031\0arm,primecell";
    node_at(t, "serial", ARM64_SERIAL_BASE);
    text(t, "compatible", "ns16550a");
    reg1(t, ARM64_SERIAL_BASE, SERIAL_SIZE);
    spi_edge(t, ARM64_SPI_SERIAL);
    u32(t, "clock-frequency", SERIAL_HZ);
    end(t);

    node_at(t, "rtc", ARM64_RTC_BASE);
    bytes(t, "compatible", rtc, sizeof(rtc));
    reg1(t, ARM64_RTC_BASE, PL031_SIZE);
    u32(t, "clocks", PHANDLE_CLOCK);
    text(t, "clock-names", "apb_pclk");
    end(t);

    node_at(t, "debug-exit", ARM64_DEBUG_EXIT_BASE);
    text(t, "compatible", "vireo,debug-exit");
    reg1(t, ARM64_DEBUG_EXIT_BASE, ARM64_DEBUG_EXIT_SIZE);
    end(t);

    node_at(t, "pvpanic", ARM64_PVPANIC_BASE);
    text(t, "compatible", "qemu,pvpanic-mmio");
    reg1(t, ARM64_PVPANIC_BASE, ARM64_PVPANIC_SIZE);
    end(t);
}

static void slot(struct tree *t, const struct arch_slot *s)
{
    node_at(t, "virtio", s->base);
    text(t, "compatible", "virtio,mmio");
    reg1(t, s->base, s->size);
    spi_edge(t, s->gsi);
    flag(t, "dma-coherent");
    end(t);
}

static void root(struct tree *t, const struct fdt_machine *m)
{
    node(t, "");
    text(t, "compatible", "vireo,microvm");
    text(t, "model", "Vireo microVM");
    u32(t, "#address-cells", 2);
    u32(t, "#size-cells", 2);
    u32(t, "interrupt-parent", PHANDLE_GIC);
    chosen(t, m);
    memory(t, m);
    cpus(t, m);
    psci(t);
    gic(t, m);
    timer(t, m);
    clock_24mhz(t);
    platform(t);
    for (unsigned i = 0; i < m->slot_count; i++) slot(t, &m->slots[i]);
    end(t);
}

int fdt_build(void *buf, size_t size, const struct fdt_machine *m, struct err *e)
{
    const size_t cmdline = strlen(m->cmdline);
    if (cmdline > FDT_CMDLINE_MAX)
        return err_set(e, -E2BIG, "cmdline: %zu bytes, and kernels take at most %d; shorten it", cmdline,
                       FDT_CMDLINE_MAX);
    struct tree t = {.fdt = buf, .rc = fdt_create(buf, (int)size)};
    keep(&t, fdt_finish_reservemap(t.fdt));
    if (t.rc == 0) root(&t, m);
    keep(&t, fdt_finish(t.fdt));
    if (t.rc)
        return err_set(e, -E2BIG,
                       "device tree: %u vCPUs, %u devices and a command line of %zu bytes do not fit into "
                       "%zu bytes (%s); use fewer devices or a shorter command line",
                       m->cpus, m->slot_count, cmdline, size, fdt_strerror(t.rc));
    return (int)fdt_totalsize(t.fdt);
}

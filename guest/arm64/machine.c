/* The arm64 machine: everything comes from the device tree. */
#include "fdt.h"
#include "gic.h"

#define MAX_CPUS        256
#define BLOCK_SHIFT     30 /* level-1 blocks of 1 GiB */
#define BLOCK_COUNT     512
#define BLOCK_NORMAL    0x701ull            /* attribute 0, inner shareable, accessed, valid: as in entry.S */
#define BLOCK_DEVICE    0x60000000000405ull /* attribute 1, accessed, valid, never executed */
#define BLOCK_ATTRIBUTE 0x1cull
#define UART_LSR        5
#define LSR_THR_EMPTY   0x20
#define PL011_DR        0x00
#define PL011_FR        0x18u
#define PL011_FULL      0x20
#define UART_POLLS_MAX  100000 /* then the text is lost rather than the guest stuck */
#define GICD_ISPENDR    0x200  /* GICv2 and GICv3 alike (Arm IHI 0069, 12.9) */
#define GICD_ICPENDR    0x280
#define GICD_ICFGR      0xc00
#define SPI_FIRST       32
#define SPI_EDGE        1u          /* flag of the interrupts property's third cell */
#define PSCI_CPU_ON     0xc4000003u /* Arm DEN 0022, 5.1 */
#define PSCI_SYSTEM_OFF 0x84000008u
#define START_MS        500 /* from CPU_ON to the first instruction on a busy emulated host, per processor */
#define MPIDR_AFFINITY  0xff00ffffffull

extern uint64_t page_table[BLOCK_COUNT];
extern const uint8_t ap_entry[];
uint32_t cpus_present; /* counted up by each processor in ap_entry */
struct machine_others machine_others;
struct machine_gic machine_gic;

enum uart { UART_NONE, UART_16550, UART_PL011 };

/* What the device tree says beyond struct guest_machine. */
static struct {
    enum uart uart;
    uint64_t uart_base;
    uint32_t uart_shift;
    uint64_t debug_exit;
    bool is_smc;
    uint64_t cpu[MAX_CPUS]; /* MPIDR affinity values */
} board;

void console_write(const char *text, size_t len)
{
    const uint64_t base = board.uart_base;
    const bool is_pl011 = board.uart == UART_PL011;
    const uint64_t state = base + (is_pl011 ? PL011_FR : (uint64_t)UART_LSR << board.uart_shift);

    if (board.uart == UART_NONE) return;
    for (; len; len--, text++) {
        for (int i = 0; i < UART_POLLS_MAX; i++) {
            const uint8_t flags = *(const volatile uint8_t *)(uintptr_t)state;
            if (is_pl011 ? !(flags & PL011_FULL) : flags & LSR_THR_EMPTY) break;
        }
        *(volatile uint8_t *)(uintptr_t)base = (uint8_t)*text;
    }
}

static uint64_t psci(uint32_t function, uint64_t a, uint64_t b)
{
    register uint64_t x0 __asm__("x0") = function;
    register uint64_t x1 __asm__("x1") = a;
    register uint64_t x2 __asm__("x2") = b;
    register uint64_t x3 __asm__("x3") = 0;

    if (board.is_smc)
        __asm__ volatile("smc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : "memory");
    else
        __asm__ volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : "memory");
    return x0;
}

void machine_mark(uint8_t milestone)
{
    if (board.debug_exit) *(volatile uint8_t *)(uintptr_t)(board.debug_exit + 1) = milestone;
}

_Noreturn void machine_exit(enum guest_status status)
{
    if (board.debug_exit) mmio_write32(board.debug_exit, status);
    psci(PSCI_SYSTEM_OFF, 0, 0);
    for (;;) __asm__ volatile("wfi");
}

_Noreturn void machine_exception(uint64_t esr, uint64_t elr, uint64_t far);
_Noreturn void machine_exception(uint64_t esr, uint64_t elr, uint64_t far)
{
    fail(GUEST_EXCEPTION, "exception with syndrome 0x%lx at 0x%lx, fault address 0x%lx", esr, elr, far);
}

/* Map the GiB of an address. False: beyond the table, or it is mapped as the other kind of memory. */
static bool map(uint64_t gpa, uint64_t attributes)
{
    const uint64_t index = gpa >> BLOCK_SHIFT, block = index << BLOCK_SHIFT | attributes;

    if (index >= BLOCK_COUNT) return false;
    if (page_table[index]) return !((page_table[index] ^ block) & BLOCK_ATTRIBUTE);
    page_table[index] = block;
    __asm__ volatile("dsb ishst; isb" : : : "memory"); /* invalid before: nothing stale to drop */
    return true;
}

bool machine_map(uint64_t gpa)
{
    return map(gpa, BLOCK_NORMAL);
}

/* The index-th of a device's blocks of registers: 0 if they can't be reached, as RAM shares their GiB. */
static uint64_t map_block(const struct fdt_node *node, uint32_t index)
{
    uint64_t base = 0, size;

    return fdt_reg(node, index, &base, &size) && map(base, BLOCK_DEVICE) ? base : 0;
}

static uint64_t map_registers(const struct fdt_node *node)
{
    return map_block(node, 0);
}

static void visit_memory(const struct fdt_node *node, struct guest_machine *m)
{
    struct guest_range r;

    for (uint32_t i = 0; fdt_reg(node, i, &r.base, &r.size); i++) {
        if (m->range_count == GUEST_MAX_RANGES)
            fail(GUEST_BAD_TABLE, "the device tree lists more than %u ranges of RAM", (unsigned)GUEST_MAX_RANGES);
        m->range[m->range_count++] = r;
    }
}

static void visit_cpu(const struct fdt_node *node, struct guest_machine *m)
{
    uint64_t mpidr, size;

    if (!fdt_reg(node, 0, &mpidr, &size)) return;
    if (m->cpu_count == MAX_CPUS)
        fail(GUEST_BAD_TABLE, "the device tree lists more than %u processors", (unsigned)MAX_CPUS);
    board.cpu[m->cpu_count++] = mpidr;
}

static void visit_virtio(const struct fdt_node *node, struct guest_machine *m)
{
    const uint64_t base = map_registers(node);
    uint32_t spi, flags;

    if (!base || !fdt_cell(node, FDT_INTERRUPTS, 1, &spi) || !fdt_cell(node, FDT_INTERRUPTS, 2, &flags))
        fail(GUEST_BAD_TABLE, "the device tree's virtio,mmio node at 0x%lx lacks registers or an interrupt", base);
    if (m->device_count == GUEST_MAX_DEVICES)
        fail(GUEST_BAD_TABLE, "the device tree lists more than %u devices", (unsigned)GUEST_MAX_DEVICES);
    m->device[m->device_count++] = (struct guest_device){base, spi + SPI_FIRST, (flags & SPI_EDGE) != 0};
}

static void visit_gic(const struct fdt_node *node)
{
    const bool is_v3 = fdt_is_compatible(node, "arm,gic-v3");

    if (is_v3 || fdt_is_compatible(node, "arm,cortex-a15-gic") || fdt_is_compatible(node, "arm,gic-400"))
        machine_gic = (struct machine_gic){map_block(node, 0), map_block(node, 1), is_v3};
}

static void visit_board(const struct fdt_node *node)
{
    const bool is_16550 = fdt_is_compatible(node, "ns16550a");

    if (board.uart == UART_NONE && (is_16550 || fdt_is_compatible(node, "arm,pl011"))) {
        board.uart_base = map_registers(node);
        fdt_cell(node, FDT_REG_SHIFT, 0, &board.uart_shift);
        board.uart = !board.uart_base ? UART_NONE : is_16550 ? UART_16550 : UART_PL011;
    }
    if (fdt_is_compatible(node, "vireo,debug-exit")) board.debug_exit = map_registers(node);
    visit_gic(node);
    if (fdt_is_compatible(node, "arm,psci-0.2")) board.is_smc = fdt_says(node, FDT_METHOD, "smc");
}

static void visit(const struct fdt_node *node, void *arg)
{
    struct guest_machine *m = arg;
    const struct fdt_value *bootargs = &node->prop[FDT_BOOTARGS];

    if (fdt_says(node, FDT_DEVICE_TYPE, "memory")) visit_memory(node, m);
    if (fdt_says(node, FDT_DEVICE_TYPE, "cpu")) visit_cpu(node, m);
    if (fdt_is_compatible(node, "virtio,mmio")) visit_virtio(node, m);
    if (bootargs->data && bootargs->len && !bootargs->data[bootargs->len - 1])
        m->cmdline = (const char *)bootargs->data;
    visit_board(node);
}

void machine_discover(const void *boot, struct guest_machine *m)
{
    *m = (struct guest_machine){.arch = "arm64", .tables = "a device tree", .cmdline = ""};
    if (!fdt_walk(boot, visit, m))
        fail(GUEST_BAD_TABLE, "the device tree at 0x%lx is broken", (uint64_t)(uintptr_t)boot);
    if (!machine_gic.distributor) fail(GUEST_NO_TABLES, "the device tree has no interrupt controller this guest knows");
}

uint32_t machine_start_cpus(const struct guest_machine *m)
{
    const uint32_t others = m->cpu_count - 1;
    uint64_t self;

    __asm__ volatile("mrs %0, mpidr_el1" : "=r"(self));
    for (uint32_t i = 0; i < m->cpu_count; i++) {
        if (board.cpu[i] != (self & MPIDR_AFFINITY)) psci(PSCI_CPU_ON, board.cpu[i], (uintptr_t)ap_entry);
    }
    const uint64_t start = machine_ticks(), limit = START_MS * machine_ticks_per_ms() * others;
    while (__atomic_load_n(&cpus_present, __ATOMIC_ACQUIRE) < others && machine_ticks() - start < limit)
        machine_relax();
    return 1 + __atomic_load_n(&cpus_present, __ATOMIC_ACQUIRE);
}

/* ---- The watched interrupt: not taken, but seen pending in the distributor and cleared there ---- */

void irq_watch(const struct guest_device *d)
{
    const uint64_t config = machine_gic.distributor + GICD_ICFGR + d->irq / 16 * 4;
    const uint32_t edge = 2u << d->irq % 16 * 2, before = mmio_read32(config);

    mmio_write32(config, d->is_edge ? before | edge : before & ~edge);
    irq_take(d);
}

void irq_unwatch(const struct guest_device *d)
{
    irq_take(d);
}

bool irq_take(const struct guest_device *d)
{
    const uint32_t word = d->irq / 32 * 4, bit = 1u << d->irq % 32;

    if (!(mmio_read32(machine_gic.distributor + GICD_ISPENDR + word) & bit)) return false;
    mmio_write32(machine_gic.distributor + GICD_ICPENDR + word, bit);
    return true;
}

/* ---- Time ---- */

uint64_t machine_ticks(void)
{
    uint64_t value;
    __asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(value) : : "memory");
    return value;
}

uint64_t machine_ticks_per_ms(void)
{
    uint64_t hz;
    __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(hz));
    return hz / 1000;
}

void machine_relax(void)
{
    __asm__ volatile("yield" : : : "memory");
}

/* Processors and interrupts: the local APIC (Intel SDM volume 3, chapter 11), in x2APIC mode where there is one, and
 * one I/O APIC (82093AA data sheet), through which the device in use raises one vector. */
#include "machine.h"

#include "cpu.h"
#include "interrupt.h"

#define MSR_APIC_BASE      0x1b
#define APIC_BASE_X2APIC   (1u << 10)
#define APIC_BASE_ENABLE   (1u << 11)
#define APIC_BASE_ADDRESS  0x000ffffffffff000ull
#define MSR_X2APIC         0x800 /* register offset / 16 is added */
#define CPUID_1_ECX_X2APIC (1u << 21)

#define LAPIC_ID       0x020
#define LAPIC_EOI      0x0b0
#define LAPIC_SPURIOUS 0x0f0
#define LAPIC_IRR      0x200 /* eight words, 16 bytes apart */
#define LAPIC_ICR      0x300
#define LAPIC_ICR_HIGH 0x310
#define SPURIOUS_ON    0x100
#define ICR_PENDING    0x1000u
#define ICR_INIT       0x4500u /* level assert, as both are sent */
#define ICR_STARTUP    0x4600u

#define IOAPIC_DEFAULT  0xfec00000u
#define IOAPIC_SELECT   0x00
#define IOAPIC_WINDOW   0x10
#define IOAPIC_VERSION  0x01
#define IOAPIC_REDIRECT 0x10 /* two registers a pin */
#define REDIRECT_LEVEL  (1u << 15)
#define REDIRECT_MASKED (1u << 16)

#define PAGE           4096u
#define TRAMPOLINE_LOW 0x8000u  /* above the real-mode tables and what firmware habits put behind them */
#define TRAMPOLINE_END 0x9f000u /* below the EBDA */
#define ICR_POLLS_MAX  100000
#define START_MS       200 /* from SIPI to the first instruction on a busy emulated host, per processor */
#define RESEND_MS      20  /* a SIPI that found its processor not ready yet is sent once more */

uint32_t cpus_present; /* counted up by each processor in ap_entry64 */
uint32_t ap_cr3;
struct machine_others machine_others;

static struct {
    uint32_t cpu[MAX_CPUS]; /* APIC ids, in the tables' order */
    uint64_t lapic;         /* xAPIC window, 0: x2APIC mode */
    uint64_t io;
    uint32_t first_gsi;
    uint32_t irq_count; /* watched interrupts taken */
} apic;

void apic_interrupt(void);

static uint32_t lapic_read(uint32_t reg)
{
    return apic.lapic ? mmio_read32(apic.lapic + reg) : (uint32_t)rdmsr(MSR_X2APIC + reg / 16);
}

static void lapic_write(uint32_t reg, uint32_t value)
{
    if (apic.lapic)
        mmio_write32(apic.lapic + reg, value);
    else
        wrmsr(MSR_X2APIC + reg / 16, value);
}

static uint32_t lapic_id(void)
{
    return apic.lapic ? lapic_read(LAPIC_ID) >> 24 : lapic_read(LAPIC_ID);
}

/* An interprocessor interrupt: one MSR in x2APIC mode, else two registers of which the low one sends. */
static void send(uint32_t to, uint32_t command)
{
    if (!apic.lapic) {
        wrmsr(MSR_X2APIC + LAPIC_ICR / 16, (uint64_t)to << 32 | command);
        return;
    }
    lapic_write(LAPIC_ICR_HIGH, to << 24);
    lapic_write(LAPIC_ICR, command);
    for (int i = 0; i < ICR_POLLS_MAX && lapic_read(LAPIC_ICR) & ICR_PENDING; i++) machine_relax();
}

void apic_add_cpu(struct guest_machine *m, uint32_t apic_id)
{
    if (m->cpu_count == MAX_CPUS)
        fail(GUEST_BAD_TABLE, "%s lists more than %u processors", m->tables, (unsigned)MAX_CPUS);
    apic.cpu[m->cpu_count++] = apic_id;
}

void apic_set_io(uint64_t base, uint32_t first_gsi)
{
    if (apic.io) return; /* one is enough for a microVM */
    apic.io = base;
    apic.first_gsi = first_gsi;
}

void apic_open(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE);

    if (!(base & APIC_BASE_ENABLE)) return; /* after reset: there is none */
    if (cpuid_ecx(1) & CPUID_1_ECX_X2APIC) {
        base |= APIC_BASE_X2APIC | APIC_BASE_ENABLE;
        wrmsr(MSR_APIC_BASE, base);
    }
    apic.lapic = base & APIC_BASE_X2APIC ? 0 : base & APIC_BASE_ADDRESS;
    if (!apic.io) apic.io = IOAPIC_DEFAULT;
    lapic_write(LAPIC_SPURIOUS, SPURIOUS_ON | VECTOR_SPURIOUS);
}

/* ---- The watched interrupt ---- */

static uint32_t io_read(uint32_t reg)
{
    mmio_write32(apic.io + IOAPIC_SELECT, reg);
    return mmio_read32(apic.io + IOAPIC_WINDOW);
}

static void io_write(uint32_t reg, uint32_t value)
{
    mmio_write32(apic.io + IOAPIC_SELECT, reg);
    mmio_write32(apic.io + IOAPIC_WINDOW, value);
}

static uint32_t pin_of(const struct guest_device *d)
{
    const uint32_t pin = d->irq - apic.first_gsi, last = io_read(IOAPIC_VERSION) >> 16 & 0xff;

    if (d->irq < apic.first_gsi || pin > last)
        fail(GUEST_BAD_TABLE, "the device at 0x%lx has interrupt %u, the I/O APIC at 0x%lx has %u to %u", d->base,
             d->irq, apic.io, apic.first_gsi, apic.first_gsi + last);
    return pin;
}

void irq_watch(const struct guest_device *d)
{
    const uint32_t reg = IOAPIC_REDIRECT + 2 * pin_of(d);

    io_write(reg + 1, lapic_id() << 24);
    io_write(reg, VECTOR_DEVICE | (d->is_edge ? 0 : REDIRECT_LEVEL));
    irq_take(d);
}

void irq_unwatch(const struct guest_device *d)
{
    io_write(IOAPIC_REDIRECT + 2 * pin_of(d), REDIRECT_MASKED);
}

void apic_interrupt(void)
{
    apic.irq_count++;
    lapic_write(LAPIC_EOI, 0);
}

/* An interrupt that waits in the local APIC is let in while one of its registers is read, for there every host looks;
 * one that emulates single instructions may not look between two others. Sleeping until it comes would not do: QEMU's
 * VMRUN forgets that STI holds interrupts off for one more instruction (AMD APM volume 2, 15.21.5), so it may come
 * before the HLT, which then never ends. */
bool irq_take(const struct guest_device *d)
{
    const uint32_t before = apic.irq_count, waiting = lapic_read(LAPIC_IRR + VECTOR_DEVICE / 32 * 0x10);

    (void)d;
    if (waiting >> VECTOR_DEVICE % 32 & 1) {
        interrupts_on();
        (void)lapic_read(LAPIC_ID);
        interrupts_off();
    }
    return apic.irq_count != before;
}

/* ---- The other processors ---- */

/* Is this page one the guest still needs: boot_params and page tables? (The command line may lie anywhere low: see
 * use.) */
static bool is_page_free(const struct guest_machine *m, uint32_t page)
{
    const uint64_t root = read_cr3() & APIC_BASE_ADDRESS;
    const uint64_t *pml4 = (const uint64_t *)(uintptr_t)root;
    const uint64_t pdpt = pml4[0] & APIC_BASE_ADDRESS;
    const uint64_t cmdline = (uintptr_t)m->cmdline & ~(uint64_t)(PAGE - 1);
    bool is_ram = false;

    if (page == root || page == pdpt || page == cmdline) return false;
    for (int i = 0; i < 4; i++) {
        if ((((const uint64_t *)(uintptr_t)pdpt)[i] & APIC_BASE_ADDRESS) == page) return false;
    }
    for (uint32_t i = 0; i < m->range_count; i++)
        is_ram |= page >= m->range[i].base && page - m->range[i].base + PAGE <= m->range[i].size;
    return is_ram;
}

static uint32_t place_trampoline(const struct guest_machine *m)
{
    for (uint32_t page = TRAMPOLINE_LOW; page < TRAMPOLINE_END; page += PAGE) {
        if (!is_page_free(m, page)) continue;
        memcpy((void *)(uintptr_t)page, ap_trampoline, (size_t)(ap_trampoline_end - ap_trampoline));
        return page;
    }
    fail(GUEST_NO_MEMORY, "no page between 0x%x and 0x%x is free to start processors from", TRAMPOLINE_LOW,
         TRAMPOLINE_END);
}

static bool wait_present(uint32_t count, uint64_t ms)
{
    const uint64_t start = machine_ticks(), limit = ms * machine_ticks_per_ms();

    while (__atomic_load_n(&cpus_present, __ATOMIC_ACQUIRE) < count) {
        if (machine_ticks() - start > limit) return false;
        machine_relax();
    }
    return true;
}

/* INIT, SIPI, SIPI (SDM volume 3, 9.4.4.1), to all before waiting for any. The pauses the SDM asks for are hardware's:
 * a virtual INIT is latched at once, and a second SIPI is sent only to those still missing. */
uint32_t machine_start_cpus(const struct guest_machine *m)
{
    const uint32_t self = lapic_id(), others = m->cpu_count - 1;

    if (!others) return 1;
    const uint32_t startup = ICR_STARTUP | place_trampoline(m) / PAGE;
    ap_cr3 = (uint32_t)read_cr3();
    for (uint32_t i = 0; i < m->cpu_count; i++) {
        if (apic.cpu[i] == self) continue;
        send(apic.cpu[i], ICR_INIT);
        send(apic.cpu[i], startup);
    }
    if (wait_present(others, RESEND_MS)) return m->cpu_count;
    for (uint32_t i = 0; i < m->cpu_count; i++) {
        if (apic.cpu[i] != self) send(apic.cpu[i], startup);
    }
    wait_present(others, START_MS * others);
    return 1 + __atomic_load_n(&cpus_present, __ATOMIC_ACQUIRE);
}

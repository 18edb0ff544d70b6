/* The x86 machine: serial console, debug exit, exceptions, memory map, time. */
#include "machine.h"

#include "cpu.h"

#define COM1             0x3f8
#define COM_DATA         (COM1 + 0)
#define COM_FCR          (COM1 + 2) /* written; read: IIR */
#define COM_LSR          (COM1 + 5)
#define FCR_ENABLE       0x01
#define IIR_FIFO         0xc0
#define LSR_THR_EMPTY    0x20
#define UART_FIFO_SIZE   16
#define UART_POLLS_MAX   100000 /* then the text is lost rather than the guest stuck */
#define DEBUG_EXIT       0xf4
#define TICKS_PER_MS_MAX 6000000 /* no processor's counter runs faster than 6 GHz */

#define PAGE_2M     (1ull << 21)
#define PTE_TABLE   0x003ull /* present, writable */
#define PTE_LARGE   0x083ull
#define PTE_ADDRESS 0x000ffffffffff000ull
#define PTE_PRESENT 0x001ull
#define LINEAR_END  (1ull << 39) /* what one PDPT covers */

struct idt_entry {
    uint16_t offset_low;
    uint16_t selector;
    uint8_t ist;
    uint8_t type;
    uint16_t offset_middle;
    uint32_t offset_high;
    uint32_t reserved;
};

static struct idt_entry idt[VECTOR_COUNT];
static uint64_t high_directory[512] __attribute__((aligned(4096))); /* machine_map(): one GiB above the boot map */

static void wait_transmitter(void)
{
    for (int i = 0; i < UART_POLLS_MAX; i++) {
        if (inb(COM_LSR) & LSR_THR_EMPTY) return;
    }
}

/* An empty transmitter has room for a whole FIFO, so its state is asked for once per FIFO. */
void console_write(const char *text, size_t len)
{
    while (len) {
        size_t part = len < UART_FIFO_SIZE ? len : UART_FIFO_SIZE;
        wait_transmitter();
        len -= part;
        __asm__ volatile("rep outsb" : "+S"(text), "+c"(part) : "d"((uint16_t)COM_DATA) : "memory");
    }
}

void machine_mark(uint8_t milestone)
{
    outb(DEBUG_EXIT + 1, milestone);
}

_Noreturn void machine_exit(enum guest_status status)
{
    outb(DEBUG_EXIT, (uint8_t)status);
    for (;;) __asm__ volatile("cli; hlt"); /* no such port: nothing is left to do */
}

/* From an exception's stub: the stack as the processor left it. Intel SDM volume 3, 6.13: those with an error code. */
_Noreturn void machine_exception(uint64_t vector, const uint64_t *stack);
_Noreturn void machine_exception(uint64_t vector, const uint64_t *stack)
{
    const uint32_t with_code = 1u << 8 | 0x1fu << 10 | 1u << 17 | 1u << 21 | 3u << 29;
    const bool has_code = with_code >> vector & 1;
    uint64_t cr2;

    __asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
    fail(GUEST_EXCEPTION, "exception %lu at 0x%lx, error code 0x%lx, fault address 0x%lx", vector, stack[has_code],
         has_code ? stack[0] : 0, cr2);
}

void idt_set(unsigned vector, uint64_t entry)
{
    idt[vector] = (struct idt_entry){
        .offset_low = (uint16_t)entry,
        .selector = 0x10,
        .type = 0x8e, /* present, 64-bit interrupt gate */
        .offset_middle = (uint16_t)(entry >> 16),
        .offset_high = (uint32_t)(entry >> 32),
    };
}

void idt_load(void)
{
    const struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) pointer = {sizeof(idt) - 1, (uintptr_t)idt};

    __asm__ volatile("lidt %0" : : "m"(pointer) : "memory");
}

static void open_idt(void)
{
    for (unsigned i = 0; i < EXCEPTION_COUNT; i++) idt_set(i, (uintptr_t)exception_stubs + i * EXCEPTION_STUB_SIZE);
    idt_set(VECTOR_DEVICE, (uintptr_t)interrupt_stub);
    idt_set(VECTOR_SPURIOUS, (uintptr_t)spurious_stub);
    idt_load();
}

static void read_e820(const uint8_t *boot, struct guest_machine *m)
{
    const unsigned count = boot[BOOT_E820_COUNT];

    if (count > BOOT_E820_MAX)
        fail(GUEST_BAD_TABLE, "boot_params lists %u memory ranges, it has room for %u", count, (unsigned)BOOT_E820_MAX);
    for (unsigned i = 0; i < count; i++) {
        const uint8_t *entry = boot + BOOT_E820_TABLE + i * E820_ENTRY_SIZE;
        if (get32(entry + 16) != E820_RAM) continue;
        if (m->range_count == GUEST_MAX_RANGES)
            fail(GUEST_BAD_TABLE, "boot_params lists more than %u ranges of RAM", (unsigned)GUEST_MAX_RANGES);
        m->range[m->range_count++] = (struct guest_range){get64(entry), get64(entry + 8)};
    }
}

/* Eight bytes at a time, for each costs an emulated loop as much as one: their sums stay apart, as no carry leaves
 * bit 7. */
uint8_t table_sum(const uint8_t *at, size_t len)
{
    const uint64_t low = 0x7f7f7f7f7f7f7f7full, pairs = 0x00ff00ff00ff00ffull;
    uint64_t sums = 0;
    uint8_t rest = 0;

    for (; len >= 8; len -= 8, at += 8) {
        const uint64_t bytes = get64(at);
        sums = ((sums & low) + (bytes & low)) ^ ((sums ^ bytes) & ~low);
    }
    while (len--) rest = (uint8_t)(rest + *at++);
    /* Four sums of two, wide enough not to carry when multiplied together. */
    sums = (sums & pairs) + (sums >> 8 & pairs);
    return (uint8_t)(rest + (sums * 0x0001000100010001ull >> 48));
}

void add_device(struct guest_machine *m, uint64_t base, uint32_t irq, bool is_edge)
{
    if (m->device_count == GUEST_MAX_DEVICES)
        fail(GUEST_BAD_TABLE, "%s lists more than %u devices", m->tables, (unsigned)GUEST_MAX_DEVICES);
    m->device[m->device_count++] = (struct guest_device){base, irq, is_edge};
}

void machine_discover(const void *boot, struct guest_machine *m)
{
    const uint8_t *params = boot;
    const uint64_t rsdp = get64(params + BOOT_ACPI_RSDP);
    const uint32_t cmdline = get32(params + BOOT_CMDLINE);

    outb(COM_FCR, FCR_ENABLE);
    open_idt();
    m->arch = "x86-64";
    m->cmdline = cmdline ? (const char *)at_gpa(cmdline) : "";
    read_e820(params, m);
    if (rsdp) {
        m->tables = "ACPI";
        acpi_read(rsdp, m);
    } else {
        m->tables = "an MP table";
        if (!mptable_read(m))
            fail(GUEST_NO_TABLES, "the machine is not described: boot_params names no RSDP and there is no MP table");
        cmdline_read(m);
    }
    apic_open();
}

/* The boot map ends at 4 GiB; above, one large page at a time is put into it. */
bool machine_map(uint64_t gpa)
{
    if (gpa < MAPPED_END) return true;
    if (gpa >= LINEAR_END) return false;
    uint64_t *pml4 = (uint64_t *)(uintptr_t)(read_cr3() & PTE_ADDRESS);
    uint64_t *pdpt = (uint64_t *)(uintptr_t)(pml4[0] & PTE_ADDRESS);
    uint64_t *slot = &pdpt[gpa >> 30];
    if (*slot & PTE_PRESENT && (*slot & PTE_ADDRESS) != (uintptr_t)high_directory)
        return true; /* mapped from the start */
    high_directory[gpa >> 21 & 511] = (gpa & ~(PAGE_2M - 1)) | PTE_LARGE;
    *slot = (uintptr_t)high_directory | PTE_TABLE;
    __asm__ volatile("invlpg (%0)" : : "r"(gpa) : "memory");
    return true;
}

uint64_t machine_ticks(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

uint64_t machine_ticks_per_ms(void)
{
    return TICKS_PER_MS_MAX;
}

void machine_relax(void)
{
    __asm__ volatile("pause" : : : "memory");
}

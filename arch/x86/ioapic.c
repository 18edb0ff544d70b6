#include "arch/x86/ioapic.h"

#include <assert.h>
#include <stdbool.h>

/* Registers in the window, and behind the select register (82093AA, 3.1, 3.2) */
#define REG_SELECT  0x00u
#define REG_WINDOW  0x10u
#define REG_EOI     0x40u /* version 0x20: for guests that end level interrupts here */
#define INDEX_ID    0x00u
#define INDEX_VER   0x01u
#define INDEX_ARB   0x02u
#define INDEX_ENTRY 0x10u /* two words per pin, low first */
#define VERSION     0x20u
#define ID_MASK     0x0f000000u

/* Redirection entry */
#define RTE_VECTOR     0xffull
#define RTE_MODE_SHIFT 8
#define RTE_LOGICAL    (1ull << 11)
#define RTE_STATUS     (1ull << 12) /* read-only */
#define RTE_REMOTE_IRR (1ull << 14) /* read-only */
#define RTE_LEVEL      (1ull << 15)
#define RTE_MASKED     (1ull << 16)
#define RTE_DEST_SHIFT 56
#define RTE_WRITABLE   (0xff0000000001ffffull & ~(RTE_STATUS | RTE_REMOTE_IRR))

#define MODE_LOWEST 1u
#define MODE_EXTINT 7u /* needs a PIC, there is none: no route */

/* MSI (SDM vol. 3, 11.11) */
#define MSI_ADDRESS    0xfee00000u
#define MSI_DEST_SHIFT 12
#define MSI_REDIRECT   (1u << 3)
#define MSI_LOGICAL    (1u << 2)
#define MSI_ASSERT     (1u << 14)
#define MSI_LEVEL      (1u << 15)

void ioapic_init(struct ioapic *io, int (*publish)(void *arg, const struct kvm_irq_routing *routes), void *arg)
{
    *io = (struct ioapic){.publish = publish, .arg = arg, .pins = X86_IOAPIC_PINS};
    pthread_mutex_init(&io->lock, NULL);
    for (unsigned i = 0; i < X86_IOAPIC_PINS; i++) io->entry[i] = RTE_MASKED;
}

void ioapic_set_pins(struct ioapic *io, unsigned pins)
{
    assert(pins > 0 && pins <= X86_IOAPIC_PINS);
    io->pins = pins;
}

void ioapic_fini(struct ioapic *io)
{
    pthread_mutex_destroy(&io->lock);
}

static unsigned mode_of(uint64_t rte)
{
    return (unsigned)(rte >> RTE_MODE_SHIFT) & 7;
}

static bool is_live(uint64_t rte)
{
    return !(rte & RTE_MASKED) && mode_of(rte) != MODE_EXTINT;
}

static struct kvm_irq_routing_entry route_of(unsigned pin, uint64_t rte)
{
    const unsigned mode = mode_of(rte);
    struct kvm_irq_routing_entry r = {.gsi = pin, .type = KVM_IRQ_ROUTING_MSI};
    r.u.msi.address_lo = MSI_ADDRESS | (uint32_t)(rte >> RTE_DEST_SHIFT) << MSI_DEST_SHIFT |
                         (rte & RTE_LOGICAL ? MSI_LOGICAL : 0) | (mode == MODE_LOWEST ? MSI_REDIRECT : 0);
    r.u.msi.data = (uint32_t)(rte & RTE_VECTOR) | mode << 8 | MSI_ASSERT | (rte & RTE_LEVEL ? MSI_LEVEL : 0);
    return r;
}

static void publish(struct ioapic *io)
{
    union {
        struct kvm_irq_routing head;
        uint8_t room[sizeof(struct kvm_irq_routing) + X86_IOAPIC_PINS * sizeof(struct kvm_irq_routing_entry)];
    } table = {.room = {0}};
    for (unsigned i = 0; i < X86_IOAPIC_PINS; i++)
        if (is_live(io->entry[i])) table.head.entries[table.head.nr++] = route_of(i, io->entry[i]);
    io->publish_count++;
    (void)io->publish(io->arg, &table.head); /* who publishes also reports: a register write can't fail */
}

/* Would this change of an entry change what its pin delivers? Polarity means nothing to an eventfd. */
static bool changes_route(uint64_t before, uint64_t after)
{
    const uint64_t told = RTE_VECTOR | 7ull << RTE_MODE_SHIFT | RTE_LOGICAL | RTE_LEVEL | 0xffull << RTE_DEST_SHIFT;
    if (!is_live(before) || !is_live(after)) return is_live(before) != is_live(after);
    return ((before ^ after) & told) != 0;
}

static void write_entry(struct ioapic *io, unsigned index, uint32_t value)
{
    const unsigned pin = (index - INDEX_ENTRY) / 2, shift = (index & 1) * 32;
    if (pin >= io->pins) return;
    const uint64_t old = io->entry[pin];
    io->entry[pin] = ((old & ~(0xffffffffull << shift)) | (uint64_t)value << shift) & RTE_WRITABLE;
    if (changes_route(old, io->entry[pin])) publish(io);
}

static uint32_t read_index(const struct ioapic *io)
{
    const unsigned pin = (io->select - INDEX_ENTRY) / 2;
    switch (io->select) {
    case INDEX_ID:
    case INDEX_ARB: return io->id;
    case INDEX_VER: return VERSION | (io->pins - 1) << 16;
    default: break;
    }
    if (io->select < INDEX_ENTRY || pin >= io->pins) return 0xffffffffu;
    return (uint32_t)(io->entry[pin] >> (io->select & 1) * 32);
}

/* Registers are 32 bits wide on 16-byte bounds; the select register is often written as a byte. */
static uint64_t ioapic_read(void *dev, uint64_t offset, unsigned size)
{
    struct ioapic *io = dev;
    uint32_t value = 0;
    (void)size;
    pthread_mutex_lock(&io->lock);
    if (offset == REG_SELECT)
        value = io->select;
    else if (offset == REG_WINDOW)
        value = read_index(io);
    pthread_mutex_unlock(&io->lock);
    return value;
}

static void ioapic_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct ioapic *io = dev;
    (void)size;
    pthread_mutex_lock(&io->lock);
    if (offset == REG_SELECT)
        io->select = (uint32_t)value & 0xff;
    else if (offset == REG_WINDOW && io->select >= INDEX_ENTRY)
        write_entry(io, io->select, (uint32_t)value);
    else if (offset == REG_WINDOW && io->select == INDEX_ID)
        io->id = (uint32_t)value & ID_MASK;
    pthread_mutex_unlock(&io->lock); /* REG_EOI: nothing to end, see the top of ioapic.h */
}

const struct bus_ops ioapic_bus_ops = {.read = ioapic_read, .write = ioapic_write, .width = 4};

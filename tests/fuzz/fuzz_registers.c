/* Register models that are no virtio device: the IOAPIC, PL031 and the MC146818, under a script of accesses of every
 * width, offset and value while time goes on. What an IOAPIC publishes must be what its entries say when they are read
 * back (82093AA, 3.2.4), the clocks must keep time, and no access reads more bits than its size. */
#include "arch/x86/ioapic.h"
#include "devices/platform/platform.h"
#include "tests/fuzz/fuzz.h"

enum { IOAPIC_AT = 0x10000, PL031_AT = 0x20000, RTC_AT = 0x30000 };
enum { WINDOW = 0x10, FIRST_ENTRY = 0x10, MASKED = 1 << 16, MODE = 7 << 8, EXTINT = 7 << 8 };
enum { DATA = 0x00, LOAD = 0x08, MASK = 0x10, RAW = 0x14, STATUS = 0x18, ID = 0xfe0 };

static uint64_t time_s; /* both clocks'; the script moves it */

static uint64_t seconds(void)
{
    return time_s;
}

static uint64_t nanoseconds(void)
{
    return time_s * 1000000000u;
}

struct published {
    struct kvm_irq_routing_entry entry[X86_IOAPIC_PINS];
    unsigned count;
};

static int on_publish(void *arg, const struct kvm_irq_routing *routes)
{
    struct published *p = arg;
    MUST(routes->nr <= X86_IOAPIC_PINS);
    memcpy(p->entry, routes->entries, routes->nr * sizeof(p->entry[0]));
    p->count = routes->nr;
    return 0;
}

static const struct kvm_irq_routing_entry *route_of(const struct published *p, unsigned pin)
{
    const struct kvm_irq_routing_entry *found = NULL;
    for (unsigned i = 0; i < p->count; i++) {
        MUST(p->entry[i].gsi < X86_IOAPIC_PINS && p->entry[i].type == KVM_IRQ_ROUTING_MSI);
        if (p->entry[i].gsi != pin) continue;
        MUST(!found);
        found = &p->entry[i];
    }
    return found;
}

static uint32_t read_index(const struct bus *b, unsigned index)
{
    bus_write(b, IOAPIC_AT, 4, index);
    return (uint32_t)bus_read(b, IOAPIC_AT + WINDOW, 4);
}

static void check_routes(const struct bus *b, const struct published *p)
{
    const uint64_t selected = bus_read(b, IOAPIC_AT, 4);
    for (unsigned pin = 0; pin < X86_IOAPIC_PINS; pin++) {
        const uint32_t low = read_index(b, FIRST_ENTRY + 2 * pin), high = read_index(b, FIRST_ENTRY + 2 * pin + 1);
        const struct kvm_irq_routing_entry *r = route_of(p, pin);
        if ((low & MASKED) || (low & MODE) == EXTINT) {
            MUST(!r);
            continue;
        }
        MUST(r && r->u.msi.address_hi == 0 && r->u.msi.address_lo >> 20 == 0xfee);
        MUST((r->u.msi.data & 0xff) == (low & 0xff) && (r->u.msi.address_lo >> 12 & 0xff) == high >> 24);
    }
    bus_write(b, IOAPIC_AT, 4, selected);
}

/* Seconds go on from what was written, and what is masked is not shown. */
static void check_pl031(const struct bus *b, uint32_t start)
{
    bus_write(b, PL031_AT + LOAD, 4, start);
    MUST(bus_read(b, PL031_AT + DATA, 4) == start);
    time_s += 5;
    MUST(bus_read(b, PL031_AT + DATA, 4) == (uint32_t)(start + 5));
    const uint64_t raw = bus_read(b, PL031_AT + RAW, 4), mask = bus_read(b, PL031_AT + MASK, 4);
    MUST(raw <= 1 && bus_read(b, PL031_AT + STATUS, 4) == (raw & mask));
    MUST(bus_read(b, PL031_AT + ID, 4) == 0x31);
}

static bool is_bcd_below(uint64_t value, unsigned limit)
{
    return (value & 0xf) < 10 && (value >> 4) * 10 + (value & 0xf) < limit;
}

/* Registers 0, 2 and 4: seconds, minutes and hours, in BCD as register B says from power-on. */
static void check_rtc(const struct bus *b)
{
    static const unsigned limit[] = {60, 60, 24};
    for (unsigned i = 0; i < 3; i++) {
        bus_write(b, RTC_AT, 1, 2 * i);
        MUST(is_bcd_below(bus_read(b, RTC_AT + 1, 1), limit[i]));
    }
}

static void step(const struct bus *b, struct script *in)
{
    static const uint32_t places[] = {IOAPIC_AT, IOAPIC_AT + WINDOW, PL031_AT, RTC_AT};
    static const uint32_t spread[] = {1, 1, PL031_SIZE, MC146818_SIZE};
    const uint32_t what = take(in, 1), place = what & 3;
    const unsigned size = 1u << (what >> 2 & 3);
    const uint64_t addr =
        places[place] + (place < 2 && what & 0x40 ? take(in, 2) & 0xfff : take(in, 2) % spread[place]);
    time_s += what >> 7 ? take(in, 4) : 0;
    if (what & 0x10) {
        bus_write(b, addr, size, take(in, 4) | (uint64_t)take(in, 1) << 32);
        return;
    }
    const uint64_t value = bus_read(b, addr, size);
    MUST(size == 8 || value >> (8 * size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script in = {data, size};
    struct published published = {.count = 0};
    struct ioapic ioapic;
    struct pl031 pl031;
    struct mc146818 rtc;
    struct bus b;
    time_s = 1700000000;
    ioapic_init(&ioapic, on_publish, &published);
    pl031_init(&pl031, seconds);
    mc146818_init(&rtc, nanoseconds);
    bus_init(&b);
    const struct bus_range ranges[] = {
        {.base = IOAPIC_AT, .size = IOAPIC_SIZE, .ops = &ioapic_bus_ops, .dev = &ioapic, .name = "ioapic"},
        {.base = PL031_AT, .size = PL031_SIZE, .ops = &pl031_bus_ops, .dev = &pl031, .name = "pl031"},
        {.base = RTC_AT, .size = MC146818_SIZE, .ops = &mc146818_bus_ops, .dev = &rtc, .name = "rtc"},
    };
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) MUST(bus_add(&b, &ranges[i], NULL) == 0);
    bus_freeze(&b);
    while (in.left > 0) {
        step(&b, &in);
        check_routes(&b, &published);
    }
    check_pl031(&b, take(&in, 4));
    check_rtc(&b);
    ioapic_fini(&ioapic);
    return 0;
}

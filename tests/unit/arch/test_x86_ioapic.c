/* The IOAPIC: what a guest programs becomes MSI routes, and only what changes them is published. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "arch/x86/ioapic.h"

#define SELECT 0x00
#define WINDOW 0x10
#define MASKED (1u << 16)
#define LEVEL  (1u << 15)

struct rig {
    struct ioapic io;
    unsigned publishes;
    unsigned count; /* routes published last */
    struct kvm_irq_routing_entry route[X86_IOAPIC_PINS];
};

static int record(void *arg, const struct kvm_irq_routing *routes)
{
    struct rig *r = arg;
    r->publishes++;
    r->count = routes->nr;
    assert_true(routes->nr <= X86_IOAPIC_PINS);
    memcpy(r->route, routes->entries, routes->nr * sizeof(r->route[0]));
    return 0;
}

static int setup(void **state)
{
    static struct rig rig;
    rig = (struct rig){.publishes = 0};
    ioapic_init(&rig.io, record, &rig);
    *state = &rig;
    return 0;
}

static int teardown(void **state)
{
    ioapic_fini(&((struct rig *)*state)->io);
    return 0;
}

static void put(struct rig *r, unsigned index, uint32_t value)
{
    ioapic_bus_ops.write(&r->io, SELECT, 4, index);
    ioapic_bus_ops.write(&r->io, WINDOW, 4, value);
}

static uint32_t get(struct rig *r, unsigned index)
{
    ioapic_bus_ops.write(&r->io, SELECT, 1, index);
    return (uint32_t)ioapic_bus_ops.read(&r->io, WINDOW, 4);
}

/* As Linux does it: high word first, the low one last. */
static void program(struct rig *r, unsigned pin, uint32_t low, uint8_t dest)
{
    put(r, 0x11 + pin * 2, (uint32_t)dest << 24);
    put(r, 0x10 + pin * 2, low);
}

static void starts_with_every_pin_masked(void **state)
{
    struct rig *r = *state;
    for (unsigned pin = 0; pin < X86_IOAPIC_PINS; pin++) assert_int_equal(get(r, 0x10 + pin * 2), MASKED);
    assert_int_equal(r->publishes, 0);
}

static void an_unmasked_pin_becomes_an_msi_route(void **state)
{
    struct rig *r = *state;
    program(r, 4, 0x31, 3);
    assert_int_equal(r->publishes, 1);
    assert_int_equal(r->count, 1);
    assert_int_equal(r->route[0].gsi, 4);
    assert_int_equal(r->route[0].type, KVM_IRQ_ROUTING_MSI);
    assert_int_equal(r->route[0].u.msi.address_lo, 0xfee03000);
    assert_int_equal(r->route[0].u.msi.address_hi, 0);
    assert_int_equal(r->route[0].u.msi.data, 0x4031);
}

static void route_carries_mode_destination_and_trigger(void **state)
{
    static const struct {
        uint32_t low;
        uint8_t dest;
        uint32_t address, data;
    } row[] = {
        {0x0041, 0, 0xfee00000, 0x4041},            /* fixed, physical */
        {0x0941, 0x0f, 0xfee0f00c, 0x4141},         /* lowest priority, logical */
        {0x0041 | LEVEL, 1, 0xfee01000, 0xc041},    /* level */
        {0x0041 | 1u << 13, 1, 0xfee01000, 0x4041}, /* active low: the same to an eventfd */
        {0x0400, 0xff, 0xfeeff000, 0x4400},         /* NMI */
    };
    struct rig *r = *state;
    for (unsigned i = 0; i < COUNT_OF(row); i++) {
        program(r, 7, MASKED, 0);
        program(r, 7, row[i].low, row[i].dest);
        assert_int_equal(r->count, 1);
        assert_int_equal(r->route[0].u.msi.address_lo, row[i].address);
        assert_int_equal(r->route[0].u.msi.data, row[i].data);
    }
}

static void masked_pins_have_no_route(void **state)
{
    struct rig *r = *state;
    program(r, 4, 0x31, 0);
    program(r, 5, 0x32, 0);
    assert_int_equal(r->count, 2);
    program(r, 4, 0x31 | MASKED, 0);
    assert_int_equal(r->count, 1);
    assert_int_equal(r->route[0].gsi, 5);
}

static void only_what_changes_a_route_is_published(void **state)
{
    struct rig *r = *state;
    for (unsigned pin = 0; pin < X86_IOAPIC_PINS; pin++) program(r, pin, MASKED | 0x20 | pin, 1);
    assert_int_equal(r->publishes, 0);
    program(r, 4, 0x31, 1);
    assert_int_equal(r->publishes, 1);
    program(r, 4, 0x31, 1);                   /* the same again */
    put(r, 0x18, 0x31 | 1u << 12 | 1u << 14); /* read-only bits */
    put(r, 0x18, 0x31 | 1u << 13);            /* polarity */
    assert_int_equal(r->publishes, 1);
    put(r, 0x19, 2u << 24); /* another destination, at once */
    assert_int_equal(r->publishes, 2);
    assert_int_equal(r->route[0].u.msi.address_lo, 0xfee02000);
}

static void ext_int_has_no_route(void **state)
{
    struct rig *r = *state;
    program(r, 0, 0x0700, 0);
    assert_int_equal(r->publishes, 0);
    program(r, 4, 0x31, 0);
    assert_int_equal(r->count, 1);
    assert_int_equal(r->route[0].gsi, 4);
}

static void entries_read_back_without_read_only_bits(void **state)
{
    struct rig *r = *state;
    put(r, 0x10, 0xffffffff);
    put(r, 0x11, 0xffffffff);
    assert_int_equal(get(r, 0x10), 0x1afff);
    assert_int_equal(get(r, 0x11), 0xff000000);
}

static void shows_the_pins_it_is_told(void **state)
{
    struct rig *r = *state;
    assert_int_equal(get(r, 1), 0x20 | (X86_IOAPIC_PINS - 1) << 16);
    ioapic_set_pins(&r->io, 5);
    assert_int_equal(get(r, 1), 0x20 | 4u << 16);
    program(r, 5, 0x31, 0);
    assert_int_equal(r->publishes, 0);
    assert_int_equal(get(r, 0x1a), 0xffffffff);
    program(r, 4, 0x31, 0);
    assert_int_equal(r->publishes, 1);
}

static void id_is_the_guests_to_choose(void **state)
{
    struct rig *r = *state;
    put(r, 0, 0xffffffff);
    assert_int_equal(get(r, 0), 0x0f000000);
    assert_int_equal(get(r, 2), 0x0f000000); /* arbitration id */
}

static void no_access_does_harm(void **state)
{
    struct rig *r = *state;
    for (unsigned index = 0; index <= 0xff; index++) {
        put(r, index, 0xffffffff);
        (void)get(r, index);
    }
    for (uint64_t off = 0; off < IOAPIC_SIZE; off++) {
        for (unsigned size = 1; size <= 8; size *= 2) {
            ioapic_bus_ops.write(&r->io, off, size, UINT64_MAX);
            (void)ioapic_bus_ops.read(&r->io, off, size);
        }
    }
    assert_true(r->count <= X86_IOAPIC_PINS);
}

#define RIGGED(promise) cmocka_unit_test_setup_teardown(promise, setup, teardown)

UNIT_MAIN(RIGGED(starts_with_every_pin_masked), RIGGED(an_unmasked_pin_becomes_an_msi_route),
          RIGGED(route_carries_mode_destination_and_trigger), RIGGED(masked_pins_have_no_route),
          RIGGED(only_what_changes_a_route_is_published), RIGGED(ext_int_has_no_route),
          RIGGED(entries_read_back_without_read_only_bits), RIGGED(shows_the_pins_it_is_told),
          RIGGED(id_is_the_guests_to_choose), RIGGED(no_access_does_harm))

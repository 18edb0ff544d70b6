/* An eventfd becomes an interrupt: irqfd with a route to the local APIC in the kernel, as the machine's IOAPIC sets it
 * up. The guest counts what it gets. */
#include <errno.h>
#include <sys/ioctl.h>

#include "guest/snippets/define.h"
#include "tests/kvm/mini.h"
#include "vmm/core/irq.h"

#define GSI      5
#define OTHER    6 /* no route leads from it to the guest */
#define VECTOR   0x41
#define PINS     24 /* of the IOAPIC that is ours to play: as many as a usual one */
#define SVR      0xf0
#define SVR_ON   0x1ff /* spurious vector 0xff */
#define MSI_BASE 0xfee00000u
#define GDT      (MINI_RAM + 0x2000u)
#define IDT      (MINI_RAM + 0x3000u)
#define HANDLER  (MINI_RAM + 0x4000u)
#define STACK    (MINI_RAM + 0x6000u) /* its end */
#define RUN_MS   20
#define TRIES    250 /* five seconds; an interrupt comes at once */

/* edi: the word that counts. The handler never returns, as the software KVM's emulator may lack iret: it waits for the
 * next one where it is. */
#define WAIT "1: sti\nhlt\njmp 1b"
SNIPPET(wait, WAIT);
SNIPPET(handler, "incl (%rdi)\nmovl $0, (%rsi)\n" WAIT); /* esi: the EOI register */

static struct mini mini;
static struct irq irq = {.fd = -1};

static void must(int rc, const struct err *e)
{
    if (rc) fail_msg("%s", e->text);
}

static void route(uint32_t gsi)
{
    union {
        struct kvm_irq_routing head;
        uint8_t room[sizeof(struct kvm_irq_routing) + sizeof(struct kvm_irq_routing_entry)];
    } r = {.head = {.nr = 1}};
    const struct kvm_irq_routing_entry entry = {
        .gsi = gsi, .type = KVM_IRQ_ROUTING_MSI, .u.msi = {.address_lo = MSI_BASE, .data = VECTOR}};
    struct err e;
    memcpy(r.head.entries, &entry, sizeof(entry));
    must(vm_set_routes(&mini.vm, &r.head, &e), &e);
}

static void put(uint32_t gpa, const void *bytes, size_t size)
{
    memcpy(mini.ram + (gpa - MINI_RAM), bytes, size);
}

/* Flat segments, and one gate: SDM vol. 3, 3.4.5 and 6.11. */
static void set_tables(void)
{
    static const uint64_t gdt[] = {0, 0x00cf9b000000ffff, 0x00cf93000000ffff};
    const uint16_t gate[] = {HANDLER & 0xffff, 0x08, 0x8e00, HANDLER >> 16};
    struct kvm_sregs s;
    struct kvm_regs r;

    put(GDT, gdt, sizeof(gdt));
    put(IDT + VECTOR * sizeof(gate), gate, sizeof(gate));
    put(HANDLER, snippet_handler.code, (size_t)(snippet_handler.end - snippet_handler.code));
    assert_int_equal(ioctl(mini.vcpu.fd, KVM_GET_SREGS, &s), 0);
    s.gdt.base = GDT;
    s.gdt.limit = sizeof(gdt) - 1;
    s.idt.base = IDT;
    s.idt.limit = 0x7ff;
    assert_int_equal(ioctl(mini.vcpu.fd, KVM_SET_SREGS, &s), 0);
    assert_int_equal(ioctl(mini.vcpu.fd, KVM_GET_REGS, &r), 0);
    r.rsp = STACK;
    r.rsi = MSI_BASE + 0xb0;
    assert_int_equal(ioctl(mini.vcpu.fd, KVM_SET_REGS, &r), 0);
}

static void switch_apic_on(void)
{
    struct kvm_lapic_state apic;
    const uint32_t on = SVR_ON;

    assert_int_equal(ioctl(mini.vcpu.fd, KVM_GET_LAPIC, &apic), 0);
    memcpy(apic.regs + SVR, &on, sizeof(on));
    assert_int_equal(ioctl(mini.vcpu.fd, KVM_SET_LAPIC, &apic), 0);
}

static void open_waiting(void)
{
    struct err e = {0};

    mini_open_with(&mini, KVM_CAP_SPLIT_IRQCHIP, PINS);
    mini_load(&mini, &snippet_wait, (struct snippet_args){.target = MINI_DATA});
    set_tables();
    switch_apic_on();
    must(irq_init(&irq, &e), &e);
    route(GSI);
    must(vm_irqfd(&mini.vm, GSI, irq.fd, true, &e), &e);
}

static void close_all(void)
{
    irq_fini(&irq);
    mini_close(&mini);
}

/* Run until the guest has counted so many, then see that it does not count on. */
static void must_have_counted(uint32_t count)
{
    for (int i = 0; i < TRIES && mini_word(&mini) < count; i++) assert_int_equal(mini_run(&mini, RUN_MS), -EINTR);
    for (int i = 0; i < 2; i++) assert_int_equal(mini_run(&mini, RUN_MS), -EINTR);
    assert_int_equal(mini_word(&mini), count);
}

static void an_eventfd_write_is_an_interrupt_even_while_the_guest_sleeps(void **state)
{
    (void)state;
    open_waiting();
    must_have_counted(0);
    for (uint32_t i = 1; i <= 3; i++) {
        irq_raise(&irq);
        must_have_counted(i);
    }
    close_all();
}

/* Why the transport's status bits must tell everything, and one edge is enough. */
static void edges_that_meet_a_pending_one_merge(void **state)
{
    (void)state;
    open_waiting();
    for (int i = 0; i < 5; i++) irq_raise(&irq);
    must_have_counted(1);
    irq_raise(&irq);
    must_have_counted(2);
    close_all();
}

/* Why the IOAPIC may publish its routes whenever the guest writes them. */
static void an_interrupt_follows_its_route_and_without_one_is_dropped(void **state)
{
    (void)state;
    open_waiting();
    route(OTHER);
    irq_raise(&irq);
    must_have_counted(0);
    route(GSI);
    must_have_counted(0);
    irq_raise(&irq);
    must_have_counted(1);
    close_all();
}

static void an_eventfd_taken_back_is_no_interrupt(void **state)
{
    struct err e = {0};

    (void)state;
    open_waiting();
    must(vm_irqfd(&mini.vm, GSI, irq.fd, false, &e), &e);
    irq_raise(&irq);
    must_have_counted(0);
    close_all();
}

UNIT_MAIN(UNIT(an_eventfd_write_is_an_interrupt_even_while_the_guest_sleeps), UNIT(edges_that_meet_a_pending_one_merge),
          UNIT(an_interrupt_follows_its_route_and_without_one_is_dropped), UNIT(an_eventfd_taken_back_is_no_interrupt))

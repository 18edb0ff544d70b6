/* The IOAPIC: the 82093AA register model in user space (KVM_CAP_SPLIT_IRQCHIP).
 *
 * It delivers nothing itself. Interrupt sources are irqfds that are bound to pins (GSIs), and what the guest programs
 * into a redirection entry becomes that GSI's MSI route. A masked entry has no route, so an edge that comes while it is
 * masked is lost, as the data sheet has it (82093AA, 3.2.4, "interrupt mask"); drivers unmask before they start their
 * device.
 *
 * Level-triggered entries: our sources only know edges (irq.h), and each raise is one interrupt. The route carries the
 * level bit, so that the guest's local APIC tracks it and its EOI handling works. As no line stays up, remote IRR reads
 * 0 and an EOI needs nothing: a raise that came during service is already pending in the local APIC.
 *
 * Publishing routes costs an RCU grace period in the kernel, so it is done only when the message that an entry delivers
 * has changed. Any vCPU thread; a lock inside. */
#ifndef VIREO_X86_IOAPIC_H
#define VIREO_X86_IOAPIC_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdint.h>

#include "arch/x86/layout.h"
#include "vmm/core/bus.h"

#define IOAPIC_SIZE 0x1000

struct ioapic {
    pthread_mutex_t lock;
    /* Make routes the whole table; 0 or -errno. Called with the lock held. */
    int (*publish)(void *arg, const struct kvm_irq_routing *routes);
    void *arg;
    unsigned pins; /* the guest sees; const while it runs */
    uint32_t select, id;
    uint64_t entry[X86_IOAPIC_PINS];
    uint64_t publish_count; /* for tests and reports */
};

void ioapic_init(struct ioapic *io, int (*publish)(void *arg, const struct kvm_irq_routing *routes), void *arg);
void ioapic_fini(struct ioapic *io);
/* Show this many pins (1..X86_IOAPIC_PINS; all, unless told). Before the guest runs. */
void ioapic_set_pins(struct ioapic *io, unsigned pins);
extern const struct bus_ops ioapic_bus_ops; /* dev: struct ioapic * */

#endif

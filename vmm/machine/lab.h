/* The laboratory's door into a machine: all that bench/ sees of this floor and of the KVM objects below it.
 *
 * A bench runs a guest of its own on the product's run loop and touches what lies beneath: the VM and its vCPUs, guest
 * memory, the buses. Beside what is declared here it has what every user of a machine has (machine.h, stats.h) and the
 * kernel's counts of a vCPU (vmm/kvm/stats.h). */
#ifndef VIREO_MACHINE_LAB_H
#define VIREO_MACHINE_LAB_H

#include "vmm/core/record.h"
#include "vmm/kvm/kvm.h"
#include "vmm/kvm/stats.h"
#include "vmm/machine/machine.h"
#include "vmm/machine/stats.h"

/* What a machine is made of, valid until machine_destroy; after machine_start, only what KVM and the headers allow
 * while vCPUs run. */
struct machine_parts {
    struct vm *vm;
    struct gmem *mem; /* frozen */
    struct bus *mmio, *pio;
    struct vcpu *vcpu; /* vcpu_count of them */
    unsigned vcpu_count;
};

/* How its machine differs from a user's. What it points to is the caller's; counter and trace outlive the machine. */
struct machine_lab {
    const void *image; /* in place of the built-in guest when no kernel is configured */
    uint64_t image_size;
    enum arch_irqchip irqchip;     /* -ENOTSUP from machine_create_lab: not to be had here */
    const struct counter *counter; /* what exits are recorded by; NULL: as always */
    struct record_trace *trace;    /* of each exit of the first vCPU; NULL: none. The recorder must be on */
    /* Once the vCPUs and devices are there, before the buses are frozen and the image is loaded; NULL: nothing to do.
     * 0 or -errno. */
    int (*fit)(void *arg, const struct machine_parts *p, struct err *e);
    void *arg;
};

/* machine_create for a laboratory's machine. */
int machine_create_lab(struct machine **out, const struct config *cfg, const struct log *log,
                       const struct machine_lab *lab, struct err *e);
/* Call a vCPU out of KVM_RUN once, to no other end than that it enters again. Any thread. */
void machine_kick(struct machine *m, unsigned vcpu);

#endif

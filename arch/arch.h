/* The architecture as everything above sees it. arch/x86 and arch/arm64 define the same symbols; one of them is linked.
 *
 * The arch owns: the KVM capabilities that it needs, the interrupt controller, the platform devices and where they sit,
 * vCPU set-up, boot protocols, machine tables (ACPI, MP table, FDT), and the exits that only it knows. Neutral code
 * hands it a list of slots and gets a bootable guest.
 *
 * Order: arch_vm_type, arch_images_begin, vm_create, capabilities checked, RAM mapped, arch_create, vcpu_create x n,
 * arch_init_vcpus, bus frozen, arch_load, run. x86 makes its irqchip in arch_create, before the vCPUs; arm64 makes its
 * GIC in arch_init_vcpus, after them. All set-up: control thread. */
#ifndef VIREO_ARCH_ARCH_H
#define VIREO_ARCH_ARCH_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/image.h"
#include "devices/backend/chario.h"
#include "vmm/base/log.h"
#include "vmm/core/bus.h"
#include "vmm/core/ending.h"
#include "vmm/core/gmem.h"
#include "vmm/kvm/kvm.h"

#define ARCH_MAX_SLOTS 32 /* virtio-mmio windows */

/* The machine's layout as data. */
struct arch_info {
    const char *name;    /* as uname -m says */
    uint64_t ram_base;   /* RAM: [ram_base, hole_start), then [hole_end, ...) */
    uint64_t hole_start; /* hole: devices */
    uint64_t hole_end;
    uint64_t virtio_base; /* slot i sits at virtio_base + i * VIRTIO_MMIO_SIZE */
    uint32_t virtio_gsi;  /* slot i raises GSI virtio_gsi + i (edge) */
    uint32_t serial_gsi;
    uint32_t irq_line;           /* added to a GSI, it is that interrupt for vm_irq_pulse */
    const struct vm_cap *caps;   /* what this arch asks of KVM; ends with a NULL name */
    bool has_device_tree;        /* what describes the machine to the guest, and dump_path can show */
    unsigned max_vcpus;          /* of our tables and code; KVM may offer less */
    const char *console_arg;     /* "console=ttyS0" */
    const char *default_cmdline; /* used when the user gives none: console and quick, sane defaults */
};
extern const struct arch_info arch_info;

/* A device on the neutral list: what the tables must describe. */
struct arch_slot {
    uint64_t base, size;
    uint32_t gsi;
};

/* Which interrupt controllers a machine has. A product's machine has the first; the others are for benches. */
enum arch_irqchip {
    ARCH_IRQCHIP_OWN,    /* x86: local APICs in the kernel, the IOAPIC ours, no PIC; arm64: the GIC */
    ARCH_IRQCHIP_KERNEL, /* x86: all of a PC's, in the kernel */
    ARCH_IRQCHIP_NONE,   /* x86: none, so no interrupts, one vCPU, and HLT comes to the monitor */
};

struct arch_params {
    struct vm *vm;
    struct gmem *mem;
    struct bus *mmio, *pio; /* platform devices are added to these */
    struct chario *console; /* borrowed, outlives the arch */
    struct end_sink sink;
    const struct log *log;
    unsigned cpus;
    bool has_acpi;             /* x86: ACPI, else MP table and command line; arm64 ignores it (device tree always) */
    enum arch_irqchip irqchip; /* -ENOTSUP: not to be had here; arm64 has its own only */
};

struct arch_boot {
    struct image_source kernel;
    struct image_source initrd; /* may be none */
    const char *cmdline;
    const char *dump_path; /* the device tree, where there is one, is also written to this file; NULL: not */
    const struct arch_slot *slots;
    unsigned slot_count;
    struct arch_images *images; /* NULL: no head start was made */
};

/* A head start for arch_load: kernel and initrd go into guest memory on a thread of their own while the VM is made. On
 * Linux 6.1 making it waits for a grace period, some 10 ms. Needs the memory, frozen, and b's images, which stay the
 * caller's. NULL: not begun, because the images are small or the arch needs a vCPU first. arch_load reports errors. */
struct arch_images *arch_images_begin(const struct gmem *mem, const struct arch_boot *b);
void arch_images_end(struct arch_images *images); /* waits for the thread; NULL is legal */

struct arch;

/* Does this KVM tell a guest how long its vCPUs waited for a CPU? Then machines have steal time. */
bool arch_has_steal_time(const struct vm *vm);
/* Note where the guest wants its stolen time to be told. The vCPU's thread, between two KVM_RUNs; nothing to do on
 * arm64, where we chose the place. */
void arch_learn_steal(struct arch *a, const struct vcpu *v);
/* The time, in ns, that the guest was told this vCPU waited for a CPU. Any thread. The guest can write there, so it may
 * be any number. false: the guest does not ask, or where it does isn't known. */
bool arch_steal_ns(const struct arch *a, unsigned vcpu, uint64_t *out);

/* The KVM_CREATE_VM type for a machine whose highest address is `top`. ERR_HOST: KVM can't address so much. */
int arch_vm_type(int kvm_fd, uint64_t top, unsigned long *type, struct err *e);

int arch_create(struct arch **out, const struct arch_params *p, struct err *e);
int arch_init_vcpus(struct arch *a, struct vcpu *vcpus, unsigned count, struct err *e);
void arch_destroy(struct arch *a); /* before the VM; NULL and half built are legal */

/* Load kernel and initrd, write command line and tables, set the first vCPU's registers (others wait for SIPI / PSCI).
 * Failures of the images are ERR_KERNEL. May be asked again only on a fresh machine. */
int arch_load(struct arch *a, const struct arch_boot *b, struct err *e);

enum arch_exit { ARCH_EXIT_HANDLED, ARCH_EXIT_UNKNOWN };
/* Handles an exit reason that neutral code does not know. vCPU thread. Ends of the machine go to the sink. */
enum arch_exit arch_handle_exit(struct arch *a, struct vcpu *v);
/* Explains a failed KVM_RUN, KVM_EXIT_INTERNAL_ERROR, FAIL_ENTRY or an unknown exit: what the guest was doing (the
 * instruction pointer, the instruction bytes that KVM gives) and, where known, why and the way out. vCPU's thread. */
void arch_explain_error(struct arch *a, struct vcpu *v, int run_errno, char *buf, unsigned size);
/* The guest goes on after a time in which it could not run. Tells it, where it can be told, so that its watchdog
 * doesn't take the gap for a processor that hangs. vCPU's thread, before KVM_RUN. */
void arch_vcpu_was_held(const struct vcpu *v);

#endif

/* The x86 machine as arch.h promises it: made, booted, taken down. */
#include <asm/kvm_para.h>
#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arch/x86/bootparams.h"
#include "arch/x86/cpuid.h"
#include "arch/x86/images.h"
#include "arch/x86/layout.h"
#include "arch/x86/load.h"
#include "arch/x86/struct_arch.h"
#include "arch/x86/tables.h"
#include "arch/x86/vcpu.h"

#define ADDRESS_BITS_ALL 36 /* every x86-64 processor has them: below, KVM need not be asked (a slow call) */

int arch_vm_type(int kvm_fd, uint64_t top, unsigned long *type, struct err *e)
{
    *type = 0;
    if (top <= 1ull << ADDRESS_BITS_ALL) return 0;
    union cpuid_table *t = calloc(1, sizeof(*t));
    if (!t) return err_set(e, -ENOMEM, "no memory for the list of CPU features");
    int rc = cpuid_read_supported(kvm_fd, t, e);
    const struct kvm_cpuid_entry2 *sizes = rc ? NULL : cpuid_find(t, 0x80000008, 0);
    const unsigned bits = sizes ? sizes->eax & 0xff : ADDRESS_BITS_ALL;
    if (!rc && bits < 64 && top > 1ull << bits) {
        rc = err_set(
            e, -E2BIG,
            "this host's processor has %u address bits, too few for guest memory up to 0x%llx; use less --memory", bits,
            (unsigned long long)top);
        err_as(e, ERR_HOST);
    }
    free(t);
    return rc;
}

/* MSR_KVM_STEAL_TIME, announced in a leaf that is passed on as KVM has it (msr.rst, cpuid.rst). */
bool arch_has_steal_time(const struct vm *vm)
{
    union cpuid_table *t = calloc(1, sizeof(*t));
    const bool is_known = t && cpuid_read_supported(vm->kvm_fd, t, NULL) == 0;
    const struct kvm_cpuid_entry2 *kvm = is_known ? cpuid_find(t, KVM_CPUID_FEATURES, 0) : NULL;
    const bool has = kvm && (kvm->eax >> KVM_FEATURE_STEAL_TIME & 1);
    free(t);
    return has;
}

static int publish_routes(void *arg, const struct kvm_irq_routing *routes)
{
    struct arch *a = arg;
    struct err e = {0};
    const int rc = vm_set_routes(a->vm, routes, &e);
    if (rc) end_report(&a->sink, END_KVM_ERROR, 0, e.text); /* the guest would wait for interrupts that never come */
    return rc;
}

static int create_controllers(const struct arch *a, struct err *e)
{
    switch (a->irqchip) {
    case ARCH_IRQCHIP_OWN: return vm_enable_cap(a->vm, KVM_CAP_SPLIT_IRQCHIP, X86_IOAPIC_PINS, e);
    case ARCH_IRQCHIP_KERNEL:
        if (ioctl(a->vm->fd, KVM_CREATE_IRQCHIP, 0) == 0) return 0;
        return err_set(e, -ENOTSUP, "this KVM has no PIC and IOAPIC (CONFIG_KVM_IOAPIC)");
    default: return 0;
    }
}

/* Once: before the vCPUs, and after the memory slots, as a slot made later costs a grace period. */
static int create_irqchip(struct arch *a, struct err *e)
{
    const int rc = create_controllers(a, e);
    if (rc) return err_wrap(e, rc, "interrupt controllers");
    if (ioctl(a->vm->fd, KVM_SET_TSS_ADDR, (unsigned long)X86_KVM_TSS) < 0) {
        const int tss = err_errno(e, "KVM: place its pages for real mode");
        err_as(e, ERR_HOST);
        return tss;
    }
    /* No PMU: its leaves are hidden, but on AMD only this makes its registers read as absent. */
    if (vm_check(a->vm, KVM_CAP_PMU_CAPABILITY) & KVM_PMU_CAP_DISABLE)
        return vm_enable_cap(a->vm, KVM_CAP_PMU_CAPABILITY, KVM_PMU_CAP_DISABLE, e);
    return 0;
}

int arch_create(struct arch **out, const struct arch_params *p, struct err *e)
{
    struct arch *a = calloc(1, sizeof(*a));
    if (!a) return err_set(e, -ENOMEM, "no memory for the machine");
    a->vm = p->vm;
    a->mem = p->mem;
    a->sink = p->sink;
    a->log = p->log;
    a->cpus = p->cpus;
    a->has_acpi = p->has_acpi;
    a->irqchip = p->irqchip;
    a->platform.serial_irq.fd = -1;
    ioapic_init(&a->ioapic, publish_routes, a);
    int rc = create_irqchip(a, e);
    if (!rc) rc = platform_init(&a->platform, p, e);
    const struct bus_range window = {X86_IOAPIC, IOAPIC_SIZE, &ioapic_bus_ops, &a->ioapic, "ioapic"};
    if (!rc) rc = bus_add(p->mmio, &window, e);
    if (rc) {
        arch_destroy(a);
        return rc;
    }
    *out = a;
    return 0;
}

void arch_destroy(struct arch *a)
{
    if (!a) return;
    platform_fini(&a->platform);
    ioapic_fini(&a->ioapic);
    free(a);
}

static int set_cpuid(union cpuid_table *t, const struct vcpu *v, struct err *e)
{
    cpuid_set_id(t, v->id);
    if (ioctl(v->fd, KVM_SET_CPUID2, &t->head) == 0) return 0;
    const int rc = err_errno(e, "KVM: set the CPU features of vCPU %u", v->id);
    err_as(e, ERR_HOST);
    return rc;
}

int arch_init_vcpus(struct arch *a, struct vcpu *vcpus, unsigned count, struct err *e)
{
    union cpuid_table *t = malloc(sizeof(*t)); /* 10 KiB, of which the entries that there are get touched */
    if (!t) return err_set(e, -ENOMEM, "no memory for the list of CPU features");
    const int khz = ioctl(vcpus[0].fd, KVM_GET_TSC_KHZ, 0);
    const bool has_apic = a->irqchip != ARCH_IRQCHIP_NONE;
    const struct cpuid_facts facts = {
        .cpus = count,
        .tsc_khz = khz > 0 ? (uint32_t)khz : 0,
        .has_no_apic = !has_apic,
        .has_deadline = has_apic && vm_check(a->vm, KVM_CAP_TSC_DEADLINE_TIMER) > 0,
    };
    int rc = cpuid_read_supported(a->vm->kvm_fd, t, e);
    if (!rc) cpuid_shape(t, &facts);
    for (unsigned i = 0; !rc && i < count; i++) {
        rc = set_cpuid(t, &vcpus[i], e);
        if (!rc) rc = vcpu_init_msrs(&vcpus[i], e);
        if (!rc) rc = vcpu_init_xcr0(&vcpus[i], cpuid_xcr0(t), e);
    }
    free(t);
    a->boot_vcpu = &vcpus[0];
    return rc;
}

/* ACPI or what replaces it. The command line comes last, since the latter makes it longer. */
static int write_tables(struct arch *a, const struct arch_boot *b, const struct loaded *k, struct boot_info *info,
                        struct err *e)
{
    const struct machine_map map = {a->cpus, b->slots, b->slot_count};
    const char *name = image_name(&b->kernel);
    char grown[X86_CMDLINE_ROOM];
    const char *cmdline = b->cmdline ? b->cmdline : arch_info.default_cmdline;
    int rc = a->has_acpi ? acpi_write(a->mem, &map, &info->rsdp, e) : mptable_write(a->mem, &map, e);
    if (!rc && !a->has_acpi) {
        rc = mptable_cmdline(&map, cmdline, grown, sizeof(grown), e);
        cmdline = grown;
    }
    if (rc) return rc;
    return images_blame(e, boot_write_cmdline(a->mem, k, name, cmdline, e), "kernel", name);
}

/* Marks in a kernel's file choose its entry. Log which one it was, for whoever wonders why the guest hangs. */
static void tell_protocol(const struct arch *a, const struct arch_boot *b, const struct loaded *k)
{
    static const char *const protocol[] = {
        [BOOT_LINUX64] = "the 64-bit Linux boot protocol, in long mode",
        [BOOT_PVH] = "its PVH note, in 32-bit protected mode",
        [BOOT_MULTIBOOT] = "its Multiboot 1 header, in 32-bit protected mode",
    };
    log_write(a->log, LOG_INFO, "kernel %s: entered at 0x%llx by %s", image_name(&b->kernel),
              (unsigned long long)k->entry, protocol[k->protocol]);
}

int arch_load(struct arch *a, const struct arch_boot *b, struct err *e)
{
    struct loaded k;
    struct boot_info info = {.kernel = &k};
    if (load_low_end(a->mem) < X86_MIN_RAM)
        return err_set(e, -EINVAL, "memory: %llu KiB is too little for a machine; use --memory 2M or more",
                       (unsigned long long)(load_low_end(a->mem) >> 10));
    ioapic_set_pins(&a->ioapic, X86_GSI_VIRTIO + b->slot_count);
    int rc = b->images ? images_take(b->images, &k, &info, e) : images_load(a->mem, b, &k, &info, e);
    if (!rc) rc = write_tables(a, b, &k, &info, e);
    if (!rc) rc = boot_write_info(a->mem, &info, e);
    if (!rc) rc = boot_write_tables(a->mem, &k, e);
    if (!rc) rc = vcpu_set_entry(a->boot_vcpu, &k, e);
    if (!rc) tell_protocol(a, b, &k);
    return rc;
}

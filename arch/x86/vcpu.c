#include "arch/x86/vcpu.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arch/x86/bootparams.h"
#include "arch/x86/layout.h"

#define MSR_MISC_ENABLE  0x1a0u
#define MISC_FAST_STRING 0x1u
#define MSR_MTRR_DEFAULT 0x2ffu
#define MTRR_ON_WB       0x806u /* enabled, write-back: RAM is, and the hole has no memory a cache could hold */

#define CR0_PE   0x1u
#define CR0_ET   0x10u
#define CR0_PG   0x80000000u
#define CR4_PAE  0x20u
#define EFER_LME 0x100u
#define EFER_LMA 0x400u
#define RFLAGS_1 0x2u /* always set */

static int vcpu_errno(struct err *e, const char *what, unsigned id)
{
    const int rc = err_errno(e, "KVM: %s of vCPU %u", what, id);
    err_as(e, ERR_HOST);
    return rc;
}

/* LINT0 and LINT1 stay as KVM has them after reset: there is no PIC behind them, and guests set up their NMI pin as the
 * tables say. These two MSRs are what a kernel expects of the firmware. */
int vcpu_init_msrs(const struct vcpu *v, struct err *e)
{
    static const struct kvm_msr_entry entry[] = {
        {.index = MSR_MISC_ENABLE, .data = MISC_FAST_STRING},
        {.index = MSR_MTRR_DEFAULT, .data = MTRR_ON_WB},
    };
    union {
        struct kvm_msrs head;
        uint8_t room[sizeof(struct kvm_msrs) + sizeof(entry)];
    } msrs = {.room = {0}};
    msrs.head.nmsrs = sizeof(entry) / sizeof(entry[0]);
    memcpy(msrs.head.entries, entry, sizeof(entry));
    const int n = ioctl(v->fd, KVM_SET_MSRS, &msrs);
    if (n < 0) return vcpu_errno(e, "set MSRs", v->id);
    if ((unsigned)n == msrs.head.nmsrs) return 0;
    err_set(e, -EIO, "KVM: vCPU %u does not take MSR 0x%x", v->id, entry[n].index);
    err_as(e, ERR_HOST);
    return -EIO;
}

int vcpu_init_xcr0(const struct vcpu *v, uint64_t xcr0, struct err *e)
{
    const struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs = {{.xcr = 0, .value = xcr0}}};
    if (!xcr0 || ioctl(v->fd, KVM_SET_XCRS, &xcrs) == 0) return 0;
    return vcpu_errno(e, "enable the extended states", v->id);
}

static struct kvm_segment flat(unsigned selector, unsigned type, bool is_64)
{
    return (struct kvm_segment){
        .limit = 0xffffffff,
        .selector = (uint16_t)selector,
        .type = (uint8_t)type,
        .present = 1,
        .s = 1,
        .g = 1,
        .l = is_64,
        .db = !is_64,
    };
}

static void set_sregs(struct kvm_sregs *s, const struct loaded *k)
{
    const bool is_64 = k->protocol == BOOT_LINUX64;
    s->cs = flat(X86_SEL_CODE, 0xb, is_64);                                 /* execute, read, accessed */
    s->ds = s->es = s->fs = s->gs = s->ss = flat(X86_SEL_DATA, 0x3, false); /* read, write, accessed */
    s->tr = (struct kvm_segment){.limit = 0x67, .selector = X86_SEL_TSS, .type = 0xb, .present = 1};
    s->gdt.base = k->info + (X86_GDT - X86_BOOT_INFO);
    s->gdt.limit = X86_SEL_TSS + 7;
    s->idt.limit = 0;
    s->cr0 = CR0_PE | CR0_ET | (is_64 ? CR0_PG : 0);
    s->cr3 = is_64 ? X86_PML4 : 0;
    s->cr4 = is_64 ? CR4_PAE : 0;
    s->efer = is_64 ? EFER_LME | EFER_LMA : 0;
}

/* Sets PVCLOCK_GUEST_STOPPED in the guest's kvmclock (api.rst, KVM_KVMCLOCK_CTRL), which a watchdog looks for and
 * clears. EINVAL: the guest has no kvmclock, so there is nobody to tell. */
void arch_vcpu_was_held(const struct vcpu *v)
{
    (void)ioctl(v->fd, KVM_KVMCLOCK_CTRL, 0);
}

int vcpu_set_entry(const struct vcpu *v, const struct loaded *k, struct err *e)
{
    struct kvm_sregs sregs;
    struct kvm_regs regs = {.rflags = RFLAGS_1, .rip = k->entry};
    if (ioctl(v->fd, KVM_GET_SREGS, &sregs) < 0) return vcpu_errno(e, "read the registers", v->id); /* apic_base */
    set_sregs(&sregs, k);
    if (k->protocol == BOOT_LINUX64)
        regs.rsi = k->info;
    else
        regs.rbx = k->info;
    if (k->protocol == BOOT_MULTIBOOT) regs.rax = MULTIBOOT_BOOT_MAGIC;
    if (ioctl(v->fd, KVM_SET_SREGS, &sregs) < 0 || ioctl(v->fd, KVM_SET_REGS, &regs) < 0)
        return vcpu_errno(e, "set the registers", v->id);
    return 0;
}

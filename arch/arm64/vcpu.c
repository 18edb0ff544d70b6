#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "arch/arm64/load_image.h"
#include "arch/arm64/struct_arch.h"
#include "arch/arm64/vcpu.h"
#include "vmm/base/endian.h"
#include "vmm/base/pages.h"

#define REG_MPIDR_EL1        ARM64_SYS_REG(3, 0, 0, 0, 5)
#define REG_ID_AA64MMFR0_EL1 ARM64_SYS_REG(3, 0, 0, 7, 0)

#define MPIDR_AFFINITY 0xff00ffffffULL /* Aff3, Aff2, Aff1, Aff0 */

/* ID_AA64MMFR0_EL1 (Arm ARM, D19): granule fields. For 4 and 64 KiB all ones means absent, for 16 KiB zero does. */
#define MMFR0_TGRAN16 20
#define MMFR0_TGRAN64 24
#define MMFR0_TGRAN4  28
#define MMFR0_ABSENT  0xfu

static int failed(const struct vcpu *v, const char *what, struct err *e)
{
    const int rc = err_errno(e, "KVM: vCPU %u: %s", v->id, what);
    err_as(e, ERR_HOST);
    return rc;
}

int vcpu_init(const struct vm *vm, const struct vcpu *v, bool is_first, struct err *e)
{
    struct kvm_vcpu_init init;
    if (ioctl(vm->fd, KVM_ARM_PREFERRED_TARGET, &init) < 0) return failed(v, "ask for the processor type", e);
    init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2;
    if (!is_first) init.features[0] |= 1u << KVM_ARM_VCPU_POWER_OFF; /* until the guest's PSCI CPU_ON */
    return ioctl(v->fd, KVM_ARM_VCPU_INIT, &init) < 0 ? failed(v, "initialise", e) : 0;
}

int vcpu_get(const struct vcpu *v, uint64_t reg, uint64_t *out, struct err *e)
{
    const struct kvm_one_reg arg = {.id = reg, .addr = (uint64_t)(uintptr_t)out};
    return ioctl(v->fd, KVM_GET_ONE_REG, &arg) < 0 ? failed(v, "read a register", e) : 0;
}

static int vcpu_set(const struct vcpu *v, uint64_t reg, uint64_t value, struct err *e)
{
    const struct kvm_one_reg arg = {.id = reg, .addr = (uint64_t)(uintptr_t)&value};
    return ioctl(v->fd, KVM_SET_ONE_REG, &arg) < 0 ? failed(v, "set a register", e) : 0;
}

/* The rest is as KVM_ARM_VCPU_INIT left it: EL1, interrupts masked, MMU and caches off, x1 to x3 zero. */
int vcpu_set_boot(const struct vcpu *v, uint64_t entry, uint64_t dtb, struct err *e)
{
    const int rc = vcpu_set(v, VCPU_CORE_REG(regs.regs[0]), dtb, e);
    return rc ? rc : vcpu_set(v, VCPU_CORE_REG(regs.pc), entry, e);
}

/* There is no way to tell it: KVM_KVMCLOCK_CTRL is x86's, and of the paravirtual time of DEN0057 KVM only has stolen
 * time, which counts what a runnable vCPU waited. Holding the guest's counter back (KVM_ARM_SET_COUNTER_OFFSET) would
 * put its wall clock wrong by each pause. vireo-run(1) says what to do about pauses. */
void arch_vcpu_was_held(const struct vcpu *v)
{
    (void)v;
}

int vcpu_affinity(const struct vcpu *v, uint64_t *out, struct err *e)
{
    const int rc = vcpu_get(v, REG_MPIDR_EL1, out, e);
    if (!rc) *out &= MPIDR_AFFINITY;
    return rc;
}

int vcpu_page_sizes(const struct vcpu *v, unsigned *out, struct err *e)
{
    uint64_t mmfr0;
    const int rc = vcpu_get(v, REG_ID_AA64MMFR0_EL1, &mmfr0, e);
    if (rc) return rc;
    *out = 0;
    if (((mmfr0 >> MMFR0_TGRAN4) & 0xf) != MMFR0_ABSENT) *out |= IMAGE_PAGES_4K;
    if (((mmfr0 >> MMFR0_TGRAN16) & 0xf) != 0) *out |= IMAGE_PAGES_16K;
    if (((mmfr0 >> MMFR0_TGRAN64) & 0xf) != MMFR0_ABSENT) *out |= IMAGE_PAGES_64K;
    return 0;
}

/* DEN0057, 4.3. Revision and attributes are 0 in a record that KVM tells; it writes them when the guest asks for the
 * place (PV_TIME_ST). Until then they are what we put there. */
#define PVTIME_REVISION  0
#define PVTIME_STOLEN    8
#define PVTIME_NOT_ASKED 0xff

void arch_learn_steal(struct arch *a, const struct vcpu *v)
{
    (void)a;
    (void)v;
}

bool arch_steal_ns(const struct arch *a, unsigned vcpu, uint64_t *out)
{
    const char *record = a->pvtime ? (const char *)a->pvtime + vcpu * ARM64_PVTIME_STRIDE : NULL;
    if (!record || le32_load((const void *)(record + PVTIME_REVISION)) != 0) return false;
    *out = le64_load((const void *)(record + PVTIME_STOLEN));
    return true;
}

int pvtime_create(struct arch *a, struct vm *vm, struct err *e)
{
    if (!arch_has_steal_time(vm)) return 0;
    void *p = pages_map(ARM64_PVTIME_SIZE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (!p) return err_errno(e, "memory for stolen-time records");
    memset(p, PVTIME_NOT_ASKED, ARM64_PVTIME_SIZE);
    a->pvtime = p;
    return vm_map_ram(vm, ARM64_PVTIME_BASE, ARM64_PVTIME_SIZE, p, false, e);
}

int pvtime_connect(const struct arch *a, const struct vcpu *v, struct err *e)
{
    if (!a->pvtime) return 0;
    const uint64_t record = ARM64_PVTIME_BASE + v->id * ARM64_PVTIME_STRIDE;
    const struct kvm_device_attr attr = {
        .group = KVM_ARM_VCPU_PVTIME_CTRL,
        .attr = KVM_ARM_VCPU_PVTIME_IPA,
        .addr = (uint64_t)(uintptr_t)&record,
    };
    return ioctl(v->fd, KVM_SET_DEVICE_ATTR, &attr) < 0 ? failed(v, "place its stolen-time record", e) : 0;
}

/* After the VM: it maps these pages. */
void pvtime_destroy(struct arch *a)
{
    if (a->pvtime) munmap(a->pvtime, ARM64_PVTIME_SIZE);
    a->pvtime = NULL;
}

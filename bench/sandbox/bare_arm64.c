/* User code at EL0 with the MMU off. */
#include <errno.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <sys/ioctl.h>

#include "bench/sandbox/bare.h"

#define CODE    0x200000ull
#define NOWHERE 0x10000000ull /* behind the memory */
#define PSTATE  0x3c0ull      /* EL0, interrupts masked (Arm ARM, C5.2.18) */
#define CORE(at)                                                                                                       \
    (KVM_REG_ARM64 | KVM_REG_ARM_CORE | KVM_REG_SIZE_U64 | offsetof(struct kvm_regs, at) / sizeof(uint32_t))

const uint8_t bare_code[] = {0x20, 0x00, 0x00, 0xb9, 0xff, 0xff, 0xff, 0x17}; /* str w0, [x1]; b back */
const size_t bare_code_size = sizeof(bare_code), bare_code_at = CODE;

void bare_fill(uint8_t *memory)
{
    (void)memory;
}

static int set(const struct bare *b, uint64_t id, uint64_t value)
{
    const struct kvm_one_reg reg = {.id = id, .addr = (uint64_t)(uintptr_t)&value};
    return ioctl(b->vcpu_fd, KVM_SET_ONE_REG, &reg) ? -errno : 0;
}

int bare_start(struct bare *b)
{
    struct kvm_vcpu_init init;
    if (ioctl(b->vm_fd, KVM_ARM_PREFERRED_TARGET, &init) || ioctl(b->vcpu_fd, KVM_ARM_VCPU_INIT, &init)) return -errno;
    int rc = set(b, CORE(regs.pc), CODE);
    if (!rc) rc = set(b, CORE(regs.pstate), PSTATE);
    if (!rc) rc = set(b, CORE(regs.regs[1]), NOWHERE);
    return rc;
}

/* General registers, the floating-point ones and their two controls, a register at a time as KVM has them. */
int bare_put_registers(struct bare *b)
{
    static const uint8_t vector[16];
    int rc = 0;
    for (unsigned i = 0; i < 31 && !rc; i++) rc = set(b, CORE(regs.regs[0]) + 2 * i, i == 1 ? NOWHERE : 0);
    for (unsigned i = 0; i < 32 && !rc; i++) {
        const uint64_t id = KVM_REG_ARM64 | KVM_REG_ARM_CORE | KVM_REG_SIZE_U128 |
                            (offsetof(struct kvm_regs, fp_regs.vregs) / sizeof(uint32_t) + 4 * i);
        const struct kvm_one_reg reg = {.id = id, .addr = (uint64_t)(uintptr_t)vector};
        rc = ioctl(b->vcpu_fd, KVM_SET_ONE_REG, &reg) ? -errno : 0;
    }
    return rc;
}

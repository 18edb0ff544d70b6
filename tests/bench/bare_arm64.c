/* EL1 with the MMU off and registers at 0: a store through x0 goes to address 0, where no memory is. */
#include "bare.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <sys/ioctl.h>

const struct bare_kind bare_kinds[] = {
    {"mmio", KVM_EXIT_MMIO, 8, {0x1f, 0x00, 0x00, 0xb9, 0xff, 0xff, 0xff, 0x17}}, /* str wzr, [x0]; b back */
    {0},
};

const uint64_t bare_page_gpa = 0x10000; /* whatever the host's page size */
const uint64_t bare_memory_gpa = 0x40000000;
const uint32_t bare_code_offset = 0;

int bare_init_vcpu(int vm_fd, int vcpu_fd)
{
    struct kvm_vcpu_init init;
    const struct kvm_one_reg pc = {
        .id = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(regs.pc),
        .addr = (uintptr_t)&bare_page_gpa,
    };

    if (ioctl(vm_fd, KVM_ARM_PREFERRED_TARGET, &init) < 0 || ioctl(vcpu_fd, KVM_ARM_VCPU_INIT, &init) < 0 ||
        ioctl(vcpu_fd, KVM_SET_ONE_REG, &pc) < 0)
        return -errno;
    return 0;
}

uint64_t bare_ticks(void)
{
    uint64_t value;
    __asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(value) : : "memory");
    return value;
}

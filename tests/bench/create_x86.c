#include "create.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CPUID_MAX 256 /* as many as KVM lists */

union processor {
    struct kvm_cpuid2 head;
    char room[sizeof(struct kvm_cpuid2) + CPUID_MAX * sizeof(struct kvm_cpuid_entry2)];
};

static const union processor *processor(void)
{
    static union processor p = {.head = {.nent = CPUID_MAX}};
    if (p.head.nent < CPUID_MAX) return &p;
    const int fd = create_checked(open("/dev/kvm", O_RDWR | O_CLOEXEC), "open /dev/kvm");
    create_checked(ioctl(fd, KVM_GET_SUPPORTED_CPUID, &p.head), "KVM_GET_SUPPORTED_CPUID");
    close(fd);
    return &p;
}

void create_controllers(int vm_fd)
{
    const struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args = {24}};
    create_checked(ioctl(vm_fd, KVM_ENABLE_CAP, &split), "KVM_CAP_SPLIT_IRQCHIP");
    create_checked(ioctl(vm_fd, KVM_SET_TSS_ADDR, 0xfffbd000ul), "KVM_SET_TSS_ADDR");
}

void create_registers(int vm_fd, int vcpu_fd)
{
    struct kvm_sregs sregs;
    const struct kvm_regs regs = {.rip = 0x100000, .rflags = 2};
    (void)vm_fd;
    create_checked(ioctl(vcpu_fd, KVM_SET_CPUID2, &processor()->head), "KVM_SET_CPUID2");
    create_checked(ioctl(vcpu_fd, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
    create_checked(ioctl(vcpu_fd, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
    create_checked(ioctl(vcpu_fd, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

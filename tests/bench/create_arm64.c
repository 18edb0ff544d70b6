#include "create.h"

#include <linux/kvm.h>
#include <sys/ioctl.h>

/* The GIC comes after the vCPUs, and the bare machine does without. */
void create_controllers(int vm_fd)
{
    (void)vm_fd;
}

void create_registers(int vm_fd, int vcpu_fd)
{
    struct kvm_vcpu_init init;
    create_checked(ioctl(vm_fd, KVM_ARM_PREFERRED_TARGET, &init), "KVM_ARM_PREFERRED_TARGET");
    create_checked(ioctl(vcpu_fd, KVM_ARM_VCPU_INIT, &init), "KVM_ARM_VCPU_INIT");
}

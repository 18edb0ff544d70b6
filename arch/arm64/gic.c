#include "arch/arm64/gic.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "arch/arm64/layout.h"
#include "vmm/base/fd.h"

#define GIC_PRIVATE_IRQS 32 /* SGIs and PPIs come before the first SPI */

static uint32_t device_type(enum gic_version version)
{
    return version == GIC_V3 ? KVM_DEV_TYPE_ARM_VGIC_V3 : KVM_DEV_TYPE_ARM_VGIC_V2;
}

static bool has_gic(const struct vm *vm, enum gic_version version)
{
    struct kvm_create_device probe = {.type = device_type(version), .flags = KVM_CREATE_DEVICE_TEST};
    return ioctl(vm->fd, KVM_CREATE_DEVICE, &probe) == 0;
}

int gic_choose(const struct vm *vm, unsigned cpus, enum gic_version *out, struct err *e)
{
    if (has_gic(vm, GIC_V3)) {
        *out = GIC_V3;
        return 0;
    }
    if (!has_gic(vm, GIC_V2)) {
        err_set(e, -ENOTSUP, "KVM: this host offers neither a GICv3 nor a GICv2, and a machine needs one of them");
        err_as(e, ERR_HOST);
        return -ENOTSUP;
    }
    if (cpus > ARM64_GICV2_CPUS)
        return err_set(e, -EINVAL,
                       "cpus %u: this host's interrupt controller is a GICv2, which serves at most %d; "
                       "use --cpus %d, or a host with a GICv3",
                       cpus, ARM64_GICV2_CPUS, ARM64_GICV2_CPUS);
    *out = GIC_V2;
    return 0;
}

static int set_attr(const struct gic *g, uint32_t group, uint64_t attr, const void *value, struct err *e)
{
    const struct kvm_device_attr arg = {.group = group, .attr = attr, .addr = (uint64_t)(uintptr_t)value};
    if (ioctl(g->fd, KVM_SET_DEVICE_ATTR, &arg) == 0) return 0;
    const int rc = err_errno(e, "KVM: set up the GICv%d (group %u, attribute %llu)", (int)g->version, group,
                             (unsigned long long)attr);
    err_as(e, ERR_HOST);
    return rc;
}

static int place(const struct gic *g, struct err *e)
{
    static const uint64_t dist = ARM64_GICD_BASE, cpu = ARM64_GICC_BASE, redist = ARM64_GICR_BASE;
    const uint32_t group = KVM_DEV_ARM_VGIC_GRP_ADDR;
    if (g->version == GIC_V2) {
        const int rc = set_attr(g, group, KVM_VGIC_V2_ADDR_TYPE_DIST, &dist, e);
        return rc ? rc : set_attr(g, group, KVM_VGIC_V2_ADDR_TYPE_CPU, &cpu, e);
    }
    const int rc = set_attr(g, group, KVM_VGIC_V3_ADDR_TYPE_DIST, &dist, e);
    return rc ? rc : set_attr(g, group, KVM_VGIC_V3_ADDR_TYPE_REDIST, &redist, e);
}

int gic_create(struct gic *g, const struct vm *vm, struct err *e)
{
    static const uint32_t irqs = GIC_PRIVATE_IRQS + ARM64_SPI_COUNT;
    struct kvm_create_device device = {.type = device_type(g->version)};
    if (ioctl(vm->fd, KVM_CREATE_DEVICE, &device) < 0) {
        const int rc = err_errno(e, "KVM: create the GICv%d", (int)g->version);
        err_as(e, ERR_HOST);
        return rc;
    }
    g->fd = fd_own((int)device.fd);
    int rc = g->fd < 0 ? err_errno(e, "GICv%d", (int)g->version) : place(g, e);
    if (!rc) rc = set_attr(g, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &irqs, e);
    if (!rc) rc = set_attr(g, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL, e);
    return rc;
}

void gic_destroy(struct gic *g)
{
    if (g->fd >= 0) close(g->fd);
    g->fd = -1;
}

#include "vmm/kvm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/base/pages.h"
#include "vmm/kvm/advice.h"

#define KVM_PATH "/dev/kvm"

static int host_errno(struct err *e, const char *what)
{
    const int rc = err_errno(e, "%s", what);
    err_as(e, ERR_HOST);
    return rc;
}

int kvm_open(int *out, struct err *e)
{
    const int fd = fd_own(open(KVM_PATH, O_RDWR | O_CLOEXEC));
    if (fd < 0) {
        const int rc = host_errno(e, "open " KVM_PATH);
        kvm_advise(e, rc);
        return rc;
    }
    const int version = ioctl(fd, KVM_GET_API_VERSION, 0);
    if (version < 0) {
        close(fd);
        err_set(e, -ENOTSUP, KVM_PATH ": not a KVM device, but something else of that name");
        err_as(e, ERR_HOST);
        kvm_advise_on_impostor(e);
        return -ENOTSUP;
    }
    if (version != KVM_API_VERSION) { /* api.rst 4.1: anything but 12 must be refused */
        close(fd);
        err_set(e, -ENOTSUP, KVM_PATH ": API version %d, need %d", version, KVM_API_VERSION);
        err_as(e, ERR_HOST);
        return -ENOTSUP;
    }
    *out = fd;
    return 0;
}

int vm_create(struct vm *vm, struct err *e)
{
    return vm_create_typed(vm, 0, e);
}

int vm_create_typed(struct vm *vm, unsigned long type, struct err *e)
{
    int rc = 0;
    if (vm->kvm_fd < 0) rc = kvm_open(&vm->kvm_fd, e);
    if (rc) return rc;
    const int run_size = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (run_size < (int)sizeof(struct kvm_run)) return host_errno(e, KVM_PATH ": size of a vCPU's shared area");
    vm->run_size = (size_t)run_size;
    do {
        vm->fd = fd_own(ioctl(vm->kvm_fd, KVM_CREATE_VM, type));
    } while (vm->fd < 0 && errno == EINTR);
    if (vm->fd < 0) return host_errno(e, KVM_PATH ": create a VM");
    return 0;
}

/* Closing a VM's last fd waits for RCU grace periods inside KVM: 40 ms on Linux 6.1, 15 on later ones when it had an
 * ioeventfd. Nobody needs to wait with it. An io_uring instance holds its registered files until its own clean-up,
 * which the kernel does in the background; so the VM's last reference is left to one that is closed at once. Where
 * there is no io_uring, closing waits as ever. */
static void close_in_background(int fd)
{
    struct io_uring_params params = {0};
    const int ring = (int)syscall(SYS_io_uring_setup, 1, &params);
    if (ring >= 0) {
        (void)syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, &fd, 1);
        close(fd);
        close(ring);
        return;
    }
    close(fd);
}

void vm_destroy(struct vm *vm)
{
    if (vm->fd >= 0) close_in_background(vm->fd);
    if (vm->kvm_fd >= 0) close(vm->kvm_fd);
    vm->fd = vm->kvm_fd = -1;
    vm->slot_count = 0;
}

int vm_check(const struct vm *vm, long cap)
{
    const int n = ioctl(vm->fd, KVM_CHECK_EXTENSION, cap);
    return n < 0 ? 0 : n;
}

int vm_check_caps(const struct vm *vm, const struct vm_cap *caps, struct err *e)
{
    for (; caps->name; caps++) {
        if (!caps->is_needed || vm_check(vm, caps->cap) > 0) continue;
        err_set(e, -ENOTSUP, "KVM here lacks %s (%s); use a host with Linux 4.14 or newer", caps->name, caps->use);
        err_as(e, ERR_HOST);
        return -ENOTSUP;
    }
    return 0;
}

int vm_enable_cap(const struct vm *vm, uint32_t cap, uint64_t arg0, struct err *e)
{
    struct kvm_enable_cap arg = {.cap = cap, .args = {arg0}};
    if (ioctl(vm->fd, KVM_ENABLE_CAP, &arg) < 0) {
        const int rc = err_errno(e, "KVM: enable capability %u", cap);
        err_as(e, ERR_HOST);
        return rc;
    }
    return 0;
}

static int map_slot(struct vm *vm, uint64_t gpa, uint64_t size, void *host, uint32_t flags, struct err *e)
{
    const struct kvm_userspace_memory_region region = {
        .slot = vm->slot_count,
        .flags = flags,
        .guest_phys_addr = gpa,
        .memory_size = size,
        .userspace_addr = (uint64_t)(uintptr_t)host,
    };
    if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) < 0) {
        const int rc = err_errno(e, "KVM: map %llu MiB of guest memory at 0x%llx", (unsigned long long)(size >> 20),
                                 (unsigned long long)gpa);
        err_as(e, ERR_HOST);
        return rc;
    }
    vm->slot_count++;
    return 0;
}

int vm_map_ram(struct vm *vm, uint64_t gpa, uint64_t size, void *host, bool read_only, struct err *e)
{
    return map_slot(vm, gpa, size, host, read_only ? KVM_MEM_READONLY : 0, e);
}

int vm_remap_ram(struct vm *vm, const struct vm_ram *ram, struct err *e)
{
    struct kvm_userspace_memory_region region = {
        .slot = ram->slot, .guest_phys_addr = ram->gpa, .userspace_addr = (uint64_t)(uintptr_t)ram->host};
    int rc = ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region);
    region.memory_size = ram->size;
    if (rc == 0) rc = ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region);
    return rc < 0 ? host_errno(e, "KVM: map guest memory again") : 0;
}

int vm_map_logged(struct vm *vm, uint64_t gpa, uint64_t size, void *host, struct err *e)
{
    return map_slot(vm, gpa, size, host, KVM_MEM_LOG_DIRTY_PAGES, e);
}

int vm_log_dirty(const struct vm *vm, const struct vm_ram *ram, bool on, struct err *e)
{
    const struct kvm_userspace_memory_region region = {
        .slot = ram->slot,
        .flags = on ? KVM_MEM_LOG_DIRTY_PAGES : 0,
        .guest_phys_addr = ram->gpa,
        .memory_size = ram->size,
        .userspace_addr = (uint64_t)(uintptr_t)ram->host,
    };
    if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) < 0) return host_errno(e, "KVM: log writes to guest memory");
    return 0;
}

int vm_irqfd(const struct vm *vm, uint32_t gsi, int fd, bool on, struct err *e)
{
    const struct kvm_irqfd arg = {
        .fd = (uint32_t)fd,
        .gsi = gsi,
        .flags = on ? 0 : KVM_IRQFD_FLAG_DEASSIGN,
    };
    if (ioctl(vm->fd, KVM_IRQFD, &arg) < 0) return host_errno(e, "KVM: connect an interrupt (irqfd)");
    return 0;
}

int vm_irq_pulse(const struct vm *vm, uint32_t line, struct err *e)
{
    for (unsigned level = 1; level <= 1; level--) {
        const struct kvm_irq_level arg = {.irq = line, .level = level};
        if (ioctl(vm->fd, KVM_IRQ_LINE, &arg) < 0) return host_errno(e, "KVM: raise an interrupt");
    }
    return 0;
}

int vm_ioeventfd(const struct vm *vm, const struct vm_ioeventfd *io, bool on, struct err *e)
{
    const struct kvm_ioeventfd arg = {
        .datamatch = io->datamatch,
        .addr = io->addr,
        .len = io->len,
        .fd = io->fd,
        .flags = (on ? 0u : KVM_IOEVENTFD_FLAG_DEASSIGN) | (io->is_pio ? KVM_IOEVENTFD_FLAG_PIO : 0u) |
                 (io->has_datamatch ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0u),
    };
    if (ioctl(vm->fd, KVM_IOEVENTFD, &arg) < 0) return host_errno(e, "KVM: connect a doorbell (ioeventfd)");
    return 0;
}

int vm_set_routes(const struct vm *vm, const struct kvm_irq_routing *routes, struct err *e)
{
    if (ioctl(vm->fd, KVM_SET_GSI_ROUTING, routes) < 0) return host_errno(e, "KVM: set interrupt routes");
    return 0;
}

int vcpu_create(const struct vm *vm, unsigned id, struct vcpu *out, struct err *e)
{
    out->id = id;
    out->run_size = vm->run_size;
    out->fd = fd_own(ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)id));
    if (out->fd < 0) {
        const int rc = err_errno(e, "KVM: create vCPU %u", id);
        err_as(e, ERR_HOST);
        if (rc == -EINVAL) /* too many, or too high an id (KVM_CREATE_VCPU in api.rst) */
            err_hint(e, "this host's KVM allows %d vCPUs", vm_check(vm, KVM_CAP_MAX_VCPUS));
        return rc;
    }
    void *p = pages_map(vm->run_size, MAP_SHARED, out->fd);
    if (!p) {
        const int rc = host_errno(e, "KVM: map a vCPU's shared area");
        vcpu_destroy(out);
        return rc;
    }
    out->run = p;
    return 0;
}

void vcpu_destroy(struct vcpu *v)
{
    if (v->run) munmap(v->run, v->run_size);
    if (v->fd >= 0) close(v->fd);
    v->run = NULL;
    v->fd = -1;
}

bool vcpu_is_runnable(const struct vcpu *v)
{
    struct kvm_mp_state state;
    return ioctl(v->fd, KVM_GET_MP_STATE, &state) == 0 && state.mp_state == KVM_MP_STATE_RUNNABLE;
}

int vcpu_run(struct vcpu *v)
{
    return ioctl(v->fd, KVM_RUN, 0) < 0 ? -errno : 0;
}

#include "bench/sandbox/bare.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/base/fd.h"

int bare_template(void)
{
    const int fd = fd_own(memfd_create("vireo-bare", MFD_CLOEXEC));
    uint8_t *memory = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, (off_t)BARE_MEMORY) == 0)
        memory = mmap(NULL, BARE_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        const int error = errno;
        if (fd >= 0) (void)close(fd);
        errno = error;
        return -1;
    }
    memcpy(memory + bare_code_at, bare_code, bare_code_size);
    bare_fill(memory);
    (void)munmap(memory, BARE_MEMORY);
    return fd;
}

int bare_open(struct bare *b, int memory_fd)
{
    *b = (struct bare){.memory_fd = memory_fd, .kvm_fd = -1, .vm_fd = -1, .vcpu_fd = -1};
    b->kvm_fd = fd_own(open("/dev/kvm", O_RDWR | O_CLOEXEC));
    if (b->kvm_fd < 0) return -errno;
    do {
        b->vm_fd = fd_own(ioctl(b->kvm_fd, KVM_CREATE_VM, 0ul));
    } while (b->vm_fd < 0 && errno == EINTR);
    if (b->vm_fd < 0) return -errno;
    void *p = mmap(NULL, BARE_MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, memory_fd, 0);
    if (p == MAP_FAILED) return -errno;
    b->memory = p;
    const struct kvm_userspace_memory_region slot = {.memory_size = BARE_MEMORY,
                                                     .userspace_addr = (uint64_t)(uintptr_t)p};
    if (ioctl(b->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot)) return -errno;
    b->vcpu_fd = fd_own(ioctl(b->vm_fd, KVM_CREATE_VCPU, 0ul));
    if (b->vcpu_fd < 0) return -errno;
    const int size = ioctl(b->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0ul);
    if (size < 0) return -errno;
    b->run_size = (size_t)size;
    p = mmap(NULL, b->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, b->vcpu_fd, 0);
    if (p == MAP_FAILED) return -errno;
    b->run = p;
    const int rc = bare_start(b);
    return rc ? rc : bare_exit(b);
}

void bare_close(struct bare *b)
{
    free(b->saved);
    if (b->run) (void)munmap(b->run, b->run_size);
    if (b->vcpu_fd >= 0) (void)close(b->vcpu_fd);
    if (b->vm_fd >= 0) (void)close(b->vm_fd);
    if (b->kvm_fd >= 0) (void)close(b->kvm_fd);
    if (b->memory) (void)munmap(b->memory, BARE_MEMORY);
    *b = (struct bare){.memory_fd = -1, .kvm_fd = -1, .vm_fd = -1, .vcpu_fd = -1};
}

int bare_exit(struct bare *b)
{
    while (ioctl(b->vcpu_fd, KVM_RUN, 0ul) < 0)
        if (errno != EINTR && errno != EAGAIN) return -errno;
    return b->run->exit_reason == KVM_EXIT_IO || b->run->exit_reason == KVM_EXIT_MMIO ? 0 : -EIO;
}

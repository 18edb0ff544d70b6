/* The KVM objects: a VM fd with its memory slots, irqfds and ioeventfds, and vCPU fds. Thin: one function per thing
 * that can be asked of the kernel (Documentation/virt/kvm/api.rst), with the error sentence the user needs. Failures
 * are ERR_HOST. Set-up functions: control thread only; vm_irqfd, vm_ioeventfd, vm_set_routes: any thread. */
#ifndef VIREO_KVM_KVM_H
#define VIREO_KVM_KVM_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/err.h"

struct vm {
    int kvm_fd; /* /dev/kvm */
    int fd;     /* -1: none yet */
    size_t run_size;
    uint32_t slot_count;
};

struct vcpu {
    int fd; /* -1: none yet */
    unsigned id;
    struct kvm_run *run; /* shared with the kernel; immediate_exit is written by other threads */
    size_t run_size;
};

#define VM_INIT                                                                                                        \
    {                                                                                                                  \
        .kvm_fd = -1, .fd = -1                                                                                         \
    }
#define VCPU_INIT                                                                                                      \
    {                                                                                                                  \
        .fd = -1                                                                                                       \
    }

/* Open /dev/kvm: no such device, no permission, wrong API version each get their sentence and hint. */
int kvm_open(int *out, struct err *e);

int vm_create(struct vm *vm,
              struct err *e); /* *vm is VM_INIT; machine type is asked of the arch's IPA needs: 0 on x86 */
int vm_create_typed(struct vm *vm, unsigned long type, struct err *e);
/* After its vCPUs; legal when half built, and twice. The kernel frees the VM soon after, in the background. */
void vm_destroy(struct vm *vm);

int vm_check(const struct vm *vm, long cap); /* KVM_CHECK_EXTENSION on the VM; < 0 counts as 0 */
/* A capability that is asked for. Needed ones must be there; the others make something better. */
struct vm_cap {
    long cap;
    const char *name; /* as in api.rst */
    const char *use;
    bool is_needed;
};
/* Refuse a host that lacks a needed one of caps (ends with a NULL name). */
int vm_check_caps(const struct vm *vm, const struct vm_cap *caps, struct err *e);
int vm_enable_cap(const struct vm *vm, uint32_t cap, uint64_t arg0, struct err *e);
struct vm_ram { /* what vm_map_ram was told; slot: how many were mapped before */
    uint32_t slot;
    uint64_t gpa, size;
    void *host;
};
int vm_map_ram(struct vm *vm, uint64_t gpa, uint64_t size, void *host, bool read_only, struct err *e);
/* Taken away and mapped again (not a logged one): KVM forgets every translation and shadow of the whole VM. No vCPU
 * runs. A VM whose slot is gone comes back as -errno. */
int vm_remap_ram(struct vm *vm, const struct vm_ram *ram, struct err *e);
int vm_map_logged(struct vm *vm, uint64_t gpa, uint64_t size, void *host, struct err *e); /* writes are noted at once */

/* Mapped RAM slot's writes are noted, which makes the first to each page trap; false: no more. */
int vm_log_dirty(const struct vm *vm, const struct vm_ram *ram, bool on, struct err *e);

/* fd's edges become interrupt gsi; on = false undoes it. */
int vm_irqfd(const struct vm *vm, uint32_t gsi, int fd, bool on, struct err *e);
/* One edge on an interrupt line, by a system call and without an irqfd (api.rst, KVM_IRQ_LINE). Any thread. */
int vm_irq_pulse(const struct vm *vm, uint32_t line, struct err *e);

struct vm_ioeventfd {
    uint64_t addr;
    uint32_t len; /* 0 with no datamatch: any length */
    bool is_pio, has_datamatch;
    uint64_t datamatch;
    int fd;
};
int vm_ioeventfd(const struct vm *vm, const struct vm_ioeventfd *io, bool on, struct err *e);

int vm_set_routes(const struct vm *vm, const struct kvm_irq_routing *routes, struct err *e);

int vcpu_create(const struct vm *vm, unsigned id, struct vcpu *out, struct err *e); /* *out is VCPU_INIT */
/* May it run, as far as KVM is concerned? False: it waits to be started by another one, or can't be asked. */
bool vcpu_is_runnable(const struct vcpu *v);
void vcpu_destroy(struct vcpu *v); /* legal on VCPU_INIT and twice */
int vcpu_run(struct vcpu *v);      /* one KVM_RUN: 0 or -errno. The vCPU's own thread */

#endif

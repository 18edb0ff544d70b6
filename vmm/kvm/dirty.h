/* Which pages of a memory slot a vCPU wrote: by a ring that it fills (api.rst, KVM_CAP_DIRTY_LOG_RING), whose cost
 * follows the writes; or where KVM has none (arm64 before Linux 6.2), by a bitmap of the whole slot (KVM_GET_DIRTY_LOG,
 * KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2). One vCPU and one slot. Failures are ERR_HOST. The vCPU's thread. */
#ifndef VIREO_KVM_DIRTY_H
#define VIREO_KVM_DIRTY_H

#include "vmm/kvm/kvm.h"

/* Entries of the ring, 16 bytes each: above the 64 and the 512 of the processor's own log that KVM keeps free. */
#define DIRTY_RING_ENTRIES 1024u

struct dirty_log {
    enum { DIRTY_NONE, DIRTY_RING, DIRTY_BITMAP } kind;
    struct kvm_dirty_gfn *ring; /* DIRTY_RING_ENTRIES */
    uint32_t next;              /* of the ring, counted on for ever */
    uint64_t *bitmap;
    uint32_t slot;
    uint64_t pages;
};
/* *log is zeroed. Before the VM has a vCPU. */
int dirty_log_enable(struct dirty_log *log, const struct vm *vm, struct err *e);
int dirty_log_map(struct dirty_log *log, const struct vcpu *v, struct err *e); /* its ring */
void dirty_log_fini(struct dirty_log *log);                                    /* legal when zeroed */

/* Call fn with each page of the slot that was written since the last time; some twice. Then writes to them are noted
 * again. 0, or -errno: nothing may be relied on. */
int dirty_log_take(struct dirty_log *log, const struct vm *vm, void (*fn)(void *arg, uint64_t page), void *arg);

#endif

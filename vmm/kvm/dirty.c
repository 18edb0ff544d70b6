#include "vmm/kvm/dirty.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/base/pages.h"

#define RING_SIZE (DIRTY_RING_ENTRIES * sizeof(struct kvm_dirty_gfn))

int dirty_log_enable(struct dirty_log *log, const struct vm *vm, struct err *e)
{
    const uint32_t rings[] = {KVM_CAP_DIRTY_LOG_RING_ACQ_REL, KVM_CAP_DIRTY_LOG_RING};
    for (size_t i = 0; i < sizeof(rings) / sizeof(rings[0]); i++) {
        if (vm_check(vm, rings[i]) < (int)RING_SIZE) continue;
        if (vm_enable_cap(vm, rings[i], RING_SIZE, NULL)) continue;
        log->kind = DIRTY_RING;
        return 0;
    }
    if (vm_check(vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2) & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE) {
        log->kind = DIRTY_BITMAP;
        return vm_enable_cap(vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE, e);
    }
    const int rc =
        err_set(e, -ENOTSUP, "KVM here can't tell which pages were written; use a host with Linux 5.2 or newer");
    err_as(e, ERR_HOST);
    return rc;
}

int dirty_log_map(struct dirty_log *log, const struct vcpu *v, struct err *e)
{
    void *p = NULL;
    if (log->kind == DIRTY_RING) {
        const off_t at = (off_t)KVM_DIRTY_LOG_PAGE_OFFSET * sysconf(_SC_PAGESIZE);
        p = mmap(NULL, RING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, at);
        log->ring = p == MAP_FAILED ? NULL : p;
        if (log->ring) return 0;
    } else {
        log->bitmap = calloc(log->pages / 64 + 1, sizeof(*log->bitmap));
        if (log->bitmap) return 0;
    }
    const int rc = err_errno(e, "KVM: map the log of written pages");
    err_as(e, ERR_HOST);
    return rc;
}

void dirty_log_fini(struct dirty_log *log)
{
    if (log->ring) munmap(log->ring, RING_SIZE);
    free(log->bitmap);
    *log = (struct dirty_log){0};
}

/* KVM writes an entry and then its flag; we read it and then say that it may be used again. */
static int take_ring(struct dirty_log *log, const struct vm *vm, void (*fn)(void *arg, uint64_t page), void *arg)
{
    const uint32_t begin = log->next;
    for (;; log->next++) {
        struct kvm_dirty_gfn *entry = &log->ring[log->next % DIRTY_RING_ENTRIES];
        if (!(__atomic_load_n(&entry->flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_DIRTY)) break;
        if ((entry->slot & 0xffff) == log->slot) fn(arg, entry->offset);
        __atomic_store_n(&entry->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
    }
    if (log->next == begin) return 0;
    return ioctl(vm->fd, KVM_RESET_DIRTY_RINGS, 0) < 0 ? -errno : 0;
}

static int take_bitmap(struct dirty_log *log, const struct vm *vm, void (*fn)(void *arg, uint64_t page), void *arg)
{
    struct kvm_dirty_log get = {.slot = log->slot, .dirty_bitmap = log->bitmap};
    if (ioctl(vm->fd, KVM_GET_DIRTY_LOG, &get) < 0) return -errno;
    uint64_t first = log->pages, behind = 0; /* what has to be cleared */
    for (uint64_t i = 0; i * 64 < log->pages; i++) {
        if (!log->bitmap[i]) continue;
        if (first == log->pages) first = i * 64;
        behind = i * 64 + 64;
        for (uint64_t bits = log->bitmap[i]; bits; bits &= bits - 1) fn(arg, i * 64 + (uint64_t)__builtin_ctzll(bits));
    }
    if (!behind) return 0;
    if (behind > log->pages) behind = log->pages;
    struct kvm_clear_dirty_log clear = {.slot = log->slot,
                                        .first_page = first,
                                        .num_pages = (uint32_t)(behind - first),
                                        .dirty_bitmap = log->bitmap + first / 64};
    return ioctl(vm->fd, KVM_CLEAR_DIRTY_LOG, &clear) < 0 ? -errno : 0;
}

int dirty_log_take(struct dirty_log *log, const struct vm *vm, void (*fn)(void *arg, uint64_t page), void *arg)
{
    if (log->kind == DIRTY_RING && log->ring) return take_ring(log, vm, fn, arg);
    if (log->kind == DIRTY_BITMAP && log->bitmap) return take_bitmap(log, vm, fn, arg);
    return 0;
}

/* How a guest ends, and the way a device says so. */
#ifndef VIREO_CORE_ENDING_H
#define VIREO_CORE_ENDING_H

#include <stdint.h>

enum end_reason {
    END_NONE,
    END_POWEROFF,     /* ACPI S5, PSCI SYSTEM_OFF */
    END_RESET,        /* i8042, ACPI reset register, PSCI SYSTEM_RESET */
    END_GUEST_STATUS, /* the debug-exit register; value: the status */
    END_CRASH,        /* x86 triple fault, KVM_EXIT_SYSTEM_EVENT crash */
    END_PANIC,        /* the panic device; value: its event bits */
    END_KVM_ERROR,    /* KVM could not run the guest */
    END_HOST,         /* the host lacks what running it takes: threads, memory */
    END_DEVICE,       /* a device's host side failed for good */
    END_TIMEOUT,
    END_STOPPED, /* asked for by the host: vireo_vm_stop, Ctrl-A x */
};

#define END_DETAIL_MAX     384
#define END_STOPPED_DETAIL "stopped by the host" /* of vireo_vm_stop */

struct ending {
    enum end_reason reason;
    uint32_t value;
    int vcpu; /* -1: not a vCPU's doing */
    char detail[END_DETAIL_MAX];
};

/* Where devices report the end. Any thread; returns at once; the first reason wins, later ones are dropped. */
struct end_sink {
    void (*fn)(void *arg, enum end_reason reason, uint32_t value, const char *detail);
    void (*mark)(void *arg, uint32_t value); /* the guest passed a milestone of its boot (debug-exit register 1) */
    void *arg;
};

static inline void end_report(const struct end_sink *s, enum end_reason reason, uint32_t value, const char *detail)
{
    s->fn(s->arg, reason, value, detail);
}

#endif

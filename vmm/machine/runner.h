/* One vCPU's thread and the way to call it out of the guest.
 *
 * The kick protocol. Control: store want, fence, immediate_exit = 1, fence, signal. vCPU, when KVM_RUN says EINTR:
 * clear immediate_exit, fence, read want. Any other order can lose a kick: then the vCPU would enter the guest again
 * with the request unread. The signal handler is empty; the signal only makes KVM_RUN return, and immediate_exit
 * catches the one that came just before KVM_RUN was entered (api.rst 5, kvm_run.immediate_exit).
 *
 * An MMIO or port instruction is finished by the next KVM_RUN before it looks at immediate_exit, so a vCPU that has
 * seen EINTR has no half-done instruction: only there does it pause or end. */
#ifndef VIREO_MACHINE_RUNNER_H
#define VIREO_MACHINE_RUNNER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "arch/arch.h"
#include "arch/counter.h"
#include "vmm/core/bus.h"
#include "vmm/core/record.h"
#include "vmm/kvm/kvm.h"

#define RUNNER_STACK (256 * 1024) /* bytes: the deepest handler (explaining an error) needs a tenth */
#define CACHE_LINE   64

enum runner_want { RUNNER_RUN, RUNNER_PAUSE, RUNNER_END };

struct runner;

/* What a runner may call in its machine. Any vCPU thread. */
struct runner_host {
    /* Called on EINTR with want != RUNNER_RUN and nothing half done; returns when want is RUN again or END. */
    void (*halt)(void *arg, struct runner *r);
    void (*end)(void *arg, struct runner *r, enum end_reason reason, uint32_t value, const char *detail);
    void (*entered)(void *arg, struct runner *r); /* just before the first KVM_RUN */
    void (*gone)(void *arg, struct runner *r);    /* last act of the thread */
    void *arg;
};

struct runner {
    _Alignas(CACHE_LINE) struct vcpu *vcpu; /* KVM_RUN is the thread's; immediate_exit the kicker's too */
    const struct bus *mmio, *pio;           /* frozen */
    struct arch *arch;
    const struct runner_host *host;
    const struct counter *counter;
    struct record *record; /* NULL: off. Written by the thread, read by anyone */
    atomic_int want;       /* enum runner_want; written by whoever kicks, under the machine's lock */
    pthread_t thread;
    pid_t tid;       /* machine's lock; 0: it has not said yet */
    bool has_thread; /* control thread */
    bool is_halted;  /* machine's lock */
    bool is_gone;    /* machine's lock: never signal it again */
};

/* Make the kick signal (SIGURG) interrupt KVM_RUN: an empty handler, if the program has none. Once per process. */
int runner_prepare_process(struct err *e);
int runner_start(struct runner *r, struct err *e);
/* Tell it what to do. The caller holds the machine's lock. Legal before start and after the thread has gone. */
void runner_kick(struct runner *r, enum runner_want want);

#endif

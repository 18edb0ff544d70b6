/* One vCPU's thread and the way to call it out of the guest.
 *
 * The kick protocol. Control: store want, fence, immediate_exit = 1, fence, signal. vCPU, when KVM_RUN says EINTR:
 * clear immediate_exit, fence, read want. Any other order can lose a kick: then the vCPU would enter the guest again
 * with the request unread. The signal handler is empty; the signal only makes KVM_RUN return, and immediate_exit
 * catches the one that came just before KVM_RUN was entered (api.rst 5, kvm_run.immediate_exit).
 *
 * machine_stop may be called in a signal handler, so it takes no lock and stores no want: it sets the machine's flag,
 * fence, immediate_exit = 1, fence, signal. The vCPU looks at the flag where it reads want, and then ends the machine
 * itself, as it would for its guest. A vCPU that halts for a pause waits on a semaphore, which a handler may post.
 *
 * An MMIO or port instruction is finished by the next KVM_RUN before it looks at immediate_exit, so a vCPU that has
 * seen EINTR has no half-done instruction: only there does it pause or end. */
#ifndef VIREO_MACHINE_RUNNER_H
#define VIREO_MACHINE_RUNNER_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "arch/arch.h"
#include "arch/counter.h"
#include "vmm/core/bus.h"
#include "vmm/core/record.h"
#include "vmm/kvm/kvm.h"

#define CACHE_LINE 64

enum runner_want { RUNNER_RUN, RUNNER_PAUSE, RUNNER_END };

/* The protocol's steps, told to whoever set runner.trace: a checker. tests/proof/runner.pml has the same steps at the
 * same places. "locked": the machine's lock is held. */
enum runner_step {
    RUNNER_WANT,      /* about to be stored; value: enum runner_want; locked */
    RUNNER_EXIT_SET,  /* immediate_exit is 1 and seen to be; locked */
    RUNNER_SIGNALLED, /* locked */
    RUNNER_EINTR,     /* KVM_RUN came back with it */
    RUNNER_CLEARED,   /* immediate_exit is 0 and seen to be */
    RUNNER_READ,      /* value: the want that was read */
    RUNNER_HALTED,    /* locked */
    RUNNER_RESUMED,   /* value: want; locked */
    RUNNER_GONE,      /* locked */
    RUNNER_ENDED,     /* the machine: value is its end_reason; locked */
    RUNNER_PAUSED,    /* the machine: machine_pause is about to return 0; locked */
};
struct runner_trace {
    void (*step)(void *arg, enum runner_step step, int vcpu, int value); /* any thread */
    void *arg;
};

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
    struct record *record;            /* NULL: off. Written by the thread, read by anyone */
    const struct runner_trace *trace; /* NULL: nobody listens; const after start */
    const atomic_bool *stop_asked;    /* the machine's; NULL: nobody asks that way */
    atomic_int want;                  /* enum runner_want; written by whoever kicks, under the machine's lock */
    sem_t resume;                     /* posted for a halted vCPU when want or stop_asked has changed */
    pthread_t thread;
    _Atomic pid_t callee;   /* the thread's id while it lives, else 0; for runner_call_out */
    pid_t tid;              /* machine's lock; 0: it has not said yet */
    atomic_bool must_learn; /* where the guest has its stolen time told; set by whoever kicks, cleared by the thread */
    unsigned refusals;      /* how often in a row KVM_RUN said EAGAIN to a vCPU that may run; the thread's */
    bool has_thread;        /* control thread */
    bool is_halted;         /* machine's lock */
    bool is_gone;           /* machine's lock: never signal it again */
};

/* Make the kick signal (SIGURG) interrupt KVM_RUN: an empty handler, where the program has none (any more).
 * Async-signal-safe. 0 or -errno. */
int runner_mind_signal(void);
int runner_start(struct runner *r, struct err *e);
/* Tell it what to do. The caller holds the machine's lock. Legal before start and after the thread has gone. */
void runner_kick(struct runner *r, enum runner_want want);
/* Signal it once more, in case the first signal was lost: if the program had just set it to be ignored, the kernel
 * throws a pending one away (signal(7)). The caller holds the machine's lock. Changes nothing else. */
void runner_remind(const struct runner *r);
/* Make it look at *stop_asked, which is set already. Async-signal-safe; not while the machine is destroyed. */
void runner_call_out(struct runner *r);

static inline void runner_tell(const struct runner *r, enum runner_step step, int value)
{
    if (__builtin_expect(r->trace != NULL, 0)) r->trace->step(r->trace->arg, step, (int)r->vcpu->id, value);
}

#endif

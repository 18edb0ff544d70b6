/* One VM: built from a configuration, run by one thread per vCPU and one I/O thread, ended once.
 *
 * machine_create builds everything and starts nothing; machine_destroy accepts what is half built. start, pause, resume
 * and machine_wait: one control thread at a time. machine_end: any thread. machine_stop: any thread, and any signal
 * handler. */
#ifndef VIREO_MACHINE_MACHINE_H
#define VIREO_MACHINE_MACHINE_H

#include "arch/arch.h"
#include "vmm/base/log.h"
#include "vmm/config/config.h"
#include "vmm/core/ending.h"

#define MACHINE_MAX_DISKS 16 /* half of the 32 virtio-mmio slots */

struct machine;

/* The kinds of devices that a machine can have, for config_init; NULL behind the last. */
extern const struct device_kind *const machine_devices[];

/* cfg and log are read during the call only; log may be NULL. */
int machine_create(struct machine **out, const struct config *cfg, const struct log *log, struct err *e);
/* Stops and joins first; NULL is legal. Requests that a host file has not answered get MACHINE_STUCK_MS more. After
 * that a thread of its own waits for them and frees the machine, which they hold, and nothing is logged any more. */
void machine_destroy(struct machine *m);
#define MACHINE_STUCK_MS 300 /* a working disk answers sooner, and nobody notices the wait */

int machine_start(struct machine *m, struct err *e);
/* On return every vCPU is outside KVM_RUN with its last exit finished. 0; -ESRCH: it has ended or wasn't started;
 * -ETIMEDOUT: a vCPU did not come within five seconds, because it resets a disk whose file does not answer. Then all
 * run on. */
int machine_pause(struct machine *m);
int machine_resume(struct machine *m);
/* Ask it to end; returns at once. The first reason wins. */
void machine_end(struct machine *m, enum end_reason reason, const char *detail);
/* The same with END_STOPPED; takes no lock, so that a signal handler may call it. */
void machine_stop(struct machine *m);
/* Wait for the end, and for the threads to go. timeout_ms < 0: forever. 0: *out is filled, unless it is NULL;
 * -ETIMEDOUT. May be called again. Never waits for a device's host side. */
int machine_wait(struct machine *m, int timeout_ms, struct ending *out);
int machine_event_fd(const struct machine *m); /* readable once it has ended; owned by the machine */

/* What happened when, from machine_create on: "created", "started", "entered" (first KVM_RUN), "console" (first
 * character), "disk 0 (root)" (its driver is ready), "guest 1" (debug-exit register 1), "ended". In order of time. */
#define MACHINE_GUEST_MILESTONES 32 /* the guest's own: more than a boot has phases */
#define MACHINE_MILESTONES       (4 + ARCH_MAX_SLOTS + MACHINE_GUEST_MILESTONES) /* the machine's phases, devices */
#define MACHINE_MILESTONE_NAME   32
struct machine_milestone {
    char name[MACHINE_MILESTONE_NAME];
    uint64_t ns; /* CLOCK_MONOTONIC */
};
/* Any thread, while it runs too. false: there is no such milestone (yet). */
bool machine_milestone(struct machine *m, unsigned index, struct machine_milestone *out);

/* The threads that run the machine, for the host's own tools: its vCPUs in order, then the I/O thread if it has one,
 * then the threads of disks. A disk has one from its first write on, or from the driver's start where io_uring is
 * forbidden. Any thread. False: there are no more; before machine_start and after the end there are none. A vCPU's
 * thread that was just made is waited for. */
#define MACHINE_THREAD_NAME 16 /* TASK_COMM_LEN: what the kernel keeps of a thread's name */
enum machine_thread_kind { MACHINE_THREAD_VCPU, MACHINE_THREAD_IO, MACHINE_THREAD_DISK };
#define MACHINE_THREADS_MAX (CONFIG_MAX_CPUS + 1 + MACHINE_MAX_DISKS)
struct machine_thread {
    enum machine_thread_kind kind;
    int vcpu; /* -1: not a vCPU's */
    int tid;
    char name[MACHINE_THREAD_NAME]; /* "web:vcpu0", "web:io", "web:disk0": the machine's name or "vireo", cut to fit */
};
bool machine_thread(struct machine *m, unsigned index, struct machine_thread *out);

const char *machine_console_pty(const struct machine *m); /* or NULL */
/* Bytes of console output that were lost. Any thread; final once machine_wait has returned 0. */
uint64_t machine_console_dropped(const struct machine *m);
/* The console's terminal has a new size: tell the guest. Any thread. -ENOTTY: the console is no terminal. */
int machine_console_resize(struct machine *m, uint16_t cols, uint16_t rows);

#endif

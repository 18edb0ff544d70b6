/* A sandbox from inside. */
#ifndef VIREO_SANDBOX_STRUCT_SANDBOX_H
#define VIREO_SANDBOX_STRUCT_SANDBOX_H

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "arch/counter.h"
#include "vmm/base/forked.h"
#include "vmm/core/record.h"
#include "vmm/sandbox/sandbox.h"

struct sandbox_setup {
    _Atomic unsigned users;
    void *file;
    uint64_t size;
    struct elf elf;
    struct policy policy;
    struct sandbox_limits limits;
    struct sandbox_host host[SANDBOX_HOSTS_MAX];
    unsigned hosts;
    char *name, **argv, **envp;
    bool is_called, is_placed_randomly, is_recorded;
    void (*log)(void *arg, const char *text);
    void *log_arg;
    struct counter counter;
};

/* One process of a program. Its thread is the sandbox's user for the first, one of its own for a forked one. A parent
 * stays until its last child is gone. */
struct task {
    struct sandbox *sandbox;
    struct task *parent, *next; /* next: in the sandbox's list of forked ones */
    _Atomic unsigned users;
    struct vm vm;
    struct space *space;
    struct user *user;
    struct process *process;
    _Atomic int tid; /* of the thread that runs it; 0: none */
    timer_t wall, cpu;
    int timers_tid;       /* the thread that they are for; 0: none are made */
    uint64_t cpu_base_ns; /* of the thread's CPU time: used before the limit began. With the sandbox's lock */
    bool is_ready;        /* stopped where functions can be called */
    struct forked forked;
    struct record *record; /* made when it first runs; NULL: none, for want of memory too */
};

struct sandbox {
    struct sandbox_setup *setup;
    struct task main;
    struct elf_image image;
    int stop_fd;
    _Atomic bool may_stop;      /* false: stop_fd is not readable. What is asked from outside is there */
    _Atomic bool ends_children; /* the main task is over */
    _Atomic int child_limit;    /* enum sandbox_reason: a limit of all that a forked one has met; 0: none */
    pthread_t thread;           /* that ran it last, and its number; 0: none */
    int tid;
    bool has_ended, is_in_call;
    _Atomic uint64_t deadline;     /* CLOCK_MONOTONIC, ns; forked tasks of an earlier call may still read it */
    _Atomic uint64_t cpu_limit_ns; /* of all tasks together; UINT64_MAX: none */
    uint64_t cpu_ended_ns;         /* of those that are over; with the lock */
    /* Where a call's bytes are: mapped when first needed, larger when that is needed. */
    uint64_t area, area_size;
    uint64_t call_sp;
    uint64_t generation;
    const struct sandbox_template *from;
    char why[SANDBOX_WHY_MAX]; /* the program's own word for its end, in this run or call; "": none */

    pthread_mutex_t lock; /* of the list, the counts and ended */
    pthread_cond_t gone;
    struct record *ended; /* exits of forked tasks that are over; NULL: none yet */
    struct task *children;
    unsigned running, forks; /* forks: with those that have ended, but have children */

    uint64_t exits, guest_ticks, call_ticks, load_ns, cpu_ns, reset_pages;
};

struct sandbox_template {
    struct sandbox_setup *setup;
    struct space_template *space;
    struct user_state *state;
    struct process *process;
    struct elf_image image;
    uint64_t area, area_size, call_sp;
};

/* ---- sandbox.c, function.c ---- */

struct sandbox *sandbox_make(struct sandbox_setup *setup, struct err *e); /* nothing in it yet; NULL: *e is filled */
void sandbox_enter(struct sandbox *s);                                    /* the calling thread runs it from here */
void sandbox_leave(struct sandbox *s, const struct sandbox_end *end);
void sandbox_clear_stop(struct sandbox *s);
bool sandbox_is_stopped(struct sandbox *s); /* from outside, or as a limit of the whole program was reached */
int sandbox_need_area(struct sandbox *s, uint64_t bytes); /* for a call's; -ENOMEM */

/* ---- task.c ---- */

/* VM, slots, vCPU for a space that is there. */
int task_open(struct task *t, struct sandbox *s, struct space *space, bool tracks, struct err *e);
void task_close(struct task *t);
struct process_params task_params(struct task *t);
/* Run until something ends it, by the calling thread. */
void task_run(struct task *t, struct sandbox_end *out);
void task_kick(void *task);
/* Ends all that were forked, and waits until they are gone. */
void sandbox_end_children(struct sandbox *s);

/* ---- limits.c: deadlines. Timers of the kernel's send the kick signal to the thread, again and again ---- */

uint64_t thread_cpu_ns(void);
int limits_begin(struct task *t, uint64_t wall_ns, uint64_t cpu_ns, struct err *e);
int limits_begin_child(struct task *t, struct err *e); /* the same deadline, the same CPU time */
/* By the thread of the task. false: more of it is left, and the task's timer is set to look again in time. */
bool limits_is_cpu_used(struct task *t);
void limits_close(struct task *t);
void limits_end(struct task *t);

/* ---- ends.c ---- */

void end_as(struct sandbox_end *out, enum sandbox_reason reason, int status, const char *detail, ...)
    __attribute__((format(printf, 4, 5)));
void end_by_return(int64_t value, struct sandbox_end *out); /* without printf: a call costs little more than an exit */
void end_by_fault(struct task *t, const struct user_fault *fault, struct sandbox_end *out);
void end_by_signal(struct task *t, int signo, struct sandbox_end *out);

/* ---- host.c: what a program asks of the monitor by USER_CALL_HOST. true: it is ready, stop here ---- */

bool host_call(struct task *t, const struct user_call *call, int64_t *result);

#endif

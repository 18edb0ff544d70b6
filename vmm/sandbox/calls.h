/* The door that a sandboxed program's system calls come through, and what the monitor keeps of the program.
 *
 * A call is looked up in one const table (number, name, how its arguments are shown, what answers it, what policy it
 * needs). What is not in the table gets -ENOSYS, what the policy does not allow -EPERM; both are counted by name. A
 * call that may wait (a pipe, a terminal, a sleep, a child) waits in process_wait, which ends at the deadline and when
 * the sandbox is stopped; so none outlasts the deadline.
 *
 * The thread that runs the program; forked processes have a thread each. No KVM here: the processor's part is reached
 * by struct process_cpu, so that unit tests and the fuzz target stand on a space without a VM. */
#ifndef VIREO_SANDBOX_CALLS_H
#define VIREO_SANDBOX_CALLS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "arch/user.h"
#include "vmm/sandbox/policy.h"
#include "vmm/sandbox/space.h"

struct process;

uint64_t process_clock(void); /* CLOCK_MONOTONIC, ns */

/* What a call does to the processor. */
struct process_cpu {
    int (*set_tls)(void *arg, uint64_t address);
    uint64_t (*tls)(void *arg);
    void *arg;
};

struct process_params {
    struct space *space;
    const struct policy *policy; /* outlives it */
    struct process_cpu cpu;
    int stop_fd;     /* an eventfd: readable when the sandbox shall end; waits look at it */
    const char *exe; /* what /proc/self/exe and AT_EXECFN say */
};
int process_create(struct process **out, const struct process_params *p, struct err *e);
void process_destroy(struct process *p);
void process_set_deadline(struct process *p, uint64_t monotonic_ns); /* UINT64_MAX: none */

/* The same program's state beside another space: of a fork (open files are shared, as fork(2) has it), or of a sandbox
 * made from a template (open files stand where they stood then, each sandbox's by itself). */
enum process_copy { PROCESS_FORK, PROCESS_CLONE };
int process_copy(struct process **out, struct process *from, enum process_copy how, const struct process_params *p,
                 struct err *e);
/* Back to what `to` is, a clone's template: files opened since are closed, offsets, signals, directory as there. */
int process_reset(struct process *p, struct process *to, struct err *e);

enum call_outcome {
    CALL_ANSWERED,  /* user_set_result(*result), go on */
    CALL_EXITED,    /* exit, exit_group: *result is the status */
    CALL_KILLED,    /* the program sent itself a signal that ends it: *result is its number */
    CALL_SIGNAL,    /* a handler is due: process_next_signal; *result is the call's */
    CALL_SIGRETURN, /* user_leave_signal */
    CALL_FORK,      /* a child is asked for: *result is its number here; the caller makes it */
    CALL_RETURNED,  /* USER_CALL_RETURN: *result is what the function returned */
    CALL_HOST,      /* USER_CALL_HOST: the caller answers */
    CALL_STOPPED,   /* deadline, or the sandbox is stopped, while it waited; the call is not answered */
    CALL_LIMIT,     /* a limit of the policy ends the program: process_limit names it */
};
enum call_outcome process_call(struct process *p, const struct user_call *call, int64_t *result);
const char *process_limit(const struct process *p); /* "output-max": static */

/* The next signal whose handler shall run; false: none. Masks and SA_* are done here. */
bool process_next_signal(struct process *p, struct user_signal *out);
/* The program faulted: true, a handler of its own takes it (process_next_signal); false, it ends by fault->signo. */
bool process_fault(struct process *p, const struct user_fault *fault);
void process_signal_left(struct process *p, uint64_t blocked); /* after CALL_SIGRETURN */
int process_deadly_signal(struct process *p);                  /* one that is due and has no handler; 0: none */
bool process_is_due(struct process *p);                        /* a signal was sent meanwhile: after a kick */

/* What CALL_FORK wants: where the child's stack is (0: the same), where its number goes and what its TLS is (0:
 * neither). */
struct process_fork {
    uint64_t stack, child_tid, tls;
    int pid;
};
void process_forked(struct process *p, struct process_fork *out);
void process_fork_failed(struct process *p);
void process_child_began(struct process *p, struct process *child); /* signals reach it from now on */
/* The same without a word to the program, which ends as well; any thread. */
void process_child_gone(struct process *p, int pid);
void process_child_ended(struct process *p, int pid, int wait_status); /* any thread: wakes its wait4 */
/* kick calls the program out of the guest, from any thread: for a signal that another process of the family sends. */
void process_set_kick(struct process *p, void (*kick)(void *arg), void *arg);
int process_pid(const struct process *p);

/* What was asked, by name, for --json and --stats: false past the end. */
struct call_count {
    long number;                    /* -1: all unknown ones above 511 */
    const char *name;               /* "openat": static; NULL: not known */
    uint64_t made, refused, failed; /* refused: by the policy, or not known */
    uint64_t ns;                    /* in our answer */
};
bool process_count(const struct process *p, unsigned index, struct call_count *out);
unsigned call_count_rows(void);

/* The table, for docs and tests. */
struct call_about {
    long number;
    const char *name;
    const char *does; /* one phrase: "answered", "allowed with --read", "refused: no threads" */
};
bool call_about(unsigned index, struct call_about *out);

#endif

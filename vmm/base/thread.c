#include "vmm/base/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/base/fd.h"

/* A blocked fault ends the process before its handler could restore a terminal (signal(7)), so these stay open. */
static void signals_of(const struct thread_start *start, sigset_t *blocked)
{
    static const int faults[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS, SIGTRAP};
    sigfillset(blocked);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) sigdelset(blocked, faults[i]);
    if (start->signal) sigdelset(blocked, start->signal);
}

int thread_make(pthread_t *out, const struct thread_start *start)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t mask, before;
    signals_of(start, &mask);
    int rc = pthread_attr_init(&attr);
    if (rc) return -rc;
    pthread_sigmask(SIG_SETMASK, &mask, &before); /* inherited: no signal may come before a thread could block it */
    rc = pthread_attr_setstacksize(&attr, THREAD_STACK);
    if (!rc) rc = pthread_create(&thread, &attr, start->fn, start->arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (rc) return -rc;
    if (start->name) (void)pthread_setname_np(thread, start->name); /* only tools look at it */
    if (out)
        *out = thread;
    else
        (void)pthread_detach(thread);
    return 0;
}

/* A nice value and a slice of its own stay as they are. false: its policy is not `from`, or the kernel refuses. */
static bool change_policy(int from, int to)
{
    const struct sched_param none = {0};
    const int now = sched_getscheduler(0);
    if (now < 0 || (now & ~SCHED_RESET_ON_FORK) != from) return false;
    return sched_setscheduler(0, to | (now & SCHED_RESET_ON_FORK), &none) == 0;
}

bool thread_be_patient(void)
{
    return change_policy(SCHED_OTHER, SCHED_BATCH);
}

void thread_be_ordinary(void)
{
    (void)change_policy(SCHED_BATCH, SCHED_OTHER);
}

/* ---- what the scheduler knows ---- */

/* sched_setattr(2), its first version. linux/sched/types.h has it too, but can't be included beside sched.h. */
struct attr {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period; /* ns; runtime is the slice of a thread of the fair class */
};

#define RESET_ON_FORK 1 /* of flags */

uint64_t thread_slice_ns(pid_t tid)
{
    struct attr a = {.size = sizeof(a)};
    return syscall(SYS_sched_getattr, tid, &a, sizeof(a), 0) == 0 ? a.runtime : 0;
}

int thread_set_slice_ns(pid_t tid, uint64_t slice_ns, bool are_children_ordinary)
{
    struct attr a = {.size = sizeof(a)};
    if (syscall(SYS_sched_getattr, tid, &a, sizeof(a), 0) < 0) return -errno;
    if (are_children_ordinary) a.flags |= RESET_ON_FORK;
    a.runtime = slice_ns;
    return syscall(SYS_sched_setattr, tid, &a, 0) < 0 ? -errno : 0;
}

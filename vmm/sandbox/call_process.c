/* Ends, children, and what would be other threads. */
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "vmm/sandbox/process.h"

int64_t call_exit(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)p;
    *outcome = CALL_EXITED;
    return (int64_t)(arg[0] & 0xff);
}

int64_t call_returned(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)p;
    *outcome = CALL_RETURNED;
    return (int64_t)arg[0];
}

int64_t call_host(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)p;
    (void)arg;
    *outcome = CALL_HOST;
    return -ENOSYS;
}

/* ---- children ---- */

static struct child *free_child(struct process *p)
{
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        if (!p->child[i].is_there) return &p->child[i];
    return NULL;
}

static int64_t wish_for_child(struct process *p, const struct fork_wish *wish, enum call_outcome *outcome)
{
    (void)pthread_mutex_lock(&p->lock);
    struct child *c = free_child(p);
    if (c) {
        p->wish = *wish;
        p->wish.pid = atomic_fetch_add(&p->family->next_pid, 1);
        *c = (struct child){.pid = p->wish.pid, .is_there = true};
    }
    (void)pthread_mutex_unlock(&p->lock);
    if (!c) return -EAGAIN;
    *outcome = CALL_FORK;
    return p->wish.pid;
}

void process_fork_failed(struct process *p)
{
    (void)pthread_mutex_lock(&p->lock);
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        if (p->child[i].pid == p->wish.pid) p->child[i].is_there = false;
    (void)pthread_mutex_unlock(&p->lock);
}

int64_t call_fork(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)arg;
    return wish_for_child(p, &(struct fork_wish){0}, outcome);
}

int64_t call_vfork(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)arg;
    return wish_for_child(p, &(struct fork_wish){0}, outcome);
}

/* A child with a memory of its own, or a thread: which is refused. vfork(2)'s child shares its parent's memory for as
 * long as the parent waits; a copy does as well, but for what it writes for the parent to read. */
static int64_t make_clone(struct process *p, const struct fork_wish *wish, enum call_outcome *outcome)
{
    const uint64_t understood = CSIGNAL | CLONE_VM | CLONE_VFORK | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID |
                                CLONE_SETTLS | CLONE_PARENT_SETTID;
    const bool is_thread = (wish->flags & CLONE_THREAD) || ((wish->flags & CLONE_VM) && !(wish->flags & CLONE_VFORK));
    if (is_thread || (wish->flags & ~understood)) return -EPERM;
    return wish_for_child(p, wish, outcome);
}

int64_t call_clone(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    /* The order of the last two is the architecture's: x86 has the child's tid before the TLS. */
    const bool tid_first = user_clone_has_tid_first();
    return make_clone(
        p,
        &(struct fork_wish){
            .flags = arg[0], .stack = arg[1], .child_tid = arg[tid_first ? 3 : 4], .tls = arg[tid_first ? 4 : 3]},
        outcome);
}

int64_t call_clone3(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)p;
    (void)arg;
    (void)outcome;
    return -ENOSYS; /* libraries go back to clone */
}

/* A child that has ended and is asked for. pid -1: any. */
static struct child *ended_child(struct process *p, int pid, bool *is_any)
{
    *is_any = false;
    for (unsigned i = 0; i < CHILDREN_MAX; i++) {
        struct child *c = &p->child[i];
        if (!c->is_there || (pid > 0 && c->pid != pid)) continue;
        *is_any = true;
        if (c->has_ended) return c;
    }
    return NULL;
}

static bool has_ended(struct process *p, int pid)
{
    bool is_any;
    (void)pthread_mutex_lock(&p->lock);
    const bool is_one = ended_child(p, pid, &is_any) != NULL;
    (void)pthread_mutex_unlock(&p->lock);
    return is_one;
}

/* The child's number, 0 with WNOHANG, or -errno. */
static int64_t wait_child(struct process *p, int pid, int options, int *status, bool takes, enum call_outcome *outcome)
{
    for (;;) {
        bool is_any;
        (void)pthread_mutex_lock(&p->lock);
        struct child *c = ended_child(p, pid, &is_any);
        const struct child found = c ? *c : (struct child){0};
        if (c && takes) c->is_there = false;
        (void)pthread_mutex_unlock(&p->lock);
        if (c) {
            *status = found.status;
            return found.pid;
        }
        if (!is_any) return -ECHILD;
        if (options & WNOHANG) return 0;
        const int why = process_wait_child(p);
        if (why == WAIT_STOPPED) *outcome = CALL_STOPPED;
        /* A child's own end is looked for once more, whatever its signal does. */
        if (why == WAIT_STOPPED || (why == WAIT_SIGNAL && !has_ended(p, pid))) return -EINTR;
    }
}

int64_t call_wait4(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    int status = 0;
    if ((uint32_t)arg[2] & ~(uint32_t)(WNOHANG | WUNTRACED | WCONTINUED | __WNOTHREAD | __WCLONE | __WALL))
        return -EINVAL;
    const int64_t pid = wait_child(p, (int)arg[0] > 0 ? (int)arg[0] : -1, (int)arg[2], &status, true, outcome);
    if (pid > 0 && arg[1] && space_write(p->space, arg[1], &status, sizeof(status))) return -EFAULT;
    return pid;
}

int64_t call_waitid(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    int status = 0;
    siginfo_t info = {0};
    if (arg[0] > P_PGID) return -EINVAL;
    const int64_t pid =
        wait_child(p, arg[0] == P_PID ? (int)arg[1] : -1, (int)arg[3], &status, !(arg[3] & WNOWAIT), outcome);
    if (pid < 0) return pid;
    if (pid) {
        info.si_signo = SIGCHLD;
        info.si_pid = (int)pid;
        info.si_code = WIFEXITED(status) ? CLD_EXITED : CLD_KILLED;
        info.si_status = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status);
    }
    return arg[2] && space_write(p->space, arg[2], &info, sizeof(info)) ? -EFAULT : 0;
}

/* Nobody else can wake it: a wait that would last for ever is told so, one that the value ends already is answered. */
int64_t call_futex(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    uint32_t value;
    (void)outcome;
    switch ((int)arg[1] & FUTEX_CMD_MASK) {
    case FUTEX_WAKE:
    case FUTEX_WAKE_BITSET:
        return arg[0] % sizeof(value)                                        ? -EINVAL
               : space_is_mapped(p->space, arg[0], sizeof(value), USER_READ) ? 0
                                                                             : -EFAULT;
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET:
        if (space_read(p->space, arg[0], &value, sizeof(value))) return -EFAULT;
        return value != (uint32_t)arg[2] ? -EAGAIN : -EPERM;
    default: return -ENOSYS;
    }
}

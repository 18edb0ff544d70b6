/* Signals: only the program's own, to itself and to its children. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "vmm/sandbox/process.h"

#define BIT(signo)  (1ull << ((signo)-1))
#define UNBLOCKABLE (BIT(SIGKILL) | BIT(SIGSTOP))
#define SET_SIZE    8u

struct kernel_action { /* struct sigaction of the kernel; where the architecture has no restorer, its place holds none
                        */
    uint64_t handler, flags, restorer, mask;
};

int64_t call_sigaction(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    const int signo = (int)arg[0];
    struct kernel_action k = {0};
    if (arg[3] != SET_SIZE || signo < 1 || signo > SIGNALS) return -EINVAL;
    struct action *a = &p->action[signo];
    const struct kernel_action old = {a->handler, a->flags, a->restorer, a->mask};
    if (arg[1]) {
        if (signo == SIGKILL || signo == SIGSTOP) return -EINVAL;
        if (space_read(p->space, arg[1], &k, sizeof(k))) return -EFAULT;
    }
    if (arg[2] && space_write(p->space, arg[2], &old, sizeof(old))) return -EFAULT;
    if (arg[1]) *a = (struct action){k.handler, k.flags, k.restorer, k.mask & ~UNBLOCKABLE};
    return 0;
}

int64_t call_sigprocmask(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    uint64_t set;
    const uint64_t old = p->blocked;
    if (arg[3] != SET_SIZE) return -EINVAL;
    if (arg[1]) {
        if (space_read(p->space, arg[1], &set, sizeof(set))) return -EFAULT;
        switch ((int)arg[0]) {
        case SIG_BLOCK: set = old | set; break;
        case SIG_UNBLOCK: set = old & ~set; break;
        case SIG_SETMASK: break;
        default: return -EINVAL;
        }
    }
    if (arg[2] && space_write(p->space, arg[2], &old, sizeof(old))) return -EFAULT;
    if (arg[1]) p->blocked = set & ~UNBLOCKABLE;
    return 0;
}

int64_t call_sigreturn(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)p;
    (void)arg;
    *outcome = CALL_SIGRETURN;
    return 0;
}

int64_t call_sigaltstack(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    struct {
        uint64_t sp;
        int32_t flags, pad;
        uint64_t size;
    } new, old = {p->stack, p->stack_size ? (int32_t)p->stack_flags : SS_DISABLE, 0, p->stack_size};
    if (arg[0]) {
        if (space_read(p->space, arg[0], &new, sizeof(new))) return -EFAULT;
        if (new.flags & ~SS_DISABLE) return -EINVAL;
        if (!(new.flags &SS_DISABLE) && new.size < 2048) return -ENOMEM;
    }
    if (arg[1] && space_write(p->space, arg[1], &old, sizeof(old))) return -EFAULT;
    if (arg[0]) {
        const bool is_off = new.flags &SS_DISABLE;
        p->stack = is_off ? 0 : new.sp;
        p->stack_size = is_off ? 0 : new.size;
        p->stack_flags = 0;
    }
    return 0;
}

int64_t call_sigpending(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    const uint64_t set = p->pending & p->blocked;
    return arg[1] > SET_SIZE ? -EINVAL : space_write(p->space, arg[0], &set, arg[1]);
}

/* Only a child's end can bring a signal while the program waits. */
static int64_t wait_for_signal(struct process *p, enum call_outcome *outcome)
{
    for (;;) {
        if (process_take_signal(p)) return -EINTR;
        if (process_wait_child(p) == WAIT_STOPPED) {
            *outcome = CALL_STOPPED;
            return -EINTR;
        }
    }
}

int64_t call_sigsuspend(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    uint64_t set;
    if (arg[1] != SET_SIZE) return -EINVAL;
    if (space_read(p->space, arg[0], &set, sizeof(set))) return -EFAULT;
    p->suspended_mask = p->blocked;
    p->is_suspended = true;
    p->blocked = set & ~UNBLOCKABLE;
    return wait_for_signal(p, outcome);
}

int64_t call_pause(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)arg;
    return wait_for_signal(p, outcome);
}

static int64_t send(struct process *p, int64_t pid, int64_t signo)
{
    if (signo < 0 || signo > SIGNALS) return -EINVAL;
    if (pid == p->pid || pid == 0 || pid == -1 || pid == -p->pid) {
        if (signo) process_raise(p, (int)signo);
        return 0;
    }
    return process_signal_child(p, (int)(pid < 0 ? -pid : pid), (int)signo);
}

int64_t call_kill(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    return send(p, (int)arg[0], (int)arg[1]);
}

int64_t call_tkill(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    return send(p, (int)arg[0], (int)arg[1]);
}

int64_t call_tgkill(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    if ((int)arg[0] <= 0 || (int)arg[1] <= 0) return -EINVAL;
    return (int)arg[0] != (int)arg[1] ? -ESRCH : send(p, (int)arg[1], (int)arg[2]);
}

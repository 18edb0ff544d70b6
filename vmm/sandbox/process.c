/* The program's state on our side: made, copied for forks and clones, put back. */
#include "vmm/sandbox/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/fd.h"

uint64_t process_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void drop_family(struct family *f)
{
    if (!f || atomic_fetch_sub(&f->users, 1) != 1) return;
    (void)pthread_mutex_destroy(&f->lock);
    free(f);
}

static struct family *make_family(int next_pid)
{
    struct family *f = calloc(1, sizeof(*f));
    if (!f) return NULL;
    f->users = 1;
    f->next_pid = next_pid;
    (void)pthread_mutex_init(&f->lock, NULL);
    return f;
}

/* All but what the process has of its own to begin with. */
static struct process *make(const struct process_params *params, struct err *e)
{
    struct process *p = calloc(1, sizeof(*p));
    if (p) {
        p->handle = calloc(params->policy->files_max, sizeof(*p->handle));
        p->count = calloc(call_count_rows() / CALL_CHUNK + 1, sizeof(void *)); /* pointers */
        p->wake_fd = fd_own(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    }
    if (!p || !p->handle || !p->count || p->wake_fd < 0 || pthread_mutex_init(&p->lock, NULL)) {
        err_set(e, -ENOMEM, "sandbox: no memory or no descriptors for the program's state");
        err_as(e, ERR_HOST);
        if (p && p->wake_fd >= 0) (void)close(p->wake_fd);
        if (p) free(p->handle);
        if (p) free(p->count);
        free(p);
        return NULL;
    }
    p->space = params->space;
    p->policy = params->policy;
    p->cpu = params->cpu;
    p->stop_fd = params->stop_fd;
    p->deadline = UINT64_MAX;
    p->began_ns = process_now();
    return p;
}

/* 0, 1 and 2. */
static int open_standard(struct process *p)
{
    for (int i = 0; i < 3; i++) {
        const int fd = p->policy->std[i];
        const bool is_function = i && p->policy->output;
        struct file *f = file_create(fd < 0 || is_function ? FILE_NULL : FILE_HOST, fd < 0 || is_function ? -1 : fd);
        if (!f) return -ENOMEM;
        f->is_borrowed = true;
        f->number = i;
        f->is_output = i > 0;
        f->can_read = i == 0 || fd >= 0;
        f->can_write = i > 0 || fd >= 0;
        if (files_add(p, f, i, false) < 0) return -ENOMEM;
    }
    p->files_changed = false;
    return 0;
}

int process_create(struct process **out, const struct process_params *params, struct err *e)
{
    struct process *p = make(params, e);
    if (!p) return -ENOMEM;
    /* Programs rely on an absolute path there. */
    const char *exe = params->exe ? params->exe : "";
    const bool has_exe = asprintf(&p->exe, "%s%s", exe[0] == '/' ? "" : "/", exe) >= 0;
    if (!has_exe) p->exe = NULL;
    p->family = make_family(PID_FIRST + 1);
    if (!has_exe || process_set_cwd(p, p->policy->cwd ? p->policy->cwd : "/") || !p->family || open_standard(p)) {
        process_destroy(p);
        return err_set(e, -ENOMEM, "sandbox: no memory for the program's files");
    }
    p->pid = PID_FIRST;
    p->umask = 022;
    *out = p;
    return 0;
}

static void free_counts(struct process *p)
{
    for (unsigned i = 0; i <= call_count_rows() / CALL_CHUNK; i++) free(p->count[i]);
    free(p->count);
}

static void close_all(struct process *p)
{
    for (unsigned i = 0; i < p->policy->files_max; i++) {
        if (p->handle[i].file) file_drop(p->handle[i].file);
        p->handle[i] = (struct handle){0};
    }
}

void process_destroy(struct process *p)
{
    if (!p) return;
    close_all(p);
    drop_family(p->family);
    (void)close(p->wake_fd);
    (void)pthread_mutex_destroy(&p->lock);
    free(p->handle);
    free_counts(p);
    free(p->exe);
    free(p->cwd);
    free(p);
}

int process_set_cwd(struct process *p, const char *path)
{
    if (p->cwd && strcmp(p->cwd, path) == 0) return 0;
    char *copy = strdup(path);
    if (!copy) return -ENOMEM;
    free(p->cwd);
    p->cwd = copy;
    return 0;
}

void process_set_deadline(struct process *p, uint64_t monotonic_ns)
{
    p->deadline = monotonic_ns;
}

/* And what else is no file: -ENOMEM, for the current directory. */
static int copy_signals(struct process *p, const struct process *from)
{
    memcpy(p->action, from->action, sizeof(p->action));
    p->blocked = from->blocked;
    p->stack = from->stack;
    p->stack_size = from->stack_size;
    p->stack_flags = from->stack_flags;
    p->umask = from->umask;
    return process_set_cwd(p, from->cwd);
}

int process_copy(struct process **out, struct process *from, enum process_copy how, const struct process_params *params,
                 struct err *e)
{
    struct process *p = make(params, e);
    if (!p) return -ENOMEM;
    p->exe = strdup(from->exe);
    const int rc = copy_signals(p, from);
    if (how == PROCESS_FORK) {
        p->family = from->family;
        atomic_fetch_add(&p->family->users, 1);
        p->pid = from->wish.pid;
        p->parent = from->pid;
        p->deadline = from->deadline;
    } else {
        p->family = make_family(atomic_load(&from->family->next_pid));
        p->pid = from->pid;
        p->pending = from->pending;
    }
    if (rc || !p->exe || !p->family || files_copy(p, from, how)) {
        process_destroy(p);
        return err_set(e, -ENOMEM, "sandbox: no memory for the program's files");
    }
    *out = p;
    return 0;
}

/* What came from other threads becomes the program's own. */
void process_heed(struct process *p)
{
    eventfd_t n;
    (void)eventfd_read(p->wake_fd, &n);
    p->pending |= atomic_exchange(&p->sent, 0);
    if (atomic_exchange(&p->child_ended, false)) process_raise(p, SIGCHLD);
}

int process_reset(struct process *p, struct process *to, struct err *e)
{
    if (copy_signals(p, to)) return err_set(e, -ENOMEM, "sandbox: no memory for the current directory");
    p->is_suspended = false;
    p->limit = NULL;
    p->deadline = UINT64_MAX;
    atomic_store(&p->family->output, 0);
    atomic_store(&p->family->written, 0);
    atomic_store(&p->family->next_pid, atomic_load(&to->family->next_pid));
    memset(p->child, 0, sizeof(p->child));
    p->fault = (struct user_fault){0};
    if (atomic_load(&p->child_ended) || atomic_load(&p->sent)) process_heed(p);
    p->pending = to->pending;
    if (files_rewind(p, to)) return 0;
    close_all(p);
    return files_copy(p, to, PROCESS_CLONE) ? err_set(e, -ENOMEM, "sandbox: no memory for the program's files") : 0;
}

const char *process_limit(const struct process *p)
{
    return p->limit;
}

/* ---- waiting ---- */

static int wait_once(struct process *p, int fd, short events, uint64_t until)
{
    struct pollfd fds[3] = {
        {.fd = p->stop_fd, .events = POLLIN}, {.fd = p->wake_fd, .events = POLLIN}, {.fd = fd, .events = events}};
    const uint64_t now = process_now(), end = until < p->deadline ? until : p->deadline;
    if (now >= p->deadline) return WAIT_STOPPED;
    const uint64_t left = end > now ? end - now : 0;
    const struct timespec time = {(time_t)(left / 1000000000), (long)(left % 1000000000)};
    const int n = ppoll(fds, fd < 0 ? 2 : 3, end == UINT64_MAX ? NULL : &time, NULL);
    if (n < 0) return errno == EINTR ? WAIT_CHILD : WAIT_STOPPED;
    if (fds[0].revents) return WAIT_STOPPED;
    if (fds[2].revents) return WAIT_READY;
    if (fds[1].revents) {
        process_heed(p);
        return process_take_signal(p) ? WAIT_SIGNAL : WAIT_CHILD;
    }
    return process_now() >= p->deadline ? WAIT_STOPPED : WAIT_TIME;
}

bool process_is_cut(const struct process *p)
{
    struct pollfd stop = {.fd = p->stop_fd, .events = POLLIN};
    return process_now() >= p->deadline || poll(&stop, 1, 0) > 0;
}

int process_wait(struct process *p, int fd, short events, uint64_t until)
{
    int rc;
    do rc = wait_once(p, fd, events, until);
    while (rc == WAIT_CHILD);
    return rc;
}

int process_wait_child(struct process *p)
{
    return wait_once(p, -1, 0, UINT64_MAX);
}

/* ---- signals that are due ---- */

#define BIT(signo) (1ull << ((signo)-1))

void process_raise(struct process *p, int signo)
{
    p->pending |= BIT(signo);
}

bool process_fault(struct process *p, const struct user_fault *fault)
{
    const struct action *a = &p->action[fault->signo];
    p->fault = *fault;
    if (a->handler == (uintptr_t)SIG_DFL || a->handler == (uintptr_t)SIG_IGN || (p->blocked & BIT(fault->signo)))
        return false;
    process_raise(p, fault->signo);
    return true;
}

bool process_is_ignored(const struct process *p, int signo)
{
    const uint64_t handler = p->action[signo].handler;
    if (handler == (uintptr_t)SIG_IGN) return signo != SIGKILL;
    return handler == (uintptr_t)SIG_DFL &&
           (signo == SIGCHLD || signo == SIGURG || signo == SIGWINCH || signo == SIGCONT || signo == SIGTSTP ||
            signo == SIGTTIN || signo == SIGTTOU || signo == SIGSTOP);
}

int process_take_signal(struct process *p)
{
    p->pending |= atomic_exchange(&p->sent, 0);
    for (int signo = 1; signo <= SIGNALS; signo++) {
        if (!(p->pending & ~p->blocked & BIT(signo))) continue;
        if (!process_is_ignored(p, signo)) return signo;
        p->pending &= ~BIT(signo);
    }
    return 0;
}

bool process_next_signal(struct process *p, struct user_signal *out)
{
    const int signo = process_take_signal(p);
    struct action *a = &p->action[signo];
    if (!signo || a->handler == (uintptr_t)SIG_DFL) return false;
    const bool is_fault = p->fault.signo == signo;
    *out = (struct user_signal){.signo = signo,
                                .code = is_fault ? p->fault.code : SI_USER,
                                .address = is_fault ? p->fault.address : 0,
                                .handler = a->handler,
                                .restorer = a->restorer,
                                .flags = a->flags,
                                .blocked = p->is_suspended ? p->suspended_mask : p->blocked,
                                .stack = p->stack,
                                .stack_size = p->stack_flags & SS_DISABLE ? 0 : p->stack_size};
    p->pending &= ~BIT(signo);
    p->fault.signo = 0;
    p->blocked |= a->mask | (a->flags & SA_NODEFER ? 0 : BIT(signo));
    p->is_suspended = false;
    if (a->flags & SA_RESETHAND) *a = (struct action){0};
    return true;
}

void process_signal_left(struct process *p, uint64_t blocked)
{
    p->blocked = blocked & ~(BIT(SIGKILL) | BIT(SIGSTOP));
}

void process_child_ended(struct process *p, int pid, int wait_status)
{
    (void)pthread_mutex_lock(&p->lock);
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        if (p->child[i].is_there && p->child[i].pid == pid) {
            p->child[i].has_ended = true;
            p->child[i].status = wait_status;
            p->child[i].process = NULL;
        }
    (void)pthread_mutex_unlock(&p->lock);
    atomic_store(&p->child_ended, true);
    (void)eventfd_write(p->wake_fd, 1);
}

void process_child_gone(struct process *p, int pid)
{
    (void)pthread_mutex_lock(&p->lock);
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        if (p->child[i].is_there && p->child[i].pid == pid) p->child[i].process = NULL;
    (void)pthread_mutex_unlock(&p->lock);
}

void process_child_began(struct process *p, struct process *child)
{
    (void)pthread_mutex_lock(&p->lock);
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        if (p->child[i].is_there && p->child[i].pid == child->pid) p->child[i].process = child;
    (void)pthread_mutex_unlock(&p->lock);
}

void process_set_kick(struct process *p, void (*kick)(void *arg), void *arg)
{
    p->kick = kick;
    p->kick_arg = arg;
}

int process_pid(const struct process *p)
{
    return p->pid;
}

int process_signal_child(struct process *p, int pid, int signo)
{
    int rc = -ESRCH;
    (void)pthread_mutex_lock(&p->lock);
    for (unsigned i = 0; i < CHILDREN_MAX; i++) {
        const struct child *c = &p->child[i];
        if (!c->is_there || c->pid != pid) continue;
        rc = 0;
        if (!signo || !c->process) continue;
        atomic_fetch_or(&c->process->sent, BIT(signo));
        (void)eventfd_write(c->process->wake_fd, 1);
        if (c->process->kick) c->process->kick(c->process->kick_arg);
    }
    (void)pthread_mutex_unlock(&p->lock);
    return rc;
}

void process_forked(struct process *p, struct process_fork *out)
{
    *out = (struct process_fork){.stack = p->wish.stack,
                                 .child_tid = p->wish.flags & CLONE_CHILD_SETTID ? p->wish.child_tid : 0,
                                 .tls = p->wish.flags & CLONE_SETTLS ? p->wish.tls : 0,
                                 .pid = p->wish.pid};
}

int process_deadly_signal(struct process *p)
{
    for (int signo = 1; signo <= SIGNALS; signo++) {
        const bool is_due = p->pending & ~p->blocked & BIT(signo);
        if (is_due && !p->action[signo].handler && !process_is_ignored(p, signo)) return signo;
    }
    return 0;
}

uint64_t process_clock(void)
{
    return process_now();
}

bool process_is_due(struct process *p)
{
    return process_take_signal(p) != 0;
}

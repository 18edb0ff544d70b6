/* One process of a program: its VM made, run, forked. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "arch/arch.h"
#include "vmm/base/thread.h"
#include "vmm/machine/runner.h"
#include "vmm/sandbox/struct_sandbox.h"

/* Shared bytes have their slots above the kernel's. */
#define TOP_GPA (USER_KERNEL_GPA + (64ull << 30))

/* Forked tasks that a program may have: each takes a VM, a thread and some descriptors of the host's. */
#define FORKS_MAX 128u

static void in_child(void *arg)
{
    struct task *t = arg;
    if (t->vm.fd >= 0) (void)close(t->vm.fd);
    struct vcpu *v = t->user ? user_vcpu(t->user) : NULL;
    if (v && v->fd >= 0) (void)close(v->fd);
}

static int set_tls(void *arg, uint64_t address)
{
    return user_set_tls(((struct task *)arg)->user, address);
}

static uint64_t get_tls(void *arg)
{
    return user_tls(((struct task *)arg)->user);
}

struct process_params task_params(struct task *t)
{
    return (struct process_params){.space = t->space,
                                   .policy = &t->sandbox->setup->policy,
                                   .cpu = {.set_tls = set_tls, .tls = get_tls, .arg = t},
                                   .stop_fd = t->sandbox->stop_fd,
                                   .exe = t->sandbox->setup->name};
}

int task_open(struct task *t, struct sandbox *s, struct space *space, bool tracks, struct err *e)
{
    unsigned long type = 0;
    *t = (struct task){.sandbox = s, .vm = VM_INIT, .space = space, .users = 1};
    int rc = kvm_open(&t->vm.kvm_fd, e);
    if (!rc) rc = arch_vm_type(t->vm.kvm_fd, TOP_GPA, &type, e);
    if (!rc) rc = vm_create_typed(&t->vm, type, e);
    if (!rc) rc = vm_check_caps(&t->vm, user_caps, e);
    if (!rc) rc = space_attach(space, &t->vm, tracks, e);
    const struct user_params p = {.vm = &t->vm, .kernel = space_kernel(space), .root_gpa = space_root(space)};
    if (!rc) rc = user_create(&t->user, &p, e);
    if (!rc) rc = space_attach_vcpu(space, user_vcpu(t->user), e);
    t->forked = (struct forked){.in_child = in_child, .arg = t};
    if (!rc) forked_add(&t->forked);
    return rc;
}

void task_close(struct task *t)
{
    forked_remove(&t->forked);
    limits_close(t);
    record_destroy(t->record);
    t->record = NULL;
    process_destroy(t->process);
    user_destroy(t->user);
    vm_destroy(&t->vm);
    space_destroy(t->space);
    t->process = NULL;
    t->user = NULL;
    t->space = NULL;
}

void task_kick(void *task)
{
    struct task *t = task;
    atomic_thread_fence(memory_order_seq_cst);
    __atomic_store_n(&user_vcpu(t->user)->run->immediate_exit, 1, __ATOMIC_RELAXED);
    atomic_thread_fence(memory_order_seq_cst);
    const int tid = atomic_load(&t->tid);
    if (tid) (void)tgkill(getpid(), tid, SIGURG);
}

/* ---- forks ---- */

/* A place for one more forked task. Those that have ended and wait for their children count: they hold a VM each. */
static bool take_place(struct sandbox *s)
{
    (void)pthread_mutex_lock(&s->lock);
    const bool has_room = s->forks < FORKS_MAX;
    if (has_room) s->forks++;
    (void)pthread_mutex_unlock(&s->lock);
    return has_room;
}

static void give_place(struct sandbox *s)
{
    (void)pthread_mutex_lock(&s->lock);
    s->forks--;
    (void)pthread_mutex_unlock(&s->lock);
}

static void drop_task(struct task *t)
{
    while (t && atomic_fetch_sub(&t->users, 1) == 1) {
        struct task *parent = t->parent;
        struct sandbox *s = t->sandbox;
        task_close(t);
        free(t);
        give_place(s);
        t = parent;
    }
}

/* With the lock held. Others may have been put before it since it was. */
static void unlink_task(struct sandbox *s, const struct task *t)
{
    for (struct task **at = &s->children; *at; at = &(*at)->next)
        if (*at == t) {
            *at = t->next;
            return;
        }
}

/* With the lock held, as the task is over. */
static void keep_record(struct sandbox *s, struct task *t)
{
    if (!t->record) return;
    if (s->ended)
        record_add(s->ended, t->record);
    else {
        s->ended = t->record;
        t->record = NULL;
    }
}

/* wait(2)'s word for an end. */
static int wait_status(const struct sandbox_end *end)
{
    return end->reason == SANDBOX_EXITED   ? (end->status & 0xff) << 8
           : end->reason == SANDBOX_SIGNAL ? (int)end->value & 0x7f
                                           : SIGKILL;
}

static void *child_main(void *arg)
{
    struct task *t = arg;
    struct sandbox *s = t->sandbox;
    struct sandbox_end end;
    struct err e = {0};
    atomic_store(&t->tid, gettid());
    if (limits_begin_child(t, &e))
        end_as(&end, SANDBOX_FAILED, 125, "%s", e.text);
    else
        task_run(t, &end);
    (void)pthread_mutex_lock(&s->lock);
    s->cpu_ended_ns += thread_cpu_ns() - t->cpu_base_ns;
    atomic_store(&t->tid, 0);
    (void)pthread_mutex_unlock(&s->lock);
    /* A limit of the whole program ends the whole program. */
    const bool is_limit = end.reason == SANDBOX_OUTPUT || end.reason == SANDBOX_CPU_TIME;
    if (is_limit) {
        atomic_store(&s->child_limit, (int)end.reason);
        sandbox_stop(s); /* out of the guest, or of a wait */
    }
    space_give_up(t->space); /* before its parent is told, who may fork again */
    /* At the deadline and at a stop its parent ends, too, and must not first go on as if only the child had. */
    if (is_limit || end.reason == SANDBOX_DEADLINE || end.reason == SANDBOX_STOPPED)
        process_child_gone(t->parent->process, process_pid(t->process));
    else
        process_child_ended(t->parent->process, process_pid(t->process), wait_status(&end));
    (void)pthread_mutex_lock(&s->lock);
    unlink_task(s, t);
    keep_record(s, t);
    (void)pthread_mutex_unlock(&s->lock);
    drop_task(t);
    (void)pthread_mutex_lock(&s->lock);
    if (--s->running == 0) (void)pthread_cond_broadcast(&s->gone);
    (void)pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* The child's registers are its parent's, but for the result of the call, the stack and the TLS that were asked for. */
static int fill_child(struct task *t, struct task *parent, const struct process_fork *wish, struct err *e)
{
    struct user_state *state = user_state_create(parent->user);
    int rc = state ? user_state_save(parent->user, state, e) : err_set(e, -ENOMEM, "sandbox: no memory for a fork");
    if (!rc) rc = user_state_load(t->user, state, e);
    user_state_destroy(state);
    if (rc) return rc;
    user_set_result(t->user, 0);
    if (wish->stack) user_set_sp(t->user, wish->stack);
    if (wish->tls) (void)user_set_tls(t->user, wish->tls);
    if (wish->child_tid) (void)space_write(t->space, wish->child_tid, &wish->pid, sizeof(wish->pid));
    return 0;
}

static int fork_task(struct task *parent)
{
    struct err e = {0}; /* the program gets EAGAIN, whatever it was */
    struct sandbox *s = parent->sandbox;
    struct process_fork wish;
    struct space *space;
    if (!take_place(s)) return -EAGAIN;
    struct task *t = calloc(1, sizeof(*t));
    process_forked(parent->process, &wish);
    int rc = t ? space_copy(&space, parent->space, &e) : -ENOMEM;
    if (rc) {
        free(t);
        give_place(s);
        return rc;
    }
    rc = task_open(t, s, space, false, &e);
    t->parent = parent;
    const struct process_params params = task_params(t);
    if (!rc) rc = process_copy(&t->process, parent->process, PROCESS_FORK, &params, &e);
    if (!rc) rc = fill_child(t, parent, &wish, &e);
    if (rc) {
        task_close(t);
        free(t);
        give_place(s);
        return rc;
    }
    process_set_kick(t->process, task_kick, t);
    atomic_fetch_add(&parent->users, 1);
    (void)pthread_mutex_lock(&s->lock);
    t->next = s->children;
    s->children = t;
    s->running++;
    (void)pthread_mutex_unlock(&s->lock);
    process_child_began(parent->process, t->process);
    (void)limits_is_cpu_used(parent); /* it shares what is left from now on */
    const struct thread_start start = {.name = "sandbox:fork", .signal = SIGURG, .fn = child_main, .arg = t};
    rc = thread_make(NULL, &start);
    if (rc) {
        (void)pthread_mutex_lock(&s->lock);
        unlink_task(s, t);
        s->running--;
        (void)pthread_mutex_unlock(&s->lock);
        process_child_gone(parent->process, wish.pid); /* there never was one */
        drop_task(t);
    }
    return rc;
}

void sandbox_end_children(struct sandbox *s)
{
    (void)pthread_mutex_lock(&s->lock);
    if (s->running) {
        atomic_store(&s->ends_children, true);
        (void)eventfd_write(s->stop_fd, 1);
    }
    while (s->running) {
        struct timespec until;
        for (struct task *t = s->children; t; t = t->next) task_kick(t);
        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 10000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        (void)pthread_cond_timedwait(&s->gone, &s->lock, &until);
    }
    if (atomic_exchange(&s->ends_children, false) && !atomic_load(&s->may_stop)) {
        eventfd_t n;
        (void)eventfd_read(s->stop_fd, &n);
    }
    (void)pthread_mutex_unlock(&s->lock);
}

/* ---- running ---- */

/* What is over, if anything is: looked at after a kick and after a call that was cut short. */
static bool is_over(struct task *t, struct sandbox_end *out)
{
    struct sandbox *s = t->sandbox;
    const int limit = atomic_load(&s->child_limit);
    if (limit == SANDBOX_OUTPUT)
        end_as(out, SANDBOX_OUTPUT, 124, "the program wrote more than output-max allows");
    else if (limit == 0 && (atomic_load(&s->ends_children) || sandbox_is_stopped(s)))
        end_as(out, SANDBOX_STOPPED, 128 + SIGTERM, "the sandbox was stopped");
    else if (s->deadline != UINT64_MAX && process_clock() >= s->deadline)
        end_as(out, SANDBOX_DEADLINE, 124, "the time limit has passed");
    else if (limit == SANDBOX_CPU_TIME || limits_is_cpu_used(t))
        end_as(out, SANDBOX_CPU_TIME, 124, "the limit of CPU time was reached");
    else
        return false;
    out->pc = user_pc(t->user);
    return true;
}

/* Handlers that are due begin; the last one to begin runs first, as with Linux. false: a stack has no room. */
static bool deliver(struct task *t, struct sandbox_end *out)
{
    struct user_signal signal;
    const struct user_mem mem = space_mem(t->space);
    while (process_next_signal(t->process, &signal)) {
        int rc = user_enter_signal(t->user, &mem, &signal);
        if (rc && space_grow(t->space, user_sp(t->user) - user_signal_size()))
            rc = user_enter_signal(t->user, &mem, &signal);
        if (!rc) continue;
        end_as(out, SANDBOX_SIGNAL, 128 + SIGSEGV,
               "the program died by SIGSEGV: no stack is left for the handler of signal %d", signal.signo);
        out->value = SIGSEGV;
        return false;
    }
    return true;
}

/* A signal without a handler that is due ends it. */
static bool dies_of_signal(struct task *t, struct sandbox_end *out)
{
    const int signo = process_deadly_signal(t->process);
    if (signo) end_by_signal(t, signo, out);
    return signo;
}

static bool leave_signal(struct task *t, struct sandbox_end *out)
{
    uint64_t blocked;
    const struct user_mem mem = space_mem(t->space);
    if (user_leave_signal(t->user, &mem, &blocked)) {
        end_as(out, SANDBOX_SIGNAL, 128 + SIGSEGV,
               "the program died by SIGSEGV: its signal handler returned to no frame");
        out->value = SIGSEGV;
        return false;
    }
    process_signal_left(t->process, blocked);
    return !dies_of_signal(t, out) && deliver(t, out);
}

static void exit_as(struct task *t, int64_t status, struct sandbox_end *out)
{
    struct sandbox *s = t->sandbox;
    if (t == &s->main && s->setup->is_called && !s->is_in_call && status == 0)
        end_as(out, SANDBOX_READY, 0, "the program is ready");
    else
        end_as(out, SANDBOX_EXITED, (int)status, "the program exited with status %d%s%s", (int)status,
               t == &s->main && s->why[0] ? ": " : "", t == &s->main ? s->why : "");
    out->value = status;
}

/* ENOMEM: the limit of memory; EAGAIN: all else. */
static bool fork_or_fail(struct task *t)
{
    const int rc = fork_task(t);
    if (!rc) return true;
    process_fork_failed(t->process);
    user_set_result(t->user, rc == -ENOMEM ? -ENOMEM : -EAGAIN);
    return true;
}

/* One system call. false: it ends the run. */
static bool answer(struct task *t, struct sandbox_end *out)
{
    struct user_call call;
    int64_t result;
    user_get_call(t->user, &call);
    switch (process_call(t->process, &call, &result)) {
    case CALL_ANSWERED: user_set_result(t->user, result); return true;
    case CALL_EXITED: exit_as(t, result, out); return false;
    case CALL_KILLED: end_by_signal(t, (int)result, out); return false;
    case CALL_SIGNAL: user_set_result(t->user, result); return !dies_of_signal(t, out) && deliver(t, out);
    case CALL_SIGRETURN: return leave_signal(t, out);
    case CALL_FORK: user_set_result(t->user, result); return fork_or_fail(t);
    case CALL_RETURNED:
        if (t != &t->sandbox->main || !t->sandbox->is_in_call) {
            user_set_result(t->user, -ENOSYS);
            return true;
        }
        end_by_return(result, out);
        return false;
    case CALL_HOST:
        if (host_call(t, &call, &result)) {
            end_as(out, SANDBOX_READY, 0, "the program is ready");
            user_set_result(t->user, 0);
            return false;
        }
        user_set_result(t->user, result);
        return !is_over(t, out); /* nobody knows how long the host's function took */
    case CALL_LIMIT:
        end_as(out, SANDBOX_OUTPUT, 124, "the program wrote more than %s allows", process_limit(t->process));
        return false;
    case CALL_STOPPED: break;
    }
    if (!is_over(t, out)) end_as(out, SANDBOX_STOPPED, 128 + SIGTERM, "the sandbox was stopped");
    return false;
}

/* A fault may be a stack that grows, or have a handler. false: it ends the program. */
static bool take_fault(struct task *t, struct sandbox_end *out)
{
    struct user_fault fault;
    user_get_fault(t->user, &fault);
    if (fault.signo == SIGSEGV && fault.access) {
        if (space_grow(t->space, fault.address)) return true;
        fault.code = space_is_mapped(t->space, fault.address, 1, 0) ? SEGV_ACCERR : SEGV_MAPERR;
    }
    if (process_fault(t->process, &fault)) return deliver(t, out);
    end_by_fault(t, &fault, out);
    return false;
}

/* After a kick: an end, or a signal from another process of the program. */
static bool take_kick(struct task *t, struct sandbox_end *out)
{
    if (is_over(t, out)) return false;
    if (!process_is_due(t->process)) return true;
    if (dies_of_signal(t, out)) return false;
    return !user_settle(t->user) || deliver(t, out);
}

static void fail(struct sandbox_end *out, const struct err *e)
{
    end_as(out, SANDBOX_FAILED, 125, "%s", e->text);
}

static enum record_class class_of(enum user_event event)
{
    switch (event) {
    case USER_CALL: return RECORD_CALL;
    case USER_FAULT: return RECORD_FAULT;
    case USER_KICKED: return RECORD_KICK;
    case USER_RING_FULL: return RECORD_DIRTY_LOG;
    case USER_BROKEN: break;
    }
    return RECORD_OTHER;
}

void task_run(struct task *t, struct sandbox_end *out)
{
    struct sandbox *s = t->sandbox;
    const struct counter *counter = &s->setup->counter;
    const bool is_main = t == &s->main;
    struct err e;
    if (s->setup->is_recorded && !t->record) t->record = record_create();
    err_init(&e);
    uint64_t done = counter_read(counter), guest = 0, ours = 0, exits = 0;
    for (bool goes_on = true; goes_on;) {
        if (space_wants_flush(t->space)) user_flush(t->user);
        const enum user_event event = user_run(t->user, &e);
        const uint64_t from = done, left = counter_read(counter);
        guest += left - from;
        exits++;
        switch (event) {
        case USER_CALL: goes_on = answer(t, out); break;
        case USER_FAULT: goes_on = take_fault(t, out); break;
        case USER_KICKED: goes_on = take_kick(t, out); break;
        case USER_RING_FULL: goes_on = space_collect(t->space, &t->vm) == 0; break;
        case USER_BROKEN: goes_on = false; break;
        }
        if (!goes_on && (event == USER_RING_FULL || event == USER_BROKEN)) fail(out, &e);
        done = counter_read(counter);
        ours += done - left;
        if (!t->record) continue;
        const struct record_exit x = {.class = class_of(event), .from = from, .left = left, .done = done};
        record_exit(t->record, &x);
    }
    if (!is_main) return;
    s->guest_ticks += guest;
    s->call_ticks += ours;
    s->exits += exits;
}

#include "vmm/machine/runner.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/endian.h"
#include "vmm/base/thread.h"

#define KICK_SIGNAL SIGURG /* ignored by default, so a stray one hurts nobody */

/* How often a vCPU tries again while KVM lacks something, and the pause in between: one second in all. A program that
 * makes and ends many threads may reach its limit for a moment. */
#define REFUSALS_MAX     100
#define REFUSAL_PAUSE_NS 10000000L

static void on_kick(int signo)
{
    (void)signo;
}

int runner_mind_signal(void)
{
    struct sigaction now;
    if (sigaction(KICK_SIGNAL, NULL, &now) == 0 && now.sa_handler != SIG_DFL && now.sa_handler != SIG_IGN) return 0;
    struct sigaction kick = {.sa_handler = on_kick, .sa_flags = SA_RESTART};
    sigemptyset(&kick.sa_mask);
    return sigaction(KICK_SIGNAL, &kick, NULL) < 0 ? -errno : 0;
}

void runner_kick(struct runner *r, enum runner_want want)
{
    runner_tell(r, RUNNER_WANT, (int)want);
    atomic_store_explicit(&r->want, (int)want, memory_order_relaxed);
    if (r->is_halted) (void)sem_post(&r->resume);
    if (!r->has_thread || r->is_gone) return;
    atomic_thread_fence(memory_order_seq_cst);
    __atomic_store_n(&r->vcpu->run->immediate_exit, 1, __ATOMIC_RELAXED);
    atomic_thread_fence(memory_order_seq_cst);
    runner_tell(r, RUNNER_EXIT_SET, 1);
    if (pthread_equal(r->thread, pthread_self())) return; /* this thread is the vCPU's, so it is not in KVM_RUN */
    pthread_kill(r->thread, KICK_SIGNAL);
    runner_tell(r, RUNNER_SIGNALLED, 0);
}

void runner_remind(const struct runner *r)
{
    if (r->has_thread && !r->is_gone && !r->is_halted) pthread_kill(r->thread, KICK_SIGNAL);
}

void runner_call_out(struct runner *r)
{
    const pid_t tid = atomic_load(&r->callee); /* 0: no thread yet; its first KVM_RUN will find immediate_exit set */
    atomic_thread_fence(memory_order_seq_cst);
    __atomic_store_n(&r->vcpu->run->immediate_exit, 1, __ATOMIC_RELAXED);
    atomic_thread_fence(memory_order_seq_cst);
    if (tid) (void)tgkill(getpid(), tid, KICK_SIGNAL);
    (void)sem_post(&r->resume);
}

/* If somebody has called machine_stop, end the machine here, where locks may be taken. */
static void heed_stop(struct runner *r)
{
    if (r->stop_asked && atomic_load(r->stop_asked)) r->host->end(r->host->arg, r, END_STOPPED, 0, END_STOPPED_DETAIL);
}

static int read_want(const struct runner *r)
{
    const int want = atomic_load_explicit(&r->want, memory_order_relaxed);
    runner_tell(r, RUNNER_READ, want);
    return want;
}

/* KVM_RUN was interrupted. False: the thread must end. Whoever kicks sets immediate_exit first. When it is not set, the
 * signal isn't ours: the thread was stopped (SIGSTOP, Ctrl-Z), frozen (a cgroup's freezer) or debugged. For the guest
 * that was like a pause. */
static bool answer_kick(struct runner *r)
{
    bool was_held = __atomic_load_n(&r->vcpu->run->immediate_exit, __ATOMIC_RELAXED) == 0;
    runner_tell(r, RUNNER_EINTR, 0);
    __atomic_store_n(&r->vcpu->run->immediate_exit, 0, __ATOMIC_RELAXED);
    atomic_thread_fence(memory_order_seq_cst);
    runner_tell(r, RUNNER_CLEARED, 0);
    heed_stop(r);
    if (atomic_exchange(&r->must_learn, false)) arch_learn_steal(r->arch, r->vcpu);
    int want = read_want(r);
    if (want == RUNNER_PAUSE) {
        r->host->halt(r->host->arg, r);
        heed_stop(r);
        want = read_want(r);
        was_held = true;
    }
    if (was_held && want != RUNNER_END) arch_vcpu_was_held(r->vcpu);
    return want != RUNNER_END;
}

static bool is_bus_size(uint32_t len)
{
    return len == 1 || len == 2 || len == 4 || len == 8;
}

static uint64_t get_bytes(const uint8_t *p, uint32_t len)
{
    switch (len) {
    case 1: return p[0];
    case 2: return le16_read(p);
    case 4: return le32_read(p);
    default: return le64_read(p);
    }
}

static void put_bytes(uint8_t *p, uint32_t len, uint64_t value)
{
    switch (len) {
    case 1: p[0] = (uint8_t)value; break;
    case 2: le16_write(p, (uint16_t)value); break;
    case 4: le32_write(p, (uint32_t)value); break;
    default: le64_write(p, value); break;
    }
}

static void access_bus(const struct bus *bus, uint64_t addr, uint8_t *data, uint32_t len, bool is_write)
{
    if (is_write)
        bus_write(bus, addr, len, get_bytes(data, len));
    else
        put_bytes(data, len, bus_read(bus, addr, len));
}

static void do_mmio(struct runner *r)
{
    struct kvm_run *run = r->vcpu->run;
    const uint32_t len = run->mmio.len <= sizeof(run->mmio.data) ? run->mmio.len : sizeof(run->mmio.data);
    if (is_bus_size(len)) {
        access_bus(r->mmio, run->mmio.phys_addr, run->mmio.data, len, run->mmio.is_write);
        return;
    }
    /* KVM hands over an access that crosses a page in pieces, and a piece may have any length. */
    for (uint32_t i = 0; i < len; i++)
        access_bus(r->mmio, run->mmio.phys_addr + i, &run->mmio.data[i], 1, run->mmio.is_write);
}

static void do_pio(struct runner *r)
{
    struct kvm_run *run = r->vcpu->run;
    const uint32_t size = run->io.size;
    uint8_t *p = (uint8_t *)run + run->io.data_offset;
    for (uint32_t i = 0; i < run->io.count; i++, p += size)
        access_bus(r->pio, run->io.port, p, size, run->io.direction == KVM_EXIT_IO_OUT);
}

static void end(struct runner *r, enum end_reason reason, const char *detail)
{
    r->host->end(r->host->arg, r, reason, 0, detail);
}

static void end_unrunnable(struct runner *r, int run_errno)
{
    char why[END_DETAIL_MAX];
    arch_explain_error(r->arch, r->vcpu, run_errno, why, sizeof(why));
    end(r, END_KVM_ERROR, why);
}

static void do_system_event(struct runner *r)
{
    switch (r->vcpu->run->system_event.type) {
    case KVM_SYSTEM_EVENT_SHUTDOWN: end(r, END_POWEROFF, "the guest powered off"); break;
    case KVM_SYSTEM_EVENT_RESET: end(r, END_RESET, "the guest asked for a reset"); break;
    case KVM_SYSTEM_EVENT_CRASH: end(r, END_CRASH, "the guest reported a crash"); break;
    default: end_unrunnable(r, 0); break;
    }
}

static void dispatch(struct runner *r)
{
    switch (r->vcpu->run->exit_reason) {
    case KVM_EXIT_IO: do_pio(r); break;
    case KVM_EXIT_MMIO: do_mmio(r); break;
    case KVM_EXIT_INTR: break;
    case KVM_EXIT_SHUTDOWN: end(r, END_CRASH, "triple fault: the guest met an exception it could not handle"); break;
    case KVM_EXIT_SYSTEM_EVENT: do_system_event(r); break;
    case KVM_EXIT_INTERNAL_ERROR:
    case KVM_EXIT_FAIL_ENTRY: end_unrunnable(r, 0); break;
    default:
        if (arch_handle_exit(r->arch, r->vcpu) == ARCH_EXIT_UNKNOWN) end_unrunnable(r, 0);
        break;
    }
}

static enum record_class class_of(const struct kvm_run *run, int rc)
{
    static const uint8_t classes[] = {
        [KVM_EXIT_HLT] = RECORD_HALT,
        [KVM_EXIT_IOAPIC_EOI] = RECORD_EOI,
        [KVM_EXIT_INTR] = RECORD_KICK,
        [KVM_EXIT_IRQ_WINDOW_OPEN] = RECORD_WINDOW,
        [KVM_EXIT_SYSTEM_EVENT] = RECORD_SYSTEM,
        [KVM_EXIT_SHUTDOWN] = RECORD_SYSTEM,
    };
    if (rc) return rc == -EINTR ? RECORD_KICK : rc == -EAGAIN ? RECORD_STARTUP : RECORD_OTHER;
    if (run->exit_reason == KVM_EXIT_IO) return run->io.direction == KVM_EXIT_IO_OUT ? RECORD_PORT_OUT : RECORD_PORT_IN;
    if (run->exit_reason == KVM_EXIT_MMIO) return run->mmio.is_write ? RECORD_MMIO_WRITE : RECORD_MMIO_READ;
    const bool is_known = run->exit_reason < sizeof(classes) && classes[run->exit_reason];
    return is_known ? (enum record_class)classes[run->exit_reason] : RECORD_OTHER;
}

/* Look at what left the guest before it is handled, since handling may change the shared page. */
static struct record_exit describe(const struct kvm_run *run, int rc)
{
    struct record_exit x = {.class = class_of(run, rc)};
    x.has_addr = x.class <= RECORD_MMIO_WRITE;
    if (x.has_addr) x.addr = x.class <= RECORD_PORT_OUT ? run->io.port : run->mmio.phys_addr;
    return x;
}

/* KVM_RUN returned EAGAIN. False: the thread must end. Most often a vCPU that waited for another vCPU to start it was
 * woken. But since Linux 6.14 the first KVM_RUN of a VM makes a kernel thread in our process. When there can be no more
 * threads, KVM_RUN returns EAGAIN too, before it looks at immediate_exit. So want is looked at here. */
static bool try_again(struct runner *r)
{
    const struct timespec pause = {.tv_nsec = REFUSAL_PAUSE_NS};
    const bool is_called = atomic_load_explicit(&r->want, memory_order_relaxed) != RUNNER_RUN ||
                           (r->stop_asked && atomic_load(r->stop_asked));
    if (is_called) return answer_kick(r);
    if (!vcpu_is_runnable(r->vcpu)) return true;
    if (r->refusals++ == 0) return true; /* another vCPU has just started it */
    if (r->refusals <= REFUSALS_MAX)
        (void)nanosleep(&pause, NULL); /* a kick ends it */
    else
        end(r, END_HOST, "KVM could not make its own thread for this VM: no more threads (pids.max, ulimit -u)");
    return true;
}

/* KVM_RUN has returned. False: the thread must end. */
static bool handle(struct runner *r, int rc)
{
    if (rc == -EINTR) return answer_kick(r);
    if (rc == -EAGAIN) return try_again(r);
    r->refusals = 0;
    if (rc == 0) {
        dispatch(r);
        return true;
    }
    if (rc == -ENOMEM)
        end(r, END_HOST, "KVM_RUN: the host is out of memory");
    else
        end_unrunnable(r, -rc);
    return false; /* a VM that KVM has given up (api.rst: EIO) ignores immediate_exit */
}

/* A vCPU whose exit took this long to handle was held, as by a pause: the I/O thread waited for a dead disk, or the
 * process was stopped. The limit is in ticks, since the counter's rate need not be known yet. For TSCs of 6 to 1 GHz it
 * is 1.4 to 8.6 s. Watchdogs in guests wait for 20 s. */
#define HELD_TICKS (UINT64_C(1) << 33)

static void run_recorded(struct runner *r)
{
    uint64_t from = counter_read(r->counter);
    for (bool goes_on = true; goes_on;) {
        const int rc = vcpu_run(r->vcpu);
        const uint64_t left = counter_read(r->counter);
        struct record_exit x = describe(r->vcpu->run, rc);
        goes_on = handle(r, rc);
        x.from = from;
        x.left = left;
        x.done = from = counter_read(r->counter);
        record_exit(r->record, &x);
        if (__builtin_expect(x.done - x.left > HELD_TICKS, 0) && goes_on) arch_vcpu_was_held(r->vcpu);
    }
}

static void *runner_main(void *arg)
{
    struct runner *r = arg;
    r->host->entered(r->host->arg, r);
    if (r->record) {
        run_recorded(r);
    } else {
        while (handle(r, vcpu_run(r->vcpu))) continue;
    }
    r->host->gone(r->host->arg, r);
    return NULL;
}

int runner_start(struct runner *r, struct err *e)
{
    const struct thread_start start = {.signal = KICK_SIGNAL, .fn = runner_main, .arg = r};
    const int rc = thread_make(&r->thread, &start);
    if (rc) {
        err_set(e, rc, "thread for vCPU %u: %s", r->vcpu->id, strerrordesc_np(-rc));
        return err_thread(e, rc);
    }
    r->has_thread = true;
    return 0;
}

/* A machine's threads as the host's scheduler and tools see them. Each has a name (ps -L, top -H, perf) and tells its
 * id. When the configuration asks for more, vCPU threads wait at their beginning until the control thread has applied
 * all of it: no guest instruction runs without it, and a refusal reaches machine_start. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "vmm/base/concat.h"
#include "vmm/machine/place/sched.h"
#include "vmm/machine/state.h"

/* The end of the name tells which thread it is, so the machine's name is what gets cut. index: among its kind. */
static void name_of(const struct machine *m, enum machine_thread_kind kind, unsigned index,
                    char out[MACHINE_THREAD_NAME])
{
    static const char *const ends[] = {
        [MACHINE_THREAD_VCPU] = ":vcpu", [MACHINE_THREAD_IO] = ":io", [MACHINE_THREAD_DISK] = ":disk"};
    const bool is_alone = kind == MACHINE_THREAD_IO;
    out[0] = '\0';
    concat_most(out, MACHINE_THREAD_NAME, m->name[0] ? m->name : "vireo", is_alone ? 12 : 8);
    concat(out, MACHINE_THREAD_NAME, ends[kind]);
    if (!is_alone) concat_number(out, MACHINE_THREAD_NAME, index);
}

static void take_name(const struct machine *m, enum machine_thread_kind kind, unsigned index)
{
    char name[MACHINE_THREAD_NAME];
    name_of(m, kind, index, name);
    (void)pthread_setname_np(pthread_self(), name); /* only tools look at it */
}

/* Lock held. */
static void wait_for_schedule(struct machine *m)
{
    while (!m->is_scheduled && m->ending.reason == END_NONE) pthread_cond_wait(&m->changed, &m->lock);
}

void threads_here(struct machine *m, int vcpu)
{
    take_name(m, vcpu < 0 ? MACHINE_THREAD_IO : MACHINE_THREAD_VCPU, vcpu < 0 ? 0 : (unsigned)vcpu);
    if (vcpu >= 0) atomic_store(&m->runner[vcpu].callee, gettid());
    pthread_mutex_lock(&m->lock);
    *(vcpu < 0 ? &m->io_tid : &m->runner[vcpu].tid) = gettid();
    pthread_cond_broadcast(&m->changed);
    if (m->sched && vcpu >= 0) wait_for_schedule(m);
    const pid_t cookie_of = m->has_cookie && vcpu > 0 ? m->runner[0].tid : 0;
    pthread_mutex_unlock(&m->lock);
    if (cookie_of) sched_core_join(cookie_of);
}

void threads_disk_here(struct disk_thread *t)
{
    take_name(t->machine, MACHINE_THREAD_DISK, t->disk);
    pthread_mutex_lock(&t->machine->lock);
    t->tid = gettid();
    pthread_mutex_unlock(&t->machine->lock);
}

/* Lock held. Wait for a thread that was just made to tell its id. 0: it has gone, or the machine ends. */
static pid_t tid_of(struct machine *m, const struct runner *r)
{
    while (r->tid == 0 && !r->is_gone && m->ending.reason == END_NONE) pthread_cond_wait(&m->changed, &m->lock);
    return r->is_gone ? 0 : r->tid;
}

/* Lock held. The same of the I/O thread; 0 also when there is none. */
static pid_t io_tid_of(struct machine *m)
{
    while (m->has_io && m->io_tid == 0 && !m->is_io_gone && m->ending.reason == END_NONE)
        pthread_cond_wait(&m->changed, &m->lock);
    return m->io_tid;
}

static void describe(const struct machine *m, enum machine_thread_kind kind, unsigned index, pid_t tid,
                     struct machine_thread *out)
{
    *out = (struct machine_thread){.kind = kind, .vcpu = kind == MACHINE_THREAD_VCPU ? (int)index : -1, .tid = tid};
    name_of(m, kind, index, out->name);
}

/* Lock held. */
static bool nth(struct machine *m, unsigned index, struct machine_thread *out)
{
    if (m->phase != MACHINE_RUNNING && m->phase != MACHINE_PAUSED) return false;
    for (unsigned i = 0; i < m->vcpu_count; i++) {
        const pid_t tid = tid_of(m, &m->runner[i]);
        if (tid == 0 || index-- > 0) continue;
        describe(m, MACHINE_THREAD_VCPU, i, tid, out);
        return true;
    }
    const pid_t io_tid = io_tid_of(m);
    if (io_tid && index-- == 0) {
        describe(m, MACHINE_THREAD_IO, 0, io_tid, out);
        return true;
    }
    for (unsigned i = 0; i < MACHINE_MAX_DISKS; i++) {
        if (m->disk_thread[i].tid == 0 || index-- > 0) continue;
        describe(m, MACHINE_THREAD_DISK, i, m->disk_thread[i].tid, out);
        return true;
    }
    return false;
}

bool machine_thread(struct machine *m, unsigned index, struct machine_thread *out)
{
    pthread_mutex_lock(&m->lock);
    const bool is_there = nth(m, index, out);
    pthread_mutex_unlock(&m->lock);
    return is_there;
}

/* ---- how they are scheduled ---- */

int threads_create(struct machine *m, const struct config *cfg, struct err *e)
{
    if (!cfg->sched) return 0;
    m->sched = malloc(sizeof(*m->sched));
    if (!m->sched) return err_set(e, -ENOMEM, "no memory for how to schedule the threads");
    *m->sched = *cfg->sched;
    m->sched->cgroup = NULL; /* the configuration's */
    const int rc = sched_check(m->sched, cfg->cpus, e);
    return rc || !cfg->sched->cgroup ? rc : cgroup_create(&m->cgroup, cfg->sched, cfg->name, e);
}

int threads_halt_poll(const struct machine *m, struct err *e)
{
    if (!m->sched || !m->sched->has_halt_poll) return 0;
    if (vm_check(&m->vm, KVM_CAP_HALT_POLL) > 0)
        return vm_enable_cap(&m->vm, KVM_CAP_HALT_POLL, m->sched->halt_poll_ns, e);
    err_set(e, -ENOTSUP, "halt-poll: KVM here lacks KVM_CAP_HALT_POLL; leave the key out, or use Linux 5.11 or newer");
    err_as(e, ERR_HOST);
    return -ENOTSUP;
}

void threads_destroy(struct machine *m)
{
    cgroup_destroy(m->cgroup, m->log);
    m->cgroup = NULL;
    free(m->sched);
    m->sched = NULL;
}

static int schedule_vcpu(struct machine *m, unsigned i, pid_t tid, struct err *e)
{
    const struct sched_config *s = m->sched;
    char who[16];
    (void)snprintf(who, sizeof(who), "vCPU %u", i % CONFIG_MAX_CPUS);
    /* First: the cgroup's cpuset may change where a thread may run. */
    int rc = m->cgroup ? cgroup_join(m->cgroup, tid, e) : 0;
    if (!rc) rc = sched_apply(&s->vcpu[i], tid, who, e);
    if (!rc && s->slice_ns) rc = sched_slice(s->slice_ns, tid, i == 0 ? m->log : NULL, e);
    return rc;
}

/* Threads that the I/O thread makes (the disks', and the kernel's for io_uring) get its place, so it joins before a
 * device can work. */
static int schedule_io(struct machine *m, struct err *e)
{
    pthread_mutex_lock(&m->lock);
    const pid_t tid = io_tid_of(m);
    pthread_mutex_unlock(&m->lock);
    if (tid == 0) return 0; /* there is none, or the machine ends */
    const int rc = m->cgroup && !m->sched->has_vcpus_alone ? cgroup_join(m->cgroup, tid, e) : 0;
    return rc ? rc : sched_apply(&m->sched->io, tid, "the I/O thread", e);
}

static int schedule_core(const struct machine *m, bool *has_cookie, struct err *e)
{
    const int rc = sched_core_create(m->runner[0].tid, has_cookie, e);
    if (!rc && !*has_cookie)
        log_write(m->log, LOG_INFO, "core-scheduling: this host has no SMT siblings, so nobody shares a core");
    return rc;
}

static int schedule(struct machine *m, struct err *e)
{
    bool has_cookie = false;
    int rc = schedule_io(m, e);
    for (unsigned i = 0; i < m->vcpu_count && !rc; i++) {
        pthread_mutex_lock(&m->lock);
        const pid_t tid = tid_of(m, &m->runner[i]);
        pthread_mutex_unlock(&m->lock);
        if (tid == 0) return 0; /* it ends already */
        rc = schedule_vcpu(m, i, tid, e);
    }
    if (!rc && m->sched->has_core) rc = schedule_core(m, &has_cookie, e);
    if (rc) return rc;
    pthread_mutex_lock(&m->lock);
    m->is_scheduled = true;
    m->has_cookie = has_cookie;
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
    return 0;
}

int threads_schedule(struct machine *m, struct err *e)
{
    const int rc = m->sched ? schedule(m, e) : 0;
    if (!rc) usage_begin(m);
    return rc;
}

/* A machine's threads as the host's own tools see them: each has a name (ps -L, top -H, perf) and tells its id. */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "vmm/machine/state.h"

/* The end of the name tells which thread it is, so the machine's name is what gets cut. */
static void name_of(const struct machine *m, int vcpu, char out[MACHINE_THREAD_NAME])
{
    const char *name = m->name[0] ? m->name : "vireo";
    if (vcpu < 0)
        (void)snprintf(out, MACHINE_THREAD_NAME, "%.12s:io", name);
    else
        (void)snprintf(out, MACHINE_THREAD_NAME, "%.8s:vcpu%u", name, (unsigned)vcpu % CONFIG_MAX_CPUS);
}

void threads_here(struct machine *m, int vcpu)
{
    char name[MACHINE_THREAD_NAME];
    name_of(m, vcpu, name);
    (void)pthread_setname_np(pthread_self(), name); /* only tools look at it */
    pthread_mutex_lock(&m->lock);
    *(vcpu < 0 ? &m->io_tid : &m->runner[vcpu].tid) = gettid();
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
}

/* Lock held. Wait for a thread that was just made to tell its id; 0: it has gone, or the machine ends. */
static pid_t tid_of(struct machine *m, const struct runner *r)
{
    while (r->tid == 0 && !r->is_gone && m->ending.reason == END_NONE) pthread_cond_wait(&m->changed, &m->lock);
    return r->is_gone ? 0 : r->tid;
}

/* Lock held. */
static bool nth(struct machine *m, unsigned index, struct machine_thread *out)
{
    if (m->phase != MACHINE_RUNNING && m->phase != MACHINE_PAUSED) return false;
    for (unsigned i = 0; i < m->vcpu_count; i++) {
        const pid_t tid = tid_of(m, &m->runner[i]);
        if (tid == 0 || index-- > 0) continue;
        *out = (struct machine_thread){.kind = MACHINE_THREAD_VCPU, .vcpu = (int)i, .tid = tid};
        return true;
    }
    if (m->io_tid == 0 || index > 0) return false;
    *out = (struct machine_thread){.kind = MACHINE_THREAD_IO, .vcpu = -1, .tid = m->io_tid};
    return true;
}

bool machine_thread(struct machine *m, unsigned index, struct machine_thread *out)
{
    pthread_mutex_lock(&m->lock);
    const bool is_there = nth(m, index, out);
    pthread_mutex_unlock(&m->lock);
    if (is_there) name_of(m, out->vcpu, out->name);
    return is_there;
}

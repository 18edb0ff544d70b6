/* What a machine takes of its host. Running threads are asked about through /proc and their clocks. A thread that ends
 * leaves its figures behind, so that they can be told afterwards. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/clock.h"
#include "vmm/base/fd.h"
#include "vmm/machine/lab.h"
#include "vmm/machine/state.h"
#include "vmm/machine/stats.h"

#define STATM_MAX_BYTES 160 /* seven numbers */

/* The names are kept, since threads that have ended can't be asked. */
void usage_begin(struct machine *m)
{
    struct groups_throttled before;
    char *groups = m->stats_fd ? malloc(GROUPS_MAX) : NULL;
    if (!groups) return;
    groups_read(m->cgroup ? m->runner[0].tid : 0, groups);
    groups_throttled(groups, GROUPS_ROOT, &before);
    pthread_mutex_lock(&m->lock);
    m->groups = groups;
    m->throttled_before = before;
    pthread_mutex_unlock(&m->lock);
}

/* Groups that have gone meanwhile are not counted. */
static void read_throttled(const struct machine *m, struct machine_usage *out)
{
    struct groups_throttled now = {0};
    const struct groups_throttled *before = &m->throttled_before;
    groups_throttled(m->groups, GROUPS_ROOT, &now);
    out->has_throttled = now.is_told;
    if (now.times > before->times) out->throttled = now.times - before->times;
    if (now.ns > before->ns) out->throttled_ns = now.ns - before->ns;
}

void usage_vcpu_gone(struct machine *m, unsigned vcpu)
{
    struct thread_counts last;
    if (!m->account) return; /* no recorder: nobody can ask */
    thread_counts_last(&m->account[vcpu].files, &last);
    pthread_mutex_lock(&m->lock);
    m->account[vcpu].last = last;
    m->over_ns = now_ns();
    pthread_mutex_unlock(&m->lock);
}

void usage_io_gone(struct machine *m, pid_t *tid)
{
    const uint64_t ns = m->stats_fd ? clock_ns(CLOCK_THREAD_CPUTIME_ID) : 0;
    pthread_mutex_lock(&m->lock);
    *tid = 0;
    m->io_cpu_ns += ns;
    pthread_mutex_unlock(&m->lock);
}

static uint64_t age_ns(struct machine *m)
{
    pthread_mutex_lock(&m->lock);
    const uint64_t birth_ns = m->milestone_count ? m->milestone[0].ns : 0;
    const bool is_over = m->phase == MACHINE_OVER && m->over_ns;
    const uint64_t end_ns = is_over ? m->over_ns : now_ns();
    pthread_mutex_unlock(&m->lock);
    return end_ns - birth_ns;
}

/* Of a thread that ends while it is asked, what it left behind. */
static void count_vcpu(struct machine *m, unsigned i, struct machine_vcpu *out)
{
    const struct runner *r = &m->runner[i];
    pthread_mutex_lock(&m->lock);
    out->tid = r->is_gone ? 0 : r->tid;
    pthread_mutex_unlock(&m->lock);
    thread_counts(&m->account[i].files, out->tid, &out->host);
    if (out->host.cpu_ns != THREAD_UNTOLD) return;
    pthread_mutex_lock(&m->lock);
    out->host = m->account[i].last;
    pthread_mutex_unlock(&m->lock);
    out->tid = 0;
}

/* A guest asks for its stolen time when it boots, and may ask anew when another kernel takes over. So a vCPU is asked
 * at the first look and then rarely: after an eighth of the machine's age, between these. It costs one exit. */
#define LEARN_MIN_NS UINT64_C(200000000)
#define LEARN_MAX_NS UINT64_C(30000000000)

static void have_steal_learnt(struct machine *m, unsigned i, uint64_t age_ns)
{
    const uint64_t now = now_ns(), eighth = age_ns / 8;
    if (now < atomic_load(&m->account[i].learn_again_ns)) return;
    const uint64_t wait = eighth < LEARN_MIN_NS ? LEARN_MIN_NS : eighth > LEARN_MAX_NS ? LEARN_MAX_NS : eighth;
    atomic_store(&m->account[i].learn_again_ns, now + wait);
    atomic_store(&m->runner[i].must_learn, true);
    machine_kick(m, i);
}

static uint64_t steal_of(const struct machine *m, unsigned i, uint64_t age_ns)
{
    uint64_t ns;
    return arch_steal_ns(m->arch, i, &ns) && ns <= age_ns ? ns : THREAD_UNTOLD;
}

unsigned machine_vcpus(struct machine *m, struct machine_vcpu out[CONFIG_MAX_CPUS])
{
    const uint64_t age = age_ns(m);
    for (unsigned i = 0; m->account && i < m->vcpu_count; i++) have_steal_learnt(m, i, age);
    for (unsigned i = 0; i < m->vcpu_count; i++) {
        out[i] = (struct machine_vcpu){.steal_ns = THREAD_UNTOLD};
        if (m->account)
            count_vcpu(m, i, &out[i]);
        else
            thread_counts(NULL, 0, &out[i].host);
    }
    /* Last: most vCPUs have answered by now. */
    for (unsigned i = 0; m->account && i < m->vcpu_count; i++) out[i].steal_ns = steal_of(m, i, age);
    return m->vcpu_count;
}

/* Pages of this process that are in memory: the second word of statm. */
static bool read_resident(uint64_t *out)
{
    char text[STATM_MAX_BYTES];
    const int fd = fd_own(open("/proc/self/statm", O_RDONLY | O_CLOEXEC));
    const ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0) close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *second = strchr(text, ' ');
    *out = second ? strtoull(second, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
    return second != NULL;
}

void machine_usage(struct machine *m, struct machine_usage *out)
{
    struct machine_thread t;
    const uint64_t age = age_ns(m);
    pthread_mutex_lock(&m->lock);
    *out = (struct machine_usage){
        .age_ns = age,
        .memory_bytes = gmem_total(&m->mem),
        .io_cpu_ns = m->io_cpu_ns,
    };
    for (unsigned i = 0; i < MACHINE_MAX_DISKS; i++) /* they stay until the machine is destroyed */
        if (m->disk_thread[i].tid) out->io_cpu_ns += clock_ns(clock_of_thread(m->disk_thread[i].tid));
    const bool has_begun = m->groups != NULL; /* and stays */
    pthread_mutex_unlock(&m->lock);
    if (has_begun) read_throttled(m, out);
    for (unsigned i = 0; machine_thread(m, i, &t); i++)
        if (t.kind == MACHINE_THREAD_IO) out->io_cpu_ns += clock_ns(clock_of_thread(t.tid));
    out->guest_resident = gmem_resident(&m->mem);
    out->has_resident = read_resident(&out->resident);
}

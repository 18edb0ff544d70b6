#include "vmm/machine/place/sched.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/config/value.h"

#define ONLINE_PATH "/sys/devices/system/cpu/online"
#define ONLINE_MAX  4096 /* a page, as all of sysfs */

#define SLICE_LEAST_NS 100000 /* less is not to be had (sched(7)) */

/* sched_setattr(2), its first version. linux/sched/types.h has it too, but can't be included beside sched.h. */
struct attr {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period; /* ns; runtime is the slice of a thread of the fair class */
};

#define RESET_ON_FORK 1 /* of flags */

/* False: this host does not tell, and only the kernel can refuse. */
static bool read_online(cpu_set_t *out, char list[ONLINE_MAX])
{
    const int fd = fd_own(open(ONLINE_PATH, O_RDONLY | O_CLOEXEC));
    const ssize_t n = fd < 0 ? -1 : read(fd, list, ONLINE_MAX - 1);
    if (fd >= 0) close(fd);
    if (n <= 0) return false;
    list[n] = '\0';
    list[strcspn(list, "\n")] = '\0';
    return value_cpus(list, out);
}

/* The lowest CPU of a that b lacks, or -1. */
static int missing(const cpu_set_t *a, const cpu_set_t *b)
{
    for (unsigned i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, a) && !CPU_ISSET(i, b)) return (int)i;
    return -1;
}

int sched_check(const struct sched_config *s, unsigned vcpus, struct err *e)
{
    cpu_set_t online, asked;
    char list[ONLINE_MAX];
    CPU_ZERO(&asked);
    for (unsigned i = 0; i < vcpus; i++)
        if (s->vcpu[i].has_cpus) CPU_OR(&asked, &asked, &s->vcpu[i].cpus);
    if (s->io.has_cpus) CPU_OR(&asked, &asked, &s->io.cpus);
    if (CPU_COUNT(&asked) == 0 || !read_online(&online, list)) return 0;
    const int cpu = missing(&asked, &online);
    if (cpu < 0) return 0;
    return err_set(e, -EINVAL, "cpu-affinity: CPU %d is not online on this host, which has %.100s; name others", cpu,
                   list);
}

static int set_cpus(const cpu_set_t *cpus, pid_t tid, const char *who, struct err *e)
{
    cpu_set_t got;
    CPU_ZERO(&got);
    /* EINVAL: none of them is allowed. Reading back tells which ones are not. */
    if (sched_setaffinity(tid, sizeof(*cpus), cpus) < 0 && errno != EINVAL)
        return err_errno(e, "cpu-affinity of %s", who);
    if (sched_getaffinity(tid, sizeof(got), &got) < 0) return err_errno(e, "cpu-affinity of %s: read it back", who);
    const int cpu = missing(cpus, &got);
    if (cpu < 0) return 0;
    err_set(e, -EINVAL, "cpu-affinity of %s: this process may not use CPU %d", who, cpu);
    err_hint(e, "its cpuset cgroup decides: see Cpus_allowed_list in /proc/self/status");
    return -EINVAL;
}

static int set_nice(int nice, pid_t tid, const char *who, struct err *e)
{
    if (setpriority(PRIO_PROCESS, (id_t)tid, nice) == 0) return 0;
    const int rc = err_errno(e, "nice %d of %s", nice, who);
    err_as(e, ERR_HOST);
    if (rc == -EACCES || rc == -EPERM)
        err_hint(e, "a value below the present one needs CAP_SYS_NICE, or a higher limit: ulimit -e %d", 20 - nice);
    return rc;
}

int sched_apply(const struct thread_config *t, pid_t tid, const char *who, struct err *e)
{
    int rc = t->has_cpus ? set_cpus(&t->cpus, tid, who, e) : 0;
    if (!rc && t->has_nice) rc = set_nice(t->nice, tid, who, e);
    return rc;
}

uint64_t sched_slice_of(pid_t tid)
{
    struct attr a = {.size = sizeof(a)};
    return syscall(SYS_sched_getattr, tid, &a, sizeof(a), 0) == 0 ? a.runtime : 0;
}

int sched_slice(uint64_t slice_ns, pid_t tid, const struct log *log, struct err *e)
{
    struct attr a = {.size = sizeof(a)};
    int rc = (int)syscall(SYS_sched_getattr, tid, &a, sizeof(a), 0);
    a.runtime = slice_ns;
    if (rc == 0) rc = (int)syscall(SYS_sched_setattr, tid, &a, 0);
    a.runtime = 0;
    if (rc == 0) rc = (int)syscall(SYS_sched_getattr, tid, &a, sizeof(a), 0);
    if (rc < 0) {
        rc = err_errno(e, "slice of %llu us", (unsigned long long)slice_ns / 1000);
        err_as(e, ERR_HOST);
        return rc;
    }
    if (a.runtime == slice_ns) return 0;
    log_write(log, LOG_WARN,
              "slice of %llu us: this kernel ignores it; Linux 6.12 and later take it for a thread of "
              "the fair class",
              (unsigned long long)slice_ns / 1000);
    return 0;
}

/* runtime 0 is the kernel's own slice. Before Linux 6.12 there are no slices, and this does nothing. */
static void set_own_slice(uint64_t slice_ns)
{
    struct attr a = {.size = sizeof(a)};
    if (syscall(SYS_sched_getattr, 0, &a, sizeof(a), 0) < 0) return;
    a.flags |= RESET_ON_FORK;
    a.runtime = slice_ns;
    (void)syscall(SYS_sched_setattr, 0, &a, 0); /* else it waits its turn like others */
}

void sched_urgent(bool is_urgent)
{
    const int policy = sched_getscheduler(0) & ~SCHED_RESET_ON_FORK;
    const struct sched_param lowest = {.sched_priority = sched_get_priority_min(SCHED_RR)}, none = {0};
    if (!is_urgent) {
        if (policy == SCHED_RR)
            (void)sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &none);
        else if (policy == SCHED_OTHER)
            set_own_slice(0);
        return;
    }
    if (policy != SCHED_OTHER || getpriority(PRIO_PROCESS, 0) > 0) return;
    if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &lowest) < 0) set_own_slice(SLICE_LEAST_NS);
}

int sched_core_create(pid_t tid, bool *is_used, struct err *e)
{
    *is_used = prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE, tid, PR_SCHED_CORE_SCOPE_THREAD, 0) == 0;
    if (*is_used || errno == ENODEV) return 0; /* no SMT: nobody can share a core */
    const int rc = err_errno(e, "core-scheduling");
    err_as(e, ERR_HOST);
    if (rc == -EINVAL) err_hint(e, "this kernel has no core scheduling (CONFIG_SCHED_CORE); leave the key out");
    return rc;
}

void sched_core_join(pid_t tid)
{
    (void)prctl(PR_SCHED_CORE, PR_SCHED_CORE_SHARE_FROM, tid, PR_SCHED_CORE_SCOPE_THREAD, 0);
}

#include "vmm/machine/place/sched.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/base/thread.h"
#include "vmm/config/value.h"

#define ONLINE_PATH "/sys/devices/system/cpu/online"
#define ONLINE_MAX  4096 /* a page, as all of sysfs */

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

int sched_slice(uint64_t slice_ns, pid_t tid, const struct log *log, struct err *e)
{
    const int rc = thread_set_slice_ns(tid, slice_ns, false);
    if (rc < 0) {
        err_set(e, rc, "slice of %llu us: %s", (unsigned long long)slice_ns / 1000, strerrordesc_np(-rc));
        err_as(e, ERR_HOST);
        return rc;
    }
    if (thread_slice_ns(tid) == slice_ns) return 0;
    log_write(log, LOG_WARN,
              "slice of %llu us: this kernel ignores it; Linux 6.12 and later take it for a thread of "
              "the fair class",
              (unsigned long long)slice_ns / 1000);
    return 0;
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

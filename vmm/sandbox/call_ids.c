/* Who and where the program is: a fixed answer, since it is alone. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include "vmm/sandbox/process.h"

#define PR_NAME_SIZE   16u
#define RANDOM_AT_ONCE 256u
#define CPU_SET_BYTES  8u
#define ROBUST_SIZE    24u /* struct robust_list_head */

int64_t call_zero(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)p;
    (void)arg;
    (void)outcome;
    return 0;
}

int64_t call_getpid(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)arg;
    (void)outcome;
    return p->pid;
}

int64_t call_getppid(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)arg;
    (void)outcome;
    return p->parent;
}

int64_t call_getpgid(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)arg;
    (void)outcome;
    return p->pid;
}

int64_t call_setpgid(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)p;
    (void)arg;
    (void)outcome;
    return 0;
}

int64_t call_setsid(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)arg;
    (void)outcome;
    return p->pid;
}

int64_t call_getresuid(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    const uint32_t nobody = 0;
    for (int i = 0; i < 3; i++)
        if (space_write(p->space, arg[i], &nobody, sizeof(nobody))) return -EFAULT;
    return 0;
}

int64_t call_getgroups(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)p;
    (void)outcome;
    return (int)arg[0] < 0 ? -EINVAL : 0;
}

int64_t call_uname(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    struct utsname u = {.sysname = "Linux", .nodename = "vireo", .release = "6.1.0-vireo", .version = "#1 sandbox"};
    (void)snprintf(u.machine, sizeof(u.machine), "%s", user_machine()->name);
    (void)snprintf(u.domainname, sizeof(u.domainname), "(none)");
    return space_write(p->space, arg[0], &u, sizeof(u));
}

int64_t call_sysinfo(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    struct space_use use;
    space_use(p->space, &use);
    struct sysinfo s;
    memset(&s, 0, sizeof(s)); /* what lies between its members, too */
    s.uptime = (long)((process_now() - p->began_ns) / 1000000000);
    s.totalram = use.limit;
    s.freeram = use.limit - use.mapped;
    s.procs = 1;
    s.mem_unit = 1;
    return space_write(p->space, arg[0], &s, sizeof(s));
}

/* Always the host's, so that no clone and no reset repeats it. */
int64_t call_getrandom(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    uint8_t bytes[RANDOM_AT_ONCE];
    const uint64_t len = arg[1] < (1ull << 25) ? arg[1] : (1ull << 25) - 1; /* as Linux: 32 MiB less one */
    if (arg[2] & ~7ull) return -EINVAL;
    for (uint64_t at = 0; at < len;) {
        const uint64_t here = len - at < sizeof(bytes) ? len - at : sizeof(bytes);
        if (getrandom(bytes, here, 0) != (ssize_t)here) return -EIO;
        if (space_write(p->space, arg[0] + at, bytes, here)) return at ? (int64_t)at : -EFAULT;
        at += here;
        if (process_now() >= p->deadline) return (int64_t)at;
    }
    return (int64_t)len;
}

static void limit_of(const struct process *p, uint64_t which, struct rlimit *out)
{
    struct space_use use;
    space_use(p->space, &use);
    *out = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
    if (which == RLIMIT_STACK) out->rlim_cur = use.stack;
    if (which == RLIMIT_AS || which == RLIMIT_DATA) out->rlim_cur = out->rlim_max = use.limit;
    if (which == RLIMIT_NOFILE) out->rlim_cur = out->rlim_max = p->policy->files_max;
    if (which == RLIMIT_CORE) out->rlim_cur = out->rlim_max = 0;
    if (which == RLIMIT_NPROC) out->rlim_cur = out->rlim_max = CHILDREN_MAX;
}

int64_t call_getrlimit(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    struct rlimit r;
    if (arg[0] >= RLIM_NLIMITS) return -EINVAL;
    limit_of(p, arg[0], &r);
    return space_write(p->space, arg[1], &r, sizeof(r));
}

/* A limit that is set is answered and forgotten: the policy's are the ones that hold. */
int64_t call_prlimit(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    struct rlimit r;
    if (arg[1] >= RLIM_NLIMITS) return -EINVAL;
    if ((int)arg[0] != 0 && (int)arg[0] != p->pid) return -ESRCH;
    if (arg[2] && space_read(p->space, arg[2], &r, sizeof(r))) return -EFAULT;
    limit_of(p, arg[1], &r);
    return arg[3] ? space_write(p->space, arg[3], &r, sizeof(r)) : 0;
}

int64_t call_affinity(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    const uint64_t first = 1;
    if (arg[1] < CPU_SET_BYTES || arg[1] % 8) return -EINVAL;
    return space_write(p->space, arg[2], &first, sizeof(first)) ? -EFAULT : (int64_t)sizeof(first);
}

int64_t call_getcpu(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    const uint32_t zero = 0;
    for (int i = 0; i < 2; i++)
        if (arg[i] && space_write(p->space, arg[i], &zero, sizeof(zero))) return -EFAULT;
    return 0;
}

/* The name is kept nowhere; what asks for privileges is refused. */
int64_t call_prctl(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    static const char name[PR_NAME_SIZE] = "program";
    enum {
        SET_PDEATHSIG = 1,
        GET_DUMPABLE = 3,
        SET_NAME = 15,
        GET_NAME = 16,
        SET_NO_NEW_PRIVS = 38,
        GET_NO_NEW_PRIVS = 39,
        SET_VMA = 0x53564d41
    };
    switch ((unsigned)arg[0]) {
    case SET_PDEATHSIG:
    case SET_NAME:
    case SET_NO_NEW_PRIVS:
    case SET_VMA:
    case GET_DUMPABLE: return 0;
    case GET_NO_NEW_PRIVS: return 1;
    case GET_NAME: return space_write(p->space, arg[1], name, sizeof(name));
    default: return -EINVAL;
    }
}

int64_t call_arch_prctl(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)outcome;
    enum { SET_FS = 0x1002, GET_FS = 0x1003 };
    if (arg[0] == SET_FS) return p->cpu.set_tls(p->cpu.arg, arg[1]);
    if (arg[0] != GET_FS) return -EINVAL;
    const uint64_t tls = p->cpu.tls(p->cpu.arg);
    return space_write(p->space, arg[1], &tls, sizeof(tls));
}

int64_t call_set_tid(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)arg;
    (void)outcome;
    return p->pid;
}

int64_t call_robust_list(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)p;
    (void)outcome;
    return arg[1] == ROBUST_SIZE ? 0 : -EINVAL;
}

/* One thread on one processor needs no restartable sequences; libraries do without. */
int64_t call_rseq(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)p;
    (void)arg;
    (void)outcome;
    return -ENOSYS;
}

int64_t call_yield(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)p;
    (void)arg;
    (void)outcome;
    return 0;
}

int64_t call_membarrier(struct process *p, const uint64_t arg[6], enum call_outcome *outcome)
{
    (void)p;
    (void)arg;
    (void)outcome;
    return -ENOSYS;
}

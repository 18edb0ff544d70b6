/* The table of system calls, and the door: looked up, allowed, answered, counted, shown.
 *
 * A row without a function is refused by the policy (EPERM); a number without a row is not known (ENOSYS). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "vmm/sandbox/process.h"

#define UNKNOWN_MAX 512u /* unknown numbers that are counted one by one; those above together */

#define ROW(nr, args, fn, does)                                                                                        \
    {                                                                                                                  \
        SYS_##nr, #nr, args, fn, does                                                                                  \
    }
#define MEMORY   "answered"
#define STREAMS  "answered"
#define BY_READ  "below the directories of --read and --write"
#define BY_WRITE "below the directories of --write"
#define FIXED    "a fixed answer"
#define NO_NET   "refused: no network"
#define NO_EXEC  "refused: one program a sandbox"
#define NO_PRIV  "refused: needs privileges"

const struct call_row call_table[] = {
    /* ours, for programs that know where they are: first, since each call of a function ends with one */
    {USER_CALL_RETURN, "vireo_return", "d", call_returned, "the end of a call"},
    {USER_CALL_HOST, "vireo_host", "xxxxx", call_host, "functions that the embedder registered"},
    /* memory */
    ROW(brk, "x", call_brk, MEMORY),
    ROW(mmap, "xuxxdx", call_mmap, "anonymous, and copies of files; no shared writable mapping of a file"),
    ROW(munmap, "xu", call_munmap, MEMORY),
    ROW(mprotect, "xux", call_mprotect, "not writable and executable at once without --allow-wx"),
    ROW(mremap, "xuuxx", call_mremap, MEMORY),
    ROW(madvise, "xud", call_madvise, MEMORY),
    ROW(mincore, "xup", call_mincore, MEMORY),
    ROW(msync, "xux", call_msync, MEMORY),
    ROW(mlock, "xu", call_mlock, FIXED),
    ROW(munlock, "xu", call_mlock, FIXED),
    /* descriptors */
    ROW(read, "fpu", call_read, STREAMS),
    ROW(write, "fpu", call_write, STREAMS),
    ROW(readv, "fpu", call_readv, STREAMS),
    ROW(writev, "fpu", call_writev, STREAMS),
    ROW(pread64, "fpud", call_pread, STREAMS),
    ROW(pwrite64, "fpud", call_pwrite, STREAMS),
    ROW(preadv, "fpud", call_preadv, STREAMS),
    ROW(pwritev, "fpud", call_pwritev, STREAMS),
    ROW(lseek, "fdd", call_lseek, STREAMS),
    ROW(close, "f", call_close, STREAMS),
    ROW(close_range, "uux", call_close_range, STREAMS),
    ROW(dup, "f", call_dup, STREAMS),
    ROW(dup3, "ffx", call_dup3, STREAMS),
    ROW(fcntl, "fdx", call_fcntl, "locks are granted, as nobody else could have them"),
    ROW(flock, "fd", call_flock, "granted, as nobody else could have it"),
    ROW(ioctl, "fxx", call_ioctl, "a terminal's settings and size; nothing else"),
    ROW(pipe2, "px", call_pipe2, STREAMS),
    ROW(ftruncate, "fd", call_ftruncate, BY_WRITE),
    ROW(fallocate, "fxdd", call_fallocate, BY_WRITE),
    ROW(fsync, "f", call_fsync, STREAMS),
    ROW(fdatasync, "f", call_fsync, STREAMS),
    ROW(sendfile, "ffpu", call_sendfile, STREAMS),
    ROW(copy_file_range, "fpfpux", call_copy_range, STREAMS),
    ROW(fadvise64, "fddd", call_fadvise, FIXED),
    ROW(ppoll, "pupp", call_ppoll, STREAMS),
    ROW(pselect6, "upppp", call_pselect, STREAMS),
    /* files by name */
    ROW(openat, "dsxu", call_openat, BY_READ ", and /dev/null, zero, urandom"),
    ROW(newfstatat, "dspx", call_newfstatat, BY_READ),
    ROW(fstat, "fp", call_fstat, STREAMS),
    ROW(statx, "dsxxp", call_statx, BY_READ),
    ROW(faccessat, "dsx", call_faccessat, BY_READ),
    ROW(faccessat2, "dsxx", call_faccessat, BY_READ),
    ROW(readlinkat, "dspu", call_readlinkat, BY_READ ", and /proc/self/exe"),
    ROW(getdents64, "fpu", call_getdents, BY_READ),
    ROW(chdir, "s", call_chdir, BY_READ),
    ROW(fchdir, "f", call_fchdir, BY_READ),
    ROW(getcwd, "pu", call_getcwd, MEMORY),
    ROW(statfs, "sp", call_statfs, BY_READ),
    ROW(fstatfs, "fp", call_fstatfs, BY_READ),
    ROW(mkdirat, "dsu", call_mkdirat, BY_WRITE),
    ROW(unlinkat, "dsx", call_unlinkat, BY_WRITE),
    ROW(renameat2, "dsdsx", call_renameat2, BY_WRITE),
    ROW(linkat, "dsdsx", call_linkat, BY_WRITE),
    ROW(symlinkat, "sds", call_symlinkat, BY_WRITE),
    ROW(truncate, "sd", call_truncate, BY_WRITE),
    ROW(fchmod, "fu", call_fchmod, BY_WRITE ", no set-user-ID"),
    ROW(fchmodat, "dsu", call_fchmodat, BY_WRITE ", no set-user-ID"),
    ROW(utimensat, "dspx", call_utimensat, BY_WRITE),
    ROW(umask, "u", call_umask, MEMORY),
    ROW(fchown, "fdd", NULL, NO_PRIV),
    ROW(fchownat, "dsddx", NULL, NO_PRIV),
    ROW(mknodat, "dsux", NULL, NO_PRIV),
    /* time */
    ROW(clock_gettime, "dp", call_clock_gettime, MEMORY),
    ROW(clock_getres, "dp", call_clock_getres, MEMORY),
    ROW(clock_nanosleep, "dxpp", call_clock_nanosleep, "until the deadline"),
    ROW(nanosleep, "pp", call_nanosleep, "until the deadline"),
    ROW(gettimeofday, "pp", call_gettimeofday, MEMORY),
    ROW(times, "p", call_times, MEMORY),
    ROW(getrusage, "dp", call_getrusage, MEMORY),
    /* signals */
    ROW(rt_sigaction, "dppu", call_sigaction, MEMORY),
    ROW(rt_sigprocmask, "dppu", call_sigprocmask, MEMORY),
    ROW(rt_sigreturn, "", call_sigreturn, MEMORY),
    ROW(rt_sigpending, "pu", call_sigpending, MEMORY),
    ROW(rt_sigsuspend, "pu", call_sigsuspend, MEMORY),
    ROW(sigaltstack, "pp", call_sigaltstack, MEMORY),
    ROW(kill, "dd", call_kill, "itself and its children"),
    ROW(tkill, "dd", call_tkill, "itself and its children"),
    ROW(tgkill, "ddd", call_tgkill, "itself and its children"),
    /* identity */
    ROW(getpid, "", call_getpid, FIXED),
    ROW(gettid, "", call_getpid, FIXED),
    ROW(getppid, "", call_getppid, FIXED),
    ROW(getuid, "", call_zero, FIXED),
    ROW(geteuid, "", call_zero, FIXED),
    ROW(getgid, "", call_zero, FIXED),
    ROW(getegid, "", call_zero, FIXED),
    ROW(getresuid, "ppp", call_getresuid, FIXED),
    ROW(getresgid, "ppp", call_getresuid, FIXED),
    ROW(getgroups, "dp", call_getgroups, FIXED),
    ROW(getpgid, "d", call_getpgid, FIXED),
    ROW(getsid, "d", call_getpgid, FIXED),
    ROW(setpgid, "dd", call_setpgid, FIXED),
    ROW(setsid, "", call_setsid, FIXED),
    ROW(uname, "p", call_uname, FIXED),
    ROW(sysinfo, "p", call_sysinfo, "its own memory"),
    ROW(getrandom, "pux", call_getrandom, "the host's"),
    ROW(prlimit64, "ddpp", call_prlimit, "told, not set"),
    ROW(getrlimit, "dp", call_getrlimit, MEMORY),
    ROW(setrlimit, "dp", call_zero, "told, not set"),
    ROW(sched_getaffinity, "dup", call_affinity, "one processor"),
    ROW(sched_yield, "", call_yield, FIXED),
    ROW(getcpu, "ppp", call_getcpu, "one processor"),
    ROW(prctl, "dxxxx", call_prctl, "names; nothing that asks for privileges"),
    ROW(set_tid_address, "p", call_set_tid, MEMORY),
    ROW(set_robust_list, "pu", call_robust_list, MEMORY),
    ROW(rseq, "puxx", call_rseq, "not offered: one thread on one processor"),
    ROW(membarrier, "dx", call_membarrier, "not offered: one thread on one processor"),
    /* processes */
    ROW(exit, "d", call_exit, MEMORY),
    ROW(exit_group, "d", call_exit, MEMORY),
    ROW(clone, "xpppp", call_clone, "children with memory of their own; no threads"),
    ROW(clone3, "pu", call_clone3, "not offered: libraries use clone"),
    ROW(wait4, "dpdp", call_wait4, MEMORY),
    ROW(waitid, "ddpdp", call_waitid, MEMORY),
    ROW(futex, "pdxp", call_futex, "a wait that nobody could end is refused"),
    ROW(execve, "spp", NULL, NO_EXEC),
    ROW(execveat, "dsppx", NULL, NO_EXEC),
    /* no network */
    ROW(socket, "ddd", NULL, NO_NET),
    ROW(socketpair, "dddp", NULL, NO_NET),
    ROW(bind, "fpu", NULL, NO_NET),
    ROW(listen, "fd", NULL, NO_NET),
    ROW(accept, "fpp", NULL, NO_NET),
    ROW(accept4, "fppx", NULL, NO_NET),
    ROW(connect, "fpu", NULL, NO_NET),
    ROW(sendto, "fpuxpu", NULL, NO_NET),
    ROW(recvfrom, "fpuxpp", NULL, NO_NET),
    ROW(sendmsg, "fpx", NULL, NO_NET),
    ROW(recvmsg, "fpx", NULL, NO_NET),
    ROW(getsockopt, "fddpp", NULL, NO_NET),
    ROW(setsockopt, "fddpu", NULL, NO_NET),
    ROW(getsockname, "fpp", NULL, NO_NET),
    ROW(getpeername, "fpp", NULL, NO_NET),
    ROW(shutdown, "fd", NULL, NO_NET),
    /* privileges */
    ROW(mount, "sssxp", NULL, NO_PRIV),
    ROW(umount2, "sx", NULL, NO_PRIV),
    ROW(pivot_root, "ss", NULL, NO_PRIV),
    ROW(chroot, "s", NULL, NO_PRIV),
    ROW(unshare, "x", NULL, NO_PRIV),
    ROW(setns, "fx", NULL, NO_PRIV),
    ROW(ptrace, "dddp", NULL, NO_PRIV),
    ROW(process_vm_readv, "dpupux", NULL, NO_PRIV),
    ROW(process_vm_writev, "dpupux", NULL, NO_PRIV),
    ROW(bpf, "dpu", NULL, NO_PRIV),
    ROW(perf_event_open, "pdddx", NULL, NO_PRIV),
    ROW(userfaultfd, "x", NULL, NO_PRIV),
    ROW(io_uring_setup, "up", NULL, NO_PRIV),
    ROW(memfd_create, "sx", NULL, NO_PRIV),
    ROW(seccomp, "uxp", NULL, NO_PRIV),
    ROW(keyctl, "dxxxx", NULL, NO_PRIV),
    ROW(setuid, "d", NULL, NO_PRIV),
    ROW(setgid, "d", NULL, NO_PRIV),
    ROW(reboot, "xxxp", NULL, NO_PRIV),
/* what only older architectures have */
#ifdef SYS_arch_prctl
    ROW(arch_prctl, "xx", call_arch_prctl, "FS base"),
#endif
#ifdef SYS_open
    ROW(open, "sxu", call_open, BY_READ ", and /dev/null, zero, urandom"),
    ROW(creat, "su", call_creat, BY_WRITE),
    ROW(stat, "sp", call_stat, BY_READ),
    ROW(lstat, "sp", call_lstat, BY_READ),
    ROW(access, "sx", call_access, BY_READ),
    ROW(readlink, "spu", call_readlink, BY_READ ", and /proc/self/exe"),
    ROW(mkdir, "su", call_mkdir, BY_WRITE),
    ROW(rmdir, "s", call_rmdir, BY_WRITE),
    ROW(unlink, "s", call_unlink, BY_WRITE),
    ROW(rename, "ss", call_rename, BY_WRITE),
    ROW(renameat, "dsds", call_renameat, BY_WRITE),
    ROW(link, "ss", call_link, BY_WRITE),
    ROW(symlink, "ss", call_symlink, BY_WRITE),
    ROW(chmod, "su", call_chmod, BY_WRITE ", no set-user-ID"),
    ROW(chown, "sdd", NULL, NO_PRIV),
    ROW(lchown, "sdd", NULL, NO_PRIV),
    ROW(mknod, "sux", NULL, NO_PRIV),
    ROW(dup2, "ff", call_dup2, STREAMS),
    ROW(pipe, "p", call_pipe, STREAMS),
    ROW(poll, "pud", call_poll, STREAMS),
    ROW(select, "upppp", call_select, STREAMS),
    ROW(time, "p", call_time, MEMORY),
    ROW(fork, "", call_fork, "children with memory of their own"),
    ROW(vfork, "", call_vfork, "as fork"),
    ROW(getpgrp, "", call_getpgid, FIXED),
    ROW(pause, "", call_pause, "until the deadline"),
#endif
};
const unsigned call_rows = sizeof(call_table) / sizeof(call_table[0]);

unsigned call_count_rows(void)
{
    return call_rows + UNKNOWN_MAX + 1;
}

/* The table is in no order; a call is found by a bound number of steps, a tenth of what an exit costs at the most. */
static int find_row(uint64_t number)
{
    for (unsigned i = 0; i < call_rows; i++)
        if ((uint64_t)call_table[i].number == number) return (int)i;
    return -1;
}

/* ---- shown as strace does ---- */

static int put_argument(struct process *p, char kind, uint64_t value, char *to, size_t size)
{
    char text[80];
    switch (kind) {
    case 'f':
    case 'd': return snprintf(to, size, (int)value == -100 ? "AT_FDCWD" : "%d", (int)value);
    case 'u': return snprintf(to, size, "%llu", (unsigned long long)value);
    case 's':
        if (space_read_string(p->space, value, text, sizeof(text)) < 0)
            return snprintf(to, size, "0x%llx", (unsigned long long)value);
        for (char *c = text; *c; c++)
            if (*c < ' ' || *c == 0x7f || *c == '"') *c = '?';
        return snprintf(to, size, "\"%s\"", text);
    default: return snprintf(to, size, value ? "0x%llx" : kind == 'p' ? "NULL" : "0", (unsigned long long)value);
    }
}

static void begin_line(struct process *p, const struct call_row *row, const struct user_call *call, char *line,
                       size_t size)
{
    size_t n = (size_t)(row ? snprintf(line, size, "%s(", row->name)
                            : snprintf(line, size, "call_%llu(", (unsigned long long)call->number));
    const char *args = row ? row->args : "xxx";
    for (unsigned i = 0; args[i] && n < size; i++) {
        if (i) n += (size_t)snprintf(line + n, size - n, ", ");
        if (n < size) n += (size_t)put_argument(p, args[i], call->arg[i], line + n, size - n);
    }
}

static void end_line(struct process *p, char *line, size_t size, int64_t result, enum call_outcome outcome)
{
    const size_t n = strlen(line);
    if (outcome != CALL_ANSWERED && outcome != CALL_SIGNAL && outcome != CALL_FORK)
        (void)snprintf(line + n, size - n, ") = ?");
    else if (result < 0 && result > -4096)
        (void)snprintf(line + n, size - n, ") = -1 %s (%s)", strerrorname_np((int)-result),
                       strerrordesc_np((int)-result));
    else
        (void)snprintf(line + n, size - n, result > 0xffff ? ") = 0x%llx" : ") = %lld", (long long)result);
    p->policy->trace(p->policy->trace_arg, line);
}

/* ---- the door ---- */

static void refuse_threads(struct process *p, char *line, size_t size)
{
    if (p->has_said_threads || !p->policy->trace) return;
    p->has_said_threads = true;
    (void)snprintf(line, size, "--- threads are not offered: a sandbox runs one (EPERM) ---");
    p->policy->trace(p->policy->trace_arg, line);
}

/* NULL: there is none yet, or there is no memory for it. */
static struct call_count *count_at(const struct process *p, unsigned index)
{
    struct call_count *chunk = p->count[index / CALL_CHUNK];
    return chunk ? &chunk[index % CALL_CHUNK] : NULL;
}

/* Without memory, the call goes uncounted. */
static struct call_count *count_for(struct process *p, unsigned index, struct call_count *none)
{
    struct call_count **chunk = &p->count[index / CALL_CHUNK];
    if (!*chunk) *chunk = calloc(CALL_CHUNK, sizeof(**chunk));
    return *chunk ? &(*chunk)[index % CALL_CHUNK] : none;
}

enum call_outcome process_call(struct process *p, const struct user_call *call, int64_t *result)
{
    char line[512];
    enum call_outcome outcome = CALL_ANSWERED;
    const int at = find_row(call->number);
    const struct call_row *row = at < 0 ? NULL : &call_table[at];
    struct call_count none;
    struct call_count *count = count_for(
        p, row ? (unsigned)at : call_rows + (call->number < UNKNOWN_MAX ? (unsigned)call->number : UNKNOWN_MAX), &none);
    if (p->policy->trace) begin_line(p, row, call, line, sizeof(line));
    const uint64_t began = p->policy->is_timed ? process_now() : 0;
    *result = !row ? -ENOSYS : !row->fn ? -EPERM : row->fn(p, call->arg, &outcome);
    if (began) count->ns += process_now() - began;
    count->made++;
    count->refused += !row || !row->fn;
    count->failed += row && row->fn && *result < 0 && *result > -4096 && outcome == CALL_ANSWERED;
    if (p->policy->trace) end_line(p, line, sizeof(line), *result, outcome);
    if (row && row->fn == call_clone && *result == -EPERM) refuse_threads(p, line, sizeof(line));
    if (outcome != CALL_ANSWERED) return outcome;
    const int signo = process_take_signal(p);
    if (!signo) return CALL_ANSWERED;
    if (p->action[signo].handler) return CALL_SIGNAL;
    *result = signo;
    return CALL_KILLED;
}

bool process_count(const struct process *p, unsigned index, struct call_count *out)
{
    for (unsigned i = 0; i < call_count_rows(); i++) {
        const struct call_count *count = count_at(p, i);
        if (!count || !count->made || index--) continue;
        *out = *count;
        out->number = i < call_rows ? call_table[i].number : i == call_rows + UNKNOWN_MAX ? -1 : (long)(i - call_rows);
        out->name = i < call_rows ? call_table[i].name : NULL;
        return true;
    }
    return false;
}

bool call_about(unsigned index, struct call_about *out)
{
    if (index >= call_rows) return false;
    *out = (struct call_about){call_table[index].number, call_table[index].name, call_table[index].does};
    return true;
}

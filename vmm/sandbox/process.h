/* A sandboxed program from inside, for the files that answer its calls. */
#ifndef VIREO_SANDBOX_PROCESS_H
#define VIREO_SANDBOX_PROCESS_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "vmm/sandbox/calls.h"

#define SIGNALS      64
#define CHILDREN_MAX 64
#define CALL_CHUNK   32
#define PID_FIRST    1 /* what the program is told that it is; its children are numbered on */

/* ---- open files: files.c ---- */

enum file_kind {
    FILE_HOST,    /* a descriptor of ours */
    FILE_NULL,    /* /dev/null, and standard streams that are none */
    FILE_ZERO,    /* /dev/zero */
    FILE_RANDOM,  /* /dev/urandom, /dev/random */
    FILE_VIRTUAL, /* a directory that only leads to those of the policy */
};
/* An open file description: shared by dup(2) and fork(2). */
struct file {
    _Atomic unsigned users;
    enum file_kind kind;
    int fd;           /* FILE_HOST */
    bool is_borrowed; /* fd is the policy's */
    bool may_wait;    /* a pipe or a terminal: not before it is ready */
    bool is_output;   /* counts for output-max, and goes to the policy's function if it has one */
    int number;       /* of a standard stream: 0, 1 or 2 */
    bool can_read, can_write;
    _Atomic int flags;   /* O_APPEND, O_NONBLOCK */
    _Atomic uint64_t at; /* FILE_VIRTUAL: entries that were told */
    char *path;          /* of a directory, as the program has it; NULL: of none */
};
struct handle {
    struct file *file; /* NULL: free */
    bool is_closed_on_exec;
};

struct file *file_create(enum file_kind kind, int fd); /* NULL: no memory; fd is taken */
struct file *file_hold(struct file *f);
void file_drop(struct file *f);

/* The lowest free number from `from` on. -EMFILE. The file is taken, in any case. */
int files_add(struct process *p, struct file *f, int from, bool is_closed_on_exec);
struct file *files_get(struct process *p, int64_t number); /* NULL: EBADF */
int files_close(struct process *p, int64_t number);
/* files_copy.c. For process_copy: -ENOMEM or another -errno. */
int files_copy(struct process *p, const struct process *from, enum process_copy how);
/* Files are where `to` has them. false: more than positions has changed, so they have to be copied. */
bool files_rewind(struct process *p, const struct process *to);

/* ---- signals ---- */

struct action {
    uint64_t handler, flags, restorer, mask;
};
struct child {
    int pid, status;
    bool is_there, has_ended;
    struct process *process; /* while it runs */
};
struct fork_wish {
    uint64_t flags, stack, child_tid, tls;
    int pid;
};

/* What forked processes have together. */
struct family {
    _Atomic unsigned users;
    _Atomic int next_pid;
    _Atomic uint64_t output;  /* bytes written to 1 and 2 */
    _Atomic uint64_t written; /* bytes that write-max counts: never less, whatever is removed */
    /* Over the last look at a stream of the policy's and the transfer that follows: without it a second process could
     * take what the first was told of, and the first would wait in the kernel, beyond any deadline. */
    pthread_mutex_t lock;
};

struct process {
    struct space *space;
    const struct policy *policy;
    struct process_cpu cpu;
    int stop_fd, wake_fd;  /* wake_fd: a child has ended, or a signal was sent from elsewhere */
    _Atomic uint64_t sent; /* signals of others, until they are heeded */
    _Atomic bool child_ended;
    void (*kick)(void *arg); /* calls it out of the guest; any thread */
    void *kick_arg;
    uint64_t deadline;
    char *exe, *cwd; /* ours; process_set_cwd */
    struct family *family;
    int pid, parent;
    unsigned umask;
    struct handle *handle; /* policy->files_max of them */
    bool files_changed;

    struct action action[SIGNALS + 1];
    uint64_t blocked, pending;
    uint64_t stack, stack_size, stack_flags;
    struct user_fault fault; /* of the signal that is due for one */
    uint64_t suspended_mask;
    bool is_suspended;

    pthread_mutex_t lock; /* of child */
    struct child child[CHILDREN_MAX];
    struct fork_wish wish;

    const char *limit;
    /* One a row of the table, then one for each unknown number up to 511, then the others; CALL_CHUNK of them in a
     * piece, which is there from the first of them on: most programs make few calls, and a clone shall cost little. */
    struct call_count **count;
    bool has_said_threads;
    uint64_t began_ns;
};

int process_set_cwd(struct process *p, const char *path); /* -ENOMEM: it stays where it was */

/* Of len bytes to be written below a directory of the policy: how many write-max has room for, which are counted then.
 * What was not written after all is given back. */
uint64_t written_take(struct process *p, uint64_t len);
void written_give(struct process *p, uint64_t len);
int written_take_all(struct process *p, uint64_t len); /* all or -EDQUOT */

/* ---- calls ---- */

/* Answers one: the result, or -errno. What isn't an answer is told by *outcome. */
typedef int64_t call_fn(struct process *p, const uint64_t arg[6], enum call_outcome *outcome);

struct call_row {
    long number;
    const char *name;
    const char *args; /* a letter each: f descriptor, d signed, u unsigned, x hexadecimal, p pointer, s string */
    call_fn *fn;      /* NULL: refused */
    const char *does;
};
extern const struct call_row call_table[];
extern const unsigned call_rows;

/* ---- waiting ---- */

enum { WAIT_STOPPED = -1, WAIT_TIME = 0, WAIT_READY = 1, WAIT_SIGNAL = 2, WAIT_CHILD = 3 };
/* Until fd (-1: none) is ready for events (poll(2)), or `until` (CLOCK_MONOTONIC, ns; UINT64_MAX: none), the deadline
 * or a stop (WAIT_STOPPED), a signal that is due (WAIT_SIGNAL: the call is interrupted), or where that is asked for,
 * the end of a child. */
int process_wait(struct process *p, int fd, short events, uint64_t until);
int process_wait_child(struct process *p);
/* In the midst of long work: is the deadline past, or a stop asked for? Then the call ends as CALL_STOPPED. */
bool process_is_cut(const struct process *p);
void process_heed(struct process *p); /* what other threads have sent, wake_fd says, becomes the program's own */
uint64_t process_now(void);           /* CLOCK_MONOTONIC, ns */
void process_raise(struct process *p, int signo);
/* The signal that is due, of those that are not blocked and not ignored; 0: none. */
int process_take_signal(struct process *p);
int process_signal_child(struct process *p, int pid, int signo); /* 0 or -ESRCH */

/* ---- paths: path.c ---- */

struct place {
    const struct policy_dir *dir; /* NULL: a virtual directory, or nothing */
    bool is_virtual;              /* a directory above those of the policy */
    bool has_slash, wants_dir;    /* a slash ended it; or a dot: only a directory will do */
    char full[PATH_MAX];          /* as the program has it, clean */
    char last[NAME_MAX + 2];      /* of path_open_parent's */
    const char *rest;             /* below dir, in full; "." for dir itself */
};
/* A path of the program's: relative to descriptor at (AT_FDCWD: its directory). 0, or -errno. */
int path_find(struct process *p, int at, uint64_t path_va, struct place *out);
int path_find_text(struct process *p, int at, const char *path, struct place *out);
/* Open below the place's directory: openat2 with RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS. A descriptor or -errno. */
int path_open(const struct place *at, int flags, unsigned mode);
/* The directory that the last component is in, and that component in *last. A descriptor or -errno. */
int path_open_parent(struct place *at, const char **last);

/* A descriptor that only names what is there (O_PATH). -EISDIR: a virtual directory. */
int place_open(const struct place *at, bool follows);
int place_stat(const struct place *at, bool follows, struct stat *st); /* 0 or -errno */
/* Only files and directories: 0, else -EACCES, or -ELOOP for a link. */
int place_check(int fd, bool *is_dir);

/* ---- answers, by subject ---- */

call_fn call_brk, call_mmap, call_mprotect, call_munmap, call_mremap, call_madvise, call_mincore, call_msync,
    call_mlock;
call_fn call_read, call_write, call_readv, call_writev, call_pread, call_pwrite, call_preadv, call_pwritev, call_lseek,
    call_close, call_close_range, call_dup, call_dup2, call_dup3, call_fcntl, call_ioctl, call_pipe, call_pipe2,
    call_ftruncate, call_fsync, call_fallocate, call_flock, call_sendfile, call_copy_range, call_fadvise;
call_fn call_open, call_openat, call_creat, call_stat, call_lstat, call_fstat, call_newfstatat, call_statx, call_access,
    call_faccessat, call_readlink, call_readlinkat, call_getdents, call_chdir, call_fchdir, call_getcwd, call_mkdir,
    call_mkdirat, call_rmdir, call_unlink, call_unlinkat, call_rename, call_renameat, call_renameat2, call_link,
    call_linkat, call_symlink, call_symlinkat, call_truncate, call_chmod, call_fchmod, call_fchmodat, call_utimensat,
    call_umask, call_statfs, call_fstatfs;
call_fn call_clock_gettime, call_gettimeofday, call_time, call_clock_getres, call_nanosleep, call_clock_nanosleep,
    call_times, call_getrusage;
call_fn call_poll, call_ppoll, call_select, call_pselect;
call_fn call_sigaction, call_sigprocmask, call_sigreturn, call_sigaltstack, call_sigpending, call_sigsuspend, call_kill,
    call_tgkill, call_tkill, call_pause;
call_fn call_getpid, call_getppid, call_zero, call_getgroups, call_getresuid, call_uname, call_sysinfo, call_getrandom,
    call_prlimit, call_getrlimit, call_affinity, call_getcpu, call_prctl, call_arch_prctl, call_set_tid,
    call_robust_list, call_rseq, call_getpgid, call_setpgid, call_setsid, call_yield, call_membarrier;
call_fn call_exit, call_fork, call_vfork, call_clone, call_clone3, call_wait4, call_waitid, call_futex, call_returned,
    call_host;

#endif

/* libvireo: microVMs on Linux KVM, embedded in a C program.
 *
 *   struct vireo_config *c = vireo_config_create();
 *   vireo_config_set(c, "kernel", "vmlinuz", &err);  vireo_config_set(c, "memory", "256M", &err);
 *   vireo_vm_create(&vm, c, NULL, &err);  vireo_vm_start(vm, &err);  vireo_vm_wait(vm, -1, &end); vireo_vm_destroy(vm);
 *
 * Promises: handles are opaque; no globals, so many VMs live in one process; the library never prints, never exits, and
 * takes no signal but SIGURG, sent to its own threads only, for which it installs an empty handler when the program has
 * none: at the first VM, and again when the program has set it to default or ignore meanwhile. Functions return 0 or
 * -errno; those that take a struct vireo_error fill it with one sentence. Unless said otherwise an object is used by
 * one thread at a time; different objects are independent.
 *
 * Structs that the caller provides end in `reserved`, room for what later versions add, so that a program goes on
 * working with a later libvireo.so without being compiled again. What the library fills in it sets to 0; in what it
 * reads it must be 0, which any initialiser does, "= {0}" as well as "= {.level = VIREO_LOG_WARN}"; anything else is
 * refused. Structs that a callback gets may become longer at their end. Enumerations may get more members: treat one
 * you don't know as the nearest you do (of a reason for the end: see its status). */
#ifndef VIREO_H
#define VIREO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VIREO_VERSION       "0.2.0"
#define VIREO_VERSION_MAJOR 0
#define VIREO_VERSION_MINOR 2
#define VIREO_VERSION_PATCH 0
#define VIREO_API           __attribute__((visibility("default")))

/* "0.2.0", of the library that is linked. */
VIREO_API const char *vireo_version(void);

struct vireo_error {
    int code;        /* 0: none; else -errno */
    int exit_status; /* what `vireo run` exits with for it: 121, 122, 125, 126 or 127 */
    char text[768];  /* one sentence */
    char hint[256];  /* "" or the way out */
    uint64_t reserved[4];
};

/* ---- configuration: key = value, the keys of `vireo run --help` without the dashes ---- */
struct vireo_config;

struct vireo_key {
    const char *name; /* "memory" */
    const char *arg;  /* "SIZE", or NULL for a switch */
    const char *help; /* one line */
    bool is_repeated; /* appends instead of replacing */
    uint64_t reserved[4];
};

VIREO_API struct vireo_config *vireo_config_create(void); /* NULL: out of memory */
VIREO_API void vireo_config_destroy(struct vireo_config *c);
/* Strings are copied. A switch takes "true" or "false". Unknown key: the hint names the nearest known one. */
VIREO_API int vireo_config_set(struct vireo_config *c, const char *key, const char *value, struct vireo_error *e);
/* The image of key, "kernel" or "initrd", from memory or from an open file in place of a path. The bytes and the
 * descriptor stay the caller's, and in place until the last vireo_vm_create with c has returned; each reads the file
 * from its start and leaves its offset alone. The last one set counts, a path as well. */
VIREO_API int vireo_config_set_image(struct vireo_config *c, const char *key, const void *data, size_t size,
                                     struct vireo_error *e);
VIREO_API int vireo_config_set_image_fd(struct vireo_config *c, const char *key, int fd, struct vireo_error *e);
/* A JSON object with the same keys, len bytes of text. Errors name the line; what came before it stays set. */
VIREO_API int vireo_config_load_json(struct vireo_config *c, const char *text, size_t len, struct vireo_error *e);
/* The same from a file of at most 1 MiB, or a pipe, which is waited for ten seconds. Errors name the file. */
VIREO_API int vireo_config_load_file(struct vireo_config *c, const char *path, struct vireo_error *e);

/* The files that a configuration names: read, or written as the console's is. The strings are c's, until a key is set.
 * False past the end. */
struct vireo_file {
    const char *what; /* "kernel", "disk 0" */
    const char *path;
    bool is_output;
    uint64_t reserved[2];
};
VIREO_API bool vireo_config_file(const struct vireo_config *c, unsigned index, struct vireo_file *out);
/* Open, or make, a file for output of the program's own, under the rules of the VM's: it is none of the others, and
 * nobody has it locked, as VMs lock their disks; a pipe's reader is waited for ten seconds. What it holds stays until
 * the caller truncates it. what: for errors ("json"). A non-blocking descriptor, the caller's; or -errno. At most 64
 * others. */
VIREO_API int vireo_output_open(const char *what, const char *path, const struct vireo_file *others, unsigned count,
                                struct vireo_error *e);

/* The table, for help texts: false past the end. */
VIREO_API bool vireo_config_key(unsigned index, struct vireo_key *out);

/* ---- a pool: the memory that VMs may have together ----
 * A guest's memory is given page by page as it is touched, so VMs can be promised more than there is, and the kernel
 * then kills somebody. VMs of a pool can't: the sum of their memories is never more than the pool's. Any thread. */
struct vireo_pool;

/* bytes 0: all that this process may use, which is the host's memory or what its memory cgroup leaves of it; more than
 * that is refused. Guest memory only: keep some for the program itself, and some 3 MiB a VM for Vireo. */
VIREO_API int vireo_pool_create(struct vireo_pool **out, uint64_t bytes, struct vireo_error *e);
VIREO_API void vireo_pool_destroy(struct vireo_pool *pool); /* after its VMs and configurations; NULL is legal */
/* -EBUSY: less than its VMs have. */
VIREO_API int vireo_pool_resize(struct vireo_pool *pool, uint64_t bytes, struct vireo_error *e);
VIREO_API uint64_t vireo_pool_left(struct vireo_pool *pool); /* bytes */
/* VMs created from c from now on take their memory from the pool, or are refused (-ENOSPC), and give it back when they
 * are destroyed. NULL: no pool. */
VIREO_API void vireo_config_set_pool(struct vireo_config *c, struct vireo_pool *pool);

/* ---- log ----
 * fn is called by one thread at a time for each VM, in the order of the lines: within vireo_vm_create and
 * vireo_vm_start by their caller, else by a thread of the library's own that is there while there are lines. So it may
 * block without holding up the VM: 32 lines wait for it, and how many were lost beyond those is said in their place. A
 * guest can't make lines without end: of each kind eight come at once, then one in ten seconds, with the number of
 * those left out. vireo_vm_wait has handed on all that led to the end, if fn is not too slow. vireo_vm_destroy waits a
 * second for a call that does not return; that one may outlive the VM, no other begins. fn must not call the
 * library. */
enum vireo_log_level { VIREO_LOG_ERROR, VIREO_LOG_WARN, VIREO_LOG_INFO, VIREO_LOG_DEBUG };
struct vireo_log {
    void (*fn)(void *arg, enum vireo_log_level level, const char *line); /* line: valid during the call */
    void *arg;
    enum vireo_log_level level; /* lines above it are not made */
    uint64_t reserved[2];
};

/* ---- a VM ----
 * After fork(2) a VM and its control socket are the parent's alone: the child has neither the guest's memory nor the
 * descriptors that hold a VM, disk, tap or socket, so that these end when the parent ends them. The child may not use
 * the handles. Children of vfork(2) and clone(2) have the descriptors until they exec. */
struct vireo_vm;

enum vireo_reason {
    VIREO_END_POWEROFF = 1, /* status 0 */
    VIREO_END_RESET,        /* status 0 */
    VIREO_END_GUEST_STATUS, /* status: as the guest said; 119 for all above, the number itself is in value */
    VIREO_END_CRASH,        /* 120 */
    VIREO_END_PANIC,        /* 120 */
    VIREO_END_KVM_ERROR,    /* 121 */
    VIREO_END_HOST,         /* 126: no more threads or memory for running the guest */
    VIREO_END_DEVICE,       /* 122 */
    VIREO_END_TIMEOUT,      /* 124 */
    VIREO_END_STOPPED,      /* 0: the host asked for it */
};

struct vireo_end {
    enum vireo_reason reason;
    int status;       /* exit status of `vireo run` for it */
    uint32_t value;   /* what the guest wrote, for GUEST_STATUS and PANIC */
    int vcpu;         /* who ended it, -1: not a vCPU */
    const char *name; /* "poweroff", "crash", ...: static */
    char detail[384]; /* one sentence, never empty */
    uint64_t reserved[4];
};

/* Build a VM, all its resources taken, nothing running. log is copied; may be NULL. On error *out is untouched. */
VIREO_API int vireo_vm_create(struct vireo_vm **out, const struct vireo_config *c, const struct vireo_log *log,
                              struct vireo_error *e);
/* Stops it first if it runs; joins every thread, closes every fd. NULL is legal. A disk whose file does not answer (a
 * dead network, a dying device) is waited for 0.3 s; then this returns, and what its requests hold, guest memory and a
 * thread among it, is freed when they are answered. */
VIREO_API void vireo_vm_destroy(struct vireo_vm *vm);
VIREO_API int vireo_vm_start(struct vireo_vm *vm, struct vireo_error *e);
/* All vCPUs out of the guest when it returns. -ESRCH: not started, or ended. -ETIMEDOUT: a vCPU has not come within
 * five seconds, as it resets a disk whose file does not answer; the guest runs on. */
VIREO_API int vireo_vm_pause(struct vireo_vm *vm);
/* A guest with a kvmclock (x86) is told that it was held, so that its watchdog doesn't report the gap; so it is after
 * the process was stopped or frozen. On arm64 there is no such word. */
VIREO_API int vireo_vm_resume(struct vireo_vm *vm);
/* Ask it to end; returns at once; any thread, and any signal handler. Not beside vireo_vm_destroy. */
VIREO_API void vireo_vm_stop(struct vireo_vm *vm);
/* Wait for the end. timeout_ms < 0: forever. 0 and *out filled (NULL: not asked), or -ETIMEDOUT. */
VIREO_API int vireo_vm_wait(struct vireo_vm *vm, int timeout_ms, struct vireo_end *out);
/* Readable when the VM has ended: for poll loops. Owned by the VM. */
VIREO_API int vireo_vm_event_fd(const struct vireo_vm *vm);
VIREO_API const char *vireo_vm_console_pty(const struct vireo_vm *vm); /* "/dev/pts/N" with console=pty, else NULL */

/* Bytes that the guest wrote to its console and nobody got: the reader took nothing for a second or is gone, a write
 * failed, console-max was reached. The log tells when that begins and why. Any thread; final after vireo_vm_wait. */
VIREO_API uint64_t vireo_vm_console_dropped(const struct vireo_vm *vm);
/* The console's terminal has this size now: the guest is told (virtio-console), and a pty takes it on. Any thread. 0;
 * -ENOTTY: the console is no terminal; -EINVAL: above 65535. */
VIREO_API int vireo_vm_console_resize(struct vireo_vm *vm, unsigned cols, unsigned rows);

VIREO_API const char *vireo_vm_name(const struct vireo_vm *vm); /* as configured; "" when it has none */

/* Does the console read file descriptor 0 and write 1? A terminal there belongs in raw mode while the VM runs. */
VIREO_API bool vireo_vm_uses_stdio(const struct vireo_vm *vm);

/* What happened when, in order of time: "created", "started", "entered" (first instruction of the guest), "console"
 * (its first character), a device's name (its driver is ready), "guest N" (the guest said so), "ended". */
struct vireo_milestone {
    char name[32];
    uint64_t ns; /* CLOCK_MONOTONIC */
    uint64_t reserved[2];
};
/* Any thread, while the VM runs too. false: there is no such milestone (yet). */
VIREO_API bool vireo_vm_milestone(struct vireo_vm *vm, unsigned index, struct vireo_milestone *out);

enum vireo_thread_kind { VIREO_THREAD_VCPU, VIREO_THREAD_IO, VIREO_THREAD_DISK };
struct vireo_thread {
    enum vireo_thread_kind kind;
    int vcpu;      /* -1: not a vCPU's */
    int tid;       /* as gettid(2), for taskset, chrt, perf, /proc/PID/task/TID */
    char name[16]; /* "web:vcpu0", "web:io", "web:disk0": the VM's name or "vireo", cut to fit; as ps -L shows it */
    uint64_t reserved[4];
};
/* The threads that run the VM: its vCPUs in order, then the I/O thread if it has one, then those of disks that have one
 * (docs/scheduling.md). Any thread. false: there are no more; none is there before vireo_vm_start and after the end. */
VIREO_API bool vireo_vm_thread(struct vireo_vm *vm, unsigned index, struct vireo_thread *out);

/* ---- where the time went ---- */

/* Durations of one kind, in nanoseconds. Quantiles to three significant digits; total, min and max are exact. */
struct vireo_times {
    uint64_t total, min, p50, p90, p99, p999, max;
    uint64_t overflow; /* how many were longer than the histogram reaches: then an upper quantile may be max */
    uint64_t reserved[2];
};

enum vireo_stat_kind {
    VIREO_STAT_VCPU,     /* all exits of a vCPU: run and handler have the total only */
    VIREO_STAT_CLASS,    /* a kind of VM exit */
    VIREO_STAT_REGISTER, /* one register of a device, as part of its class: run and handler have total and max only */
    VIREO_STAT_LOST,     /* exits that no register row counts, as the table was full; their class does */
    VIREO_STAT_KERNEL,   /* one of the kernel's own statistics of the vCPU (KVM_GET_STATS_FD), all in count */
    /* of no vCPU: exits that a device's queue (number in address) did not cost, as KVM rang its doorbell (ioeventfd) */
    VIREO_STAT_DOORBELL,
    VIREO_STAT_DEVICE, /* of no vCPU: what a device counts, "rx_dropped", "output_dropped", "guest_faults" */
};

struct vireo_stat {
    enum vireo_stat_kind kind;
    int vcpu;           /* -1: all of them together */
    const char *name;   /* "port out", or the kernel's "halt_exits"; strings are valid during the call */
    const char *device; /* whose register or queue it is; NULL: no device is there */
    const char *unit;   /* of the kernel's: "", "ns", "bytes", "cycles", "bool" */
    uint64_t address;   /* of the register: a port, or guest-physical */
    uint64_t offset;    /* of it in its device */
    uint64_t count;
    struct vireo_times run;     /* in KVM_RUN before the exit: the guest itself and the kernel's part of the exit */
    struct vireo_times handler; /* from KVM_RUN's return until it can be entered again */
    uint64_t first_ns, last_ns; /* when the first and the latest one left the guest, since vireo_vm_create */
};

struct vireo_stats {
    const char *counter; /* what time was taken from: "TSC", "CNTVCT", "CLOCK_MONOTONIC"; static */
    double hz;           /* of that */
    /* Of recording one exit, counter reads included: measured by the VM's first such call, on the CPU it ran on. It is
     * part of the next exit's run. */
    double cost_ns;
    unsigned vcpus;
    uint64_t reserved[4];
};

/* Fill *out, and call fn for each row that counted something: the sum and the classes of all vCPUs together when there
 * are several, then for each vCPU its sum, its classes, each followed by its registers, and the kernel's statistics,
 * and in the end the doorbells and what devices count. fn NULL: only *out. Any thread, while the VM runs too: then rows
 * may differ by an exit in progress; after vireo_vm_wait they are exact. 0; -ENODATA: the recorder is off (record=off);
 * else -errno. May take 10 ms for the counter's rate. */
VIREO_API int vireo_vm_stats(struct vireo_vm *vm, struct vireo_stats *out,
                             void (*fn)(void *arg, const struct vireo_stat *s), void *arg);

/* The same as one page, with more beside it: threads, what the VM takes of its host, and the overhead of virtualization
 * in six figures and their weighted sum (docs/overhead.md). */
enum vireo_stats_format {
    VIREO_STATS_TEXT,       /* for people */
    VIREO_STATS_JSON,       /* one object; vireo-stat(1) has its keys */
    VIREO_STATS_PROMETHEUS, /* the text exposition format, 0.0.4 */
};
struct vireo_stats_view {
    enum vireo_stats_format format;
    const char *weights; /* "vm_exit_count=2,io_overhead=0": of the figures; NULL: each 1, as one that is not named */
    bool has_steps;      /* JSON: how durations spread, so that two pages give the quantiles of what lies between */
    uint64_t reserved[4];
};
typedef void vireo_write_fn(void *arg, const char *text, size_t len); /* text is valid during the call */
/* Calls write with the page, once. Any thread, while the VM runs too. -EINVAL: the weights; -ENODATA: record=off. */
VIREO_API int vireo_vm_stats_write(struct vireo_vm *vm, const struct vireo_stats_view *view, vireo_write_fn *write,
                                   void *arg, struct vireo_error *e);
VIREO_API const char *vireo_vm_uuid(struct vireo_vm *vm); /* 36 characters; random, made when first asked for */

/* ---- the control socket: these pages for other processes ---- */

/* A Unix socket DIR/NAME.sock (mode 0600) that speaks HTTP/1.1: GET /stats (JSON), /stats.txt and /metrics. `vireo
 * stat`, curl --unix-socket and Prometheus read it. It has no thread: poll vireo_control_fd, and call
 * vireo_control_serve when it is readable, which never waits. */
struct vireo_control;
/* dir NULL: vireo_control_dir's. It must be this user's alone, and in its parent nobody but this user and root may be
 * able to put another in its place. The VM must have a name, and outlives it. -EADDRINUSE: a VM of this name lives.
 * -ENOENT: there is no usual place. -EPERM: dir or its parent is not as it must be. */
VIREO_API int vireo_control_create(struct vireo_control **out, struct vireo_vm *vm, const char *dir,
                                   struct vireo_error *e);
VIREO_API void vireo_control_destroy(struct vireo_control *c); /* removes the socket; NULL is legal */
VIREO_API int vireo_control_fd(const struct vireo_control *c);
VIREO_API void vireo_control_serve(struct vireo_control *c);
VIREO_API const char *vireo_control_path(const struct vireo_control *c);
/* A connection to the socket of the VM called name in dir (NULL: vireo_control_dir's): ask there, and read until the
 * VM closes. The caller's to close; it blocks, each call for timeout_ms at most. -ENOENT: no such VM runs; -ETIMEDOUT:
 * its process does not accept; -EPERM: another user could be at the other end, or is. */
VIREO_API int vireo_control_connect(const char *dir, const char *name, int timeout_ms);
/* Where the sockets usually are: $XDG_RUNTIME_DIR/vireo, or /run/vireo for root. 0; -ENOENT: there is none;
 * -ENAMETOOLONG. */
VIREO_API int vireo_control_dir(char *buf, size_t size);

/* ---- the host ---- */
enum vireo_verdict { VIREO_OK, VIREO_MISSING_OPTIONAL, VIREO_MISSING };
struct vireo_host_fact {
    const char *id;   /* "kvm", "cap.KVM_CAP_IRQFD": stable, for scripts; valid during the call */
    const char *what; /* "KVM device" */
    enum vireo_verdict verdict;
    char value[256];  /* "/dev/kvm, API 12, module kvm_pvm" */
    char advice[256]; /* "" or what to do */
};
/* Call fn for each thing this host offers or lacks. Starts no guest. -ENODEV when no VM could run here, else 0.
 * The fact "linux" says whether a stock Linux kernel can be the guest: not where KVM emulates kernel code (kvm_pvm). */
VIREO_API int vireo_host_probe(void (*fn)(void *arg, const struct vireo_host_fact *f), void *arg);

#ifdef __cplusplus
}
#endif
#endif

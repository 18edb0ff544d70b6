/* Untrusted work in a microVM, and its answer: part of libvireo, with the rules and the errors of vireo.h.
 *
 * A sandbox is a VM of its own that runs one statically linked Linux program without a guest Linux. The program's
 * system calls leave the VM and are answered here, under a policy that begins with nothing. It may run to its end:
 *
 *   struct vireo_sandbox_config *c = vireo_sandbox_config_create();
 *   vireo_sandbox_config_set(c, "memory", "64M", &err);
 *   vireo_sandbox_create(&s, c, "decoder", argv, &err);  vireo_sandbox_run(s, &end);  vireo_sandbox_destroy(s);
 *
 * or stay, once it is ready, and have its functions called:
 *
 *   vireo_sandbox_run(s, &end);                                      (end.reason is VIREO_SANDBOX_READY)
 *   vireo_sandbox_function(s, "decode", &fn, &err);
 *   vireo_sandbox_call(s, fn, bytes, size, answer, sizeof(answer), &result);
 *
 * A template is such a sandbox frozen. Sandboxes made from it share its memory until they write to it, and go back to
 * it in microseconds (vireo_sandbox_reset).
 *
 * The program is hostile: whatever it does is a result here and never an end of the process. A sandbox is used by one
 * thread at a time, whichever; different ones are independent. */
#ifndef VIREO_SANDBOX_H
#define VIREO_SANDBOX_H

#include <vireo.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- configuration: key = value, the options of `vireo exec --help` without the dashes ---- */
struct vireo_sandbox_config;
VIREO_API struct vireo_sandbox_config *vireo_sandbox_config_create(void); /* NULL: out of memory */
VIREO_API void vireo_sandbox_config_destroy(struct vireo_sandbox_config *c);
VIREO_API int vireo_sandbox_config_set(struct vireo_sandbox_config *c, const char *key, const char *value,
                                       struct vireo_error *e);
VIREO_API bool vireo_sandbox_config_key(unsigned index, struct vireo_key *out); /* the table; false past the end */
/* What the program has as standard input (fd 0), output (1) and error (2): a descriptor, which stays the caller's; -1:
 * none. Before this: none, and what is written to 1 and 2 is counted and thrown away. */
VIREO_API int vireo_sandbox_config_set_fd(struct vireo_sandbox_config *c, int fd, int host_fd, struct vireo_error *e);
/* Bytes that it writes to 1 and 2 (fd) instead go to fn, on the thread that runs the sandbox. fn returns how many it
 * took, or -errno for the program. */
VIREO_API void vireo_sandbox_config_set_output(struct vireo_sandbox_config *c,
                                               int64_t (*fn)(void *arg, int fd, const void *data, size_t size),
                                               void *arg);
/* One line a system call, as strace(1) has it; valid during the call. */
VIREO_API void vireo_sandbox_config_set_trace(struct vireo_sandbox_config *c, void (*fn)(void *arg, const char *line),
                                              void *arg);
/* One line that the program gave to vireo_guest_log; valid during the call. */
VIREO_API void vireo_sandbox_config_set_log(struct vireo_sandbox_config *c, void (*fn)(void *arg, const char *line),
                                            void *arg);
/* How long each kind of system call took is counted (vireo_sandbox_count): two readings of the clock a call. */
VIREO_API void vireo_sandbox_config_time_calls(struct vireo_sandbox_config *c);
/* A function that the program may call by `name` (vireo_guest_host). in_size bytes come; *out_size says how many may be
 * answered, and how many were. Returns 0, or a number that the program gets in their place. On the thread that runs the
 * sandbox, which it must not use. in was copied out of the guest: it does not change. Nothing ends it at the call's
 * deadline, but system calls of its own that wait may end with EINTR then; the call ends when it comes back. */
typedef int vireo_sandbox_host_fn(void *arg, const void *in, size_t in_size, void *out, size_t *out_size);
VIREO_API int vireo_sandbox_config_add_host(struct vireo_sandbox_config *c, const char *name, vireo_sandbox_host_fn *fn,
                                            void *arg, struct vireo_error *e);

/* ---- a sandbox ---- */
struct vireo_sandbox;
struct vireo_sandbox_template;

/* The program is read at once. argv ends with NULL; NULL: the path alone. Statuses as `vireo exec`: 126 and 127 for
 * what can't be run or isn't there. On error *out is untouched. */
VIREO_API int vireo_sandbox_create(struct vireo_sandbox **out, const struct vireo_sandbox_config *c, const char *path,
                                   const char *const *argv, struct vireo_error *e);
/* The same of bytes in memory, which need not stay; name: for errors and argv[0]. */
VIREO_API int vireo_sandbox_create_from(struct vireo_sandbox **out, const struct vireo_sandbox_config *c,
                                        const char *name, const void *elf, size_t size, const char *const *argv,
                                        struct vireo_error *e);
VIREO_API void vireo_sandbox_destroy(struct vireo_sandbox *s); /* NULL is legal */

enum vireo_sandbox_reason {
    VIREO_SANDBOX_READY = 1, /* main returned, or vireo_guest_ready was called: functions can be called now */
    VIREO_SANDBOX_RETURNED,  /* a call returned; value: what the function did */
    VIREO_SANDBOX_EXITED,    /* status: the program's own, 0 to 255 */
    VIREO_SANDBOX_SIGNAL,    /* it died by signal `value`; status: 128 + that */
    VIREO_SANDBOX_DEADLINE,  /* 124: wall clock */
    VIREO_SANDBOX_CPU_TIME,  /* 124 */
    VIREO_SANDBOX_MEMORY,    /* it died as it found no more memory; status as SIGNAL or EXITED */
    VIREO_SANDBOX_OUTPUT,    /* 124: output-max */
    VIREO_SANDBOX_REFUSED, /* a call's arguments or answer are larger than the limit, or the guest broke the protocol */
    VIREO_SANDBOX_STOPPED, /* vireo_sandbox_stop */
    VIREO_SANDBOX_FAILED,  /* 125: KVM or this host; text says what */
};
struct vireo_sandbox_end {
    enum vireo_sandbox_reason reason;
    int status; /* exit status of `vireo exec` for it */
    int64_t value;
    size_t size;          /* of a call's answer, bytes */
    uint64_t address, pc; /* of a fault */
    const char *name;     /* "exited", "deadline", ...: static */
    char detail[384];     /* one sentence, never empty: signal, address, pc, function+offset */
    uint64_t reserved[4];
};

/* Run the program until it is ready or ends. Limits "timeout" and "cpu-time" count from here. With key "call" unset,
 * a return from main is its end (EXITED) as in any program; set, it is READY. 0, or -EIO: it has ended before. */
VIREO_API int vireo_sandbox_run(struct vireo_sandbox *s, struct vireo_sandbox_end *out);
/* Any thread, and any signal handler: what runs ends with STOPPED. */
VIREO_API void vireo_sandbox_stop(struct vireo_sandbox *s);

/* ---- calls ---- */
struct vireo_sandbox_fn {
    uint64_t address; /* of the guest's */
    uint64_t reserved[2];
};
/* By its name among the program's symbols. -ENOENT: the hint names the nearest; -EINVAL: it is data. */
VIREO_API int vireo_sandbox_function(struct vireo_sandbox *s, const char *name, struct vireo_sandbox_fn *out,
                                     struct vireo_error *e);
struct vireo_sandbox_call {
    struct vireo_sandbox_fn fn;
    const void *in; /* copied into the guest */
    size_t in_size;
    void *out; /* the answer, at most out_max bytes; end.size says how many came */
    size_t out_max;
    uint64_t timeout_ns, cpu_time_ns; /* 0: none */
    uint64_t reserved[4];
};
/* The guest's function is  int64_t fn(const void *in, size_t in_size, void *out, size_t *out_size):  *out_size is how
 * much may be answered and becomes how much was. 0 and *out filled; -EIO: the sandbox has ended, or a call before was
 * cut off, and it was not reset since. */
VIREO_API int vireo_sandbox_call(struct vireo_sandbox *s, const struct vireo_sandbox_call *call,
                                 struct vireo_sandbox_end *out);
/* Any function, with numbers: fn(arg[0], ... arg[5]). end.value: what it returned. */
VIREO_API int vireo_sandbox_call_numbers(struct vireo_sandbox *s, const struct vireo_sandbox_fn *fn,
                                         const uint64_t arg[6], uint64_t timeout_ns, struct vireo_sandbox_end *out);

/* The guest's memory by its addresses; all or nothing, -EFAULT. Not while it runs. */
VIREO_API int vireo_sandbox_read(struct vireo_sandbox *s, uint64_t address, void *out, size_t size);
VIREO_API int vireo_sandbox_write(struct vireo_sandbox *s, uint64_t address, const void *in, size_t size);
/* Bytes of the host's, whole pages, that the guest sees at *address; they stay the caller's and in place as long as the
 * sandbox. No part of templates and resets. */
VIREO_API int vireo_sandbox_share(struct vireo_sandbox *s, void *bytes, size_t size, bool is_writable,
                                  uint64_t *address, struct vireo_error *e);

/* ---- templates ---- */
/* Freeze s, which is ready; it goes on as it was. */
VIREO_API int vireo_sandbox_template_create(struct vireo_sandbox_template **out, struct vireo_sandbox *s,
                                            struct vireo_error *e);
VIREO_API void vireo_sandbox_template_destroy(struct vireo_sandbox_template *t); /* after its sandboxes */
/* Any thread, several at once. */
VIREO_API int vireo_sandbox_clone(struct vireo_sandbox **out, struct vireo_sandbox_template *t, struct vireo_error *e);
/* Back to its template, whatever it did or how it ended; a sandbox without one: -ENOTSUP. Its generation number, which
 * the guest can read (vireo_guest_generation), is a new one. */
VIREO_API int vireo_sandbox_reset(struct vireo_sandbox *s, struct vireo_error *e);

/* N sandboxes of a template, ready: made on a thread of the pool's, outside the path of those who take one. */
struct vireo_sandbox_pool;
VIREO_API int vireo_sandbox_pool_create(struct vireo_sandbox_pool **out, struct vireo_sandbox_template *t, unsigned n,
                                        struct vireo_error *e);
VIREO_API void vireo_sandbox_pool_destroy(struct vireo_sandbox_pool *p); /* after all were given back */
/* Any thread. A sandbox that nobody else has, reset; made at once when none is ready. */
VIREO_API int vireo_sandbox_pool_take(struct vireo_sandbox_pool *p, struct vireo_sandbox **out, struct vireo_error *e);
VIREO_API void vireo_sandbox_pool_give(struct vireo_sandbox_pool *p, struct vireo_sandbox *s);

/* ---- where the time went ---- */
struct vireo_sandbox_count { /* of a kind of system call */
    const char *name;        /* NULL: not known; number -1: all unknown ones above 511 together */
    long number;
    uint64_t made, refused, failed, ns;
    uint64_t reserved[2];
};
VIREO_API bool vireo_sandbox_count(struct vireo_sandbox *s, unsigned index, struct vireo_sandbox_count *out);
/* Exits of one kind from the VM, as vireo_vm_stats has them: "system call", "fault", "kick" and those that KVM wants.
 * Of all processes of the program, since the sandbox was made; those of a forked process count when it has ended. Not
 * while it runs. false: past the last kind. With key "record" off none is counted. */
struct vireo_sandbox_exits {
    const char *name; /* static */
    uint64_t count;
    struct vireo_times run;     /* in the VM before the exit: the program itself and KVM's part of the exit */
    struct vireo_times handler; /* answering it */
    uint64_t reserved[2];
};
VIREO_API bool vireo_sandbox_exits(struct vireo_sandbox *s, unsigned index, struct vireo_sandbox_exits *out);
struct vireo_sandbox_usage {
    uint64_t memory, memory_peak;                /* bytes that the program has mapped */
    uint64_t load_ns, guest_ns, call_ns, cpu_ns; /* making and loading; in KVM_RUN; answering calls; the thread's */
    uint64_t exits, reset_pages;
    uint64_t reserved[4];
};
VIREO_API void vireo_sandbox_usage(struct vireo_sandbox *s, struct vireo_sandbox_usage *out);
#ifdef __cplusplus
}
#endif
#endif

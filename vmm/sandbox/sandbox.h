/* A sandbox: one program in a VM of its own, run, called, frozen, cloned, put back.
 *
 *      setup      what all sandboxes of one program share: the file, the policy, the limits, the host's functions
 *      task       one process of the program: VM, space, vCPU, process. The first is the sandbox's; fork(2) makes more
 *      template   a space, registers and process, frozen
 *
 * A sandbox is used by one thread at a time; sandbox_stop: any thread, and signal handlers. */
#ifndef VIREO_SANDBOX_SANDBOX_H
#define VIREO_SANDBOX_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/err.h"
#include "vmm/machine/stats.h"
#include "vmm/sandbox/calls.h"
#include "vmm/sandbox/elf.h"
#include "vmm/sandbox/policy.h"

#define SANDBOX_HOSTS_MAX 64
#define SANDBOX_NAME_MAX  63
#define SANDBOX_BYTES_MAX (256u << 20) /* in and out of a call */

typedef int sandbox_host_fn(void *arg, const void *in, size_t in_size, void *out, size_t *out_size);
struct sandbox_host {
    char name[SANDBOX_NAME_MAX + 1];
    sandbox_host_fn *fn;
    void *arg;
};

struct sandbox_limits {
    uint64_t memory, stack;   /* bytes */
    uint64_t wall_ns, cpu_ns; /* of a run; 0: none */
};

/* What a sandbox is made from; the words are copied. */
struct sandbox_setup;
struct sandbox_want {
    struct policy *policy; /* taken, and the setup's, whatever comes back */
    struct sandbox_limits limits;
    const struct sandbox_host *host;
    unsigned hosts;
    const char *name; /* of the program, for errors and argv[0] */
    const char *const *argv, *const *envp;
    bool is_called; /* key "call": a return from main with 0 makes it ready */
    bool is_placed_randomly;
    bool is_recorded;                         /* key "record" */
    void (*log)(void *arg, const char *text); /* vireo_guest_log; NULL: none */
    void *log_arg;
};
/* file: malloc'ed, taken. */
int sandbox_setup_create(struct sandbox_setup **out, const struct sandbox_want *want, void *file, uint64_t size,
                         struct err *e);
void sandbox_setup_drop(struct sandbox_setup *s);

enum sandbox_reason { /* as enum vireo_sandbox_reason */
                      SANDBOX_READY = 1,
                      SANDBOX_RETURNED,
                      SANDBOX_EXITED,
                      SANDBOX_SIGNAL,
                      SANDBOX_DEADLINE,
                      SANDBOX_CPU_TIME,
                      SANDBOX_MEMORY,
                      SANDBOX_OUTPUT,
                      SANDBOX_REFUSED,
                      SANDBOX_STOPPED,
                      SANDBOX_FAILED,
};
#define SANDBOX_DETAIL_MAX 384
#define SANDBOX_WHY_MAX    128 /* bytes of the program's own word for its end, a part of that */
struct sandbox_end {
    enum sandbox_reason reason;
    int status;
    int64_t value;
    uint64_t size, address, pc;
    char detail[SANDBOX_DETAIL_MAX];
};
const char *sandbox_reason_name(enum sandbox_reason r);

struct sandbox;
struct sandbox_template;

int sandbox_create(struct sandbox **out, struct sandbox_setup *setup, struct err *e);
void sandbox_destroy(struct sandbox *s);
/* Until it is ready or ends. -EIO: it has ended. */
int sandbox_run(struct sandbox *s, struct sandbox_end *out);
void sandbox_stop(struct sandbox *s);

struct sandbox_call {
    uint64_t fn;
    const void *in;
    size_t in_size;
    void *out; /* NULL and numbers set: the function takes numbers */
    size_t out_max;
    const uint64_t *numbers;
    uint64_t wall_ns, cpu_ns;
};
int sandbox_call(struct sandbox *s, const struct sandbox_call *call, struct sandbox_end *out);
/* -ENOENT with the nearest name as the hint; -EINVAL: data. */
int sandbox_find(struct sandbox *s, const char *name, uint64_t *address, struct err *e);

int sandbox_read(struct sandbox *s, uint64_t va, void *out, size_t size);
int sandbox_write(struct sandbox *s, uint64_t va, const void *in, size_t size);
int sandbox_share(struct sandbox *s, void *bytes, size_t size, bool is_writable, uint64_t *va, struct err *e);

int sandbox_template_create(struct sandbox_template **out, struct sandbox *s, struct err *e);
void sandbox_template_destroy(struct sandbox_template *t);
int sandbox_clone(struct sandbox **out, struct sandbox_template *t, struct err *e);
int sandbox_reset(struct sandbox *s, struct err *e);

struct sandbox_usage {
    uint64_t memory, memory_peak, load_ns, guest_ns, call_ns, cpu_ns, exits, reset_pages;
};
void sandbox_usage(struct sandbox *s, struct sandbox_usage *out);
/* Exits of one kind, of all processes of the program, since the sandbox was made; those that a forked one has made
 * count when it has ended. false: past the last kind; count 0: there was none. The thread that has the sandbox. */
struct sandbox_exits {
    const char *name; /* record_class_name() */
    uint64_t count;
    struct stats_times run, handler;
};
bool sandbox_exits(struct sandbox *s, unsigned index, struct sandbox_exits *out);
bool sandbox_count(struct sandbox *s, unsigned index, struct call_count *out);

#endif

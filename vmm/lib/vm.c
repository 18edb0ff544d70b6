#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/concat.h"
#include "vmm/base/groups.h"
#include "vmm/config/value.h"
#include "vmm/lib/host.h"
#include "vmm/lib/lib.h"
#include "vmm/watch/figures.h"

#define GUEST_STATUS_MAX 119 /* above it stand Vireo's own exit statuses */

_Static_assert(sizeof(((struct vireo_end *)0)->detail) == END_DETAIL_MAX, "a sentence is passed on whole");
_Static_assert(sizeof(((struct vireo_milestone *)0)->name) == MACHINE_MILESTONE_NAME, "and so is a name");
_Static_assert(sizeof(((struct vireo_thread *)0)->name) == MACHINE_THREAD_NAME, "and a thread's");
_Static_assert((int)VIREO_THREAD_DISK == (int)MACHINE_THREAD_DISK, "kinds are passed on as they are");
_Static_assert((int)VIREO_LOG_DEBUG == (int)LOG_DEBUG, "levels are passed on as they are");

#define LOG_FLUSH_MS 200  /* at the end, log lines that led to it get so long to come first */
#define LOG_LEAVE_MS 1000 /* destroy waits no longer for a log */

static void on_log(void *arg, enum log_level level, const char *line)
{
    const struct vireo_log *user = arg;
    user->fn(user->arg, (enum vireo_log_level)level, line);
}

/* Not refused, since small kernels do run there. But whoever boots a stock kernel should know why nothing comes. */
static void warn_of_emulation(const struct log *log, const struct config *c)
{
    const char *software = host_config_has_linux(c) ? host_software_kvm() : NULL;
    if (!software) return;
    log_write(log, LOG_WARN,
              "kernel %s: %s emulates the guest's kernel code, so Linux is very slow here and fails at the first "
              "instruction the emulator lacks; use a host with VT-x or AMD-V, or: scripts/lab amdv -- vireo run ...",
              c->kernel ? c->kernel : "(the program's)", software);
}

/* Log lines of a create are handed on, on the caller's thread, before it returns. */
static int create_log(struct vireo_vm *vm, const struct vireo_log *log, struct err *e)
{
    if (!log || !log->fn) return 0;
    struct vireo_log user = *log;
    const struct log to = {.fn = on_log, .arg = &user, .level = (enum log_level)log->level};
    const int rc = log_queue_create(&vm->log_queue, &to, sizeof(user), e);
    if (rc) return rc;
    log_queue_direct(vm->log_queue, true);
    vm->log = *log_queue_log(vm->log_queue);
    return 0;
}

static void destroy_log(struct vireo_vm *vm)
{
    log_queue_destroy(vm->log_queue, LOG_LEAVE_MS);
}

/* Not refused: pages come as the guest touches them, and the limit may be raised meanwhile. But when a guest takes all
 * that it was promised, its whole process is killed. Without a log nothing is read. */
static void warn_of_memory(const struct log *log, const struct config *c)
{
    char groups[GROUPS_MAX], shown[VALUE_SIZE_MAX];
    const uint64_t bytes = c->memory;
    if (!log->fn || log->level < LOG_WARN) return;
    /* A memory cgroup does not count huge pages that the host has set aside. */
    if (c->huge_pages == HUGE_PAGES_2M || c->huge_pages == HUGE_PAGES_1G) return;
    groups_read(0, groups);
    const uint64_t limit = groups_memory_limit(groups, GROUPS_ROOT);
    if (bytes < limit) return;
    value_show_size(bytes, shown);
    log_write(log, LOG_WARN,
              "memory %s: a memory cgroup of this process allows %lluM in all, and a guest that uses more has it "
              "killed; give the guest less, or raise memory.max",
              shown, (unsigned long long)(limit >> 20));
}

int vireo_vm_create(struct vireo_vm **out, const struct vireo_config *c, const struct vireo_log *log,
                    struct vireo_error *e)
{
    struct err err = {0};
    if (log && LIB_CHECK_RESERVED(log, "struct vireo_log", &err)) return lib_error(e, err.code, &err);
    struct vireo_vm *vm = calloc(1, sizeof(*vm));
    if (!vm) return lib_error(e, err_set(&err, -ENOMEM, "no memory for a VM"), &err);
    int rc = create_log(vm, log, &err);
    if (!rc) rc = lib_pool_take(c->pool, c->config.memory, &err);
    if (rc) {
        destroy_log(vm);
        free(vm);
        return lib_error(e, rc, &err);
    }
    vm->pool = c->pool;
    vm->memory = c->config.memory;
    vm->uses_stdio = c->config.console == CONSOLE_STDIO;
    memcpy(vm->name, c->config.name, sizeof(vm->name));
    pthread_mutex_init(&vm->lock, NULL);
    rc = machine_create(&vm->machine, &c->config, &vm->log, &err);
    if (rc) {
        lib_pool_give_back(vm->pool, vm->memory);
        pthread_mutex_destroy(&vm->lock);
        destroy_log(vm);
        free(vm);
        return lib_error(e, rc, &err);
    }
    if (vm->name[0] && c->config.kernel) vm->kernel = realpath(c->config.kernel, NULL);
    warn_of_emulation(&vm->log, &c->config);
    warn_of_memory(&vm->log, &c->config);
    if (vm->log_queue) log_queue_direct(vm->log_queue, false);
    *out = vm;
    return 0;
}

void vireo_vm_destroy(struct vireo_vm *vm)
{
    if (!vm) return;
    machine_destroy(vm->machine);
    /* Not called without need: a plain run never maps that part of the program. */
    if (vm->figures) figures_destroy(vm->figures);
    pthread_mutex_destroy(&vm->lock);
    lib_pool_give_back(vm->pool, vm->memory);
    destroy_log(vm);
    free(vm->kernel);
    free(vm);
}

int vireo_vm_start(struct vireo_vm *vm, struct vireo_error *e)
{
    struct err err = {0};
    if (vm->log_queue) log_queue_direct(vm->log_queue, true);
    const int rc = machine_start(vm->machine, &err);
    if (vm->log_queue) log_queue_direct(vm->log_queue, false);
    return lib_error(e, rc, &err);
}

int vireo_vm_pause(struct vireo_vm *vm)
{
    return machine_pause(vm->machine);
}

int vireo_vm_resume(struct vireo_vm *vm)
{
    return machine_resume(vm->machine);
}

void vireo_vm_stop(struct vireo_vm *vm)
{
    machine_stop(vm->machine);
}

/* What each end means outside: design of the exit status table in vireo-run(1). */
static const struct {
    const char *name;
    enum vireo_reason reason;
    int status;
    const char *sentence; /* used when the machine had nothing more exact to say */
} ends[] = {
    [END_POWEROFF] = {"poweroff", VIREO_END_POWEROFF, 0, "the guest powered off"},
    [END_RESET] = {"reset", VIREO_END_RESET, 0, "the guest rebooted"},
    [END_GUEST_STATUS] = {"guest-status", VIREO_END_GUEST_STATUS, 0, NULL},
    [END_CRASH] = {"crash", VIREO_END_CRASH, 120, "the guest crashed"},
    [END_PANIC] = {"panic", VIREO_END_PANIC, 120, "the guest's kernel panicked"},
    [END_KVM_ERROR] = {"kvm-error", VIREO_END_KVM_ERROR, 121, "KVM could not run the guest"},
    [END_HOST] = {"host", VIREO_END_HOST, 126, "the host lacks what running the guest takes"},
    [END_DEVICE] = {"device", VIREO_END_DEVICE, 122, "a device's host side failed"},
    [END_TIMEOUT] = {"timeout", VIREO_END_TIMEOUT, 124, "the time limit has passed"},
    [END_STOPPED] = {"stopped", VIREO_END_STOPPED, 0, "stopped by the host"},
};

static void fill_end(struct vireo_end *out, const struct ending *in)
{
    *out = (struct vireo_end){
        .reason = ends[in->reason].reason,
        .status = ends[in->reason].status,
        .value = in->value,
        .vcpu = in->vcpu,
        .name = ends[in->reason].name,
    };
    if (in->reason != END_GUEST_STATUS) {
        concat(out->detail, sizeof(out->detail), in->detail[0] ? in->detail : ends[in->reason].sentence);
        return;
    }
    out->status = in->value <= GUEST_STATUS_MAX ? (int)in->value : GUEST_STATUS_MAX;
    concat(out->detail, sizeof(out->detail), "the guest ended with status ");
    concat_number(out->detail, sizeof(out->detail), in->value);
    if (in->value > GUEST_STATUS_MAX)
        concat(out->detail, sizeof(out->detail), ", passed on as 119, the highest a guest has");
}

int vireo_vm_wait(struct vireo_vm *vm, int timeout_ms, struct vireo_end *out)
{
    struct ending end;
    const int rc = machine_wait(vm->machine, timeout_ms, &end);
    if (rc == 0 && vm->log_queue) log_queue_flush(vm->log_queue, LOG_FLUSH_MS);
    if (rc == 0 && out) fill_end(out, &end);
    return rc;
}

int vireo_vm_event_fd(const struct vireo_vm *vm)
{
    return machine_event_fd(vm->machine);
}

const char *vireo_vm_console_pty(const struct vireo_vm *vm)
{
    return machine_console_pty(vm->machine);
}

uint64_t vireo_vm_console_dropped(const struct vireo_vm *vm)
{
    return machine_console_dropped(vm->machine);
}

int vireo_vm_console_resize(struct vireo_vm *vm, unsigned cols, unsigned rows)
{
    if (cols > UINT16_MAX || rows > UINT16_MAX) return -EINVAL;
    return machine_console_resize(vm->machine, (uint16_t)cols, (uint16_t)rows);
}

const char *vireo_vm_name(const struct vireo_vm *vm)
{
    return vm->name;
}

bool vireo_vm_uses_stdio(const struct vireo_vm *vm)
{
    return vm->uses_stdio;
}

bool vireo_vm_milestone(struct vireo_vm *vm, unsigned index, struct vireo_milestone *out)
{
    struct machine_milestone m;
    if (!machine_milestone(vm->machine, index, &m)) return false;
    *out = (struct vireo_milestone){.ns = m.ns};
    memcpy(out->name, m.name, sizeof(out->name));
    return true;
}

bool vireo_vm_thread(struct vireo_vm *vm, unsigned index, struct vireo_thread *out)
{
    struct machine_thread t;
    if (!machine_thread(vm->machine, index, &t)) return false;
    *out = (struct vireo_thread){.kind = (enum vireo_thread_kind)t.kind, .vcpu = t.vcpu, .tid = t.tid};
    memcpy(out->name, t.name, sizeof(out->name));
    return true;
}

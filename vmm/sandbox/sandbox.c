/* Sandboxes: their set-up, made, run, asked. */
#include "vmm/sandbox/sandbox.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/base/nearest.h"
#include "vmm/machine/runner.h"
#include "vmm/sandbox/struct_sandbox.h"

#define WORDS_MAX 4096u

/* ---- what sandboxes of one program share ---- */

static char **copy_words(const char *const *words, const char *first)
{
    unsigned n = 0;
    while (words && words[n] && n < WORDS_MAX) n++;
    char **copy = calloc(n + 2, sizeof(*copy));
    for (unsigned i = 0; copy && i < n; i++)
        if (!(copy[i] = strdup(words[i]))) return copy;
    if (copy && !n && first) copy[0] = strdup(first);
    return copy;
}

static void free_words(char **words)
{
    for (unsigned i = 0; words && words[i]; i++) free(words[i]);
    free(words);
}

int sandbox_setup_create(struct sandbox_setup **out, const struct sandbox_want *want, void *file, uint64_t size,
                         struct err *e)
{
    struct sandbox_setup *s = calloc(1, sizeof(*s));
    if (!s) {
        policy_fini(want->policy);
        free(file);
        return err_set(e, -ENOMEM, "sandbox: no memory");
    }
    s->users = 1;
    s->file = file;
    s->size = size;
    s->policy = *want->policy;
    policy_init(want->policy);
    s->limits = want->limits;
    s->hosts = want->hosts < SANDBOX_HOSTS_MAX ? want->hosts : SANDBOX_HOSTS_MAX;
    if (s->hosts) memcpy(s->host, want->host, s->hosts * sizeof(*s->host));
    s->is_called = want->is_called;
    s->is_placed_randomly = want->is_placed_randomly;
    s->is_recorded = want->is_recorded;
    s->log = want->log;
    s->log_arg = want->log_arg;
    s->name = strdup(want->name);
    s->argv = copy_words(want->argv, want->name);
    s->envp = copy_words(want->envp, NULL);
    counter_init(&s->counter);
    int rc = s->name && s->argv && s->envp ? 0 : err_set(e, -ENOMEM, "sandbox: no memory");
    if (!rc) rc = elf_read(&s->elf, file, size, s->name, s->policy.allow_wx, e);
    if (rc) {
        sandbox_setup_drop(s);
        return rc;
    }
    *out = s;
    return 0;
}

void sandbox_setup_drop(struct sandbox_setup *s)
{
    if (!s || atomic_fetch_sub(&s->users, 1) != 1) return;
    policy_fini(&s->policy);
    free_words(s->argv);
    free_words(s->envp);
    free(s->name);
    free(s->file);
    free(s);
}

/* ---- a sandbox ---- */

struct sandbox *sandbox_make(struct sandbox_setup *setup, struct err *e)
{
    struct sandbox *s = calloc(1, sizeof(*s));
    const int fd = s ? fd_own(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) : -1;
    if (!s || fd < 0) {
        err_set(e, s ? -errno : -ENOMEM, "sandbox: %s", s ? "no descriptor is left for it" : "no memory");
        err_as(e, ERR_HOST);
        free(s);
        return NULL;
    }
    s->stop_fd = fd;
    s->setup = setup;
    s->deadline = s->cpu_limit_ns = UINT64_MAX;
    s->main = (struct task){.sandbox = s, .vm = VM_INIT};
    atomic_fetch_add(&setup->users, 1);
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_cond_init(&s->gone, NULL);
    if (getrandom(&s->generation, sizeof(s->generation), 0) < 0) s->generation = process_clock();
    return s;
}

static int load(struct sandbox *s, struct err *e)
{
    uint8_t random[16];
    const struct sandbox_setup *setup = s->setup;
    if (getrandom(random, sizeof(random), 0) != sizeof(random)) return err_errno(e, "sandbox: random numbers");
    const struct elf_start start = {.argv = (const char *const *)setup->argv,
                                    .envp = (const char *const *)setup->envp,
                                    .stack_size = setup->limits.stack,
                                    .random = random,
                                    .is_placed_randomly = setup->is_placed_randomly};
    int rc = elf_load(&setup->elf, s->main.space, &start, &s->image, e);
    if (!rc && user_begin(s->main.user, s->image.entry, s->image.sp))
        rc = err_set(e, -EIO, "sandbox: KVM takes no registers");
    return rc;
}

int sandbox_create(struct sandbox **out, struct sandbox_setup *setup, struct err *e)
{
    const uint64_t began = process_clock();
    struct space *space = NULL;
    int rc = runner_mind_signal();
    if (rc) return err_set(e, rc, "sandbox: the signal that calls it out: %s", strerrordesc_np(-rc));
    struct sandbox *s = sandbox_make(setup, e);
    if (!s) return e->code ? e->code : -ENOMEM;
    rc = space_create(&space, setup->limits.memory, e);
    if (!rc) rc = task_open(&s->main, s, space, false, e);
    const struct process_params params = task_params(&s->main);
    if (!rc) rc = process_create(&s->main.process, &params, e);
    if (!rc) rc = load(s, e);
    if (rc) {
        sandbox_destroy(s);
        return rc;
    }
    s->load_ns = process_clock() - began;
    *out = s;
    return 0;
}

void sandbox_destroy(struct sandbox *s)
{
    if (!s) return;
    sandbox_end_children(s);
    task_close(&s->main);
    record_destroy(s->ended);
    sandbox_setup_drop(s->setup);
    (void)close(s->stop_fd);
    (void)pthread_mutex_destroy(&s->lock);
    (void)pthread_cond_destroy(&s->gone);
    free(s);
}

void sandbox_stop(struct sandbox *s)
{
    /* The flag on both sides: who takes the stop away meanwhile, and the flag with it, finds the flag again later. */
    atomic_store(&s->may_stop, true);
    (void)eventfd_write(s->stop_fd, 1);
    atomic_store(&s->may_stop, true);
    task_kick(&s->main);
}

bool sandbox_is_stopped(struct sandbox *s)
{
    struct pollfd stop = {.fd = s->stop_fd, .events = POLLIN};
    return atomic_load(&s->may_stop) && poll(&stop, 1, 0) > 0;
}

/* The kick first: one that comes after it may be for a stop that comes after this. */
void sandbox_clear_stop(struct sandbox *s)
{
    eventfd_t n;
    __atomic_store_n(&user_vcpu(s->main.user)->run->immediate_exit, 0, __ATOMIC_RELAXED);
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_exchange(&s->may_stop, false)) (void)eventfd_read(s->stop_fd, &n);
}

/* The calling thread runs the main task now: it must take the signal that calls it out. */
void sandbox_enter(struct sandbox *s)
{
    sigset_t kick;
    if (!s->tid || !pthread_equal(s->thread, pthread_self())) {
        s->thread = pthread_self();
        s->tid = gettid();
        (void)sigemptyset(&kick);
        (void)sigaddset(&kick, SIGURG);
        (void)pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
    }
    atomic_store(&s->main.tid, s->tid);
}

void sandbox_leave(struct sandbox *s, const struct sandbox_end *end)
{
    limits_end(&s->main);
    atomic_store(&s->main.tid, 0);
    s->main.is_ready = end->reason == SANDBOX_READY || end->reason == SANDBOX_RETURNED;
    s->has_ended = !s->main.is_ready;
    s->why[0] = '\0';
    if (s->has_ended) sandbox_end_children(s);
}

int sandbox_run(struct sandbox *s, struct sandbox_end *out)
{
    struct err e = {0};
    if (s->has_ended || s->main.is_ready) return -EIO;
    sandbox_enter(s);
    const uint64_t used = thread_cpu_ns();
    if (limits_begin(&s->main, s->setup->limits.wall_ns, s->setup->limits.cpu_ns, &e))
        end_as(out, SANDBOX_FAILED, 125, "%s", e.text);
    else
        task_run(&s->main, out);
    s->cpu_ns += thread_cpu_ns() - used;
    sandbox_leave(s, out);
    if (s->main.is_ready) s->call_sp = user_sp(s->main.user);
    return 0;
}

/* ---- asked ---- */

static void hint_nearest(const struct elf *elf, const char *name, struct err *e)
{
    struct elf_symbol symbol;
    size_t n = 0;
    const char **names = malloc(elf->symbols * sizeof(*names) + 1);
    for (uint64_t i = 0; names && elf_symbol(elf, i, &symbol); i++)
        if (symbol.is_function && symbol.is_global && symbol.name[0]) names[n++] = symbol.name;
    if (names) nearest_err_hint(e, name, (struct words){names, sizeof(*names), n});
    free(names);
}

int sandbox_find(struct sandbox *s, const char *name, uint64_t *address, struct err *e)
{
    const struct elf *elf = &s->setup->elf;
    struct elf_symbol symbol;
    if (elf_find(elf, name, &symbol)) {
        if (!symbol.is_function)
            return err_set(e, -EINVAL, "%s: %.200s is data, and no function", s->setup->name, name);
        *address = symbol.va + s->image.bias;
        return 0;
    }
    err_set(e, -ENOENT, "%s: has no function %.200s", s->setup->name, name);
    if (!elf->symbols)
        err_hint(e, "it has no symbols: do not strip it");
    else
        hint_nearest(elf, name, e);
    return -ENOENT;
}

int sandbox_read(struct sandbox *s, uint64_t va, void *out, size_t size)
{
    return space_read(s->main.space, va, out, size);
}

int sandbox_write(struct sandbox *s, uint64_t va, const void *in, size_t size)
{
    return space_write(s->main.space, va, in, size);
}

int sandbox_share(struct sandbox *s, void *bytes, size_t size, bool is_writable, uint64_t *va, struct err *e)
{
    const int64_t at = space_share(s->main.space, &s->main.vm, bytes, size, is_writable, e);
    if (at < 0) return (int)at;
    *va = (uint64_t)at;
    return 0;
}

static uint64_t to_ns(const struct sandbox *s, uint64_t ticks)
{
    return (uint64_t)((double)ticks * 1e9 / counter_hz(&s->setup->counter));
}

void sandbox_usage(struct sandbox *s, struct sandbox_usage *out)
{
    struct space_use use;
    space_use(s->main.space, &use);
    *out = (struct sandbox_usage){.memory = use.mapped,
                                  .memory_peak = use.peak,
                                  .load_ns = s->load_ns,
                                  .guest_ns = to_ns(s, s->guest_ticks),
                                  .call_ns = to_ns(s, s->call_ticks),
                                  .cpu_ns = s->cpu_ns,
                                  .exits = s->exits,
                                  .reset_pages = s->reset_pages};
}

bool sandbox_exits(struct sandbox *s, unsigned index, struct sandbox_exits *out)
{
    const struct hist *run[2], *handler[2];
    struct hists runs = {run, 0}, handlers = {handler, 0};
    if (index >= RECORD_CLASSES) return false;
    const enum record_class class = (enum record_class)index;
    *out = (struct sandbox_exits){.name = record_class_name(class)};
    (void)pthread_mutex_lock(&s->lock);
    const struct record *const of[] = {s->main.record, s->ended};
    for (unsigned i = 0; i < 2; i++) {
        if (!of[i] || !record_has(of[i], class)) continue;
        run[runs.count++] = &of[i]->of[class].run;
        handler[handlers.count++] = &of[i]->of[class].handler;
        out->count += atomic_load_explicit(&of[i]->of[class].handler.count, memory_order_relaxed);
    }
    if (out->count) {
        const double ns_per_tick = 1e9 / counter_hz(&s->setup->counter);
        out->run = stats_times_of(&runs, ns_per_tick, STATS_FULL);
        out->handler = stats_times_of(&handlers, ns_per_tick, STATS_FULL);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return true;
}

bool sandbox_count(struct sandbox *s, unsigned index, struct call_count *out)
{
    return process_count(s->main.process, index, out);
}

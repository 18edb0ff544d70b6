/* The rows of `vireo bench sandbox`. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/sandbox/sandbox.h"
#include "guest/embed.h"
#include "vmm/base/fd.h"

#define PAGE 4096u

static int failed(struct err *e, int rc, const struct vireo_error *inner)
{
    return err_set(e, rc, "%s", inner->text);
}

static int no_bare(struct err *e, int rc)
{
    return err_set(e, rc, "the yardstick's VM: %s", strerrordesc_np(-rc));
}

static int64_t since(const struct sandbox_work *w, uint64_t began)
{
    return (int64_t)(counter_read(&w->counter) - began);
}

/* ---- what a row has ---- */

static size_t program_size(void)
{
    return (size_t)(guest_work_end - guest_work_start);
}

/* For the yardstick of whole programs: the same file, natively. */
static int make_program(struct sandbox_work *w, struct err *e)
{
    w->program_fd = fd_own(memfd_create("vireo-bench-work", MFD_CLOEXEC));
    if (w->program_fd < 0 || write(w->program_fd, guest_work_start, program_size()) != (ssize_t)program_size())
        return err_errno(e, "a file for the program");
    return 0;
}

static int host_nothing(void *arg, const void *in, size_t in_size, void *out, size_t *out_size)
{
    (void)arg, (void)in, (void)in_size, (void)out;
    *out_size = 0;
    return 0;
}

static int make_template(struct sandbox_work *w, struct err *e)
{
    struct vireo_error inner = {0};
    struct vireo_sandbox_end end = {0};
    struct vireo_sandbox *first = NULL;
    int rc = vireo_sandbox_create_from(&first, w->config, "work", guest_work_start, program_size(), NULL, &inner);
    if (!rc) rc = vireo_sandbox_run(first, &end);
    if (!rc && end.reason != VIREO_SANDBOX_READY) {
        memcpy(inner.text, end.detail, strlen(end.detail) + 1);
        rc = -EIO;
    }
    if (!rc) rc = vireo_sandbox_template_create(&w->template, first, &inner);
    if (!rc) rc = vireo_sandbox_clone(&w->sandbox, w->template, &inner);
    vireo_sandbox_destroy(first);
    return rc ? failed(e, rc, &inner) : 0;
}

int sandbox_work_begin(struct sandbox_work *w, const struct sandbox_row *row, struct err *e)
{
    struct vireo_error inner = {0};
    *w = (struct sandbox_work){.memory_fd = -1, .program_fd = -1, .bare = {.kvm_fd = -1, .vm_fd = -1, .vcpu_fd = -1}};
    counter_init(&w->counter);
    (void)counter_hz(&w->counter);
    w->config = vireo_sandbox_config_create();
    if (!w->config) return err_set(e, -ENOMEM, "no memory for a sandbox");
    int rc = vireo_sandbox_config_add_host(w->config, "nothing", host_nothing, NULL, &inner);
    if (!rc && !row->argv) rc = vireo_sandbox_config_set(w->config, "call", "true", &inner);
    if (rc) return failed(e, rc, &inner);
    w->in = calloc(1, SANDBOX_BYTES);
    w->out = calloc(1, SANDBOX_BYTES);
    w->copy = calloc(1, SANDBOX_BYTES);
    if (!w->in || !w->out || !w->copy) return err_set(e, -ENOMEM, "no memory for the bytes of calls");
    /* Present before anything is measured. */
    memset(w->in, 1, SANDBOX_BYTES);
    memset(w->out, 1, SANDBOX_BYTES);
    memset(w->copy, 1, SANDBOX_BYTES);
    if (row->argv) return make_program(w, e);
    w->memory_fd = bare_template();
    if (w->memory_fd < 0) return err_errno(e, "memory of the yardstick's VM");
    rc = bare_open(&w->bare, w->memory_fd);
    if (rc) return no_bare(e, rc);
    rc = make_template(w, e);
    if (!rc && row->function && vireo_sandbox_function(w->sandbox, row->function, &w->fn, &inner))
        rc = failed(e, -ENOENT, &inner);
    return rc;
}

void sandbox_work_end(struct sandbox_work *w)
{
    vireo_sandbox_destroy(w->sandbox);
    if (w->template) vireo_sandbox_template_destroy(w->template);
    vireo_sandbox_config_destroy(w->config);
    bare_close(&w->bare);
    if (w->memory_fd >= 0) (void)close(w->memory_fd);
    if (w->program_fd >= 0) (void)close(w->program_fd);
    free(w->in);
    free(w->out);
    free(w->copy);
}

/* ---- made and ended ---- */

static int64_t create(struct sandbox_work *w, const struct sandbox_row *row, struct err *e)
{
    struct vireo_error inner;
    struct vireo_sandbox *s;
    (void)row;
    const uint64_t began = counter_read(&w->counter);
    const int rc = vireo_sandbox_create_from(&s, w->config, "work", guest_work_start, program_size(), NULL, &inner);
    const int64_t took = since(w, began);
    if (rc) return failed(e, rc, &inner);
    vireo_sandbox_destroy(s);
    return took;
}

static int64_t clone_or_destroy(struct sandbox_work *w, bool is_clone, struct err *e)
{
    struct vireo_error inner;
    struct vireo_sandbox *s;
    uint64_t began = counter_read(&w->counter);
    const int rc = vireo_sandbox_clone(&s, w->template, &inner);
    const int64_t made = since(w, began);
    if (rc) return failed(e, rc, &inner);
    began = counter_read(&w->counter);
    vireo_sandbox_destroy(s);
    const int64_t ended = since(w, began);
    return is_clone ? made : ended;
}

static int64_t clone_one(struct sandbox_work *w, const struct sandbox_row *row, struct err *e)
{
    (void)row;
    return clone_or_destroy(w, true, e);
}

static int64_t destroy_one(struct sandbox_work *w, const struct sandbox_row *row, struct err *e)
{
    (void)row;
    return clone_or_destroy(w, false, e);
}

static int64_t bare_made_or_ended(struct sandbox_work *w, bool is_made, struct err *e)
{
    struct bare b;
    uint64_t began = counter_read(&w->counter);
    const int rc = bare_open(&b, w->memory_fd);
    const int64_t made = since(w, began);
    began = counter_read(&w->counter);
    bare_close(&b);
    const int64_t ended = since(w, began);
    return rc ? no_bare(e, rc) : is_made ? made : ended;
}

static int64_t bare_made(struct sandbox_work *w, const struct sandbox_row *row, struct err *e)
{
    (void)row;
    return bare_made_or_ended(w, true, e);
}

static int64_t bare_ended(struct sandbox_work *w, const struct sandbox_row *row, struct err *e)
{
    (void)row;
    return bare_made_or_ended(w, false, e);
}

/* ---- called ---- */

static int64_t ended_as(struct err *e, const struct vireo_sandbox_end *end)
{
    return err_set(e, -EIO, "a call: %s", end->detail);
}

static int64_t call_numbers(struct sandbox_work *w, const struct sandbox_row *row, struct err *e)
{
    static const uint64_t none[6];
    struct vireo_sandbox_end end;
    (void)row;
    const uint64_t began = counter_read(&w->counter);
    const int rc = vireo_sandbox_call_numbers(w->sandbox, &w->fn, none, 0, &end);
    const int64_t took = since(w, began);
    if (rc) return err_set(e, rc, "a call: %s", strerrordesc_np(-rc));
    return end.reason == VIREO_SANDBOX_RETURNED && end.value == 0 ? took : ended_as(e, &end);
}

static int64_t call_bytes(struct sandbox_work *w, const struct sandbox_row *row, struct err *e)
{
    struct vireo_sandbox_end end;
    const struct vireo_sandbox_call call = {
        .fn = w->fn, .in = w->in, .in_size = row->amount, .out = w->out, .out_max = row->amount};
    const uint64_t began = counter_read(&w->counter);
    const int rc = vireo_sandbox_call(w->sandbox, &call, &end);
    const int64_t took = since(w, began);
    if (rc) return err_set(e, rc, "a call: %s", strerrordesc_np(-rc));
    return end.reason == VIREO_SANDBOX_RETURNED && end.size == row->amount ? took : ended_as(e, &end);
}

/* As many exits from user privilege, and for bytes one exit and two copies. */
static int64_t bare_exits(struct sandbox_work *w, const struct sandbox_row *row, struct err *e)
{
    int rc = 0;
    const uint64_t began = counter_read(&w->counter);
    for (uint64_t i = 0; i < row->amount && !rc; i++) rc = bare_exit(&w->bare);
    const int64_t took = since(w, began);
    return rc ? no_bare(e, rc) : took;
}

static int64_t bare_exit_and_copies(struct sandbox_work *w, const struct sandbox_row *row, struct err *e)
{
    const uint64_t began = counter_read(&w->counter);
    memcpy(w->copy, w->in, row->amount);
    const int rc = bare_exit(&w->bare);
    memcpy(w->out, w->copy, row->amount);
    const int64_t took = since(w, began);
    return rc ? no_bare(e, rc) : took;
}

/* ---- put back ---- */

static int64_t reset(struct sandbox_work *w, const struct sandbox_row *row, struct err *e)
{
    struct vireo_error inner;
    struct vireo_sandbox_end end;
    struct vireo_sandbox_usage u;
    const uint64_t arg[6] = {row->amount};
    if (row->amount &&
        (vireo_sandbox_call_numbers(w->sandbox, &w->fn, arg, 0, &end) || end.reason != VIREO_SANDBOX_RETURNED))
        return ended_as(e, &end);
    const uint64_t began = counter_read(&w->counter);
    const int rc = vireo_sandbox_reset(w->sandbox, &inner);
    const int64_t took = since(w, began);
    if (rc) return failed(e, rc, &inner);
    vireo_sandbox_usage(w->sandbox, &u);
    if (u.reset_pages < row->amount)
        return err_set(e, -EIO, "a reset put %llu pages back of %llu written", (unsigned long long)u.reset_pages,
                       (unsigned long long)row->amount);
    return took;
}

static int64_t bare_put_back(struct sandbox_work *w, const struct sandbox_row *row, struct err *e)
{
    const uint64_t began = counter_read(&w->counter);
    const int rc = bare_put_registers(&w->bare);
    for (uint64_t i = 0; i < row->amount; i++) memcpy((char *)w->copy + i * PAGE, (const char *)w->in + i * PAGE, PAGE);
    const int64_t took = since(w, began);
    return rc ? no_bare(e, rc) : took;
}

/* ---- run from its beginning to its end ---- */

static int64_t run_program(struct sandbox_work *w, const struct sandbox_row *row, struct err *e)
{
    struct vireo_error inner;
    struct vireo_sandbox *s;
    struct vireo_sandbox_end end;
    const uint64_t began = counter_read(&w->counter);
    int rc = vireo_sandbox_create_from(&s, w->config, "work", guest_work_start, program_size(), row->argv, &inner);
    if (rc) return failed(e, rc, &inner);
    rc = vireo_sandbox_run(s, &end);
    vireo_sandbox_destroy(s);
    const int64_t took = since(w, began);
    if (rc) return err_set(e, rc, "a program: %s", strerrordesc_np(-rc));
    return end.reason == VIREO_SANDBOX_EXITED && end.status == 0 ? took : ended_as(e, &end);
}

static int64_t run_natively(struct sandbox_work *w, const struct sandbox_row *row, struct err *e)
{
    char path[32];
    char *const none[] = {NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status = 0;
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", w->program_fd);
    if (posix_spawn_file_actions_init(&actions)) return err_set(e, -ENOMEM, "no memory to run a program");
    (void)posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    const uint64_t began = counter_read(&w->counter);
    const int rc = posix_spawn(&pid, path, &actions, NULL, (char *const *)(uintptr_t)row->argv, none);
    if (!rc && waitpid(pid, &status, 0) != pid) status = -1;
    const int64_t took = since(w, began);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (rc) return err_set(e, -rc, "the program natively: %s", strerrordesc_np(rc));
    return status == 0 ? took : err_set(e, -EIO, "the program natively: wait status %d", status);
}

static const char *const hello[] = {"work", "hello", NULL};
static const char *const sha256[] = {"work", "sha256", "16", NULL};

#define FEW   200, 10
#define MANY  2000, 100
#define CALLS 5000, 200

const struct sandbox_row sandbox_rows[] = {
    {"create", "make a sandbox and load a static program of 8 KiB", FEW, create, bare_made, NULL, 0, NULL},
    {"clone", "make a sandbox from a template", FEW, clone_one, bare_made, NULL, 0, NULL},
    {"destroy", "end a clone", FEW, destroy_one, bare_ended, NULL, 0, NULL},
    {"call", "call a function without bytes", CALLS, call_numbers, bare_exits, "nothing", 1, NULL},
    {"call_64", "call a function with 64 bytes in and out", CALLS, call_bytes, bare_exit_and_copies, "take", 64, NULL},
    {"call_4k", "the same with 4 KiB", CALLS, call_bytes, bare_exit_and_copies, "take", 4096, NULL},
    {"call_1m", "the same with 1 MiB", FEW, call_bytes, bare_exit_and_copies, "take", 1 << 20, NULL},
    {"host_call", "call a function that calls one of the host's", CALLS, call_numbers, bare_exits, "ask_host", 2, NULL},
    {"reset_0", "put a sandbox back to its template that has written nothing", MANY, reset, bare_put_back,
     "write_pages", 0, NULL},
    {"reset_1", "the same after 1 page was written", MANY, reset, bare_put_back, "write_pages", 1, NULL},
    {"reset_16", "the same after 16 pages", MANY, reset, bare_put_back, "write_pages", 16, NULL},
    {"reset_256", "the same after 256 pages", FEW, reset, bare_put_back, "write_pages", 256, NULL},
    {"reset_4096", "the same after 4096 pages, 16 MiB", 50, 5, reset, bare_put_back, "write_pages", 4096, NULL},
    {"exec_hello", "make a sandbox, run a program that writes a line, end it", FEW, run_program, run_natively, NULL, 0,
     hello},
    {"exec_sha256", "the same with one that hashes 16 MiB", 5, 2, run_program, run_natively, NULL, 0, sha256},
    {0},
};

/* Sandboxes as the public header has them. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/lib/sandbox_lib.h"

#define PROGRAM_MAX (1ull << 30) /* bytes of a program's file */
#define CANNOT_RUN  126
#define NOT_FOUND   127

#define IS_SAME(a, b) _Static_assert((int)VIREO_SANDBOX_##a == (int)SANDBOX_##a, b)
IS_SAME(READY, "one enumeration");
IS_SAME(MEMORY, "one enumeration");
IS_SAME(FAILED, "one enumeration");

/* Like env(1): 127 what isn't there, 126 what can't be run. */
static int program_error(struct vireo_error *out, int rc, const struct err *e)
{
    (void)lib_error(out, rc, e);
    if (rc && out && e->kind == ERR_KERNEL) out->exit_status = rc == -ENOENT || rc == -ENOTDIR ? NOT_FOUND : CANNOT_RUN;
    return rc;
}

static int read_error(struct err *e, const char *path, int rc)
{
    err_set(e, rc, "%s: %s", path, strerrordesc_np(-rc));
    err_as(e, ERR_KERNEL);
    return rc;
}

static int read_program(const char *path, void **out, uint64_t *size, struct err *e)
{
    struct stat st;
    const int fd = fd_own(open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY));
    if (fd < 0) return read_error(e, path, -errno);
    int rc = fstat(fd, &st) ? -errno : S_ISDIR(st.st_mode) ? -EISDIR : !S_ISREG(st.st_mode) ? -EACCES : 0;
    if (!rc && (uint64_t)st.st_size > PROGRAM_MAX) rc = -EFBIG;
    uint8_t *bytes = rc ? NULL : malloc((size_t)st.st_size + 1);
    if (!rc && !bytes) rc = -ENOMEM;
    uint64_t have = 0;
    while (!rc && have < (uint64_t)st.st_size) {
        const ssize_t n = read(fd, bytes + have, (size_t)st.st_size - have);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            if (n < 0) rc = -errno;
            break;
        }
        have += (uint64_t)n;
    }
    (void)close(fd);
    if (rc) {
        free(bytes);
        return read_error(e, path, rc);
    }
    *out = bytes;
    *size = have;
    return 0;
}

/* The policy of one sandbox: its directories opened. */
static int make_policy(struct policy *p, const struct vireo_sandbox_config *c, struct err *e)
{
    *p = c->policy;
    int rc = 0;
    for (unsigned i = 0; !rc && i < c->read_count; i++) rc = policy_add_dir(p, c->reads[i], false, e);
    for (unsigned i = 0; !rc && i < c->write_count; i++) rc = policy_add_dir(p, c->writes[i], true, e);
    if (!rc && c->cwd && !(p->cwd = strdup(c->cwd))) rc = err_set(e, -ENOMEM, "sandbox: no memory");
    if (rc) policy_fini(p);
    return rc;
}

/* bytes are taken. */
static int create(struct vireo_sandbox **out, const struct vireo_sandbox_config *c, const char *name, void *bytes,
                  uint64_t size, const char *const *argv, struct err *e)
{
    struct sandbox_setup *setup;
    struct sandbox *s;
    struct policy policy;
    struct sandbox_want want = c->want;
    int rc = make_policy(&policy, c, e);
    if (rc) {
        free(bytes);
        return rc;
    }
    want.policy = &policy;
    want.host = c->host;
    want.name = name;
    want.argv = argv;
    want.envp = (const char *const *)c->envp;
    rc = sandbox_setup_create(&setup, &want, bytes, size, e);
    if (rc) return rc;
    rc = sandbox_create(&s, setup, e);
    sandbox_setup_drop(setup);
    if (!rc) *out = (struct vireo_sandbox *)(void *)s;
    return rc;
}

int vireo_sandbox_create(struct vireo_sandbox **out, const struct vireo_sandbox_config *c, const char *path,
                         const char *const *argv, struct vireo_error *error)
{
    struct err e = {0};
    void *bytes = NULL;
    uint64_t size = 0;
    int rc = read_program(path, &bytes, &size, &e);
    if (!rc) rc = create(out, c, path, bytes, size, argv, &e);
    return program_error(error, rc, &e);
}

int vireo_sandbox_create_from(struct vireo_sandbox **out, const struct vireo_sandbox_config *c, const char *name,
                              const void *elf, size_t size, const char *const *argv, struct vireo_error *error)
{
    struct err e = {0};
    void *bytes = malloc(size + 1);
    if (!bytes) return program_error(error, err_set(&e, -ENOMEM, "sandbox: no memory for the program"), &e);
    memcpy(bytes, elf, size);
    return program_error(error, create(out, c, name, bytes, size, argv, &e), &e);
}

void vireo_sandbox_destroy(struct vireo_sandbox *s)
{
    sandbox_destroy(lib_sandbox(s));
}

static void tell(const struct sandbox_end *end, struct vireo_sandbox_end *out)
{
    if (!out) return;
    /* One by one: a whole struct would be cleared first, which a call of a function would feel. */
    out->reason = (enum vireo_sandbox_reason)end->reason;
    out->status = end->status;
    out->value = end->value;
    out->size = end->size;
    out->address = end->address;
    out->pc = end->pc;
    out->name = sandbox_reason_name(end->reason);
    memset(out->reserved, 0, sizeof(out->reserved));
    _Static_assert(sizeof(out->detail) == sizeof(end->detail), "a sentence is passed on whole");
    memcpy(out->detail, end->detail, strlen(end->detail) + 1);
}

int vireo_sandbox_run(struct vireo_sandbox *s, struct vireo_sandbox_end *out)
{
    struct sandbox_end end;
    const int rc = sandbox_run(lib_sandbox(s), &end);
    if (!rc) tell(&end, out);
    return rc;
}

void vireo_sandbox_stop(struct vireo_sandbox *s)
{
    sandbox_stop(lib_sandbox(s));
}

int vireo_sandbox_function(struct vireo_sandbox *s, const char *name, struct vireo_sandbox_fn *out,
                           struct vireo_error *error)
{
    struct err e = {0};
    uint64_t address = 0;
    const int rc = sandbox_find(lib_sandbox(s), name, &address, &e);
    if (!rc) *out = (struct vireo_sandbox_fn){.address = address};
    return lib_error(error, rc, &e);
}

int vireo_sandbox_call(struct vireo_sandbox *s, const struct vireo_sandbox_call *call, struct vireo_sandbox_end *out)
{
    struct sandbox_end end;
    const struct sandbox_call inner = {.fn = call->fn.address,
                                       .in = call->in,
                                       .in_size = call->in_size,
                                       .out = call->out,
                                       .out_max = call->out_max,
                                       .wall_ns = call->timeout_ns,
                                       .cpu_ns = call->cpu_time_ns};
    for (unsigned i = 0; i < sizeof(call->reserved) / sizeof(call->reserved[0]); i++)
        if (call->reserved[i]) return -EINVAL;
    const int rc = sandbox_call(lib_sandbox(s), &inner, &end);
    if (!rc) tell(&end, out);
    return rc;
}

int vireo_sandbox_call_numbers(struct vireo_sandbox *s, const struct vireo_sandbox_fn *fn, const uint64_t arg[6],
                               uint64_t timeout_ns, struct vireo_sandbox_end *out)
{
    struct sandbox_end end;
    const struct sandbox_call inner = {.fn = fn->address, .numbers = arg, .wall_ns = timeout_ns};
    const int rc = sandbox_call(lib_sandbox(s), &inner, &end);
    if (!rc) tell(&end, out);
    return rc;
}

int vireo_sandbox_read(struct vireo_sandbox *s, uint64_t address, void *out, size_t size)
{
    return sandbox_read(lib_sandbox(s), address, out, size);
}

int vireo_sandbox_write(struct vireo_sandbox *s, uint64_t address, const void *in, size_t size)
{
    return sandbox_write(lib_sandbox(s), address, in, size);
}

int vireo_sandbox_share(struct vireo_sandbox *s, void *bytes, size_t size, bool is_writable, uint64_t *address,
                        struct vireo_error *error)
{
    struct err e = {0};
    return lib_error(error, sandbox_share(lib_sandbox(s), bytes, size, is_writable, address, &e), &e);
}

int vireo_sandbox_template_create(struct vireo_sandbox_template **out, struct vireo_sandbox *s,
                                  struct vireo_error *error)
{
    struct err e = {0};
    struct sandbox_template *t;
    const int rc = sandbox_template_create(&t, lib_sandbox(s), &e);
    if (!rc) *out = (struct vireo_sandbox_template *)(void *)t;
    return lib_error(error, rc, &e);
}

void vireo_sandbox_template_destroy(struct vireo_sandbox_template *t)
{
    sandbox_template_destroy((struct sandbox_template *)(void *)t);
}

int vireo_sandbox_clone(struct vireo_sandbox **out, struct vireo_sandbox_template *t, struct vireo_error *error)
{
    struct err e = {0};
    struct sandbox *s;
    const int rc = sandbox_clone(&s, (struct sandbox_template *)(void *)t, &e);
    if (!rc) *out = (struct vireo_sandbox *)(void *)s;
    return lib_error(error, rc, &e);
}

int vireo_sandbox_reset(struct vireo_sandbox *s, struct vireo_error *error)
{
    struct err e = {0};
    return lib_error(error, sandbox_reset(lib_sandbox(s), &e), &e);
}

bool vireo_sandbox_count(struct vireo_sandbox *s, unsigned index, struct vireo_sandbox_count *out)
{
    struct call_count c;
    if (!sandbox_count(lib_sandbox(s), index, &c)) return false;
    *out = (struct vireo_sandbox_count){
        .name = c.name, .number = c.number, .made = c.made, .refused = c.refused, .failed = c.failed, .ns = c.ns};
    return true;
}

bool vireo_sandbox_exits(struct vireo_sandbox *s, unsigned index, struct vireo_sandbox_exits *out)
{
    struct sandbox_exits x;
    if (!sandbox_exits(lib_sandbox(s), index, &x)) return false;
    *out = (struct vireo_sandbox_exits){
        .name = x.name, .count = x.count, .run = lib_times(&x.run), .handler = lib_times(&x.handler)};
    return true;
}

void vireo_sandbox_usage(struct vireo_sandbox *s, struct vireo_sandbox_usage *out)
{
    struct sandbox_usage u;
    sandbox_usage(lib_sandbox(s), &u);
    *out = (struct vireo_sandbox_usage){.memory = u.memory,
                                        .memory_peak = u.memory_peak,
                                        .load_ns = u.load_ns,
                                        .guest_ns = u.guest_ns,
                                        .call_ns = u.call_ns,
                                        .cpu_ns = u.cpu_ns,
                                        .exits = u.exits,
                                        .reset_pages = u.reset_pages};
}

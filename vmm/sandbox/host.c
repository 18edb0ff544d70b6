/* What a program asks of the monitor (guest library, include/vireo_sandbox_guest.h): that it is ready, functions of the
 * host's by name and then by number, a line for the log, the generation of this sandbox, why it is about to end. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/text.h"
#include "vmm/sandbox/struct_sandbox.h"

enum { HOST_READY, HOST_FIND, HOST_CALL, HOST_LOG, HOST_GENERATION, HOST_WHY };
#define HOST_BYTES_MAX (1u << 20) /* in and out of one call of the host's */
#define LOG_MAX        1024u

static int64_t find(const struct sandbox_setup *setup, const char *name)
{
    for (unsigned i = 0; i < setup->hosts; i++)
        if (strcmp(setup->host[i].name, name) == 0) return (int64_t)i;
    return -ENOENT;
}

/* arg: number, in, in_size, out, &out_size. */
static int64_t call_function(struct task *t, const uint64_t arg[6])
{
    const struct sandbox_setup *setup = t->sandbox->setup;
    uint64_t room = 0;
    if (arg[1] >= setup->hosts) return -ENOENT;
    if (arg[3] > HOST_BYTES_MAX || (arg[5] && space_read(t->space, arg[5], &room, sizeof(room)))) return -EFAULT;
    if (room > HOST_BYTES_MAX) return -E2BIG;
    const struct sandbox_host *h = &setup->host[arg[1]];
    uint8_t *in = malloc(arg[3] + 1), *out = malloc(room + 1);
    size_t size = room;
    int64_t rc = in && out ? 0 : -ENOMEM;
    if (!rc && space_read(t->space, arg[2], in, arg[3])) rc = -EFAULT;
    if (!rc) rc = h->fn(h->arg, in, arg[3], out, &size);
    if (!rc && size > room) rc = -E2BIG;
    const uint64_t told = size;
    if (!rc && arg[5] &&
        (space_write(t->space, arg[4], out, size) || space_write(t->space, arg[5], &told, sizeof(told))))
        rc = -EFAULT;
    free(in);
    free(out);
    return rc;
}

static int64_t log_line(struct task *t, uint64_t va)
{
    char text[LOG_MAX];
    const struct sandbox_setup *setup = t->sandbox->setup;
    const int n = space_read_string(t->space, va, text, sizeof(text));
    if (n < 0) return n;
    if (setup->log) setup->log(setup->log_arg, text);
    return 0;
}

static int64_t keep_why(struct sandbox *s, uint64_t va)
{
    const int n = space_read_string(s->main.space, va, s->why, sizeof(s->why));
    if (n < 0) {
        s->why[0] = '\0';
        return n;
    }
    text_blunt(s->why, strlen(s->why), "");
    return 0;
}

bool host_call(struct task *t, const struct user_call *call, int64_t *result)
{
    struct sandbox *s = t->sandbox;
    const bool is_main = t == &s->main;
    char name[SANDBOX_NAME_MAX + 1];
    *result = -ENOSYS;
    switch (call->arg[0]) {
    case HOST_READY:
        if (!s->setup->is_called || !is_main || s->is_in_call) return false;
        return true;
    case HOST_FIND:
        *result = space_read_string(t->space, call->arg[1], name, sizeof(name));
        if (*result >= 0) *result = find(s->setup, name);
        return false;
    case HOST_CALL: *result = is_main ? call_function(t, call->arg) : -EPERM; return false;
    case HOST_LOG: *result = log_line(t, call->arg[1]); return false;
    case HOST_GENERATION: *result = (int64_t)(s->generation & INT64_MAX); return false;
    case HOST_WHY: *result = is_main ? keep_why(s, call->arg[1]) : -EPERM; return false;
    default: return false;
    }
}

/* Functions of a program that is ready, called. */
#include <errno.h>
#include <string.h>

#include "vmm/sandbox/struct_sandbox.h"

#define RED_ZONE  256u /* below the stack that the program stopped on: what its functions keep there */
#define AREA_MIN  (64ull << 10)
#define ALIGNMENT 64u

/* Where the bytes of a call are, in the guest: in, then how much may be answered, then the answer. */
struct call_area {
    uint64_t in, size, out;
};

static uint64_t up(uint64_t n)
{
    return (n + ALIGNMENT - 1) & ~(uint64_t)(ALIGNMENT - 1);
}

int sandbox_need_area(struct sandbox *s, uint64_t bytes)
{
    if (s->area_size >= bytes) return 0;
    uint64_t size = AREA_MIN;
    while (size < bytes) size *= 2;
    if (s->area) (void)space_unmap(s->main.space, s->area, s->area_size);
    const int64_t at = space_map(s->main.space, 0, size, USER_READ | USER_WRITE, 0);
    s->area = at < 0 ? 0 : (uint64_t)at;
    s->area_size = at < 0 ? 0 : size;
    return at < 0 ? (int)at : 0;
}

static int put_bytes(struct sandbox *s, const struct sandbox_call *call, struct call_area *a)
{
    const uint64_t room = call->out_max;
    const int rc = sandbox_need_area(s, up(call->in_size) + ALIGNMENT + up(call->out_max));
    if (rc) return rc;
    *a = (struct call_area){.in = s->area, .size = s->area + up(call->in_size)};
    a->out = a->size + ALIGNMENT;
    if (call->in_size && space_write(s->main.space, a->in, call->in, call->in_size)) return -EFAULT;
    return space_write(s->main.space, a->size, &room, sizeof(room));
}

/* The answer is what the guest says, as far as it was allowed to say so much. */
static void get_bytes(struct sandbox *s, const struct sandbox_call *call, const struct call_area *a,
                      struct sandbox_end *out)
{
    uint64_t size;
    if (space_read(s->main.space, a->size, &size, sizeof(size)) || size > call->out_max ||
        (size && space_read(s->main.space, a->out, call->out, size))) {
        const int64_t value = out->value;
        end_as(out, SANDBOX_REFUSED, 0, "the function answered more bytes than it may, or took its memory away");
        out->value = value;
        return;
    }
    out->size = size;
}

int sandbox_call(struct sandbox *s, const struct sandbox_call *call, struct sandbox_end *out)
{
    struct err e;
    struct call_area area = {0};
    const struct user_mem mem = space_mem(s->main.space);
    err_init(&e);
    if (!s->main.is_ready) return -EIO;
    if (!call->numbers && (call->in_size > SANDBOX_BYTES_MAX || call->out_max > SANDBOX_BYTES_MAX)) {
        end_as(out, SANDBOX_REFUSED, 0, "the call's bytes are more than 256 MiB");
        return 0;
    }
    if (!call->numbers && put_bytes(s, call, &area)) {
        end_as(out, SANDBOX_MEMORY, 0, "the call's bytes do not fit into the sandbox's memory");
        return 0;
    }
    const uint64_t own[USER_CALL_ARGS] = {area.in, call->in_size, area.out, area.size};
    sandbox_enter(s);
    s->is_in_call = true;
    if (limits_begin(&s->main, call->wall_ns, call->cpu_ns, &e) == 0 &&
        user_begin_function(s->main.user, &mem, call->fn, s->call_sp - RED_ZONE, call->numbers ? call->numbers : own) ==
            0)
        task_run(&s->main, out);
    else
        end_as(out, SANDBOX_FAILED, 125, "%s", e.code ? e.text : "the program's stack is gone");
    sandbox_leave(s, out);
    s->is_in_call = false;
    if (out->reason == SANDBOX_RETURNED && !call->numbers) get_bytes(s, call, &area, out);
    return 0;
}

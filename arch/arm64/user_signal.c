/* The frame of a signal's handler on arm64, as Linux makes it: struct rt_sigframe of arch/arm64/kernel/signal.c, whose
 * ucontext and records are user interface (arch/arm64/include/uapi/asm/sigcontext.h). */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "arch/arm64/struct_user.h"
#include "arch/arm64/user_fp.h"

struct frame {
    struct {
        int32_t signo, error, code, pad;
        uint64_t address;
        uint8_t rest[104];
    } info;
    uint64_t uc_flags, uc_link, stack_sp;
    uint32_t stack_flags, stack_pad;
    uint64_t stack_size, mask;
    uint8_t unused[120];
    uint64_t align;
    uint64_t fault_address, x[31], sp, pc, pstate;
    uint64_t align_2;
    struct {
        uint32_t magic, size;
        struct user_fp fp;
        uint32_t end[2];
        uint8_t rest[4096 - 528 - 8];
    } records;
};
_Static_assert(offsetof(struct frame, fault_address) == 304 && offsetof(struct frame, records) == 592 &&
                   sizeof(struct frame) == 4688,
               "as the kernel's");
_Static_assert(sizeof(struct user_fp) + 8 == 528, "struct fpsimd_context");

uint64_t user_signal_size(void)
{
    return 5120; /* the frame, the record of the call below it, and what aligning takes */
}

int user_enter_signal(struct user *u, const struct user_mem *mem, const struct user_signal *s)
{
    struct user_frame *r = user_frame(u);
    struct frame f = {.info = {.signo = s->signo, .code = s->code, .address = s->address},
                      .stack_sp = s->stack,
                      .stack_flags = s->stack_size ? 0 : SS_DISABLE,
                      .stack_size = s->stack_size,
                      .mask = s->blocked,
                      .fault_address = s->address,
                      .sp = r->sp,
                      .pc = r->elr,
                      .pstate = r->spsr & PSTATE_FLAGS,
                      .records = {.magic = FPSIMD_MAGIC, .size = 528}};
    const bool is_on_it = s->stack_size && r->sp - s->stack < s->stack_size;
    const bool uses_it = s->stack_size && (s->flags & SA_ONSTACK) && !is_on_it;
    const uint64_t top = ((uses_it ? s->stack + s->stack_size : r->sp) & ~15ull) - 16;
    const uint64_t at = top - sizeof(f);
    const uint64_t record[2] = {r->x[29], r->x[30]};
    memcpy(f.x, r->x, sizeof(f.x));
    if (user_get_fp(u, &f.records.fp)) return -EFAULT;
    if (mem->write(mem->arg, top, record, sizeof(record)) || mem->write(mem->arg, at, &f, sizeof(f))) return -EFAULT;
    r->x[0] = (unsigned)s->signo;
    r->x[1] = at + offsetof(struct frame, info);
    r->x[2] = at + offsetof(struct frame, uc_flags);
    r->x[29] = top;
    r->x[30] = s->restorer ? s->restorer : USER_KERNEL_VA + USER_AT_CODE + USER_CODE_RESTORE;
    r->sp = at;
    r->elr = s->handler;
    r->spsr = 0;
    return 0;
}

int user_leave_signal(struct user *u, const struct user_mem *mem, uint64_t *blocked)
{
    struct frame f;
    struct user_frame *r = user_frame(u);
    if (r->sp % 16 || mem->read(mem->arg, r->sp, &f, sizeof(f))) return -EFAULT;
    if (f.records.magic != FPSIMD_MAGIC || f.records.size != 528 || user_set_fp(u, &f.records.fp)) return -EFAULT;
    memcpy(r->x, f.x, sizeof(f.x));
    r->sp = f.sp;
    r->elr = f.pc;
    r->spsr = f.pstate & PSTATE_FLAGS;
    *blocked = f.mask;
    return 0;
}

/* The frame of a signal's handler on x86-64, as Linux makes it: struct rt_sigframe of arch/x86/include/asm/sigframe.h,
 * whose ucontext is user interface (arch/x86/include/uapi/asm/sigcontext.h). */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arch/x86/struct_user.h"

#define RED_ZONE         128u
#define SOFTWARE_AT      464u /* in the first 512 bytes of an XSAVE area: what the kernel says about it */
#define STATES_AT        512u /* XSTATE_BV (SDM vol. 1, 13.4.2) */
#define MAGIC_1          0x46505853u
#define MAGIC_2          0x46505845u
#define UC_FP_XSTATE     1u
#define UC_SIGCONTEXT_SS 2u
#define UC_STRICT_SS     4u
#define CODE_USER        0x33u
#define DATA_USER        0x2bu
#define FLAGS_TF_DF      0x500ull

struct frame_context {
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15, di, si, bp, bx, dx, ax, cx, sp, ip, flags;
    uint16_t cs, gs, fs, ss;
    uint64_t error, trap, old_mask, cr2, fp_state, reserved[8];
};
struct frame {
    uint64_t restorer;
    uint64_t uc_flags, uc_link;
    uint64_t stack_sp;
    uint32_t stack_flags, stack_pad;
    uint64_t stack_size;
    struct frame_context context;
    uint64_t mask;
    struct {
        int32_t signo, error, code, pad;
        uint64_t address;
        uint8_t rest[104];
    } info;
};
_Static_assert(sizeof(struct frame) == 440, "as the kernel's");

struct fp_note { /* struct _fpx_sw_bytes */
    uint32_t magic, extended_size;
    uint64_t features;
    uint32_t size, padding[7];
};

static void fill_frame(struct user *u, const struct user_signal *s, struct frame *f)
{
    const struct kvm_regs *r = user_gp(u);
    *f = (struct frame){
        .restorer = s->restorer,
        .uc_flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_SS,
        .stack_sp = s->stack,
        .stack_flags = s->stack_size ? 0 : SS_DISABLE,
        .stack_size = s->stack_size,
        .mask = s->blocked,
        .context = {r->r8,
                    r->r9,
                    r->r10,
                    r->r11,
                    r->r12,
                    r->r13,
                    r->r14,
                    r->r15,
                    r->rdi,
                    r->rsi,
                    r->rbp,
                    r->rbx,
                    r->rdx,
                    r->rax,
                    r->rcx,
                    u->way.sp,
                    u->way.pc,
                    u->way.flags,
                    .cs = CODE_USER,
                    .ss = DATA_USER,
                    .error = u->error_code,
                    .trap = u->vector < 0 ? 0 : (uint64_t)u->vector,
                    .old_mask = s->blocked,
                    .cr2 = s->address},
        .info = {.signo = s->signo, .code = s->code, .address = s->address},
    };
}

/* The XSAVE area with the kernel's note in it and the second magic number behind it. */
static int put_fp(struct user *u, const struct user_mem *mem, uint64_t at)
{
    const uint32_t magic_2 = MAGIC_2;
    uint8_t *area = calloc(1, u->xsave_size + sizeof(magic_2));
    if (!area) return -ENOMEM;
    int rc = user_get_xsave(u, area);
    if (!rc) {
        const uint32_t size = u->used_size;
        struct fp_note note = {.magic = MAGIC_1, .extended_size = size + 4, .features = u->xcr0, .size = size};
        memcpy(area + SOFTWARE_AT, &note, sizeof(note));
        /* KVM tells of states that the program is not offered, as of protection keys. */
        uint64_t states;
        memcpy(&states, area + STATES_AT, sizeof(states));
        if (u->xcr0) states &= u->xcr0;
        memcpy(area + STATES_AT, &states, sizeof(states));
        memcpy(area + size, &magic_2, sizeof(magic_2));
        rc = mem->write(mem->arg, at, area, size + sizeof(magic_2));
    }
    free(area);
    return rc;
}

int user_enter_signal(struct user *u, const struct user_mem *mem, const struct user_signal *s)
{
    struct frame f;
    const bool is_on_it = s->stack_size && u->way.sp > s->stack && u->way.sp - s->stack <= s->stack_size;
    const bool uses_it = s->stack_size && (s->flags & SA_ONSTACK) && !is_on_it;
    uint64_t sp = uses_it ? s->stack + s->stack_size : u->way.sp - RED_ZONE;
    fill_frame(u, s, &f);
    sp = (sp - u->used_size - sizeof(uint32_t)) & ~63ull;
    f.context.fp_state = sp;
    if (put_fp(u, mem, sp)) return -EFAULT;
    sp = ((sp - sizeof(f)) & ~15ull) - 8;
    if (mem->write(mem->arg, sp, &f, sizeof(f))) return -EFAULT;
    struct kvm_regs *gp = user_gp(u);
    gp->rdi = (unsigned)s->signo;
    gp->rsi = sp + offsetof(struct frame, info);
    gp->rdx = sp + offsetof(struct frame, uc_flags);
    gp->rax = 0;
    u->way = (struct user_way){.pc = s->handler, .sp = sp, .flags = u->way.flags & ~FLAGS_TF_DF};
    u->vector = -1;
    return 0;
}

/* What the program says was in its vector registers. KVM refuses what a processor would: reserved bits of MXCSR, states
 * that are not offered. */
static int get_fp(struct user *u, const struct user_mem *mem, uint64_t at)
{
    uint8_t *area = calloc(1, u->xsave_size);
    if (!area) return -ENOMEM;
    int rc = mem->read(mem->arg, at, area, u->used_size);
    if (!rc) {
        memset(area + SOFTWARE_AT, 0, sizeof(struct fp_note));
        uint64_t states;
        memcpy(&states, area + STATES_AT, sizeof(states));
        if (u->xcr0 && (states & ~u->xcr0)) rc = -EINVAL; /* KVM takes any of the host's */
        if (!rc) rc = ioctl(u->vcpu.fd, KVM_SET_XSAVE, area) ? -errno : 0;
    }
    free(area);
    return rc ? -EFAULT : 0;
}

int user_leave_signal(struct user *u, const struct user_mem *mem, uint64_t *blocked)
{
    struct frame f;
    struct kvm_regs *r = user_gp(u);
    if (mem->read(mem->arg, u->way.sp - sizeof(f.restorer), &f, sizeof(f))) return -EFAULT;
    const struct frame_context *c = &f.context;
    if (c->fp_state && get_fp(u, mem, c->fp_state)) return -EFAULT;
    r->r8 = c->r8;
    r->r9 = c->r9;
    r->r10 = c->r10;
    r->r11 = c->r11;
    r->r12 = c->r12;
    r->r13 = c->r13;
    r->r14 = c->r14;
    r->r15 = c->r15;
    r->rdi = c->di;
    r->rsi = c->si;
    r->rbp = c->bp;
    r->rbx = c->bx;
    r->rdx = c->dx;
    r->rax = c->ax;
    r->rcx = c->cx;
    u->way = (struct user_way){.pc = c->ip, .sp = c->sp, .flags = user_safe_flags(c->flags)};
    u->vector = -1;
    *blocked = f.mask;
    return 0;
}

/* The frame (440), the vector registers with AVX-512 (2692), the red zone, and what aligning takes. */
uint64_t user_signal_size(void)
{
    return 4096;
}

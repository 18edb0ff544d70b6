/* What a sandboxed program's registers say while it is out of the guest: its calls, its faults. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "arch/arm64/struct_user.h"
#include "arch/arm64/vcpu.h"

#define SVC_SIZE 4u

void user_get_call(struct user *u, struct user_call *out)
{
    const struct user_frame *f = user_frame(u);
    *out = (struct user_call){.number = f->x[8], .arg = {f->x[0], f->x[1], f->x[2], f->x[3], f->x[4], f->x[5]}};
}

void user_set_result(struct user *u, int64_t result)
{
    user_frame(u)->x[0] = (uint64_t)result;
}

void user_repeat_call(struct user *u)
{
    user_frame(u)->elr -= SVC_SIZE;
}

uint64_t user_pc(struct user *u)
{
    uint64_t pc = 0;
    if (!u->is_out_by_kick) return user_frame(u)->elr;
    (void)user_get_reg(u, VCPU_CORE_REG(regs.pc), &pc);
    return pc;
}

uint64_t user_sp(struct user *u)
{
    uint64_t sp = 0;
    if (!u->is_out_by_kick) return user_frame(u)->sp;
    (void)user_get_reg(u, VCPU_CORE_REG(regs.sp), &sp);
    return sp;
}

void user_set_sp(struct user *u, uint64_t sp)
{
    user_frame(u)->sp = sp;
}

int user_set_tls(struct user *u, uint64_t address)
{
    user_frame(u)->tpidr = address;
    return 0;
}

uint64_t user_tls(struct user *u)
{
    return user_frame(u)->tpidr;
}

/* Into the frame what the vCPU has, unless it runs the kernel's code. */
bool user_settle(struct user *u)
{
    struct user_frame f = {.vector = VECTOR_SYNC_EL0};
    int rc = 0;
    if (!u->is_out_by_kick) return true;
    const uint64_t pc = user_pc(u);
    if (pc >= USER_END) return false;
    for (unsigned i = 0; !rc && i < 31; i++) rc = user_get_reg(u, VCPU_CORE_REG(regs.regs[0]) + 2 * i, &f.x[i]);
    if (!rc) rc = user_get_reg(u, VCPU_CORE_REG(regs.sp), &f.sp);
    if (!rc) rc = user_get_reg(u, VCPU_CORE_REG(regs.pstate), &f.spsr);
    if (!rc) rc = user_get_reg(u, ARM64_SYS_REG(3, 3, 13, 0, 2), &f.tpidr);
    if (rc) return false;
    f.elr = pc;
    f.flush = user_frame(u)->flush;
    *user_frame(u) = f;
    u->must_enter = true;
    u->is_out_by_kick = false;
    return true;
}

struct fault_kind {
    int signo, code;
    const char *what;
};

/* By exception class, as Linux tells them: arch/arm64/kernel/entry-common.c (ESR_ELx.EC: Arm ARM, D19.2.37). */
static const struct fault_kind kinds[64] = {
    [0x0d] = {SIGILL, ILL_ILLOPC, "branch target"},        [0x0e] = {SIGILL, ILL_ILLOPC, "illegal execution state"},
    [0x20] = {SIGSEGV, SEGV_MAPERR, "page fault"},         [0x22] = {SIGBUS, BUS_ADRALN, "misaligned instruction"},
    [0x24] = {SIGSEGV, SEGV_MAPERR, "page fault"},         [0x26] = {SIGBUS, BUS_ADRALN, "misaligned stack"},
    [0x2c] = {SIGFPE, FPE_FLTINV, "floating-point error"}, [0x30] = {SIGTRAP, TRAP_HWBKPT, "hardware breakpoint"},
    [0x32] = {SIGTRAP, TRAP_TRACE, "single step"},         [0x34] = {SIGTRAP, TRAP_HWBKPT, "watchpoint"},
    [0x3c] = {SIGTRAP, TRAP_BRKPT, "breakpoint"},
};

#define EC_FETCH     0x20u
#define EC_DATA      0x24u
#define FSC_ALIGN    0x21u
#define ISS_WRITE    0x40u
#define ISS_CACHE_OP 0x100u

void user_get_fault(struct user *u, struct user_fault *out)
{
    const struct user_frame *f = user_frame(u);
    const uint64_t esr = f->esr;
    const unsigned ec = (unsigned)(esr >> 26) & 0x3f, fsc = (unsigned)esr & 0x3f;
    const struct fault_kind *kind = &kinds[ec];
    *out = (struct user_fault){.signo = SIGILL, .code = ILL_ILLOPC, .address = f->elr, .pc = f->elr};
    (void)snprintf(out->what, sizeof(out->what), "%s", kind->what ? kind->what : "undefined instruction");
    if (!kind->what) return;
    out->signo = kind->signo;
    out->code = kind->code;
    if (ec != EC_FETCH && ec != EC_DATA) return;
    out->address = f->far;
    if (fsc == FSC_ALIGN) {
        out->signo = SIGBUS;
        out->code = BUS_ADRALN;
        (void)snprintf(out->what, sizeof(out->what), "misaligned access");
        return;
    }
    const bool writes = (esr & ISS_WRITE) && !(esr & ISS_CACHE_OP);
    out->access = ec == EC_FETCH ? USER_EXEC : writes ? USER_WRITE : USER_READ;
    if ((fsc & 0x3c) == 0x0c) out->code = SEGV_ACCERR; /* a permission fault, of any level */
}

/* All that a program at EL0 can change in the processor, saved and loaded: the frame, which has the general registers,
 * the flags, SP_EL0 and TPIDR_EL0, and the registers of FP and SIMD. It can't write any other register: TPIDRRO_EL0 is
 * read-only for it, and everything else is EL1's. SVE and what came later is not offered. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arm64/struct_user.h"
#include "arch/arm64/user_fp.h"

struct user_state {
    struct user_frame frame;
    struct user_fp fp;
};

#define REG_V(n)                                                                                                       \
    (KVM_REG_ARM64 | KVM_REG_SIZE_U128 | KVM_REG_ARM_CORE | (KVM_REG_ARM_CORE_REG(fp_regs.vregs[0]) + 4ull * (n)))
#define REG_FPSR (KVM_REG_ARM64 | KVM_REG_SIZE_U32 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(fp_regs.fpsr))
#define REG_FPCR (KVM_REG_ARM64 | KVM_REG_SIZE_U32 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(fp_regs.fpcr))

int user_get_fp(const struct user *u, struct user_fp *fp)
{
    int rc = user_get_reg(u, REG_FPSR, &fp->fpsr);
    if (!rc) rc = user_get_reg(u, REG_FPCR, &fp->fpcr);
    for (unsigned i = 0; !rc && i < 32; i++) rc = user_get_reg(u, REG_V(i), &fp->v[i]);
    return rc;
}

int user_set_fp(const struct user *u, const struct user_fp *fp)
{
    int rc = user_set_reg(u, REG_FPSR, &fp->fpsr);
    if (!rc) rc = user_set_reg(u, REG_FPCR, &fp->fpcr);
    for (unsigned i = 0; !rc && i < 32; i++) rc = user_set_reg(u, REG_V(i), &fp->v[i]);
    return rc;
}

struct user_state *user_state_create(const struct user *u)
{
    (void)u;
    return calloc(1, sizeof(struct user_state));
}

void user_state_destroy(struct user_state *s)
{
    free(s);
}

static int state_error(struct err *e, int rc, const char *verb)
{
    err_set(e, rc, "KVM: %s the registers of a sandbox: %s", verb, strerrordesc_np(-rc));
    err_as(e, ERR_HOST);
    return rc;
}

int user_state_save(struct user *u, struct user_state *s, struct err *e)
{
    if (u->is_out_by_kick) return err_set(e, -EBUSY, "a sandbox that was cut off can't be saved");
    s->frame = *user_frame(u);
    const int rc = user_get_fp(u, &s->fp);
    return rc ? state_error(e, rc, "save") : 0;
}

int user_state_load(struct user *u, const struct user_state *s, struct err *e)
{
    const int rc = user_set_fp(u, &s->fp);
    if (rc) return state_error(e, rc, "load");
    *user_frame(u) = s->frame;
    user_frame(u)->flush = 1;
    u->must_enter = true;
    u->is_out_by_kick = false;
    return 0;
}

/* All that a program at CPL 3 can change in the processor, saved and loaded.
 *
 * General registers and flags; segments and their bases, which it loads itself or by a call (KVM_GET_SREGS: CR2 too);
 * x87, SSE, AVX and what else XCR0 offers (XSAVE); and an exception or a piece of an instruction that KVM was about to
 * deliver (KVM_GET_VCPU_EVENTS). It can change no other MSR, no control register, no debug register but DR6, which
 * nothing in the guest can read, and not the time stamp counter. kvm_pvm does not tell which of its own selectors a
 * program has loaded into DS, ES, FS and GS; no bases depend on them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arch/x86/struct_user.h"

#define CR3_PWT 0x8ull

struct user_state {
    struct kvm_regs gp;
    struct user_way way;
    struct kvm_sregs sregs;
    struct kvm_vcpu_events events;
    size_t xsave_size;
    struct kvm_xsave *xsave;
};

size_t user_xsave_size(const struct vm *vm)
{
    const int size = vm_check(vm, KVM_CAP_XSAVE2);
    return size > (int)sizeof(struct kvm_xsave) ? (size_t)size : sizeof(struct kvm_xsave);
}

struct user_state *user_state_create(const struct user *u)
{
    struct user_state *s = calloc(1, sizeof(*s));
    if (!s) return NULL;
    s->xsave_size = u->xsave_size;
    s->xsave = calloc(1, s->xsave_size);
    if (s->xsave) return s;
    free(s);
    return NULL;
}

void user_state_destroy(struct user_state *s)
{
    if (!s) return;
    free(s->xsave);
    free(s);
}

int user_get_xsave(struct user *u, void *xsave)
{
    const unsigned long request = u->xsave_size > sizeof(struct kvm_xsave) ? KVM_GET_XSAVE2 : KVM_GET_XSAVE;
    return ioctl(u->vcpu.fd, request, xsave) ? -errno : 0;
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
    s->gp = *user_gp(u);
    s->way = u->way;
    int rc = ioctl(u->vcpu.fd, KVM_GET_SREGS, &s->sregs) ? -errno : 0;
    if (!rc) rc = user_get_xsave(u, s->xsave);
    if (!rc) rc = ioctl(u->vcpu.fd, KVM_GET_VCPU_EVENTS, &s->events) ? -errno : 0;
    return rc ? state_error(e, rc, "save") : 0;
}

int user_state_load(struct user *u, const struct user_state *s, struct err *e)
{
    struct kvm_sregs sregs = s->sregs;
    /* Another CR3 than the vCPU has makes KVM forget all translations. */
    u->sregs.cr3 ^= CR3_PWT;
    sregs.cr3 = u->sregs.cr3;
    int rc = ioctl(u->vcpu.fd, KVM_SET_SREGS, &sregs) ? -errno : 0;
    if (!rc) rc = ioctl(u->vcpu.fd, KVM_SET_XSAVE, s->xsave) ? -errno : 0;
    if (!rc) rc = ioctl(u->vcpu.fd, KVM_SET_VCPU_EVENTS, &s->events) ? -errno : 0;
    if (rc) return state_error(e, rc, "load");
    *user_gp(u) = s->gp;
    u->way = s->way;
    u->vector = -1;
    u->is_out_by_kick = u->is_forged = u->must_flush = false;
    return 0;
}

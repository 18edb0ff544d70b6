/* A sandbox's vCPU, for the files of arch/x86/user*.c. */
#ifndef VIREO_X86_STRUCT_USER_H
#define VIREO_X86_STRUCT_USER_H

#include "arch/user.h"

/* Where the program's registers are that a system call or an exception displaced. */
struct user_way {
    uint64_t pc, flags, sp;
};

struct user {
    struct vcpu vcpu;
    struct kvm_sregs sregs; /* as the program begins */
    uint8_t *kernel;        /* the host's mapping of its pages */
    struct user_way way;    /* of the program, while it is out */
    uint64_t xcr0;
    size_t xsave_size;  /* bytes that KVM reads and writes */
    uint32_t used_size; /* of these, the ones that the states of xcr0 take: a signal's frame has no others */
    int vector;         /* of the exception that it is out for; -1: none */
    uint64_t error_code;
    bool must_flush;
    bool is_forged;      /* it left by an OUT of its own, or by HLT: what a processor refuses at CPL 3 */
    bool is_out_by_kick; /* the registers in kvm_run are the program's, or of the way to it */
};

static inline struct kvm_regs *user_gp(struct user *u)
{
    return &u->vcpu.run->s.regs.regs;
}

static inline void user_gp_changed(struct user *u)
{
    u->vcpu.run->kvm_dirty_regs |= KVM_SYNC_X86_REGS;
}

/* user_state.c: bytes of an XSAVE area of this vCPU's; all of it into one. 0 or -errno. */
size_t user_xsave_size(const struct vm *vm);
int user_get_xsave(struct user *u, void *xsave);

/* The flags that a program may set (SDM vol. 1, 3.4.3), with those that are always as Linux has them: IF. */
uint64_t user_safe_flags(uint64_t flags);

#endif

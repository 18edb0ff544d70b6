/* A sandbox's vCPU, for the files of arch/arm64/user*.c. */
#ifndef VIREO_ARM64_STRUCT_USER_H
#define VIREO_ARM64_STRUCT_USER_H

#include "arch/arm64/user_layout.h"
#include "arch/user.h"

/* As guest/sandbox/arm64.S has it. */
struct user_frame {
    uint64_t x[31], pad, elr, spsr, sp, esr, far, tpidr, vector, flush;
};
_Static_assert(sizeof(struct user_frame) == FRAME_FLUSH + 8, "one layout");

struct user {
    struct vcpu vcpu;
    uint8_t *kernel;
    bool must_enter;     /* its registers are not those of the way back: KVM has to be told */
    bool is_out_by_kick; /* what the program does is in the vCPU's registers, not in the frame */
};

static inline struct user_frame *user_frame(struct user *u)
{
    return (struct user_frame *)(void *)(u->kernel + USER_AT_FRAME);
}

#define PSTATE_FLAGS 0xf0000000ull /* N Z C V: what a program may set (Linux: also SS, which is ours) */

/* user.c: one register of the vCPU. 0 or -errno. */
int user_get_reg(const struct user *u, uint64_t id, void *value);
int user_set_reg(const struct user *u, uint64_t id, const void *value);

#endif

/* All that runs at EL1 in a sandbox on arm64, and the way back to the program: arch/user.h.
 *
 * Whatever comes to a vector is written into the frame that SP_EL1 points to, and a store to the device page behind it
 * leaves the guest: a plain one, so that KVM can say what it was. The monitor changes the frame, and the program goes on
 * as the frame says. */
#include "arch/arm64/user_layout.h"

    .section .rodata, "a", %progbits
    .balign 2048
    .globl user_vectors_start, user_vectors_end, user_code_start, user_code_end
user_vectors_start:
    .set vector, 0
    .rept 16
    .org user_vectors_start + vector * 128
    stp x0, x1, [sp, #FRAME_X]
    stp x2, x3, [sp, #FRAME_X + 16]
    stp x4, x5, [sp, #FRAME_X + 32]
    stp x6, x7, [sp, #FRAME_X + 48]
    stp x8, x9, [sp, #FRAME_X + 64]
    stp x10, x11, [sp, #FRAME_X + 80]
    stp x12, x13, [sp, #FRAME_X + 96]
    stp x14, x15, [sp, #FRAME_X + 112]
    stp x16, x17, [sp, #FRAME_X + 128]
    stp x18, x19, [sp, #FRAME_X + 144]
    stp x20, x21, [sp, #FRAME_X + 160]
    stp x22, x23, [sp, #FRAME_X + 176]
    stp x24, x25, [sp, #FRAME_X + 192]
    stp x26, x27, [sp, #FRAME_X + 208]
    stp x28, x29, [sp, #FRAME_X + 224]
    str x30, [sp, #FRAME_X + 240]
    mov x6, #vector
    b leave
    .set vector, vector + 1
    .endr

    /* The monitor sets the PC to the nop. Where the last exit was a store to the device page, KVM completes it at the
     * next KVM_RUN and adds 4 to the PC, whoever set it since: then the branch is what runs first. */
    .org user_vectors_start + USER_CODE_BACK
    nop
    b back
leave:
    mrs x0, elr_el1
    mrs x1, spsr_el1
    mrs x2, sp_el0
    mrs x3, esr_el1
    mrs x4, far_el1
    mrs x5, tpidr_el0
    stp x0, x1, [sp, #FRAME_ELR]
    stp x2, x3, [sp, #FRAME_SP]
    stp x4, x5, [sp, #FRAME_FAR]
    str x6, [sp, #FRAME_VECTOR]
    str wzr, [sp, #USER_AT_DEVICE - USER_AT_FRAME]
back:
    ldr x0, [sp, #FRAME_FLUSH]
    cbz x0, 1f
    str xzr, [sp, #FRAME_FLUSH]
    dsb ishst
    tlbi vmalle1
    ic iallu
    dsb nsh
    isb
1:  ldp x0, x1, [sp, #FRAME_ELR]
    ldr x2, [sp, #FRAME_SP]
    ldr x3, [sp, #FRAME_TPIDR]
    msr elr_el1, x0
    msr spsr_el1, x1
    msr sp_el0, x2
    msr tpidr_el0, x3
    ldp x0, x1, [sp, #FRAME_X]
    ldp x2, x3, [sp, #FRAME_X + 16]
    ldp x4, x5, [sp, #FRAME_X + 32]
    ldp x6, x7, [sp, #FRAME_X + 48]
    ldp x8, x9, [sp, #FRAME_X + 64]
    ldp x10, x11, [sp, #FRAME_X + 80]
    ldp x12, x13, [sp, #FRAME_X + 96]
    ldp x14, x15, [sp, #FRAME_X + 112]
    ldp x16, x17, [sp, #FRAME_X + 128]
    ldp x18, x19, [sp, #FRAME_X + 144]
    ldp x20, x21, [sp, #FRAME_X + 160]
    ldp x22, x23, [sp, #FRAME_X + 176]
    ldp x24, x25, [sp, #FRAME_X + 192]
    ldp x26, x27, [sp, #FRAME_X + 208]
    ldp x28, x29, [sp, #FRAME_X + 224]
    ldr x30, [sp, #FRAME_X + 240]
    eret
user_vectors_end:

    .balign 16
user_code_start:
    /* Where a function returns to that the monitor has called: system call USER_CALL_RETURN, the result is in x0. */
    movz x8, #0x0001
    movk x8, #0x7672, lsl #16
    svc #0
    udf #0
    .org user_code_start + USER_CODE_RESTORE
    /* Where a handler returns to that named no restorer: rt_sigreturn. */
    mov x8, #139
    svc #0
    udf #0
user_code_end:
    .section .note.GNU-stack, "", %progbits

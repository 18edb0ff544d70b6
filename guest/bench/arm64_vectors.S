/* The bench guest's exception vectors (Arm ARM, D1.4.1): an interrupt at EL1 is handled, after the counter is read, and
 * nothing else is expected. */
    .text
    .balign 2048
    .globl bench_vectors
bench_vectors:
    .rept 5
    .balign 128
    b unexpected
    .endr
    .balign 128 /* at 0x280: an interrupt from EL1, on EL1's own stack */
    stp x0, x1, [sp, #-16]!
    mrs x0, cntvct_el0
    stp x2, x3, [sp, #-16]!
    stp x4, x5, [sp, #-16]!
    stp x6, x7, [sp, #-16]!
    stp x8, x9, [sp, #-16]!
    stp x10, x11, [sp, #-16]!
    stp x12, x13, [sp, #-16]!
    stp x14, x15, [sp, #-16]!
    stp x16, x17, [sp, #-16]!
    stp x18, x30, [sp, #-16]!
    b interrupt
    .rept 10
    .balign 128
    b unexpected
    .endr

interrupt:
    bl bench_interrupt
    ldp x18, x30, [sp], #16
    ldp x16, x17, [sp], #16
    ldp x14, x15, [sp], #16
    ldp x12, x13, [sp], #16
    ldp x10, x11, [sp], #16
    ldp x8, x9, [sp], #16
    ldp x6, x7, [sp], #16
    ldp x4, x5, [sp], #16
    ldp x2, x3, [sp], #16
    ldp x0, x1, [sp], #16
    eret

unexpected:
    mrs x0, esr_el1
    mrs x1, elr_el1
    mrs x2, far_el1
    b machine_exception

    .section .note.GNU-stack, "", %progbits

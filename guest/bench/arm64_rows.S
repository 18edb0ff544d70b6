/* What is measured, on arm64: for each row a span that does its instruction once, and one that does it many times.
 *
 * A span is what lies between the two reads of the counter, and it must be the row's instruction and nothing else. So
 * the operands are in registers before the first read. `nothing` is the same without an instruction: the baseline.
 *
 *   isb; mrs x9, cntvct_el0; INSTRUCTION; isb; mrs x10, cntvct_el0
 *
 * A row that waits for its interrupt has a loop behind its instruction that looks whether one was taken. tests/boot
 * disassembles all of it and counts. */
#define ICC_SGI1R_EL1 s3_0_c12_c11_5 /* gic.h */
#define ICC_EOIR1_EL1 s3_0_c12_c12_1

    .text

/* void bench_take(const void *span, const struct bench_operands *o, struct bench_sample *s, uint32_t n, uint64_t stride)
 * In a span: x11 = the sample, x12 = &bench_taken, x13 = interrupts taken before, w6 = repetitions left, x7 = what is
 * added to x0 for the next one, x4 and x5 = x0 and x1 for it. Instructions may overwrite x0 to x3: a hypercall returns
 * there (DEN 0028, 2.5). */
    .globl bench_take
bench_take:
    mov x16, x0
    mov x11, x2
    mov w6, w3
    mov x7, x4
    ldp x4, x5, [x1]
    adrp x12, bench_taken
    add x12, x12, :lo12:bench_taken
    ldr x13, [x12]
    mov x0, x4
    mov x1, x5
    br x16

taken:
    stp x9, x10, [x11]
    ret

.macro WAIT
8:  ldr x14, [x12]
    cmp x14, x13
    b.ne 9f
    yield
    b 8b
9:
.endm

.macro SPAN row, instruction, more
    .balign 64
once_\row:
    isb
    mrs x9, cntvct_el0
    \instruction
    \more
    isb
    mrs x10, cntvct_el0
    b taken
many_\row:
    isb
    mrs x9, cntvct_el0
1:  mov x0, x4
    mov x1, x5
    ldr x13, [x12]
    \instruction
    \more
    add x4, x4, x7
    subs w6, w6, #1
    b.ne 1b
    isb
    mrs x10, cntvct_el0
    b taken
    .pushsection .data.rel.ro, "aw"
    .balign 8
    .globl span_\row
span_\row:
    .quad once_\row, many_\row
    .popsection
.endm

/* _v2: with the interrupt controller in memory (GICv2). */
    SPAN nothing
    SPAN nop, "nop"
    SPAN counter, "mrs x2, cntvct_el0"
    SPAN load, "ldr x2, [x0]"
    SPAN eoi_spurious, "msr ICC_EOIR1_EL1, x1"
    SPAN eoi_spurious_v2, "str w1, [x0]"
    SPAN hypercall_null, "hvc #0"
    SPAN psci_version, "hvc #0"
    SPAN sysreg_id, "mrs x2, id_aa64pfr0_el1"
    SPAN mmio_vgic, "ldr w2, [x0]"
    SPAN mmio_ioeventfd, "str w1, [x0]"
    SPAN ipi_rtt, "msr ICC_SGI1R_EL1, x1", WAIT
    SPAN ipi_rtt_v2, "str w1, [x0]", WAIT
    SPAN ipi_send, "msr ICC_SGI1R_EL1, x1" /* the sender's part of the rows in which the other processor is woken */
    SPAN ipi_send_v2, "str w1, [x0]"
    SPAN hlt_pending, "wfi"
    SPAN first_touch_4k, "strb w1, [x0]"
    SPAN first_touch_2m, "strb w1, [x0]"
    SPAN dirty_log_wp, "strb w1, [x0]"
    SPAN mmio_rd_user, "ldr w2, [x0]"
    SPAN mmio_wr_user, "str w1, [x0]"
    SPAN never_exits, "2: yield", "b 2b"

    .section .note.GNU-stack, "", %progbits

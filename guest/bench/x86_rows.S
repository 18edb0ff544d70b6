/* What is measured, on x86: for each row a span that does its instruction once, and one that does it many times.
 *
 * A span is what lies between the two reads of the counter, and it must be the row's instruction and nothing else: where
 * privileged code is emulated each one more costs as much as a tenth of an exit. So the operands are in registers before
 * the first read. RDTSC itself overwrites rax and rdx (SDM volume 2), so what belongs there waits in r10 and r11 and
 * changes places with the count. `nothing` is the same without an instruction: the baseline.
 *
 *   lfence; rdtsc; xchg; xchg; INSTRUCTION; lfence; rdtsc
 *
 * A row that waits for its interrupt has a loop behind its instruction that looks whether one was taken. tests/boot
 * disassembles all of it and counts. */

    .text

/* void bench_take(const void *span, const struct bench_operands *o, struct bench_sample *s, uint32_t n, uint64_t stride)
 * In a span: rsi = the sample, r9 = interrupts taken before, ebp = repetitions left, r8 = what is added to rdi for the
 * next one, r12 to r15 = rdi, rax, rcx, rdx for it. Instructions may overwrite rax, rbx, rcx, rdx and rdi. */
    .globl bench_take
bench_take:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rdi, %rax
    mov (%rsi), %r12
    mov 8(%rsi), %r13
    mov 16(%rsi), %r14
    mov 24(%rsi), %r15
    mov %rdx, %rsi
    mov %ecx, %ebp
    mov bench_taken(%rip), %r9
    mov %r12, %rdi
    mov %r14, %rcx
    mov %r13, %r10
    mov %r15, %r11
    jmp *%rax

taken:
    shl $32, %rdx
    or %rdx, %rax
    shl $32, %r11
    or %r11, %r10
    mov %r10, (%rsi)
    mov %rax, 8(%rsi)
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret

.macro WAIT
8:  cmp %r9, bench_taken(%rip)
    jne 9f
    pause
    jmp 8b
9:
.endm

/* None lies on two pages: an emulator of privileged code takes microseconds to fetch from another one than before. */
.macro SPAN row, instruction, more
    .balign 128
once_\row:
    lfence
    rdtsc
    xchg %r10, %rax
    xchg %r11, %rdx
    \instruction
    \more
    lfence
    rdtsc
    jmp taken
many_\row:
    lfence
    rdtsc
    xchg %r10, %rax
    xchg %r11, %rdx
1:  mov %r12, %rdi
    mov %r13, %rax
    mov %r14, %rcx
    mov %r15, %rdx
    mov bench_taken(%rip), %r9
    \instruction
    \more
    add %r8, %r12
    dec %ebp
    jnz 1b
    lfence
    rdtsc
    jmp taken
    .pushsection .rodata
    .balign 8
    .globl span_\row
span_\row:
    .quad once_\row, many_\row
    .popsection
.endm

    SPAN nothing
    SPAN nop, "nop"
    SPAN counter, "rdtsc"
    SPAN msr_passthrough, "rdmsr"
    SPAN load, "mov (%rdi), %rax"
    SPAN cpuid, "cpuid"
    SPAN hypercall_null, "vmcall"
    SPAN hypercall_null_amd, "vmmcall"
    SPAN msr_rd_k, "rdmsr"
    SPAN msr_wr_tscdl, "wrmsr"
    SPAN cr8, "mov %rax, %cr8"
    SPAN dr7_wr, "mov %rax, %dr7"
    SPAN wbinvd, "wbinvd"
    SPAN pio_in_kernel, "in %dx, %al"
    SPAN pio_ioeventfd, "out %al, %dx"
    SPAN mmio_ioeventfd, "mov %eax, (%rdi)"
    SPAN mmio_lapic, "mov (%rdi), %eax"
    SPAN ipi_rtt, "wrmsr", WAIT
    SPAN ipi_self, "wrmsr", WAIT
    SPAN ipi_send, "wrmsr" /* the sender's part of the rows in which the other processor is woken */
    SPAN hlt_pending, "sti", "hlt" /* HLT is what counts; STI takes effect after it, and lets the interrupt in */
    SPAN first_touch_4k, "mov %al, (%rdi)"
    SPAN first_touch_2m, "mov %al, (%rdi)"
    SPAN dirty_log_wp, "mov %al, (%rdi)"
    SPAN pio_out_user, "out %al, %dx"
    SPAN pio_in_user, "in %dx, %al"
    SPAN pio_string_user, "rep insb"
    SPAN mmio_rd_user, "mov (%rdi), %eax"
    SPAN mmio_wr_user, "mov %eax, (%rdi)"
    SPAN msr_user, "rdmsr"
    SPAN hlt_user, "hlt"
    SPAN never_exits, "2: pause", "jmp 2b"

    .section .note.GNU-stack, "", @progbits

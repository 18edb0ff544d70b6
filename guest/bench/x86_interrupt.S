/* The interrupt that rows of the bench wait for: its first act is to read the counter. x2APIC mode. */
#define MSR_X2APIC_EOI 0x80b

    .text
    .globl bench_interrupt
bench_interrupt:
    push %rax
    push %rdx
    rdtsc
    shl $32, %rdx
    or %rdx, %rax
    mov %rax, bench_taken_at(%rip)
    incq bench_taken(%rip)
    push %rcx
    mov $MSR_X2APIC_EOI, %ecx
    xor %eax, %eax
    xor %edx, %edx
    wrmsr
    pop %rcx
    pop %rdx
    pop %rax
    iretq

    .section .note.GNU-stack, "", @progbits

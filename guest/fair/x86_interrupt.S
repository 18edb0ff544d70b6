/* The interrupt that ends a sleep: nothing but the end of interrupt. x2APIC mode. */
#define MSR_X2APIC_EOI 0x80b

    .text
    .globl fair_interrupt
fair_interrupt:
    push %rax
    push %rcx
    push %rdx
    mov $MSR_X2APIC_EOI, %ecx
    xor %eax, %eax
    xor %edx, %edx
    wrmsr
    pop %rdx
    pop %rcx
    pop %rax
    iretq

    .section .note.GNU-stack, "", @progbits

/* A guest that sleeps and wakes by its own timer, as an idle or lightly loaded system does. Each tick it leaves the
 * guest OUTS times by writes to a port where nothing is. From tick STORM_AT on it does so STORM_OUTS times a tick, for
 * STORM_TICKS ticks: a storm of exits whose beginning and end are known. STORM_AT 0: never.
 *
 * The timer is the local APIC's, periodic. KVM runs it at 1 GHz (its bus cycle is a nanosecond), so the initial count is
 * the period in nanoseconds (SDM vol. 3, 10.5.4 and 10.12). */
#ifndef TICK_NS
#define TICK_NS 10000000
#endif
#ifndef OUTS
#define OUTS 1
#endif
#ifndef STORM_AT
#define STORM_AT 0
#endif
#ifndef STORM_TICKS
#define STORM_TICKS 1000
#endif
#ifndef STORM_OUTS
#define STORM_OUTS 200
#endif

#define APIC_BASE     0x1b
#define X2APIC_ENABLE 0xc00
#define X2APIC_SVR    0x80f
#define X2APIC_EOI    0x80b
#define X2APIC_TIMER  0x832
#define X2APIC_COUNT  0x838
#define X2APIC_DIVIDE 0x83e
#define PERIODIC      0x20000
#define DIVIDE_BY_1   0xb
#define VECTOR        0x40
#define SPURIOUS      0xff
#define IDT           0x70000 /* a page of memory that nothing else is in, as is the one below the stack's top */
#define STACK_TOP     0x78000
#define PORT          0x80

    .macro write_msr number, value
    mov $\number, %ecx
    mov $\value, %eax
    xor %edx, %edx
    wrmsr
    .endm

    .globl _start
    .code64
_start:
    cli
    mov $STACK_TOP, %rsp
    lea tick(%rip), %rax            /* one interrupt gate (SDM vol. 3, 6.14.1) */
    mov $(IDT + 16 * VECTOR), %edi
    mov %ax, (%rdi)
    mov %cs, %cx
    mov %cx, 2(%rdi)
    movw $0x8e00, 4(%rdi)
    shr $16, %rax
    mov %ax, 6(%rdi)
    movq $0, 8(%rdi)
    lidt idt_pointer(%rip)
    mov $APIC_BASE, %ecx
    rdmsr
    or $X2APIC_ENABLE, %eax
    wrmsr
    write_msr X2APIC_SVR, (0x100 | SPURIOUS)
    write_msr X2APIC_DIVIDE, DIVIDE_BY_1
    write_msr X2APIC_TIMER, (PERIODIC | VECTOR)
    write_msr X2APIC_COUNT, TICK_NS
    xor %ebx, %ebx                  /* ticks so far */
sleep:
    sti
    hlt
    cli
    inc %ebx
    mov $OUTS, %esi
    mov %ebx, %eax
    sub $STORM_AT, %eax
    cmp $STORM_TICKS, %eax
    jae 1f
    mov $STORM_AT, %eax
    test %eax, %eax
    jz 1f
    mov $STORM_OUTS, %esi
1:  test %esi, %esi
    jz sleep
2:  out %al, $PORT
    dec %esi
    jnz 2b
    jmp sleep

tick:
    push %rax
    push %rcx
    push %rdx
    write_msr X2APIC_EOI, 0
    pop %rdx
    pop %rcx
    pop %rax
    iretq

idt_pointer:
    .word 16 * (VECTOR + 1) - 1
    .quad IDT
    .section .note.GNU-stack, "", @progbits

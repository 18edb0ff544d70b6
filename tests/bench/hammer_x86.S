/* A guest whose every vCPU leaves it as fast as it can, by writes to a port where nothing is, and never ends. The first
 * vCPU starts the others through its x2APIC: INIT and start-up to all but itself (SDM vol. 3, 8.4.3 and 10.12.9). They
 * stay in real mode. */
#define APIC_BASE      0x1b
#define X2APIC_ENABLE  0xc00
#define X2APIC_ICR     0x830
#define ALL_BUT_SELF   0xc0000
#define INIT           0x4500
#define STARTUP        0x4600
#define TRAMPOLINE     0x8000 /* a page below 1 MiB; its number is the start-up's vector */
#define PORT           0x80

    .globl _start
    .code64
_start:
    mov $APIC_BASE, %ecx
    rdmsr
    or $X2APIC_ENABLE, %eax
    wrmsr
    lea others(%rip), %rsi
    mov $TRAMPOLINE, %edi
    mov $(others_end - others), %ecx
    rep movsb
    mov $X2APIC_ICR, %ecx
    xor %edx, %edx
    mov $(ALL_BUT_SELF | INIT), %eax
    wrmsr
    mov $(ALL_BUT_SELF | STARTUP | TRAMPOLINE >> 12), %eax
    wrmsr
1:  out %al, $PORT
    jmp 1b

    .code16
others:
    out %al, $PORT
    jmp others
others_end:
    .section .note.GNU-stack, "", @progbits

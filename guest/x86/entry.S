/* Entry of the x86-64 guest, its descriptor tables, interrupt stubs, and the way of the other processors into it.
 *
 * The first processor comes as the 64-bit boot protocol says (boot.rst): long mode, flat segments, low 4 GiB mapped at
 * their own address, interrupts off, rsi = boot_params. The others come by SIPI in real mode at the page where
 * ap_trampoline was copied to, and borrow the first one's page tables. */
#define CODE32 0x08
#define CODE64 0x10
#define DATA   0x18
#define CR0_PE (1 << 0)
#define CR0_PG (1 << 31)
#define CR4_PAE (1 << 5)
#define MSR_EFER 0xc0000080
#define EFER_LME (1 << 8)
#define STACK_SIZE 8192 /* the deepest call takes some hundred bytes */
#define OTHER_STACK_SHIFT 13 /* MACHINE_STACK_SIZE */

    .section .text.entry, "ax"
    .code64
    .globl guest_entry
guest_entry:
    cli
    cld
    lea stack_top(%rip), %rsp
    xor %ebp, %ebp
    lgdt gdt_pointer(%rip)
    mov %rsi, %rdi
    call guest_main
1:  hlt
    jmp 1b

/* Exceptions: the vector, then one way into machine_exception(vector, stack). Those with an error code have a word more. */
    .text
    .balign 8
    .globl exception_stubs
exception_stubs: /* 8 bytes each: machine.c counts on it */
    .set vector, 0
    .rept 32
    .balign 8
    push $vector
    jmp exception
    .set vector, vector + 1
    .endr

exception:
    pop %rdi
    mov %rsp, %rsi
    and $-16, %rsp
    call machine_exception

/* The watched interrupt: counted and ended. What a C call may change is kept, for irq_take() lets it in anywhere. */
    .globl interrupt_stub, spurious_stub
interrupt_stub:
    .irp reg, rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11
    push %\reg
    .endr
    cld
    call apic_interrupt
    .irp reg, r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax
    pop %\reg
    .endr
spurious_stub:
    iretq

/* Copied below 1 MiB; needs no fixing up: it addresses its page through CS and leaves it by a far jump. */
    .globl ap_trampoline, ap_trampoline_end
    .balign 16
ap_trampoline:
    .code16
    cli
    mov %cs, %ax
    mov %ax, %ds
    lgdtl (ap_gdt_pointer - ap_trampoline)
    mov %cr0, %eax
    or $CR0_PE, %eax
    mov %eax, %cr0
    ljmpl $CODE32, $ap_entry32
    .balign 4
ap_gdt_pointer:
    .word gdt_end - gdt - 1
    .long gdt
ap_trampoline_end:

    .code32
ap_entry32:
    mov $DATA, %ax
    mov %ax, %ds
    mov %ax, %ss
    mov %cr4, %eax
    or $CR4_PAE, %eax
    mov %eax, %cr4
    mov ap_cr3, %eax
    mov %eax, %cr3
    mov $MSR_EFER, %ecx
    rdmsr
    or $EFER_LME, %eax
    wrmsr
    mov %cr0, %eax
    or $CR0_PG, %eax
    mov %eax, %cr0
    ljmp $CODE64, $ap_entry64

    .code64
ap_entry64:
    mov $1, %eax
    lock xadd %eax, cpus_present(%rip)
    inc %eax
    mov machine_others(%rip), %rdx /* run */
    test %rdx, %rdx
    jz 1f
    cmp machine_others+16(%rip), %rax /* count */
    ja 1f
    shl $OTHER_STACK_SHIFT, %rax
    add machine_others+8(%rip), %rax /* stack */
    mov %rax, %rsp
    call *%rdx
1:  cli
    hlt
    jmp 1b

    .section .rodata
    .balign 8
gdt: /* flat segments, the selectors of the boot protocol */
    .quad 0
    .quad 0x00cf9b000000ffff /* CODE32 */
    .quad 0x00af9b000000ffff /* CODE64 */
    .quad 0x00cf93000000ffff /* DATA */
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .quad gdt

    .section .bss
    .balign 16
    .skip STACK_SIZE
stack_top:

    .section .note.GNU-stack, "", @progbits

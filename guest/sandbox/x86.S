/* All that runs at the privileged level in a sandbox on x86-64, and the way back to the program: arch/user.h.
 *
 * One page, which the program may read and execute but not write. On VT-x and AMD-V this code runs at CPL 0. KVM
 * without these (kvm_pvm) leaves the processor at CPL 3 when a program says SYSCALL, so that the entry has to be
 * executable there. Nothing here is secret, and nothing is trusted: an OUT that is reached in any other way ends in the
 * same exit, after which the monitor looks at where it came from.
 *
 * Exits name their cause by their port. The monitor never lets an OUT's next instruction run: it sets RIP to the IRETQ,
 * and RSP to a frame that it has written. */
#include "arch/x86/user_layout.h"

    .section .rodata, "a", %progbits
    .balign 16
    .globl user_code_start, user_code_end
user_code_start:
    /* LSTAR. RCX: where the program goes on, R11: its flags. */
    .org user_code_start + USER_CODE_CALL
    out %al, $USER_PORT_CALL
    .org user_code_start + USER_CODE_BACK
    iretq
    /* Where a function returns to that the monitor has called. */
    .org user_code_start + USER_CODE_RETURN
    mov %rax, %rdi
    mov $USER_CALL_RETURN_X86, %eax
    syscall
    ud2
    /* One for each exception, in the order of their vectors. */
    .set vector, 0
    .rept USER_VECTORS
    .org user_code_start + USER_CODE_VECTORS + vector * USER_VECTOR_SIZE
    out %al, $(USER_PORT_VECTOR + vector)
    .set vector, vector + 1
    .endr
user_code_end:
    .section .note.GNU-stack, "", %progbits

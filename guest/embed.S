/* The default guest's bytes, see embed.h. GUEST_IMAGE is the path of the built image. */
    .section .rodata.guest_default, "a", %progbits
    .globl guest_default_start, guest_default_end
    .type guest_default_start, %object
    .type guest_default_end, %object
    .balign 16
guest_default_start:
    .incbin GUEST_IMAGE
guest_default_end:
    .byte 0
    .section .note.GNU-stack, "", %progbits

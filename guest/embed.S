/* A guest's bytes, see embed.h. GUEST_IMAGE is the path of the built image, GUEST_START and GUEST_END are its names. */
    .section .rodata.guest, "a", %progbits
    .globl GUEST_START, GUEST_END
    .type GUEST_START, %object
    .type GUEST_END, %object
    .balign 16
GUEST_START:
    .incbin GUEST_IMAGE
GUEST_END:
    .byte 0
    .section .note.GNU-stack, "", %progbits

/* The bytes of style.css, for page.h. */
    .section .rodata, "a", %progbits
    .globl report_style, report_style_end
    .type report_style, %object
    .type report_style_end, %object
report_style:
    .incbin "bench/report/style.css"
report_style_end:
    .byte 0
    .section .note.GNU-stack, "", %progbits

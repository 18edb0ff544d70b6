/* Entry of the arm64 guest: Image header (Documentation/arch/arm64/booting.rst), memory map on, then C.
 *
 * The first processor comes at EL1 with the MMU off and x0 = the device tree. Memory that devices share with the guest
 * must be cacheable, as the host's view of it is, so the MMU goes on before anything else: one level-1 table of 1 GiB
 * blocks, at first only those that hold this image and the device tree; machine.c adds the others. The other processors
 * come by PSCI CPU_ON and use the same table. */
#define STACK_SIZE 16384 /* the device tree's reader keeps a path of nodes on it */
#define OTHER_STACK_SHIFT 13 /* MACHINE_STACK_SIZE */

#define BLOCK_VALID   0x1
#define BLOCK_NORMAL  0x700 /* attribute 0, inner shareable, accessed (Arm ARM D8.3) */
#define MAIR          0x04ff /* 0: normal write-back, 1: device nGnRE */
#define TCR           0x803519 /* 39 address bits, write-back inner shareable walks, 4 KiB granule, no TTBR1 */
#define TCR_IPS_SHIFT 32
#define SCTLR         0x30d01805 /* the ones that must be, I, C, M */

    .section .text.entry, "ax"
    .globl guest_entry
guest_entry:
    b start
    .long 0
    .quad 0                       /* text_offset */
    .quad image_end - guest_entry /* image_size */
    .quad 0xa                     /* little-endian, 4 KiB pages, anywhere in memory */
    .quad 0, 0, 0
    .ascii "ARM\x64"
    .long 0

start:
    mov x20, x0
    adrp x1, page_table /* the table is page aligned */
    add x2, x1, #4096
1:  stp xzr, xzr, [x1], #16
    cmp x1, x2
    b.ne 1b
    adr x0, guest_entry
    bl map_gib
    mov x0, x20
    bl map_gib
    /* The stores went past the caches: drop what stale lines may cover them. */
    adrp x1, page_table
    add x2, x1, #4096
1:  dc ivac, x1
    add x1, x1, #32
    cmp x1, x2
    b.lo 1b
    bl mmu_on

    adrp x1, bss_start
    add x1, x1, :lo12:bss_start
    adrp x2, bss_end
    add x2, x2, :lo12:bss_end
1:  cmp x1, x2
    b.hs 2f
    stp xzr, xzr, [x1], #16
    b 1b

    /* Pointers in the image (ELF for the Arm 64-bit architecture, R_AARCH64_RELATIVE, the only kind there is): the
     * place, the kind, the address within the image, which lies at guest_entry. */
2:  adr x0, guest_entry
    adrp x1, rela_start
    add x1, x1, :lo12:rela_start
    adrp x2, rela_end
    add x2, x2, :lo12:rela_end
3:  cmp x1, x2
    b.hs 4f
    ldp x3, x4, [x1], #16
    ldr x4, [x1], #8
    add x4, x4, x0
    str x4, [x0, x3]
    b 3b
4:  adrp x1, stack_top
    add x1, x1, :lo12:stack_top
    mov sp, x1
    adr x1, vectors
    msr vbar_el1, x1
    isb
    mov x0, x20
    bl guest_main
1:  wfi
    b 1b

/* Enter the GiB of address x0 as normal memory. Changes x0-x3. */
map_gib:
    ubfx x0, x0, #30, #9
    lsl x1, x0, #30
    mov x2, #(BLOCK_NORMAL | BLOCK_VALID)
    orr x1, x1, x2
    adrp x3, page_table
    str x1, [x3, x0, lsl #3]
    ret

/* Changes x0, x1. */
mmu_on:
    dsb sy
    ic iallu
    tlbi vmalle1
    mov x0, #MAIR
    msr mair_el1, x0
    mrs x1, id_aa64mmfr0_el1
    and x1, x1, #7 /* PARange; 7 is 56 bits, not with this granule */
    cmp x1, #6
    b.ne 1f
    mov x1, #5
1:  ldr x0, =TCR
    orr x0, x0, x1, lsl #TCR_IPS_SHIFT
    msr tcr_el1, x0
    adrp x0, page_table
    msr ttbr0_el1, x0
    dsb sy
    isb
    ldr x0, =SCTLR
    msr sctlr_el1, x0
    isb
    ret

    .globl ap_entry
ap_entry:
    bl mmu_on
    adrp x0, cpus_present
    add x0, x0, :lo12:cpus_present
1:  ldaxr w1, [x0]
    add w1, w1, #1
    stlxr w2, w1, [x0]
    cbnz w2, 1b
    adrp x2, machine_others
    add x2, x2, :lo12:machine_others
    ldp x0, x3, [x2] /* run, stack */
    ldr x2, [x2, #16] /* count */
    cbz x0, 1f
    cmp x1, x2
    b.hi 1f
    add x3, x3, x1, lsl #OTHER_STACK_SHIFT
    mov sp, x3
    adr x1, vectors
    msr vbar_el1, x1
    isb
    blr x0
1:  wfi
    b 1b
    .ltorg

/* Nothing is expected to come here: interrupts stay masked, and code is not meant to fault. */
    .balign 2048
vectors:
    .rept 16
    .balign 128
    b exception
    .endr
exception:
    mrs x0, esr_el1
    mrs x1, elr_el1
    mrs x2, far_el1
    b machine_exception

    .section .bss.noinit, "aw", %nobits
    .balign 4096
    .globl page_table
page_table:
    .skip 4096
    .skip STACK_SIZE
stack_top:

    .section .note.GNU-stack, "", %progbits

/* The kernel's pages of a sandbox on arm64: what guest/sandbox/arm64.S and arch/arm64/user.c agree on. */
#ifndef VIREO_ARM64_USER_LAYOUT_H
#define VIREO_ARM64_USER_LAYOUT_H

/* Offsets of the pages from USER_KERNEL_VA. SP_EL1 points to the frame. */
#define USER_AT_VECTORS 0x0000
#define USER_AT_FRAME   0x1000
#define USER_AT_DEVICE  0x2000 /* no memory slot is there: a store to it is an exit */
#define USER_AT_CODE    0x3000 /* what the program may run */
#define USER_PAGES_END  0x4000

/* The device page's guest-physical address: the one behind all that the kernel's slot may have. */
#define USER_DEVICE_GPA 0xfffff0000 /* below the kernel's slot, which has the page tables behind it */

/* Offsets in the frame. */
#define FRAME_X      0 /* x0 to x30 */
#define FRAME_ELR    256
#define FRAME_SPSR   264
#define FRAME_SP     272 /* SP_EL0 */
#define FRAME_ESR    280
#define FRAME_FAR    288
#define FRAME_TPIDR  296
#define FRAME_VECTOR 304 /* which of the sixteen */
#define FRAME_FLUSH  312 /* not 0: forget all translations on the way back */

#define VECTOR_SYNC_EL0 8 /* from a lower level in AArch64, synchronous (Arm ARM, D1.4.1) */

/* Offsets in the page of vectors and in that of code. */
#define USER_CODE_BACK    0x800
#define USER_CODE_RETURN  0x00
#define USER_CODE_RESTORE 0x20

#endif

/* The kernel's pages of a sandbox on x86-64: what guest/sandbox/x86.S and arch/x86/user.c agree on. */
#ifndef VIREO_X86_USER_LAYOUT_H
#define VIREO_X86_USER_LAYOUT_H

/* Ports: any will do, as no device is there. */
#define USER_PORT_CALL   0x10
#define USER_PORT_VECTOR 0x20 /* and the 32 above it */
#define USER_VECTORS     32

/* Offsets in the page of code. */
#define USER_CODE_CALL    0x00
#define USER_CODE_BACK    0x10
#define USER_CODE_RETURN  0x20
#define USER_CODE_VECTORS 0x40
#define USER_VECTOR_SIZE  8

#define USER_CALL_RETURN_X86 0x76720001 /* USER_CALL_RETURN of arch/user.h */

/* Offsets of the pages from USER_KERNEL_VA. */
#define USER_AT_CODE   0x0000
#define USER_AT_FRAME  0x1000 /* what IRETQ reads; the program may read it, too */
#define USER_AT_TABLES 0x2000 /* GDT and TSS */
#define USER_AT_IDT    0x3000
#define USER_AT_STACK  0x4000 /* of exceptions */
#define USER_PAGES_END 0x5000

#endif

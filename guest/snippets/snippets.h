/* Guests of an instruction or two, for tests: one property each.
 *
 * A snippet is position-independent code whose parameters are registers, so one serves many tests. It runs on a bare
 * vCPU (snippet_start: a test that has KVM and a page of memory) or as a kernel of its own (snippet_image: a test that
 * has a machine). It needs no stack, no page tables and no interrupts. */
#ifndef VIREO_GUEST_SNIPPETS_H
#define VIREO_GUEST_SNIPPETS_H

#include <stddef.h>
#include <stdint.h>

struct snippet {
    const char *name;
    const unsigned char *code;
    const unsigned char *end;
};

struct snippet_args {
    uint64_t target;  /* the port or the guest address that is touched */
    uint64_t text;    /* guest address of a string, for snippet_print */
    uint64_t exit_at; /* arm64: address of the debug-exit register; x86 has it at port SNIPPET_EXIT_PORT */
    uint32_t value;   /* what is written */
    uint32_t count;   /* how often; at least 1 */
    uint8_t status;   /* what is written to the debug-exit register at the end */
};

#define SNIPPET_EXIT_PORT 0xf4

/* On both architectures. "Ends" means: writes `status` (loads: what was read) to debug exit, then halts for good. */
extern const struct snippet snippet_exit;  /* ends at once */
extern const struct snippet snippet_halt;  /* hlt or wfi for ever, interrupts off */
extern const struct snippet snippet_spin;  /* a jump to itself */
extern const struct snippet snippet_tick;  /* counts the 32-bit word at target up for ever: shows that it runs */
extern const struct snippet snippet_store; /* `count` stores of a byte, value, to target; ends */
extern const struct snippet snippet_store_forever; /* the same without an end */
extern const struct snippet snippet_load;          /* `count` loads of a byte from target; ends with the last one */
/* Asks for its steal time, then spins. x86: has the record written to target, of 64 bytes and aligned to them
 * (MSR_KVM_STEAL_TIME); arm64: writes to the 64-bit word at target where the record is (PV_TIME_ST of DEN0057). */
extern const struct snippet snippet_steal;
/* x86 only. */
extern const struct snippet snippet_clock;        /* has its kvmclock written to target (4-byte aligned), then spins */
extern const struct snippet snippet_out;          /* `count` times the byte value to port target; ends */
extern const struct snippet snippet_out_forever;  /* the same without an end */
extern const struct snippet snippet_in;           /* `count` bytes from port target; ends with the last one */
extern const struct snippet snippet_print;        /* `count` bytes at text to port target by one `rep outsb`; ends */
extern const struct snippet snippet_cpuid;        /* `count` times cpuid leaf `value`; ends with ebx's low byte */
extern const struct snippet snippet_triple_fault; /* an invalid opcode without an IDT */
/* arm64 only. */
extern const struct snippet snippet_psci; /* the PSCI function `value`, by hvc; if it comes back, ends */

/* Those this architecture has; NULL ends the list. */
extern const struct snippet *const snippet_list[];

/* Put a fresh vCPU at the first instruction of the code at gpa. x86: 32-bit protected mode, flat, paging off, IDT of
 * size 0; arm64: EL1, MMU off, PSCI 0.2. 0 or -errno. */
int snippet_start(int vm_fd, int vcpu_fd, uint64_t gpa, const struct snippet_args *args);

#define SNIPPET_IMAGE_MAX 512 /* every snippet fits with its header and the loading of its registers */

/* Write a kernel that loads args and runs the snippet: an ELF64 at 1 MiB for the 64-bit entry (x86), an Image (arm64).
 * Returns its size. */
size_t snippet_image(const struct snippet *s, const struct snippet_args *args, unsigned char out[SNIPPET_IMAGE_MAX]);

#endif

/* What the bare KVM loop needs of an architecture: one page of guest memory with an instruction or two in it. */
#ifndef VIREO_BENCH_BARE_H
#define VIREO_BENCH_BARE_H

#include <stdint.h>

#define BARE_PAGE 4096

/* A way out of the guest. Its code makes one exit at its first instruction, then jumps back. */
struct bare_kind {
    const char *name; /* of --kind */
    uint32_t exit_reason;
    uint32_t code_size;
    unsigned char code[8];
};

/* The kinds of this architecture, the first is the default; ended by a NULL name. */
extern const struct bare_kind bare_kinds[];
/* Where the page sits in guest memory, and where in it the vCPU starts. */
extern const uint64_t bare_page_gpa;
extern const uint64_t bare_memory_gpa; /* and where more memory would start */
extern const uint32_t bare_code_offset;

/* Bring a fresh vCPU to the code. 0 or -errno. */
int bare_init_vcpu(int vm_fd, int vcpu_fd);
/* The processor's constant-rate counter, after all that went before. */
uint64_t bare_ticks(void);

#endif

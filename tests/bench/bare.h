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
    unsigned char code[28];
    /* 0: the code stands by itself. Else it is the loop of `vireo bench exits`, around an exit at this address. */
    uint64_t loop_address;
};

/* The kinds of this architecture, the first is the default; ended by a NULL name. */
extern const struct bare_kind bare_kinds[];
/* Where the page sits in guest memory, and where in it the vCPU starts. */
extern const uint64_t bare_page_gpa;
extern const uint64_t bare_memory_gpa; /* and where more memory would start */
extern const uint32_t bare_code_offset;

/* What the kind wants of a VM before it has a vCPU. 0 or -errno. */
int bare_init_vm(int vm_fd, const struct bare_kind *kind);
/* Bring a fresh vCPU to the kind's code. 0 or -errno. */
int bare_init_vcpu(int vm_fd, int vcpu_fd, const struct bare_kind *kind);
/* The processor's constant-rate counter, after all that went before. */
uint64_t bare_ticks(void);

#endif

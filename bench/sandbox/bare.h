/* The yardsticks of `vireo bench sandbox`: what KVM itself wants, by bare calls of its own and without any code of
 * ours. A VM with one slot of 64 MiB, a private mapping of a memfd, and one vCPU that at user privilege does nothing
 * but leave for the monitor: x86 by OUT at CPL 3, arm64 by a store at EL0 to where no memory is. One thread. */
#ifndef VIREO_BENCH_SANDBOX_BARE_H
#define VIREO_BENCH_SANDBOX_BARE_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/base/err.h"

#define BARE_MEMORY (64ull << 20)

struct bare {
    int memory_fd; /* of the template; the caller's */
    int kvm_fd, vm_fd, vcpu_fd;
    uint8_t *memory;
    struct kvm_run *run;
    size_t run_size;
    void *saved; /* registers, once bare_put_registers has read them */
};

/* A memfd with the code. -1: errno says why. */
int bare_template(void);
/* From opening /dev/kvm to the first exit. 0 or -errno; a half made one is to be closed, too. */
int bare_open(struct bare *b, int memory_fd);
void bare_close(struct bare *b);
int bare_exit(struct bare *b); /* KVM_RUN, until the next exit */

/* ---- of the architecture: bare_x86.c, bare_arm64.c ---- */

extern const uint8_t bare_code[];
extern const size_t bare_code_size, bare_code_at; /* in memory */
void bare_fill(uint8_t *memory);                  /* what else the template has */
int bare_start(struct bare *b);                   /* registers, so that the code runs */
int bare_put_registers(struct bare *b);           /* all classes that a reset puts back, once */

#endif

/* What this process holds of the kernel: to compare before and after. */
#ifndef VIREO_TESTS_HOLDINGS_H
#define VIREO_TESTS_HOLDINGS_H

struct holdings {
    unsigned fds, threads, mappings;
};

/* Once, before the first VM: how many threads there are when nothing runs (a sanitizer has one of its own). */
void holdings_begin(void);
/* Wait until the threads of earlier VMs have gone, then count. KVM has a kernel thread for each VM that has run, which
 * counts as one of the process's and ends some time after the VM was closed. */
struct holdings holdings_now(void);

#endif

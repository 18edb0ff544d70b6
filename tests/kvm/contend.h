/* A vCPU that has to share a CPU: the machine, and who contends with it. */
#ifndef VIREO_TESTS_CONTEND_H
#define VIREO_TESTS_CONTEND_H

#include "vmm/machine/state.h"

struct contend {
    struct machine *machine;
    unsigned cpu; /* that the vCPU is pinned to */
};

/* Start a machine of one pinned vCPU whose guest asks for its steal time; the answer that arm64 gives it goes to
 * `record`, x86 keeps the record itself there. Failures fail the test; without /dev/kvm, or where KVM offers no steal
 * time, it is skipped. */
void contend_start(struct contend *c, uint64_t record);
/* The same with a guest that does not ask, but writes to `record` without end. */
void contend_start_silent(struct contend *c, uint64_t record);
/* Keep the CPU busy until stolen() says that a tenth of a second was taken from the vCPU, which is no more than its
 * thread waited for the CPU as the host counts it; fails the test when it never does. */
void contend_must_see(const struct contend *c, uint64_t (*stolen)(const struct contend *c));
/* The machine tells what the guest was told, before long. */
void contend_must_tell(const struct contend *c, uint64_t (*stolen)(const struct contend *c));
/* It tells nothing, however often it is asked. */
void contend_must_not_tell(const struct contend *c);
void contend_stop(struct contend *c);

#endif

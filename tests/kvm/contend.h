/* A vCPU that has to share a CPU: the machine, and who contends with it. */
#ifndef VIREO_TESTS_CONTEND_H
#define VIREO_TESTS_CONTEND_H

#include "guest/snippets/snippets.h"
#include "vmm/machine/state.h"

struct contend {
    struct machine *machine;
    unsigned cpu; /* that the vCPU is pinned to */
};

/* Start a machine of one pinned vCPU with the snippet as its kernel. Failures fail the test; without /dev/kvm it is
 * skipped. */
void contend_start(struct contend *c, const struct snippet *s, const struct snippet_args *args);
/* Keep the CPU busy until stolen() says that at least `ns` were taken from the vCPU; fails the test when it never does.
 */
void contend_until(const struct contend *c, uint64_t (*stolen)(const struct contend *c), uint64_t ns);
/* How long the vCPU's thread waited for a CPU so far, as the host counts it: /proc/PID/task/TID/schedstat. */
uint64_t contend_run_delay(const struct contend *c);
void contend_stop(struct contend *c);

#endif

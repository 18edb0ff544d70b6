/* KVM's tracepoints of other processes' threads, by perf_event_open(2): from tracefs' text to events in order. It takes
 * CAP_PERFMON, or root, and tracefs to be mounted. Nothing of the traced process changes but that each record costs it
 * some hundred nanoseconds. One thread. */
#ifndef VIREO_CLI_TRACE_PERF_H
#define VIREO_CLI_TRACE_PERF_H

#include <vireo.h>

#include "vmm/cli/trace_format.h"
#include "vmm/cli/trace_join.h"

#define TRACE_VCPUS_MAX 64

struct trace_session;
/* tid: count threads, one a vCPU. -errno with *e filled: what is missing here, and how to have it. */
int trace_open(struct trace_session **out, const int *tid, unsigned count, struct vireo_error *e);
void trace_close(struct trace_session *s);
/* Hand on what has come for `ns` nanoseconds from now; fewer if all the threads have ended. */
void trace_run(struct trace_session *s, uint64_t ns,
               void (*fn)(void *arg, unsigned vcpu, const struct trace_event *event), void *arg);
uint64_t trace_lost(const struct trace_session *s);  /* records that found no room */
uint64_t trace_exits(const struct trace_session *s); /* kvm_exit seen; and kvm_userspace_exit */
uint64_t trace_leaves(const struct trace_session *s);
/* A reason that an event had, as the kernel calls it; what it has no name for as a number in room. */
const char *trace_reason(const struct trace_session *s, uint64_t reason, char room[TRACE_TEXT_MAX]);

#endif

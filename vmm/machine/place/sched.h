/* What the host's scheduler is asked to do with one thread: CPUs, nice value, time slice, core-scheduling cookie.
 *
 * Works by thread id on threads of this process, from any thread of it. Refusals are sentences that name the key and
 * the obstacle; nothing is rounded or dropped in silence. A key that was not given costs no system call. */
#ifndef VIREO_MACHINE_PLACE_SCHED_H
#define VIREO_MACHINE_PLACE_SCHED_H

#include <sys/types.h>

#include "vmm/base/log.h"
#include "vmm/config/config.h"

/* Before anything is built: every CPU named must be online. */
int sched_check(const struct sched_config *s, unsigned vcpus, struct err *e);
/* who: the thread's name in sentences, "vCPU 0". What the host took is read back: CPUs that this process may not use
 * are refused, and a slice that the kernel ignores is logged as a warning. */
int sched_apply(const struct thread_config *t, pid_t tid, const char *who, struct err *e);
/* The slice of a thread of its own is read back: one that the kernel ignores is logged as a warning. */
int sched_slice(uint64_t slice_ns, pid_t tid, const struct log *log, struct err *e);
/* Give tid a new cookie: no thread without it runs on an SMT sibling of a thread with it (core-scheduling.rst). Where
 * there are no siblings, *is_used is false and nothing is wrong. */
int sched_core_create(pid_t tid, bool *is_used, struct err *e);
void sched_core_join(pid_t tid); /* the calling thread takes tid's cookie; nothing happens when tid has gone */

#endif

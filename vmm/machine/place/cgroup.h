/* A machine's own control group. It is made in a directory that the user names and removed when the machine ends, so
 * nobody else's settings are changed and nothing has to be put back.
 *
 * There are three kinds of directory, told apart by asking the kernel (cgroup-v2.rst "Threads"; cgroup-v1/cgroups.rst):
 *
 *   v1, cpu controller   The machine's threads join; nothing else moves.
 *   v2, threaded         PATH is threaded, or this process lives in it (in its group or its threaded domain). The new
 *                        group is made threaded and the machine's threads join; nothing else moves.
 *   v2, domain           Any other. Threads of one process can't lie in two domains, so the whole process joins, and
 *                        goes back when the machine ends. Only one machine of a process can do so: a second one is
 *                        refused, and so are vCPUs that are to join alone.
 *
 * In v2 the cpu controller is switched on for PATH's children where it is off, and stays on, since other groups may
 * have come to need it.
 *
 * Control thread. */
#ifndef VIREO_MACHINE_PLACE_CGROUP_H
#define VIREO_MACHINE_PLACE_CGROUP_H

#include <sys/types.h>

#include "vmm/base/log.h"
#include "vmm/config/config.h"

struct cgroup;

/* Make the group of s->cgroup: "vireo-NAME" or, without a name, "vireo-PID.N". Sets its weight and maximum. A group
 * that a killed process left behind is replaced; one that is in use is refused. */
int cgroup_create(struct cgroup **out, const struct sched_config *s, const char *name, struct err *e);
/* In a child of fork(2): it must not keep the name in use. */
void cgroup_forked(const struct cgroup *g);
int cgroup_join(struct cgroup *g, pid_t tid, struct err *e);
/* After the machine's threads have ended and the VM is closed (KVM's own worker thread of a VM lies in the group of the
 * vCPU that made it). NULL is legal. */
void cgroup_destroy(struct cgroup *g, const struct log *log);

#endif

/* A control group of a machine's own, made in a directory the user names and removed when the machine ends: so that
 * what is set there is nobody else's, and nothing has to be put back.
 *
 * Three kinds of directory, told apart by asking the kernel (cgroup-v2.rst "Threads"; cgroup-v1/cgroups.rst):
 *   v1, cpu controller   the machine's threads join; nothing else moves.
 *   v2, threaded         PATH is threaded, or this process lives in it (its group or its threaded domain): the new
 *                        group is made threaded, the machine's threads join, nothing else moves.
 *   v2, domain           any other: threads of one process can't lie in two domains, so the whole process joins, and
 *                        goes back when the machine ends. One machine of a process only: a second is refused, and so
 *                        are vCPUs that are to join alone.
 * In v2 the cpu controller is switched on for PATH's children where it is not, and stays on: other groups may have come
 * to need it.
 *
 * Control thread. */
#ifndef VIREO_MACHINE_PLACE_CGROUP_H
#define VIREO_MACHINE_PLACE_CGROUP_H

#include <sys/types.h>

#include "vmm/base/log.h"
#include "vmm/config/config.h"

struct cgroup;

/* Make the group of s->cgroup, "vireo-NAME" or, without a name, "vireo-PID.N"; its weight and maximum are set. One left
 * behind by a process that was killed is replaced, one in use refused. */
int cgroup_create(struct cgroup **out, const struct sched_config *s, const char *name, struct err *e);
/* In a child of fork(2): the name is not to be held by it. */
void cgroup_forked(const struct cgroup *g);
int cgroup_join(struct cgroup *g, pid_t tid, struct err *e);
/* After its threads have ended and the VM is closed (KVM's own worker thread of a VM lies in the group of the vCPU that
 * made it). NULL is legal. */
void cgroup_destroy(struct cgroup *g, const struct log *log);

#endif

/* The control groups that a process or thread lies in, as far as it can see them: its own and all above (cgroups(7)).
 * Each of them limits it, so a reader walks up. Any thread. */
#ifndef VIREO_BASE_GROUPS_H
#define VIREO_BASE_GROUPS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define GROUPS_ROOT     "/sys/fs/cgroup" /* where the hierarchies are mounted */
#define GROUPS_PATH_MAX 256              /* of a group's folder; a longer one is cut */
#define GROUPS_MAX      4096             /* of what /proc says of them: a dozen hierarchies with long paths */

/* What /proc says: of a thread, of whatever process, or (tid 0) of this process. Empty where there are no cgroups, or
 * it can't be read: -errno. */
int groups_read(pid_t tid, char out[GROUPS_MAX]);

/* The least memory limit among them in bytes, UINT64_MAX: none. groups: what groups_read gave. */
uint64_t groups_memory_limit(const char *groups, const char *root);

/* How many bytes of huge pages of one size ("2MB", "1GB") these groups still allow, UINT64_MAX: all. */
uint64_t groups_huge_left(const char *groups, const char *root, const char *page);

/* How often, and for how long, CPU quotas of these groups stopped the threads in them, since the groups were made: sums
 * over the groups and over CPUs. */
struct groups_throttled {
    bool is_told; /* a group with the cpu controller is to be seen */
    uint64_t times, ns;
};
void groups_throttled(const char *groups, const char *root, struct groups_throttled *out);

/* What these groups allow their threads of the CPUs: the folder of the thread's own group, or of the nearest above it
 * that has the cpu controller; the weight of that group, in the numbers of version 2, where 100 is what a group has
 * that was given none; and the tightest quota of it and all above. */
struct groups_cpu {
    char path[GROUPS_PATH_MAX];   /* "": no group with the cpu controller is to be seen */
    uint64_t weight;              /* a cpu.idle group, which runs only where nobody else wants to: 0 */
    uint64_t quota_us, period_us; /* quota 0: none */
};
void groups_cpu(const char *groups, const char *root, struct groups_cpu *out);

/* groups_throttled of this process, for who measures: before and after. */
void groups_throttled_here(struct groups_throttled *out);

#endif

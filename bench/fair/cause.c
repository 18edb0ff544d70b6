#include "bench/fair/cause.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vmm/base/concat.h"
#include "vmm/base/fd.h"
#include "vmm/base/thread.h"

#define FILE_MAX   4096 /* of a file of /proc/TID; status has 1.5 KiB */
#define VALUE_MAX  300  /* of a value in words; the longest is a group's folder */
#define VALUES_MAX 3    /* that the peers have; more are not listed one by one */
#define STAT_CPU   39   /* proc_pid_stat(5): field of /proc/TID/stat */

/* ---- reading ---- */

static bool read_file(pid_t tid, const char *name, char out[FILE_MAX])
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)tid, name);
    const int fd = fd_own(open(path, O_RDONLY | O_CLOEXEC));
    const ssize_t n = fd < 0 ? -1 : read(fd, out, FILE_MAX - 1);
    if (fd >= 0) close(fd);
    out[n > 0 ? n : 0] = '\0';
    return n > 0;
}

static void read_cpus(pid_t tid, struct cause *out)
{
    static const char key[] = "\nCpus_allowed_list:\t";
    char text[FILE_MAX];
    const char *at = read_file(tid, "status", text) ? strstr(text, key) : NULL;
    if (at) (void)sscanf(at + sizeof(key) - 1, "%63[0-9,-]", out->cpus);
}

/* The name, which is the second field, may hold blanks and brackets; nothing behind it does. */
static int read_cpu(pid_t tid)
{
    char text[FILE_MAX], *save = NULL;
    char *at = read_file(tid, "stat", text) ? strrchr(text, ')') : NULL;
    if (!at) return -1;
    const char *field = strtok_r(at + 1, " ", &save);
    for (int n = 3; field && n < STAT_CPU; n++) field = strtok_r(NULL, " ", &save);
    return field ? atoi(field) : -1;
}

/* "/autogroup-25 nice 0" (sched(7), The autogroup feature). It counts where it is switched on, for threads that lie in
 * the root of the groups. */
static void read_autogroup(pid_t tid, struct cause *out)
{
    char text[FILE_MAX];
    int is_on = 0;
    FILE *f = fopen("/proc/sys/kernel/sched_autogroup_enabled", "re");
    const bool is_read = f && fscanf(f, "%d", &is_on) == 1;
    const bool is_root = !out->group.path[0] || strcmp(out->group.path, GROUPS_ROOT "/cpu") == 0;

    if (f) (void)fclose(f);
    if (!is_read || !is_on || !is_root || !read_file(tid, "autogroup", text)) return;
    out->has_autogroup = sscanf(text, "/autogroup-%u nice %d", &out->autogroup, &out->autogroup_nice) == 2;
}

int cause_read(pid_t tid, struct cause *out)
{
    char groups[GROUPS_MAX];
    struct sched_param param = {0};

    *out = (struct cause){.cpu = -1};
    out->policy = sched_getscheduler(tid);
    if (tid <= 0 || out->policy < 0) return -ESRCH;
    if (sched_getparam(tid, &param) == 0) out->priority = param.sched_priority;
    out->nice = getpriority(PRIO_PROCESS, (id_t)tid);
    out->slice_ns = thread_slice_ns(tid);
    read_cpus(tid, out);
    out->cpu = read_cpu(tid);
    (void)groups_read(tid, groups);
    groups_cpu(groups, GROUPS_ROOT, &out->group);
    groups_throttled(groups, GROUPS_ROOT, &out->throttled);
    read_autogroup(tid, out);
    out->has_cookie =
        prctl(PR_SCHED_CORE, PR_SCHED_CORE_GET, tid, PR_SCHED_CORE_SCOPE_THREAD, (unsigned long)&out->cookie) == 0;
    return sched_getscheduler(tid) < 0 ? -ESRCH : 0; /* it has ended meanwhile */
}

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

void cause_since(struct cause *end, const struct cause *start)
{
    end->throttled.times = less(end->throttled.times, start->throttled.times);
    end->throttled.ns = less(end->throttled.ns, start->throttled.ns);
}

/* ---- saying ---- */

static void say(char out[VALUE_MAX], const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(char out[VALUE_MAX], const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(out, VALUE_MAX, fmt, args);
    va_end(args);
}

static void say_policy(const struct cause *c, char out[VALUE_MAX])
{
    static const char *const names[] = {
        [SCHED_OTHER] = "SCHED_OTHER", [SCHED_FIFO] = "SCHED_FIFO", [SCHED_RR] = "SCHED_RR",
        [SCHED_BATCH] = "SCHED_BATCH", [SCHED_IDLE] = "SCHED_IDLE", [SCHED_DEADLINE] = "SCHED_DEADLINE"};
    const unsigned policy = (unsigned)c->policy & ~(unsigned)SCHED_RESET_ON_FORK;
    const char *name = policy < sizeof(names) / sizeof(names[0]) ? names[policy] : NULL;
    if (!name)
        say(out, "%d", c->policy);
    else if (c->priority)
        say(out, "%s with priority %d", name, c->priority);
    else
        say(out, "%s", name);
}

static void say_nice(const struct cause *c, char out[VALUE_MAX])
{
    say(out, "%d", c->nice);
}

static void say_slice(const struct cause *c, char out[VALUE_MAX])
{
    if (c->slice_ns)
        say(out, "%.3g ms", (double)c->slice_ns / 1e6);
    else
        say(out, "the kernel's choice");
}

static void say_cpus(const struct cause *c, char out[VALUE_MAX])
{
    say(out, "%s", c->cpus[0] ? c->cpus : "?");
}

static void say_group(const struct cause *c, char out[VALUE_MAX])
{
    say(out, "%s", c->group.path[0] ? c->group.path : "the root");
}

static void say_weight(const struct cause *c, char out[VALUE_MAX])
{
    say(out, "%llu", (unsigned long long)c->group.weight);
}

static void say_quota(const struct cause *c, char out[VALUE_MAX])
{
    if (c->group.quota_us)
        say(out, "%.3g of every %.3g ms", (double)c->group.quota_us / 1e3, (double)c->group.period_us / 1e3);
    else
        say(out, "all there is");
}

static void say_throttled(const struct cause *c, char out[VALUE_MAX])
{
    say(out, "%llu times", (unsigned long long)c->throttled.times);
}

static void say_autogroup(const struct cause *c, char out[VALUE_MAX])
{
    if (c->has_autogroup)
        say(out, "%u of nice %d", c->autogroup, c->autogroup_nice);
    else
        say(out, "none");
}

static void say_cookie(const struct cause *c, char out[VALUE_MAX])
{
    if (c->has_cookie && c->cookie)
        say(out, "%#llx", (unsigned long long)c->cookie);
    else
        say(out, "none");
}

static void say_cpu(const struct cause *c, char out[VALUE_MAX])
{
    say(out, "%d", c->cpu);
}

/* "vCPU 1 runs at nice 1, the others at 0": verb and value, link and value. */
static const struct trait {
    const char *verb, *link;
    void (*say)(const struct cause *c, char out[VALUE_MAX]);
    bool passes; /* it goes up and down by itself: no change is told, and no difference that one of the peers shares */
} traits[] = {
    {"runs under", "under", say_policy, false},
    {"runs at nice", "at", say_nice, false},
    {"has a slice of", "one of", say_slice, false},
    {"may use CPUs", "CPUs", say_cpus, false},
    {"lies in cgroup", "in", say_group, false},
    {"is in a cgroup of weight", "in one of", say_weight, false},
    {"may by quota run for", "for", say_quota, false},
    {"was throttled", "", say_throttled, true},
    {"lies in autogroup", "in", say_autogroup, false},
    {"has core scheduling cookie", "", say_cookie, false},
    {"was on CPU", "on", say_cpu, true},
};

/* The values that peers have and the accused has not, "0 or 5"; *shared: one has the accused's. Returns how many. */
static unsigned list_values(const struct trait *t, const char *mine, const struct cause *const *peer, unsigned peers,
                            char out[CAUSE_TEXT], bool *shared)
{
    char seen[VALUES_MAX][VALUE_MAX], value[VALUE_MAX];
    unsigned n = 0;

    for (unsigned i = 0; i < peers; i++) {
        unsigned k = 0;
        t->say(peer[i], value);
        if (strcmp(value, mine) == 0) {
            *shared = true;
            continue;
        }
        while (k < n && strcmp(seen[k], value) != 0) k++;
        if (k == n && n < VALUES_MAX) memcpy(seen[n++], value, VALUE_MAX);
    }
    *out = '\0';
    for (unsigned k = 0; k < n; k++) {
        (void)concat(out, CAUSE_TEXT, k ? " or " : "");
        (void)concat(out, CAUSE_TEXT, seen[k]);
    }
    return n;
}

static unsigned compare(const char *name, const struct cause *accused, const struct cause *const *peer, unsigned peers,
                        const char *whom, char out[CAUSE_TEXT])
{
    unsigned found = 0;

    *out = '\0';
    for (const struct trait *t = traits; t < traits + sizeof(traits) / sizeof(traits[0]); t++) {
        char mine[VALUE_MAX], theirs[CAUSE_TEXT];
        bool shared = false;
        const size_t len = strlen(out);
        t->say(accused, mine);
        if (!list_values(t, mine, peer, peers, theirs, &shared) || (t->passes && shared)) continue;
        (void)snprintf(out + len, CAUSE_TEXT - len, "%s%s %s %s, %s %s%s%s", found++ ? "; " : "", name, t->verb, mine,
                       whom, t->link, t->link[0] ? " " : "", theirs);
    }
    return found;
}

unsigned cause_differs(const char *name, const struct cause *accused, const struct cause *const *peer, unsigned peers,
                       char out[CAUSE_TEXT])
{
    return compare(name, accused, peer, peers, peers == 1 ? "the other" : "the others", out);
}

unsigned cause_changed(const char *name, const struct cause *start, const struct cause *end, char out[CAUSE_TEXT])
{
    struct cause before = *start;
    before.cpu = end->cpu;
    before.throttled = end->throttled;
    return compare(name, end, (const struct cause *const[]){&before}, 1, "before", out);
}

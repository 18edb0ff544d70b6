/* Who else had the CPUs: every process but those of the VMs, by /proc, from look to look.
 *
 * A process tells how long it ran, in ticks of 1/100 s, and on which CPU it is. What it ran since the look before is
 * put down to that CPU; with several threads, to those that its runnable ones are on. Processes that began and ended
 * between two looks are not seen: the record tells what is left over. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/live/live.h"
#include "bench/live/proc.h"
#include "vmm/base/fd.h"

#define SEEN_MAX    32768 /* processes; a host may have more, and the rest is then left over */
#define ROWS_MAX    8192  /* of a process on a CPU */
#define GENERATIONS 8     /* that end between two looks: a shell, make, a compiler's driver, the compiler */
#define TASKS_MAX   512   /* threads of one process that are looked at */

struct seen {
    pid_t pid, parent;
    uint64_t began, ran; /* ticks since boot; ns, with children that have ended */
    uint64_t known;      /* ns of `ran`'s growth that were put down to children already */
};

struct live_takers {
    const struct live_record *r;
    pid_t self;
    bool has_looked;
    struct seen *seen, *next; /* of the last look, and of this one */
    struct proc_stat *stat;   /* of this one */
    unsigned count, next_count;
    struct live_taker *row;
    unsigned rows;
};

struct live_takers *live_takers_create(const struct live_record *r)
{
    struct live_takers *t = calloc(1, sizeof(*t));
    if (!t) return NULL;
    *t = (struct live_takers){.r = r, .self = getpid()};
    t->seen = calloc(SEEN_MAX, sizeof(*t->seen));
    t->next = calloc(SEEN_MAX, sizeof(*t->next));
    t->stat = calloc(SEEN_MAX, sizeof(*t->stat));
    t->row = calloc(ROWS_MAX, sizeof(*t->row));
    if (t->seen && t->next && t->stat && t->row) return t;
    live_takers_destroy(t);
    return NULL;
}

void live_takers_destroy(struct live_takers *t)
{
    if (!t) return;
    free(t->seen);
    free(t->next);
    free(t->stat);
    free(t->row);
    free(t);
}

static void add(struct live_takers *t, const struct proc_stat *p, int cpu, uint64_t ns)
{
    unsigned i = 0;
    if (cpu < 0 || cpu >= CPU_SETSIZE || ns == 0) return;
    while (i < t->rows && (t->row[i].pid != p->id || t->row[i].cpu != (unsigned)cpu)) i++;
    if (i == ROWS_MAX) return;
    if (i == t->rows) {
        t->row[t->rows++] = (struct live_taker){.pid = p->id, .cpu = (unsigned)cpu};
        memcpy(t->row[i].name, p->name, sizeof(p->name));
    }
    t->row[i].ns += ns;
}

/* The CPUs that the runnable threads of a process are on. How many. */
static unsigned runnable(pid_t pid, int cpu[TASKS_MAX])
{
    char path[64];
    unsigned n = 0;
    const struct dirent *entry;
    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *d = opendir(path);
    for (unsigned i = 0; d && i < TASKS_MAX && (entry = readdir(d)) != NULL; i++) {
        struct proc_stat s;
        const long tid = strtol(entry->d_name, NULL, 10);
        (void)snprintf(path, sizeof(path), "/proc/%d/task/%ld/stat", (int)pid, tid);
        if (tid > 0 && proc_stat_read(path, &s) && s.state == 'R') cpu[n++] = s.cpu;
    }
    if (d) closedir(d);
    return n;
}

static void put_down(struct live_takers *t, const struct proc_stat *p, uint64_t ns)
{
    int cpu[TASKS_MAX];
    const unsigned n = p->threads > 1 ? runnable(p->id, cpu) : 0;
    for (unsigned i = 0; i < n; i++) add(t, p, cpu[i], ns / n);
    if (n == 0) add(t, p, p->cpu, ns);
}

static bool is_ours(const struct live_takers *t, pid_t pid)
{
    for (unsigned k = 0; k < t->r->vms; k++)
        if (t->r->vm[k].pid == pid) return true;
    return pid == t->self;
}

static int by_pid(const void *a, const void *b)
{
    const struct seen *x = a, *y = b;
    return (x->pid > y->pid) - (x->pid < y->pid);
}

static int by_id(const void *a, const void *b)
{
    const struct proc_stat *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static struct seen *find(struct seen *list, unsigned count, pid_t pid)
{
    const struct seen key = {.pid = pid};
    return count > 0 ? bsearch(&key, list, count, sizeof(key), by_pid) : NULL;
}

/* Who has waited for a process that has ended: its parent, or if that has ended too, whoever waited for that. NULL:
 * nobody that is seen. */
static struct seen *reaper(const struct live_takers *t, const struct seen *old)
{
    for (unsigned i = 0; old && i < GENERATIONS; i++) {
        struct seen *parent = find(t->next, t->next_count, old->parent);
        if (parent) return parent;
        old = find(t->seen, t->count, old->parent);
    }
    return NULL;
}

/* What was put down to those that have ended since the look before comes again in the time of who waited for them. */
static void settle_ended(const struct live_takers *t)
{
    for (unsigned i = 0; i < t->count; i++) {
        const struct seen *old = &t->seen[i], *now = find(t->next, t->next_count, old->pid);
        if (now && now->began == old->began) continue;
        struct seen *parent = reaper(t, old);
        if (parent) parent->known += old->ran;
    }
}

/* A parent may have been looked at before it waited for a child that was found gone: then that child's time comes with
 * the next look, and is known until then. */
static void put_down_growth(struct live_takers *t, struct seen *now, const struct proc_stat *p)
{
    const struct seen *before = find(t->seen, t->count, now->pid);
    const uint64_t known = now->known + (before && before->began == now->began ? before->ran : 0);
    if (now->ran > known)
        put_down(t, p, now->ran - known);
    else
        now->ran = known;
}

void live_takers_look(struct live_takers *t)
{
    const struct dirent *entry;
    DIR *d = opendir("/proc");
    unsigned n = 0;
    while (d && n < SEEN_MAX && (entry = readdir(d)) != NULL) {
        char path[64];
        const long pid = strtol(entry->d_name, NULL, 10);
        if (pid <= 0 || is_ours(t, (pid_t)pid)) continue;
        (void)snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
        struct proc_stat *p = &t->stat[n];
        if (!proc_stat_read(path, p)) continue;
        t->next[n++] = (struct seen){p->id, p->parent, p->began, p->ran_ns + p->reaped_ns, 0};
    }
    if (d) closedir(d);
    /* The kernel lists them by number, so both lists are in order; nothing depends on its going on to. */
    if (n > 0) qsort(t->next, n, sizeof(*t->next), by_pid);
    if (n > 0) qsort(t->stat, n, sizeof(*t->stat), by_id);
    t->next_count = n;
    if (t->has_looked) settle_ended(t);
    for (unsigned i = 0; t->has_looked && i < n; i++) put_down_growth(t, &t->next[i], &t->stat[i]);
    struct seen *const old = t->seen;
    t->seen = t->next;
    t->next = old;
    t->count = n;
    t->has_looked = true;
}

static int by_time(const void *a, const void *b)
{
    const struct live_taker *x = a, *y = b;
    return (x->ns < y->ns) - (x->ns > y->ns);
}

void live_takers_tell(struct live_takers *t, struct live_record *r)
{
    if (t->rows > 0) qsort(t->row, t->rows, sizeof(*t->row), by_time);
    r->takers = t->rows < LIVE_TAKERS ? t->rows : LIVE_TAKERS;
    memcpy(r->taker, t->row, r->takers * sizeof(*t->row));
    for (unsigned k = 0; k < r->takers; k++) { /* of one that has ended nothing is known, and an ordinary one assumed */
        const int policy = sched_getscheduler(r->taker[k].pid);
        r->taker[k].policy = policy < 0 ? SCHED_OTHER : policy;
        r->taker[k].nice = policy < 0 ? 0 : getpriority(PRIO_PROCESS, (id_t)r->taker[k].pid);
    }
}

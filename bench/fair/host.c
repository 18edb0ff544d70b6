#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "bench/fair/fair.h"
#include "vmm/base/thread.h"
#include "vmm/machine/lab.h"

#define DEBUG_DIR "/sys/kernel/debug/sched/"
/* Defaults of sched/fair.c. They are those of one CPU, and grow with the logarithm of SCHEDULER_CPUS at most. */
#define BASE_SLICE_NS  750000u  /* EEVDF's slice, and CFS's shortest one */
#define LATENCY_NS     6000000u /* CFS: everyone runs once in so long */
#define SCHEDULER_CPUS 8u
#define EEVDF_SINCE    606 /* Linux 6.6 */
#define STAT_LINE      512

/* The coarse clock goes on at each tick of the kernel. */
uint64_t fair_tick_ns(void)
{
    struct timespec t;
    return clock_getres(CLOCK_MONOTONIC_COARSE, &t) ? 4000000 : (uint64_t)t.tv_nsec;
}

static bool read_number(const char *path, uint64_t *out)
{
    unsigned long long n;
    FILE *f = fopen(path, "re");
    const bool is_read = f && fscanf(f, "%llu", &n) == 1;
    if (f) (void)fclose(f);
    if (is_read) *out = n;
    return is_read;
}

static unsigned kernel_version(void)
{
    struct utsname u;
    unsigned major = 0, minor = 0;
    if (uname(&u) || sscanf(u.release, "%u.%u", &major, &minor) != 2) return 0;
    return major * 100 + minor;
}

uint64_t fair_slice_ns(int tid, unsigned n, char source[100])
{
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    const unsigned cpus = online > 0 && online < SCHEDULER_CPUS ? (unsigned)online : SCHEDULER_CPUS;
    const uint64_t factor = 1 + (31 - (unsigned)__builtin_clz(cpus));
    uint64_t slice = thread_slice_ns(tid), latency = LATENCY_NS * factor, least = BASE_SLICE_NS * factor;

    if (slice) {
        (void)snprintf(source, 100, "sched_getattr");
        return slice;
    }
    if (read_number(DEBUG_DIR "base_slice_ns", &slice)) {
        (void)snprintf(source, 100, "base_slice_ns");
        return slice;
    }
    if (kernel_version() >= EEVDF_SINCE) {
        (void)snprintf(source, 100, "assumed: EEVDF's default for %u CPUs", cpus);
        return least;
    }
    const bool is_read =
        read_number(DEBUG_DIR "latency_ns", &latency) && read_number(DEBUG_DIR "min_granularity_ns", &least);
    (void)snprintf(source, 100, "%s: CFS, latency %.3g ms over %u", is_read ? "debugfs" : "assumed",
                   (double)latency / 1e6, n);
    slice = latency / (n ? n : 1);
    return slice > least ? slice : least;
}

/* proc_stat(5) has user, nice, system, idle, iowait, irq, softirq and steal in ticks of sysconf(_SC_CLK_TCK). Guests'
 * time is a part of user. In the sum's line, "cpu  860 ...", blanks stand where a CPU has its number; scanf would skip
 * them and take a count for it. */
bool fair_cpu_line(const char *line, unsigned *cpu, struct fair_cpu_time *out)
{
    const uint64_t unit = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);
    unsigned long long v[8];
    if (strncmp(line, "cpu", 3) != 0 || line[3] < '0' || line[3] > '9') return false;
    if (sscanf(line + 3, "%u %llu %llu %llu %llu %llu %llu %llu %llu", cpu, &v[0], &v[1], &v[2], &v[3], &v[4], &v[5],
               &v[6], &v[7]) != 9)
        return false;
    *out = (struct fair_cpu_time){.busy = (v[0] + v[1] + v[2] + v[5] + v[6]) * unit,
                                  .idle = (v[3] + v[4]) * unit,
                                  .steal = v[7] * unit,
                                  .irq = (v[5] + v[6]) * unit};
    return true;
}

int fair_cpu_time(const struct fair_plan *p, struct fair_cpu_time *out)
{
    FILE *f = fopen("/proc/stat", "re");
    char line[STAT_LINE];

    *out = (struct fair_cpu_time){0};
    if (!f) return -errno;
    while (fgets(line, sizeof(line), f)) {
        unsigned cpu;
        struct fair_cpu_time one;
        if (!fair_cpu_line(line, &cpu, &one)) continue;
        for (unsigned i = 0; i < p->cpu_count; i++) {
            if (p->cpu[i] != cpu) continue;
            out->busy += one.busy;
            out->idle += one.idle;
            out->steal += one.steal;
            out->irq += one.irq;
        }
    }
    (void)fclose(f);
    return 0;
}

static bool is_v2(const char *path)
{
    struct statfs fs;
    return statfs(path, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

/* Lines are "ID:CONTROLLERS:PATH" (cgroups(7)). That of version 2 has the id 0 and no controllers. */
bool fair_cgroup_find(char *out, unsigned size, char why[FAIR_TEXT])
{
    FILE *f = fopen("/proc/self/cgroup", "re");
    char line[PATH_MAX];

    *out = '\0';
    while (f && fgets(line, sizeof(line), f)) {
        char *path = line;
        bool is_cpu = false;
        line[strcspn(line, "\n")] = '\0';
        const char *id = strsep(&path, ":");
        char *controllers = strsep(&path, ":");
        if (!path) continue;
        for (const char *word; (word = strsep(&controllers, ",")) != NULL;) is_cpu |= strcmp(word, "cpu") == 0;
        if (is_cpu)
            (void)snprintf(out, size, "/sys/fs/cgroup/cpu%s", path);
        else if (strcmp(id, "0") == 0 && !*out && is_v2("/sys/fs/cgroup"))
            (void)snprintf(out, size, "/sys/fs/cgroup%s", path);
    }
    if (f) (void)fclose(f);
    if (*out && access(out, W_OK) == 0) return true;
    if (*out)
        (void)snprintf(why, FAIR_TEXT, "no cgroup control: %.200s: %s; name a writable one with cgroup=PATH", out,
                       strerrordesc_np(errno));
    else
        (void)snprintf(why, FAIR_TEXT,
                       "no cgroup control: no cpu controller below /sys/fs/cgroup; mount it, or name a "
                       "directory that has it with cgroup=PATH");
    return false;
}

/* sched/core.c: each step of nice has a quarter more or less than the one before, rounded. */
double fair_nice_weight(int nice)
{
    static const unsigned below[] = {1024, 820, 655, 526, 423, 335, 272, 215, 172, 137,
                                     110,  87,  70,  56,  45,  36,  29,  23,  18,  15};
    const int last = (int)(sizeof(below) / sizeof(below[0])) - 1;
    return below[nice < 0 ? 0 : nice > last ? last : nice] / 1024.0;
}

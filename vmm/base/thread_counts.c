#include "vmm/base/thread_counts.h"

#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vmm/base/clock.h"
#include "vmm/base/fd.h"

#define FILE_MAX_BYTES 4096 /* `status` and `sched` have some 1,500 bytes on Linux 6 */

void thread_files_init(struct thread_files *f)
{
    for (unsigned i = 0; i < THREAD_FILES; i++) atomic_init(&f->fd[i], -1);
}

void thread_files_close(struct thread_files *f)
{
    for (unsigned i = 0; i < THREAD_FILES; i++) {
        const int fd = atomic_exchange(&f->fd[i], -1);
        if (fd >= 0) close(fd);
    }
}

/* The descriptor of a file, which stays open. Of two who open it at the same time the second takes the first one's. */
static int file_of(struct thread_files *f, unsigned which, pid_t tid)
{
    static const char *const names[THREAD_FILES] = {[THREAD_FILE_SCHEDSTAT] = "schedstat",
                                                    [THREAD_FILE_STAT] = "stat",
                                                    [THREAD_FILE_SCHED] = "sched",
                                                    [THREAD_FILE_STATUS] = "status"};
    char path[64];
    int there = atomic_load(&f->fd[which]);
    if (there >= 0) return there;
    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/%s", tid, names[which]);
    const int fd = fd_own(open(path, O_RDONLY | O_CLOEXEC));
    if (fd < 0 || atomic_compare_exchange_strong(&f->fd[which], &there, fd)) return fd;
    close(fd);
    return there;
}

/* tid 0: only if the file is open. false: there is no such file, or the thread has ended. */
static bool read_file(struct thread_files *f, unsigned which, pid_t tid, char text[FILE_MAX_BYTES])
{
    const int fd = tid ? file_of(f, which, tid) : atomic_load(&f->fd[which]);
    const ssize_t n = fd < 0 ? -1 : pread(fd, text, FILE_MAX_BYTES - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* The number in a line that begins with this name, blanks and a colon behind it. */
static uint64_t number_of(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    if (!at) return THREAD_UNTOLD;
    at += strlen(name);
    at += strspn(at, " \t:");
    return *at >= '0' && *at <= '9' ? strtoull(at, NULL, 10) : THREAD_UNTOLD;
}

/* `sched` has all three, where the kernel has that file. */
void thread_count_switches(struct thread_files *f, pid_t tid, struct thread_counts *out)
{
    char text[FILE_MAX_BYTES];
    memset(out, 0xff, sizeof(*out)); /* THREAD_UNTOLD and -1 */
    if (read_file(f, THREAD_FILE_SCHED, tid, text)) {
        out->migrations = number_of(text, "\nse.nr_migrations");
        out->voluntary = number_of(text, "\nnr_voluntary_switches");
        out->involuntary = number_of(text, "\nnr_involuntary_switches");
        return;
    }
    if (!read_file(f, THREAD_FILE_STATUS, tid, text)) return;
    out->voluntary = number_of(text, "\nvoluntary_ctxt_switches");
    out->involuntary = number_of(text, "\nnonvoluntary_ctxt_switches");
}

/* proc_pid_stat(5). The second field, the name, may hold anything, so the others are counted from its end. */
static void count_stat(struct thread_files *f, pid_t tid, struct thread_counts *out)
{
    enum { STIME = 15, PROCESSOR = 39, GUEST_TIME = 43 };
    const uint64_t tick_ns = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);
    char text[FILE_MAX_BYTES];
    if (!read_file(f, THREAD_FILE_STAT, tid, text)) return;
    const char *at = strrchr(text, ')');
    for (unsigned field = 3; at && field <= GUEST_TIME; field++) {
        at = strchr(at + 1, ' ');
        if (!at) return;
        if (field == STIME) out->kernel_ns = strtoull(at, NULL, 10) * tick_ns;
        if (field == PROCESSOR) out->cpu = (int)strtoull(at, NULL, 10);
        if (field == GUEST_TIME) out->guest_ns = strtoull(at, NULL, 10) * tick_ns;
    }
}

static void count_files(struct thread_files *f, pid_t tid, struct thread_counts *out)
{
    char text[FILE_MAX_BYTES], *rest;
    thread_count_switches(f, tid, out);
    if (read_file(f, THREAD_FILE_SCHEDSTAT, tid, text)) {
        (void)strtoull(text, &rest, 10); /* time on a CPU as of the last tick: the clock has it as of now */
        out->run_delay_ns = strtoull(rest, NULL, 10);
    }
    count_stat(f, tid, out);
}

void thread_counts(struct thread_files *f, pid_t tid, struct thread_counts *out)
{
    const uint64_t cpu_ns = tid ? clock_ns(clock_of_thread(tid)) : 0;
    memset(out, 0xff, sizeof(*out));
    if (!cpu_ns) return;
    count_files(f, tid, out);
    out->cpu_ns = cpu_ns;
}

void thread_counts_last(struct thread_files *f, struct thread_counts *out)
{
    struct rusage used;
    count_files(f, 0, out);
    out->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    out->cpu = sched_getcpu();
    if (getrusage(RUSAGE_THREAD, &used) < 0) return;
    out->voluntary = (uint64_t)used.ru_nvcsw;
    out->involuntary = (uint64_t)used.ru_nivcsw;
    out->kernel_ns = (uint64_t)used.ru_stime.tv_sec * 1000000000u + (uint64_t)used.ru_stime.tv_usec * 1000u;
}

/* What /proc says of a process or a thread, as far as it matters here (proc_pid_stat(5)). Any thread. */
#ifndef VIREO_BENCH_LIVE_PROC_H
#define VIREO_BENCH_LIVE_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROC_STAT_MAX 1024 /* of a stat file: 52 numbers and a name are less */

struct proc_stat {
    pid_t id;
    char name[16]; /* as the kernel has it, at most 15 bytes of anything */
    char state;    /* R: it runs or waits for a CPU */
    pid_t parent;
    uint64_t ran_ns, reaped_ns; /* user and kernel time, to 10 ms: its own; of children that it has waited for */
    uint64_t began;             /* in ticks since the host booted */
    unsigned threads;
    int cpu; /* that it is, or was last, on */
};

/* false: it is not one. The name may hold blanks and brackets. */
bool proc_stat_parse(const char *text, struct proc_stat *out);
bool proc_stat_read(const char *path, struct proc_stat *out); /* false: it has ended */
/* From the file's beginning, up to size - 1 bytes and a NUL. false: nothing, as of a thread that has ended. */
bool proc_read_again(int fd, char *out, size_t size);

#endif

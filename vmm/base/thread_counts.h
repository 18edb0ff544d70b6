/* What the kernel has counted of a thread of this process since it began: the scheduler's figures, from the thread's
 * files in /proc (proc(5)) and its CPU clock. Any thread; several may look at one thread at the same time. */
#ifndef VIREO_BASE_THREAD_COUNTS_H
#define VIREO_BASE_THREAD_COUNTS_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#define THREAD_UNTOLD UINT64_MAX /* this kernel does not tell, or there is no /proc */

struct thread_counts {
    uint64_t cpu_ns;       /* on a CPU */
    uint64_t run_delay_ns; /* ready and without one; a wait that goes on is counted when it ends */
    uint64_t voluntary;    /* how often it left its CPU because it waited, */
    uint64_t involuntary;  /* and because another was put in its place */
    uint64_t migrations;   /* how often it was moved to another CPU */
    /* Of cpu_ns, sampled by the timer's tick in most kernels, so that only seconds of it mean something. */
    uint64_t guest_ns;  /* in a guest */
    uint64_t kernel_ns; /* in the kernel */
    int cpu;            /* where it runs or last ran; -1: not told */
};

/* The files, each opened by the first look and kept: opening costs more than reading. */
enum { THREAD_FILE_SCHEDSTAT, THREAD_FILE_STAT, THREAD_FILE_SCHED, THREAD_FILE_STATUS, THREAD_FILES };
struct thread_files {
    atomic_int fd[THREAD_FILES]; /* -1: not open */
};
void thread_files_init(struct thread_files *f);
void thread_files_close(struct thread_files *f); /* after the last look; legal twice */

/* tid 0 or of a thread that has ended: all is untold. f is of this thread alone. */
void thread_counts(struct thread_files *f, pid_t tid, struct thread_counts *out);
/* Of the calling thread, which is about to end. It opens no file: what only a file tells is untold unless somebody has
 * looked before. */
void thread_counts_last(struct thread_files *f, struct thread_counts *out);
/* As thread_counts, of its switches and migrations alone: one system call. */
void thread_count_switches(struct thread_files *f, pid_t tid, struct thread_counts *out);

#endif

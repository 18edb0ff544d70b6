/* Threads: how each of ours is made, and what the kernel's scheduler tells of one and may be told. Any thread. */
#ifndef VIREO_BASE_THREAD_H
#define VIREO_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Bytes. The deepest that one goes is somebody's log function with a buffer and printf below it, or a handler that
 * explains an error: a tenth. arm64 refuses less than 128 KiB (PTHREAD_STACK_MIN), and pages count when touched. */
#define THREAD_STACK (256u << 10)

/* What a thread is made with. A filter of its system calls, when it gets one, is one more member. */
struct thread_start {
    const char *name; /* as ps -L shows it, at most 15 characters; NULL: it takes one itself */
    int signal;       /* the one signal of the process that it takes; 0: none */
    void *(*fn)(void *arg);
    void *arg;
};

/* The only place that makes threads. A thread takes none of the process's signals, which are for whoever waits for
 * them, but the one that was named: so no call of it ends early, and a write to a closed pipe comes back as EPIPE. Only
 * a fault of its own reaches the handler that the program may have for it. out NULL: nobody will join it. 0; or -errno,
 * and *out is untouched. */
int thread_make(pthread_t *out, const struct thread_start *start);

/* A patient thread lets the thread that runs on a CPU go on when it wakes up there itself, and waits until that one
 * waits or its time is up (SCHED_BATCH, sched(7)). Both are for the calling thread. thread_be_patient changes only one
 * of SCHED_OTHER, and then returns true: somebody chose any other policy. Threads that it makes meanwhile are patient
 * too. thread_be_ordinary undoes it. */
bool thread_be_patient(void);
void thread_be_ordinary(void);

/* ---- of any thread of this process, by the id that gettid(2) gives ---- */

/* The time slice that it has of its own, ns; 0: the kernel's, which Linux 6.12 and later tell, or not told. */
uint64_t thread_slice_ns(pid_t tid);
/* 0: back to the kernel's. Before Linux 6.12 nothing comes of it. are_children_ordinary: threads that it makes have
 * none of this. 0 or -errno. */
int thread_set_slice_ns(pid_t tid, uint64_t slice_ns, bool are_children_ordinary);

#endif

/* Threads of our own: how each of them is made. Any thread. */
#ifndef VIREO_BASE_THREAD_H
#define VIREO_BASE_THREAD_H

#include <pthread.h>

/* Bytes. The deepest that one goes is somebody's log function with a buffer and printf below it, or a handler that
 * explains an error: a tenth. arm64 refuses less than 128 KiB (PTHREAD_STACK_MIN), and pages count when touched. */
#define THREAD_STACK (256u << 10)

/* It takes none of the process's signals, which are for whoever waits for them, but the one called but (0: none): so no
 * call of it ends early, and a write to a closed pipe comes back as EPIPE. name: as ps -L shows it, at most 15
 * characters; NULL: it takes one itself. 0; or -errno, and *out is untouched. */
int thread_make(pthread_t *out, const char *name, int but, void *(*fn)(void *arg), void *arg);

#endif

/* For programs that run inside a Vireo sandbox and know it: functions for the host to call, and the host's to be
 * called.
 *
 *   VIREO_EXPORT int64_t decode(const void *in, size_t in_size, void *out, size_t *out_size) { ... }
 *   int main(void) { warm_up(); vireo_guest_ready(); return 0; }
 *
 * All of it is in this header: a system call that Linux does not have. A plain static program with ordinary functions
 * needs none of it: with the key "call" it is ready when main returns 0. Outside of a sandbox these fail with ENOSYS.
 * C99 and later, C++; x86-64 and arm64. */
#ifndef VIREO_SANDBOX_GUEST_H
#define VIREO_SANDBOX_GUEST_H

#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

/* The function stays in the program, with its name, though nothing in the program calls it. */
#ifdef __cplusplus
#define VIREO_EXPORT extern "C" __attribute__((used, noinline))
#else
#define VIREO_EXPORT __attribute__((used, noinline))
#endif

#define VIREO_GUEST_CALL 0x76720002L /* the system call; its first argument: */
enum {
    VIREO_GUEST_READY,
    VIREO_GUEST_FIND,
    VIREO_GUEST_HOST,
    VIREO_GUEST_LOG,
    VIREO_GUEST_GENERATION,
    VIREO_GUEST_WHY
};

/* The program is ready: vireo_sandbox_run returns, and functions can be called. What follows it in main never runs. */
static inline void vireo_guest_ready(void)
{
    (void)syscall(VIREO_GUEST_CALL, VIREO_GUEST_READY);
}

/* The number of a function that the embedder registered (vireo_sandbox_config_add_host); -1: there is none. */
static inline long vireo_guest_find(const char *name)
{
    return syscall(VIREO_GUEST_CALL, VIREO_GUEST_FIND, name);
}

/* Call it. *out_size: how much it may answer, at most 1 MiB, and how much it did. What the host's function returned, or
 * -1 with errno. */
static inline long vireo_guest_host(long number, const void *in, size_t in_size, void *out, size_t *out_size)
{
    return syscall(VIREO_GUEST_CALL, VIREO_GUEST_HOST, number, in, in_size, out, out_size);
}

/* One line for the embedder's log, shorter than 1024 bytes. */
static inline void vireo_guest_log(const char *text)
{
    (void)syscall(VIREO_GUEST_CALL, VIREO_GUEST_LOG, text);
}

/* Why the program is about to exit, shorter than 128 bytes: the embedder reads it in vireo_sandbox_end.detail, if the
 * program exits in the same run or call. */
static inline void vireo_guest_why(const char *text)
{
    (void)syscall(VIREO_GUEST_CALL, VIREO_GUEST_WHY, text);
}

/* Another number after each reset, and in each clone. A program that keeps a random number generator of its own seeds
 * it anew from getrandom(2) when this has changed: getrandom is always the host's. */
static inline uint64_t vireo_guest_generation(void)
{
    return (uint64_t)syscall(VIREO_GUEST_CALL, VIREO_GUEST_GENERATION);
}

#endif

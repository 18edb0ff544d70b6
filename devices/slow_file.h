/* A file that is written by a thread of its own. A write to a file system that hangs (its server is gone, its disk
 * dies, too much is dirty) does not return, and no flag makes it: so whoever has something to write hands it over here
 * and goes on. What waits to be written lies in a bounded buffer.
 *
 * slow_file_put and slow_file_wait: any thread. create and close: one thread, and nobody calls anything after close. */
#ifndef VIREO_DEVICES_SLOW_FILE_H
#define VIREO_DEVICES_SLOW_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/err.h"

#define SLOW_FILE_BYTES (256u * 1024) /* what may wait: a few seconds of a chatty boot, and little beside a guest */

struct slow_file;

struct slow_file_params {
    int fd; /* a descriptor of the same file is kept; the caller's own stays the caller's */
    /* The file's size that no write may go beyond, 0: none. It is looked up before each write, so that there is room
     * again once somebody has cut the file. */
    uint64_t size_max;
    /* len bytes were not written: error is an errno, 0: size_max. The file's thread, or slow_file_close. Must not call
     * anything of this file. */
    void (*lost)(void *arg, uint64_t len, int error);
    void *arg;
};

/* 0 and the thread runs, with all signals blocked; or -errno with *e filled. */
int slow_file_create(struct slow_file **out, const struct slow_file_params *p, struct err *e);
/* How many of the bytes found room, from none to len. Never waits. */
size_t slow_file_put(struct slow_file *f, const uint8_t *bytes, size_t len);
/* Until there is room: true; or false once CLOCK_MONOTONIC is deadline_ns. */
bool slow_file_wait(struct slow_file *f, uint64_t deadline_ns);
/* Write what is left, until deadline_ns at most: what is not written by then is lost (ETIMEDOUT), and a write that
 * hangs is left to itself: its thread frees what it has when it comes back. NULL is legal. */
void slow_file_close(struct slow_file *f, uint64_t deadline_ns);

#endif

/* A file that is written by a thread of its own. A write to a file system that hangs (its server is gone, its disk
 * dies, too much is dirty) does not return, and no flag makes it: so whoever has something to write hands it over here
 * and goes on. What waits to be written lies in a bounded buffer.
 *
 * slow_file_put and slow_file_wait: any thread. create, start and close: one thread, and nobody calls anything after
 * close. */
#ifndef VIREO_DEVICES_BACKEND_SLOW_FILE_H
#define VIREO_DEVICES_BACKEND_SLOW_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/err.h"

#define SLOW_FILE_BYTES (256u * 1024) /* what may wait: a few seconds of a chatty boot, and little beside a guest */

struct slow_file;

struct slow_file_params {
    int fd;         /* a descriptor of the same file is kept; the caller's own stays the caller's */
    bool truncates; /* the file is emptied first, by the thread too: that may hang as well as a write */
    /* By how much a regular file may grow, 0: no bound. Its size is looked up before each write, so that there is room
     * again once somebody has cut the file. */
    uint64_t grow_max;
    /* len bytes were not written: error is an errno, 0: grow_max. The file's thread, or slow_file_close. Must not call
     * anything of this file. */
    void (*lost)(void *arg, uint64_t len, int error);
    void *arg;
};

/* Memory and descriptor: the file is left alone. 0 or -errno with *e filled, as below. */
int slow_file_create(struct slow_file **out, const struct slow_file_params *p, struct err *e);
/* The thread runs, with all signals blocked, and empties the file if it is to. Once. */
int slow_file_start(struct slow_file *f, struct err *e);
/* In a child of fork, where the thread is not: the descriptor is closed, and with it what it keeps locked. */
void slow_file_in_child(const struct slow_file *f);
/* How many of the bytes found room, from none to len. Never waits. */
size_t slow_file_put(struct slow_file *f, const uint8_t *bytes, size_t len);
/* Until there is room: true; or false once CLOCK_MONOTONIC is deadline_ns. */
bool slow_file_wait(struct slow_file *f, uint64_t deadline_ns);
/* Write what is left, until deadline_ns at most: what is not written by then is lost (ETIMEDOUT), and a write that
 * hangs is left to itself: its thread frees what it has when it comes back. NULL is legal. */
void slow_file_close(struct slow_file *f, uint64_t deadline_ns);

#endif

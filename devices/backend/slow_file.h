/* A file that is written by a thread of its own. A write to a file system that hangs (its server is gone, its disk
 * dies, too much is dirty) does not return, and no flag makes it. So whoever has something to write hands it over here
 * and goes on; it waits in a bounded buffer.
 *
 * slow_file_put and slow_file_wait: any thread. create, start and close: one thread; nothing is called after close. */
#ifndef VIREO_DEVICES_BACKEND_SLOW_FILE_H
#define VIREO_DEVICES_BACKEND_SLOW_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/err.h"

#define SLOW_FILE_BYTES (256u * 1024) /* what may wait: a few seconds of a chatty boot, and little beside a guest */

struct slow_file;

struct slow_file_params {
    int fd;         /* its descriptor is duplicated; the caller keeps his own */
    bool truncates; /* the thread empties the file first, which may hang as a write may */
    /* By how much a regular file may grow, 0: no bound. Its size is looked up before each write, so there is room again
     * once somebody has cut the file. */
    uint64_t grow_max;
    /* len bytes were not written; error is an errno, or 0 for grow_max. Called by the file's thread, or in
     * slow_file_close. It must not call anything of this file. */
    void (*lost)(void *arg, uint64_t len, int error);
    void *arg;
};

/* Takes memory and a descriptor; the file itself is left alone. 0 or -errno with *e filled, as below. */
int slow_file_create(struct slow_file **out, const struct slow_file_params *p, struct err *e);
/* Starts the thread, with all signals blocked, which empties the file if it is to. Once. */
int slow_file_start(struct slow_file *f, struct err *e);
/* In a child of fork, which does not have the thread: closes the descriptor, and with it the lock that it keeps. */
void slow_file_in_child(const struct slow_file *f);
/* Returns how many of the bytes found room, from none to len. Never waits. */
size_t slow_file_put(struct slow_file *f, const uint8_t *bytes, size_t len);
/* Waits until there is room: true; or until CLOCK_MONOTONIC is deadline_ns: false. */
bool slow_file_wait(struct slow_file *f, uint64_t deadline_ns);
/* Writes what is left, until deadline_ns at most. What is not written by then is lost (ETIMEDOUT). A write that hangs
 * is left to itself: its thread frees what it has when it comes back. NULL is legal. */
void slow_file_close(struct slow_file *f, uint64_t deadline_ns);

#endif

/* A file that is read by a thread of its own, as slow_file.h writes one: a read of a file system that hangs does not
 * return. One read at a time, and only of as many bytes as there is room for: what nobody asked for stays in the file.
 *
 * All functions: loop thread, or while none runs. */
#ifndef VIREO_DEVICES_BACKEND_SLOW_INPUT_H
#define VIREO_DEVICES_BACKEND_SLOW_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "vmm/base/err.h"

#define SLOW_INPUT_MAX 4096 /* bytes of one read */

struct slow_input;

/* ready is called by the file's thread when slow_input_read has something to return; it must not call anything here.
 * Takes memory and a descriptor of its own; nothing is read yet. 0 or -errno with *e filled, as below. */
int slow_input_create(struct slow_input **out, int fd, void (*ready)(void *arg), void *arg, struct err *e);
int slow_input_start(struct slow_input *s, struct err *e); /* the thread runs, with all signals blocked; once */
/* As read(2) but with -errno: the bytes of the read before, at most as many as that one asked for, or -EAGAIN. After
 * -EAGAIN a read of len bytes (at most SLOW_INPUT_MAX) has begun, and ready tells when it ends. */
ssize_t slow_input_read(struct slow_input *s, uint8_t *buf, size_t len);
/* Returns at once: a thread that is in a read frees what it has when it comes back. NULL is legal. */
void slow_input_close(struct slow_input *s);

#endif

/* Between the threads of a VM and a log that may block: a line is copied into a queue of fixed size, and handed on by a
 * thread that is made when a line comes and ends when the queue is empty. So whoever logs waits for nobody, a VM that
 * logs nothing has no such thread, and a log that takes its time, or all of it, holds up lines and nothing else. Lines
 * that find the queue full are counted, and the count is told in their place.
 *
 * The callback is called by one thread at a time, in the order of the lines. Where no thread can be made (pids.max,
 * RLIMIT_NPROC) lines lie until one can, or until the control thread flushes. */
#ifndef VIREO_BASE_LOG_QUEUE_H
#define VIREO_BASE_LOG_QUEUE_H

#include <stddef.h>

#include "vmm/base/err.h"
#include "vmm/base/log.h"

#define LOG_QUEUE_LINES 32 /* every device's burst of a bad moment; more is a reader that is not there */

struct log_queue;

/* to.arg points to arg_size bytes, at most LOG_QUEUE_ARG_MAX, that are copied: a call may outlast their owner. */
#define LOG_QUEUE_ARG_MAX 64 /* a callback, its argument and a level, with room */
int log_queue_create(struct log_queue **out, const struct log *to, size_t arg_size, struct err *e);
/* Wait at most so long for what was logged, then leave the callback to itself: it keeps nothing of ours but the queue,
 * which its thread then frees. No line may come any more. NULL is legal. */
void log_queue_destroy(struct log_queue *q, int timeout_ms);

/* Where lines go in. Any thread; valid as long as the queue. */
const struct log *log_queue_log(struct log_queue *q);
/* From here on lines of the calling thread are handed on by itself, before it goes on, unless another is at it. One
 * thread at a time; off again with false. */
void log_queue_direct(struct log_queue *q, bool is_on);
/* What was logged until now is handed on, by the calling thread where no other is at it. Waits at most so long for one
 * that is. */
void log_queue_flush(struct log_queue *q, int timeout_ms);

#endif

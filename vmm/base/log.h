/* Log lines go to a callback and nowhere else: the library never prints.
 * The callback runs on whichever thread logs, so it must be thread-safe; it must not block either, as that thread may
 * be a vCPU's: log_queue.h stands between it and a callback that may. A NULL `struct log *` or fn is silence. */
#ifndef VIREO_BASE_LOG_H
#define VIREO_BASE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define LOG_LINE_MAX 1024 /* an err text and its context; longer lines are cut */

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

struct log {
    void (*fn)(void *arg, enum log_level level, const char *line); /* line: no newline, valid during the call */
    void *arg;
    enum log_level level; /* lines above it are dropped before they are formatted */
};

void log_write(const struct log *l, enum log_level level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* ---- lines that a guest, or a host that fails again and again, could make without end ----
 *
 * A bucket for each kind of line: so many at once, then one each time a token comes back. What is left out is counted
 * and told with the next line, or by log_rest. Kinds that different people cause have buckets of their own, so that a
 * guest can't spend what a failing disk needs. */
#define LOG_BURST     8                       /* enough to see a pattern */
#define LOG_REFILL_NS (10ull * 1000000000ull) /* a line of 100 bytes each: below 1 MB a day */

struct log_bucket {           /* zero to begin with; any thread */
    _Atomic uint64_t full_ns; /* when all its tokens will be there again */
    _Atomic uint64_t missed;  /* lines left out since the last one */
};
/* May a line be made now? true: *missed is how many were not since the last one. */
bool log_bucket_take(struct log_bucket *b, uint64_t now_ns, uint64_t *missed);
/* log_write, if the bucket allows it. */
void log_limited(const struct log *l, struct log_bucket *b, enum log_level level, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* At the end: say of whom ("disk 0") lines were left out that no later line told of. */
void log_rest(const struct log *l, struct log_bucket *b, enum log_level level, const char *who);

#endif

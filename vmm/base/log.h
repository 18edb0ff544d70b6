/* Log lines go to a callback and nowhere else: the library never prints.
 * The callback runs on whichever thread logs, so it must be thread-safe. A NULL `struct log *` or fn is silence. */
#ifndef VIREO_BASE_LOG_H
#define VIREO_BASE_LOG_H

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

struct log {
    void (*fn)(void *arg, enum log_level level, const char *line); /* line: no newline, valid during the call */
    void *arg;
    enum log_level level; /* lines above it are dropped before they are formatted */
};

void log_write(const struct log *l, enum log_level level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif

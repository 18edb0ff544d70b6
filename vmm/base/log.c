#include "vmm/base/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "vmm/base/clock.h"

#define LOG_MISSED_MAX 64 /* " (N more like it ...)" with a number of 20 digits */

static bool is_heard(const struct log *l, enum log_level level)
{
    return l && l->fn && level <= l->level;
}

void log_write(const struct log *l, enum log_level level, const char *fmt, ...)
{
    if (!is_heard(l, level)) return;
    char line[LOG_LINE_MAX];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    l->fn(l->arg, level, line);
}

/* Each line puts the time at which the bucket is full off by one refill; there is none left when that time is a whole
 * bucket away. */
bool log_bucket_take(struct log_bucket *b, uint64_t now_ns, uint64_t *missed)
{
    uint64_t full = atomic_load_explicit(&b->full_ns, memory_order_relaxed), next;
    do {
        next = (full > now_ns ? full : now_ns) + LOG_REFILL_NS;
        if (next - now_ns > LOG_BURST * LOG_REFILL_NS) {
            atomic_fetch_add_explicit(&b->missed, 1, memory_order_relaxed);
            return false;
        }
    } while (
        !atomic_compare_exchange_weak_explicit(&b->full_ns, &full, next, memory_order_relaxed, memory_order_relaxed));
    *missed = atomic_exchange_explicit(&b->missed, 0, memory_order_relaxed);
    return true;
}

void log_limited(const struct log *l, struct log_bucket *b, enum log_level level, const char *fmt, ...)
{
    uint64_t missed;
    if (!is_heard(l, level) || !log_bucket_take(b, now_ns(), &missed)) return;
    char line[LOG_LINE_MAX], more[LOG_MISSED_MAX] = "";
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof(line) - sizeof(more), fmt, ap);
    va_end(ap);
    if (missed) (void)snprintf(more, sizeof(more), " (%" PRIu64 " more like it not logged)", missed);
    log_write(l, level, "%s%s", line, more);
}

void log_rest(const struct log *l, struct log_bucket *b, enum log_level level, const char *who)
{
    const uint64_t missed = atomic_exchange_explicit(&b->missed, 0, memory_order_relaxed);
    if (missed) log_write(l, level, "%s: %" PRIu64 " more like those above not logged", who, missed);
}

#include "vmm/base/log.h"

#include <stdarg.h>
#include <stdio.h>

#define LOG_LINE_MAX 1024 /* an err text and its context; longer lines are cut */

void log_write(const struct log *l, enum log_level level, const char *fmt, ...)
{
    if (!l || !l->fn || level > l->level) return;
    char line[LOG_LINE_MAX];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    l->fn(l->arg, level, line);
}

#include "vmm/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/text.h"

/* Nobody's configuration, wherever it strikes. */
static bool is_out_of_something(int code)
{
    return code == -ENOMEM || code == -EMFILE || code == -ENFILE || code == -ENOBUFS;
}

const char *err_way_out(int code)
{
    if (code == -EMFILE) return "this process may open no more files: raise its limit (ulimit -n)";
    if (code == -ENFILE) return "this host has no more open files to give: raise its limit (sysctl fs.file-max)";
    return NULL;
}

/* What is quoted in an error may come from a guest or somebody's file, and is read on a terminal. */
static void blunt(char *text)
{
    text_blunt(text, strlen(text), "");
}

static void put(struct err *e, int code, const char *fmt, va_list ap)
{
    e->code = code;
    e->kind = is_out_of_something(code) ? ERR_HOST : ERR_CONFIG;
    e->hint[0] = '\0';
    const char *way_out = err_way_out(code);
    if (way_out) (void)snprintf(e->hint, sizeof(e->hint), "%s", way_out);
    (void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
    blunt(e->text);
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
    if (code == 0) code = -EINVAL;
    if (!e) return code;
    va_list ap;
    va_start(ap, fmt);
    put(e, code, fmt, ap);
    va_end(ap);
    return code;
}

int err_errno(struct err *e, const char *fmt, ...)
{
    const int saved = errno != 0 ? errno : EIO;
    if (!e) return -saved;
    va_list ap;
    va_start(ap, fmt);
    put(e, -saved, fmt, ap);
    va_end(ap);
    const size_t used = strlen(e->text);
    (void)snprintf(e->text + used, sizeof(e->text) - used, ": %s", strerrordesc_np(saved));
    return -saved;
}

int err_wrap(struct err *e, int rc, const char *fmt, ...)
{
    if (!e || rc == 0) return rc;
    char old[ERR_TEXT_MAX];
    memcpy(old, e->text, sizeof(old));
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
    va_end(ap);
    blunt(e->text);
    const size_t used = strlen(e->text);
    (void)snprintf(e->text + used, sizeof(e->text) - used, ": %s", old);
    return rc;
}

void err_hint(struct err *e, const char *fmt, ...)
{
    if (!e || e->hint[0] != '\0') return;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(e->hint, sizeof(e->hint), fmt, ap);
    va_end(ap);
    blunt(e->hint);
}

void err_as(struct err *e, enum err_kind kind)
{
    if (e && !is_out_of_something(e->code)) e->kind = kind;
}

int err_thread(struct err *e, int rc)
{
    err_as(e, ERR_HOST);
    if (rc == -EAGAIN)
        err_hint(e, "no more threads: raise pids.max of its cgroup or `ulimit -u`, or end other programs");
    return rc;
}

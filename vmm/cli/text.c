#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/text.h"
#include "vmm/cli/cli.h"

#define LINE_MAX_BYTES 1200 /* an error's sentence and the file it came from */
#define LOST_MAX_BYTES 80   /* the sentence that tells of lines nobody read, and a number */

/* Lines that standard error did not take and that no later line told of. Any thread. */
static atomic_uint lost_lines;

void say(const char *fmt, ...)
{
    static const char before[] = "vireo: ";
    char text[LOST_MAX_BYTES + LINE_MAX_BYTES] = "";
    va_list ap;
    const unsigned lost = atomic_exchange(&lost_lines, 0);
    if (lost) (void)snprintf(text, LOST_MAX_BYTES, "%slines lost here, as nobody read them: %u\n", before, lost);
    char *const line = text + strlen(text);
    memcpy(line, before, sizeof(before));
    va_start(ap, fmt);
    (void)vsnprintf(line + sizeof(before) - 1, LINE_MAX_BYTES - sizeof(before), fmt, ap);
    va_end(ap);
    text_blunt(line, strlen(line), "");
    const size_t len = strlen(text);
    text[len] = '\n';
    if (put_text(STDERR_FILENO, text, len + 1)) atomic_fetch_add(&lost_lines, lost + 1);
}

unsigned say_lost(void)
{
    return atomic_load(&lost_lines);
}

int say_error(const struct vireo_error *e)
{
    say("%s", e->text);
    if (e->hint[0]) say("%s", e->hint);
    return e->exit_status;
}

int bad_command(struct vireo_error *e, const char *fmt, ...)
{
    va_list ap;
    *e = (struct vireo_error){.code = -EINVAL, .exit_status = STATUS_BAD_COMMAND};
    va_start(ap, fmt);
    (void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
    va_end(ap);
    return e->code;
}

int bad_call(struct vireo_error *e, int error, const char *fmt, ...)
{
    static const struct {
        int error;
        const char *way_out;
    } lacks[] = {
        {EMFILE, "this process may open no more files: raise its limit (ulimit -n)"},
        {ENFILE, "this host has no more open files to give: raise its limit (sysctl fs.file-max)"},
        {ENOMEM, ""},
        {ENOBUFS, ""},
        /* A process or thread that can't be made. */
        {EAGAIN, "no more threads: raise pids.max of its cgroup or `ulimit -u`, or end other programs"},
    };
    va_list ap;
    *e = (struct vireo_error){.code = -EINVAL, .exit_status = STATUS_BAD_COMMAND};
    for (size_t i = 0; i < sizeof(lacks) / sizeof(lacks[0]); i++) {
        if (lacks[i].error != error) continue;
        *e = (struct vireo_error){.code = -error, .exit_status = STATUS_BAD_HOST};
        (void)snprintf(e->hint, sizeof(e->hint), "%s", lacks[i].way_out);
    }
    va_start(ap, fmt);
    (void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
    va_end(ap);
    const size_t used = strlen(e->text);
    (void)snprintf(e->text + used, sizeof(e->text) - used, ": %s", strerror(error));
    return e->code;
}

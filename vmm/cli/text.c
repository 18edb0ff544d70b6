#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "vmm/cli/cli.h"

#define LINE_MAX_BYTES 1200 /* an error's sentence and the file it came from */

/* Controls, the C1 ones in UTF-8 (U+0080 to U+009F) too. */
static void blunt(char *s)
{
    for (unsigned char *p = (unsigned char *)s; *p; p++) {
        if (*p < ' ' || *p == 0x7f) *p = '?';
        if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) p[0] = p[1] = '?';
    }
}

void say(const char *fmt, ...)
{
    static const char before[] = "vireo: ";
    char line[LINE_MAX_BYTES];
    va_list ap;
    memcpy(line, before, sizeof(before));
    va_start(ap, fmt);
    (void)vsnprintf(line + sizeof(before) - 1, sizeof(line) - sizeof(before), fmt, ap);
    va_end(ap);
    blunt(line);
    const size_t len = strlen(line);
    line[len] = '\n';
    const ssize_t n = write(STDERR_FILENO, line, len + 1); /* nowhere left to complain */
    (void)n;
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

int finish_output(FILE *f, const char *name, int status)
{
    errno = 0;
    bool is_good = !ferror(f ? f : stdout);
    if ((f ? fclose(f) : fflush(stdout)) != 0) is_good = false;
    if (is_good) return status;
    say("%s: could not be written%s%s", name, errno ? ": " : "", errno ? strerror(errno) : "");
    return STATUS_BAD_COMMAND;
}

void print_json_string(FILE *f, const char *s)
{
    fputc('"', f);
    for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
        if (*p == '"' || *p == '\\')
            fprintf(f, "\\%c", *p);
        else if (*p < ' ' || *p == 0x7f)
            fprintf(f, "\\u%04x", *p);
        else
            fputc(*p, f);
    }
    fputc('"', f);
}

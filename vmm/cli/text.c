#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "vmm/cli/cli.h"

#define LINE_MAX_BYTES 1200 /* an error's sentence and the file it came from */
#define LOST_MAX_BYTES 80   /* the sentence that tells of lines nobody read, and a number */

/* Lines that standard error did not take and that no later line told of. Any thread. */
static atomic_uint lost_lines;

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
    char text[LOST_MAX_BYTES + LINE_MAX_BYTES] = "";
    va_list ap;
    const unsigned lost = atomic_exchange(&lost_lines, 0);
    if (lost) (void)snprintf(text, LOST_MAX_BYTES, "%slines lost here, as nobody read them: %u\n", before, lost);
    char *const line = text + strlen(text);
    memcpy(line, before, sizeof(before));
    va_start(ap, fmt);
    (void)vsnprintf(line + sizeof(before) - 1, LINE_MAX_BYTES - sizeof(before), fmt, ap);
    va_end(ap);
    blunt(line);
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

/* Bytes of the UTF-8 character at p (RFC 3629, 4); 0: none. */
static unsigned utf8_bytes(const unsigned char *p)
{
    static const struct {
        unsigned char first, last, low, high; /* of the first byte, and of the second one after it */
        unsigned bytes;
    } forms[] = {
        {0x00, 0x7f, 0, 0xff, 1},    {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if (*p < forms[i].first || *p > forms[i].last) continue;
        if (forms[i].bytes > 1 && (p[1] < forms[i].low || p[1] > forms[i].high)) return 0;
        for (unsigned n = 2; n < forms[i].bytes; n++)
            if (p[n] < 0x80 || p[n] > 0xbf) return 0;
        return forms[i].bytes;
    }
    return 0;
}

/* A path may hold any bytes, and a long sentence may be cut inside a character: what is no UTF-8 becomes U+FFFD. */
void print_json_string(FILE *f, const char *s)
{
    fputc('"', f);
    for (const unsigned char *p = (const unsigned char *)s; *p;) {
        const unsigned bytes = utf8_bytes(p);
        if (*p == '"' || *p == '\\')
            fprintf(f, "\\%c", *p);
        else if (*p < ' ' || *p == 0x7f)
            fprintf(f, "\\u%04x", *p);
        else if (bytes == 0)
            fputs("\\ufffd", f);
        else
            fwrite(p, 1, bytes, f);
        p += bytes > 0 ? bytes : 1;
    }
    fputc('"', f);
}

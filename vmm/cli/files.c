/* Files that the user names: results that are read, output that is written. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/cli/cli.h"

/* ---- what is written ---- */

/* A pipe or a terminal whose reader has stopped is not waited for. Less than all tells stdio of a failure. */
static ssize_t write_bounded(void *cookie, const char *text, size_t len)
{
    const int rc = put_text((int)(intptr_t)cookie, text, len);
    errno = -rc;
    return rc ? 0 : (ssize_t)len;
}

static int close_output(void *cookie)
{
    return close((int)(intptr_t)cookie);
}

static FILE *stream_of(int fd)
{
    struct stat st;
    const cookie_io_functions_t bounded = {.write = write_bounded, .close = close_output};
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) return fdopen(fd, "w");
    return fopencookie((void *)(intptr_t)fd, "w", bounded); /* NOLINT(performance-no-int-to-ptr): a cookie */
}

void outputs_beside(struct outputs *o, const char *what, const char *path)
{
    if (path && o->count < OUTPUTS_MAX) o->file[o->count++] = (struct vireo_file){.what = what, .path = path};
}

void outputs_beside_config(struct outputs *o, const struct vireo_config *c)
{
    struct vireo_file f;
    for (unsigned i = 0; vireo_config_file(c, i, &f); i++) outputs_beside(o, f.what, f.path);
}

/* Where the shell has sent them, which a name such as /dev/stdout leads to as well. */
static void beside_standard_files(struct outputs *o)
{
    outputs_beside(o, "standard input", "/proc/self/fd/0");
    outputs_beside(o, "standard output", "/proc/self/fd/1");
    outputs_beside(o, "standard error", "/proc/self/fd/2");
}

int output_open_fd(struct outputs *o, const char *what, const char *path, struct vireo_error *e)
{
    if (!o->has_standard) beside_standard_files(o);
    o->has_standard = true;
    const int fd = vireo_output_open(what, path, o->file, o->count, e);
    if (fd >= 0) outputs_beside(o, what, path);
    return fd;
}

FILE *output_open(struct outputs *o, const char *what, const char *path, struct vireo_error *e)
{
    const int fd = output_open_fd(o, what, path, e);
    FILE *f = fd < 0 ? NULL : stream_of(fd);
    if (f || fd < 0) return f;
    bad_call(e, errno, "%s %.400s", what, path);
    close(fd);
    return NULL;
}

void output_empty(int fd)
{
    if (lseek(fd, 0, SEEK_SET) == 0) (void)!ftruncate(fd, 0); /* a pipe or terminal can't be rewound, nor needs it */
}

void output_write(void *file, const char *text, size_t len)
{
    FILE *f = file;
    if (f != stdout && f != stderr) output_empty(fileno(f));
    (void)fwrite(text, 1, len, f);
}

int output_close(int fd, const char *name, int status)
{
    return close(fd) < 0 ? put_failed(name, -errno) : status;
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

/* Files that the user names: results that are read, output that is written. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/cli/cli.h"

#define RESULT_MAX_BYTES ((off_t)64 << 20) /* as the library takes */

int result_read(struct vireo_result **out, const char *path, struct vireo_error *e)
{
    struct stat st;
    struct vireo_error inner;
    char *text = NULL;
    size_t len = 0;
    FILE *f = fopen(path, "re");
    if (!f) return bad_call(e, errno, "open %.400s", path);
    int rc = 0;
    if (fstat(fileno(f), &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > RESULT_MAX_BYTES)
        rc = bad_command(e, "%.400s: not a file of at most 64 MiB, as a result is", path);
    else if (!(text = malloc((size_t)st.st_size + 1)))
        rc = bad_call(e, ENOMEM, "%.400s", path);
    if (rc == 0) len = fread(text, 1, (size_t)st.st_size, f);
    if (rc == 0 && ferror(f)) rc = bad_command(e, "read %.400s: %s", path, strerror(errno));
    fclose(f);
    if (rc == 0 && vireo_result_load(out, text, len, &inner)) rc = bad_command(e, "%.200s: %.500s", path, inner.text);
    free(text);
    return rc;
}

FILE *output_open(const char *what, const char *path, int flags, struct vireo_error *e)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0666);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
    if (f) return f;
    bad_call(e, errno, "%s %.400s", what, path);
    if (fd >= 0) close(fd);
    return NULL;
}

int output_spares(const char *output, const char *input, struct vireo_error *e)
{
    struct stat out, in;
    if (!output || stat(output, &out) < 0 || stat(input, &in) < 0) return 0;
    if (!S_ISREG(out.st_mode) || out.st_dev != in.st_dev || out.st_ino != in.st_ino) return 0;
    return bad_command(e, "output %.400s: the result that is read, which would be lost; name another file", output);
}

void output_write(void *file, const char *text, size_t len)
{
    FILE *f = file;
    if (f != stdout && f != stderr) { /* a pipe or terminal can't be rewound, nor needs it */
        rewind(f);
        (void)!ftruncate(fileno(f), 0);
    }
    (void)fwrite(text, 1, len, f);
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

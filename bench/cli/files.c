/* What both commands do: results that the user names are read, errors of the benches said. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/cli/bench.h"

int say_err(int rc, const struct err *err)
{
    struct vireo_error e;
    return lib_error(&e, rc, err) ? say_error(&e) : 0;
}

FILE *open_to_read(const char *path, off_t *size)
{
    struct stat st;
    const int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC); /* a pipe must not make us wait */
    if (fd < 0) return NULL;
    const bool is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    FILE *f = is_file ? fdopen(fd, "r") : NULL;
    if (!is_file) errno = EINVAL;
    if (!f) close(fd);
    *size = is_file ? st.st_size : 0;
    return f;
}

int result_read(struct result **out, const char *path, struct vireo_error *e)
{
    struct err inner = {0};
    char *text = NULL;
    size_t len = 0;
    off_t size = 0;
    int rc = 0;
    FILE *f = open_to_read(path, &size);
    if (!f && errno != EINVAL) return bad_call(e, errno, "open %.400s", path);
    if (!f || size > RESULT_BYTES_MAX)
        rc = bad_command(e, "%.400s: not a file of at most %d MiB, as a result is", path, RESULT_BYTES_MAX >> 20);
    else if (!(text = malloc((size_t)size + 1)))
        rc = bad_call(e, ENOMEM, "%.400s", path);
    if (rc == 0) len = fread(text, 1, (size_t)size, f);
    if (rc == 0 && ferror(f)) rc = bad_command(e, "read %.400s: %s", path, strerror(errno));
    if (f) (void)fclose(f);
    if (rc == 0 && result_load(out, text, len, &inner)) rc = bad_command(e, "%.200s: %.500s", path, inner.text);
    free(text);
    return rc;
}

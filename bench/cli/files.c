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

int result_read(struct result **out, const char *path, struct vireo_error *e)
{
    struct stat st;
    struct err inner = {0};
    char *text = NULL;
    size_t len = 0;
    int rc = 0;
    const int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC); /* a pipe must not make us wait */
    FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
    if (!f) {
        rc = bad_call(e, errno, "open %.400s", path);
        if (fd >= 0) close(fd);
        return rc;
    }
    if (fstat(fileno(f), &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > RESULT_BYTES_MAX)
        rc = bad_command(e, "%.400s: not a file of at most %d MiB, as a result is", path, RESULT_BYTES_MAX >> 20);
    else if (!(text = malloc((size_t)st.st_size + 1)))
        rc = bad_call(e, ENOMEM, "%.400s", path);
    if (rc == 0) len = fread(text, 1, (size_t)st.st_size, f);
    if (rc == 0 && ferror(f)) rc = bad_command(e, "read %.400s: %s", path, strerror(errno));
    fclose(f);
    if (rc == 0 && result_load(out, text, len, &inner)) rc = bad_command(e, "%.200s: %.500s", path, inner.text);
    free(text);
    return rc;
}

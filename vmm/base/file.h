/* Files that a user names. Whatever lies at a path, it neither makes the program wait for ever nor is it taken for
 * something else, and no output is a file that is read, that is written otherwise, or that somebody has locked.
 *
 * Every path is opened with O_NONBLOCK and looked at by fstat. Any thread. */
#ifndef VIREO_BASE_FILE_H
#define VIREO_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "vmm/base/err.h"

/* The other end of a pipe is waited for so long, and then each further piece: a generator in `--config <(...)` or a
 * reader that is started in the same line of a script is there in time, a slip is told while its author still looks. */
#define FILE_WAIT_MS 10000

/* One of a program's files, as it is spoken of: {"disk 0", "root.img"}. path NULL: none. */
struct file_name {
    const char *what, *path;
    bool is_output;
};

struct file_output {
    const char *what, *path;
    mode_t mode;                    /* of a file that is made */
    const struct file_name *others; /* none of them may be the same file */
    unsigned count;
};

/* The whole of a file, a device or a pipe, at most max bytes and a NUL behind them; the caller's to free. -EFBIG:
 * there is more. The sentence does not name the path. */
int file_read(char **text, size_t *len, const char *path, size_t max, struct err *e);

/* Open a file to write to, or make it. What it holds stays: truncating is the caller's, once all else is known to be
 * well. A file, a terminal or another character device, or a pipe that somebody reads. The descriptor is non-blocking:
 * file_write. On failure nothing is left that was not there. */
int file_open_output(int *fd, const struct file_output *o, struct err *e);
/* The same checks, with nothing made and nothing left open; a path with nothing behind it is good. */
int file_check_output(const struct file_output *o, struct err *e);

/* The same checks on what is open already. */
int file_check_fd(int fd, const struct file_output *o, struct err *e);
/* Lock a file that is open to be written, as long as this opening of it lasts; -EBUSY: somebody else has. Where there
 * are no locks it is not locked, and what is no file needs none. */
int file_lock(int fd, const struct file_output *o, struct err *e);

/* All of it, or -errno; -ETIMEDOUT: a pipe's reader has taken nothing for FILE_WAIT_MS. */
int file_write(int fd, const void *data, size_t len);

#endif

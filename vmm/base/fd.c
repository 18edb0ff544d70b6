#include "vmm/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int fd_own(int fd)
{
    if (fd < 0 || fd > STDERR_FILENO) return fd;
    const int own = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    const int error = errno;
    close(fd);
    errno = error;
    return own;
}

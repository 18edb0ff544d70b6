/* Descriptors that the program was started with.
 *
 * A shell's lock, a pipe whose reader waits for its end, a supervisor's socket: a monitor has no use for them, and a
 * guest that broke out of it would. What the user names, a tap by its number or a file as /dev/fd/N, was opened anew or
 * duplicated by then. All that is ours is close-on-exec; what came over exec(2) can't be. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "vmm/cli/run.h"

#define LOOKED_AT 1024 /* where there is no /proc: as many as a shell lets a program have */

static void close_if_inherited(int fd)
{
    const int flags = fd > STDERR_FILENO ? fcntl(fd, F_GETFD) : -1;
    if (flags >= 0 && (flags & FD_CLOEXEC) == 0) close(fd);
}

void run_close_inherited(void)
{
    DIR *d = opendir("/proc/self/fd");
    const struct dirent *entry;
    while (d && (entry = readdir(d)) != NULL)
        if (entry->d_name[0] != '.') close_if_inherited(atoi(entry->d_name));
    for (int fd = 0; !d && fd < LOOKED_AT; fd++) close_if_inherited(fd);
    if (d) closedir(d);
}

/* Descriptors that the program was started with.
 *
 * A shell's lock, a pipe whose reader waits for its end, a supervisor's socket: a monitor has no use for them, and a
 * guest that broke out of it would. What the user names, a tap by its number or a file as /dev/fd/N, was opened anew or
 * duplicated by then. All that is ours is close-on-exec; what came over exec(2) can't be. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/cli/run.h"

#define LOOKED_AT 1024 /* as many as a shell lets a program have; those above are listed by the kernel */

/* How many are open, as Linux 6.2 and later tell (proc(5)); 0: not told. A list of them takes the kernel an inode for
 * each, which is a twentieth of a small VM's whole start. */
static unsigned count_open(void)
{
    struct stat st;
    return stat("/proc/self/fd", &st) == 0 ? (unsigned)st.st_size : 0;
}

/* false: fd is not open. */
static bool close_if_inherited(int fd)
{
    const int flags = fcntl(fd, F_GETFD);
    if (flags >= 0 && (flags & FD_CLOEXEC) == 0 && fd > STDERR_FILENO) close(fd);
    return flags >= 0;
}

void run_close_inherited(void)
{
    const struct dirent *entry;
    const unsigned open = count_open();
    unsigned seen = 0;
    for (int fd = 0; fd < LOOKED_AT && seen < open; fd++) seen += close_if_inherited(fd);
    if (open > 0 && seen == open) return;
    DIR *d = opendir("/proc/self/fd");
    while (d && (entry = readdir(d)) != NULL)
        if (entry->d_name[0] != '.') (void)close_if_inherited(atoi(entry->d_name));
    for (int fd = 0; !d && fd < LOOKED_AT; fd++) (void)close_if_inherited(fd); /* there is no /proc */
    if (d) closedir(d);
}

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "vmm/cli/cli.h"

/* A signal that is ignored (nohup, a background job of a script) stays ignored; blocked it would still reach the fd. */
static bool is_ignored(int sig)
{
    struct sigaction sa;
    return sigaction(sig, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN;
}

int signals_catch(const int *list)
{
    sigset_t set;
    sigemptyset(&set);
    for (; *list; list++)
        if (!is_ignored(*list)) sigaddset(&set, *list);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) return -errno;
    const int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

int signals_read(int fd)
{
    struct signalfd_siginfo info;
    return read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info) ? (int)info.ssi_signo : 0;
}

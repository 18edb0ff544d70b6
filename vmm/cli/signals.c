#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "vmm/cli/cli.h"

int signals_ending(unsigned index)
{
    static const int list[] = {SIGINT,  SIGTERM, SIGHUP,    SIGQUIT, SIGUSR2, SIGALRM, SIGPIPE,
                               SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF, SIGIO,   SIGPWR,  SIGSTKFLT};
    const unsigned named = sizeof(list) / sizeof(list[0]);
    if (index < named) return list[index];
    const int real_time = SIGRTMIN + (int)(index - named);
    return real_time <= SIGRTMAX ? real_time : 0;
}

bool signals_is_ignored(int sig)
{
    struct sigaction sa;
    return sigaction(sig, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN;
}

/* The kernel sends these two to the writing thread in the name of its process (send_sig without a siginfo). */
bool signals_is_of_write(int sig, int from_pid)
{
    return (sig == SIGPIPE || sig == SIGXFSZ) && from_pid == getpid();
}

int signals_open(const sigset_t *set)
{
    if (sigprocmask(SIG_BLOCK, set, NULL) < 0) return -errno;
    const int fd = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

int signals_catch(const int *list)
{
    sigset_t set;
    int sig;
    sigemptyset(&set);
    for (unsigned i = 0; (sig = signals_ending(i)) != 0; i++) sigaddset(&set, sig);
    for (; *list; list++) sigaddset(&set, *list);
    return signals_open(&set);
}

int signals_read(int fd)
{
    struct signalfd_siginfo info;
    if (read(fd, &info, sizeof(info)) != (ssize_t)sizeof(info)) return 0;
    const int sig = (int)info.ssi_signo;
    /* One that is ignored (nohup, a background job of a script) stays ignored, but a blocked one reaches an fd. */
    return signals_is_of_write(sig, (int)info.ssi_pid) || signals_is_ignored(sig) ? 0 : sig;
}

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "vmm/cli/run.h"
#include "vmm/cli/term.h"

/* A signal that is ignored (nohup, a background job of a script) stays ignored; blocked it would still reach the fd. */
static bool is_ignored(int sig)
{
    struct sigaction sa;
    return sigaction(sig, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN;
}

int run_catch_signals(struct run_signals *s, bool has_terminal)
{
    static const int ending[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    sigset_t set;
    s->fd = -1;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(ending) / sizeof(ending[0]); i++)
        if (!is_ignored(ending[i])) sigaddset(&set, ending[i]);
    if (s->report && !is_ignored(SIGUSR1)) sigaddset(&set, SIGUSR1);
    if (has_terminal && !is_ignored(SIGTSTP)) sigaddset(&set, SIGTSTP);
    if (has_terminal) sigaddset(&set, SIGCONT);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) return -errno;
    s->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->fd < 0 ? -errno : 0;
}

/* Job control: the shell gets its terminal back while we are stopped, and we ours when we go on. Stopped by SIGSTOP
 * itself, since the SIGTSTP is blocked; on SIGCONT the call returns. */
static void stop_ourselves(void)
{
    term_leave();
    (void)kill(getpid(), SIGSTOP);
}

/* The ending signal that came, or 0. */
static int read_signal(const struct run_signals *s)
{
    struct signalfd_siginfo info;
    if (read(s->fd, &info, sizeof(info)) != (ssize_t)sizeof(info)) return 0;
    const int sig = (int)info.ssi_signo;
    if (sig == SIGUSR1)
        s->report(s->arg);
    else if (sig == SIGTSTP)
        stop_ourselves();
    else if (sig == SIGCONT)
        term_enter();
    else
        return sig;
    return 0;
}

int run_wait(const struct run_signals *s, struct vireo_vm *vm, struct vireo_control *control)
{
    struct pollfd fds[] = {{.fd = vireo_vm_event_fd(vm), .events = POLLIN},
                           {.fd = s->fd, .events = POLLIN},
                           {.fd = control ? vireo_control_fd(control) : -1, .events = POLLIN}};
    int ended_by = 0;
    for (;;) {
        if (poll(fds, 3, -1) < 0 && errno != EINTR) return ended_by; /* then the caller's wait blocks instead */
        if (fds[0].revents) return ended_by;
        if (fds[2].revents) vireo_control_serve(control);
        const int sig = fds[1].revents ? read_signal(s) : 0;
        if (sig == 0) continue;
        if (ended_by) { /* asked twice: whoever asks won't wait for a clean end */
            term_leave();
            _exit(STATUS_SIGNAL + sig);
        }
        ended_by = sig;
        vireo_vm_stop(vm);
    }
}

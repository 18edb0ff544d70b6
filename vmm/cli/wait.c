#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "vmm/base/urgency.h"
#include "vmm/cli/run.h"
#include "vmm/cli/term.h"

int run_catch_signals(struct run_signals *s, bool has_terminal)
{
    sigemptyset(&s->set);
    if (s->report && !signals_is_ignored(SIGUSR1)) sigaddset(&s->set, SIGUSR1);
    if (has_terminal && !signals_is_ignored(SIGTSTP)) sigaddset(&s->set, SIGTSTP);
    if (has_terminal && !signals_is_ignored(SIGCONT)) sigaddset(&s->set, SIGCONT);
    if (has_terminal) sigaddset(&s->set, SIGWINCH);
    s->fd = signals_open(&s->set);
    return s->fd < 0 ? s->fd : 0;
}

void run_release_signals(struct run_signals *s)
{
    if (s->fd < 0) return;
    close(s->fd);
    s->fd = -1;
    sigdelset(&s->set, SIGUSR1); /* stays blocked: there is nothing more to report */
    (void)sigprocmask(SIG_UNBLOCK, &s->set, NULL);
}

/* Job control: the shell gets its terminal back while we are stopped, and we ours when we go on. Stopped by SIGSTOP
 * itself, since the SIGTSTP is blocked; on SIGCONT the call returns. */
static void stop_ourselves(void)
{
    term_leave();
    (void)kill(getpid(), SIGSTOP);
}

/* Only the foreground hears SIGWINCH: a terminal that comes back may have another size too. */
static void tell_size(struct vireo_vm *vm)
{
    struct winsize w;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0) (void)vireo_vm_console_resize(vm, w.ws_col, w.ws_row);
}

static void go_on(struct vireo_vm *vm)
{
    term_enter();
    tell_size(vm);
}

static void take_signal(const struct run_signals *s, struct vireo_vm *vm)
{
    switch (signals_read(s->fd)) {
    case SIGUSR1: s->report(s->arg); break;
    case SIGTSTP: stop_ourselves(); break;
    case SIGCONT: go_on(vm); break;
    case SIGWINCH: tell_size(vm); break;
    default: break;
    }
}

/* The control socket is served beside vCPUs that may keep every CPU busy. */
static void serve(struct vireo_control *control, struct urgency *urgency)
{
    vireo_control_serve(control);
    urgency_renew(urgency);
}

static void wait_for_end(const struct run_signals *s, struct vireo_vm *vm, struct vireo_control *control,
                         struct urgency *urgency)
{
    struct pollfd fds[] = {{.fd = vireo_vm_event_fd(vm), .events = POLLIN},
                           {.fd = s->fd, .events = POLLIN},
                           {.fd = control ? vireo_control_fd(control) : -1, .events = POLLIN}};
    for (;;) {
        if (poll(fds, 3, term_watch_ms()) < 0 && errno != EINTR) return; /* then the caller's wait blocks instead */
        if (fds[0].revents) break;
        if (term_watch()) tell_size(vm);
        if (fds[2].revents) serve(control, urgency);
        if (fds[1].revents) take_signal(s, vm);
    }
    leave_sees_end();
}

int run_wait(const struct run_signals *s, struct vireo_vm *vm, struct vireo_control *control)
{
    struct urgency urgency = {0};
    if (control) urgency_renew(&urgency);
    leave_watches(vm);
    wait_for_end(s, vm, control, &urgency);
    urgency_end(&urgency);
    return leave_asked();
}

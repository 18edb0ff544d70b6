#include "vmm/cli/term.h"

#include <signal.h>
#include <stddef.h>
#include <termios.h>
#include <unistd.h>

/* The one mutable global of the program: a handler of a fatal signal has no other way to know. Written by the main
 * thread only, and before is_raw says that it may be read. */
static struct {
    struct termios saved;
    volatile sig_atomic_t is_saved, is_raw;
    void (*then)(int sig); /* what else a fault must not leave behind; NULL: nothing */
} term;

bool term_is_console(void)
{
    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

/* tcsetattr is async-signal-safe (POSIX.1-2017, 2.4.3). The handler was reset on entry, so raising again is fatal. */
static void on_fatal(int sig)
{
    term_leave();
    if (term.then) term.then(sig);
    (void)raise(sig);
}

void term_guard_faults(void (*then)(int sig))
{
    static const int fatal[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS, SIGTRAP};
    if (then) term.then = then;
    struct sigaction sa = {.sa_handler = on_fatal, .sa_flags = (int)SA_RESETHAND | SA_NODEFER};
    sigemptyset(&sa.sa_mask);
    for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++) (void)sigaction(fatal[i], &sa, NULL);
}

void term_enter(void)
{
    if (tcgetpgrp(STDIN_FILENO) != getpgrp()) return; /* a background job must not touch it */
    if (!term.is_saved) {
        if (tcgetattr(STDIN_FILENO, &term.saved) < 0) return;
        term.is_saved = 1;
        term_guard_faults(NULL);
    }
    struct termios raw = term.saved;
    cfmakeraw(&raw);
    raw.c_oflag |= OPOST; /* our own lines, among the guest's, end with a newline alone */
    term.is_raw = 1;
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

void term_leave(void)
{
    if (!term.is_raw) return;
    term.is_raw = 0;
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &term.saved); /* draining could wait for a Ctrl-Q for ever */
}

/* A terminal belongs to one job of its session at a time, and only the shell says to which. It tells a job that goes on
 * after a stop (SIGCONT), and nobody when `fg` brings a running job to the front. So whoever wants raw mode and does
 * not have the terminal looks again now and then, and whoever has lost it leaves its settings alone: they are another
 * job's. */
#include "vmm/cli/term.h"

#include <signal.h>
#include <stddef.h>
#include <termios.h>
#include <unistd.h>

#define WATCH_MS 500 /* what someone who types `fg` waits at most; a look costs one system call */

/* The one mutable global of the program: a handler of a fatal signal has no other way to know. Written by the main
 * thread only, and before is_raw says that it may be read. */
static struct {
    struct termios saved;
    volatile sig_atomic_t is_saved, is_raw;
    void (*then)(int sig); /* what else a fault must not leave behind; NULL: nothing */
    bool is_wanted;        /* raw mode, as soon as the terminal is ours */
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

/* Async-signal-safe, as both calls are. */
static bool is_ours(void)
{
    return tcgetpgrp(STDIN_FILENO) == getpgrp();
}

static void make_raw(void)
{
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

void term_enter(void)
{
    term.is_wanted = tcgetpgrp(STDIN_FILENO) >= 0; /* of another session: nobody ever gives it to us */
    if (is_ours())
        make_raw();
    else
        term.is_raw = 0;
}

void term_demand(void)
{
    struct termios as_it_is;
    if (tcgetattr(STDIN_FILENO, &as_it_is) == 0) (void)tcsetattr(STDIN_FILENO, TCSANOW, &as_it_is);
}

bool term_watch(void)
{
    if (!term.is_wanted) return false;
    const bool was_raw = term.is_raw, can = is_ours();
    if (!can) term.is_raw = 0;
    if (can && !was_raw) make_raw();
    return can && !was_raw;
}

int term_watch_ms(void)
{
    return term.is_wanted && !term.is_raw ? WATCH_MS : -1;
}

void term_leave(void)
{
    term.is_wanted = false;
    if (!term.is_raw) return;
    term.is_raw = 0;
    if (!is_ours()) return;                              /* SIGTTOU would stop us */
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &term.saved); /* draining could wait for a Ctrl-Q for ever */
}

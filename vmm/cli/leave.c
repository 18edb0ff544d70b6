/* Every way out of `vireo run` but its last return: a second signal, a fault, a host that keeps us. Whatever must not
 * stay behind is undone first: the terminal's mode, the control socket, an empty report. All of it by calls that a
 * signal handler may make (signal-safety(7)).
 *
 * A signal asks once, and the run then ends as it should: while it waits for the VM by run_wait, before and after that
 * by a handler that takes a note. Whoever asks again, or has waited LEAVE_S for what should take milliseconds, gets
 * out. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "vmm/cli/run.h"
#include "vmm/cli/term.h"

#define LEAVE_S        2   /* creating or destroying a VM of this host's whole memory takes less when nothing hangs */
#define JSON_MAX_BYTES 512 /* the sentences below, a name and three numbers */

/* The program's second piece of mutable global state, for the same reason as the terminal's: a handler has no other way
 * to know. Written by the main thread, and by a handler on it. */
static struct {
    volatile sig_atomic_t asked;     /* the signal that asked first; 0: none */
    volatile sig_atomic_t is_urgent; /* time is over: SIGALRM is not a request but the end */
    volatile sig_atomic_t status;    /* -1: how it went is not known */
    volatile sig_atomic_t json_fd;   /* -1: no report is owed */
    volatile sig_atomic_t has_socket, starts_line;
    volatile uint64_t asked_ns;
    const char *volatile name;
    char socket[PATH_MAX];
    sigset_t guarded;
} leave = {.status = -1, .json_fd = -1};

struct json {
    char text[JSON_MAX_BYTES];
    size_t len;
};

static void append(struct json *j, const char *s)
{
    while (*s && j->len < sizeof(j->text)) j->text[j->len++] = *s++;
}

static void append_number(struct json *j, unsigned n)
{
    char digits[12], *at = digits + sizeof(digits) - 1;
    *at = '\0';
    do *--at = (char)('0' + n % 10);
    while ((n /= 10) != 0);
    append(j, at);
}

static void write_json(int sig, int status)
{
    struct json j = {.len = 0};
    const char *short_name = sigabbrev_np(sig);
    append(&j,
           leave.starts_line ? "\n{\"reason\": \"stopped\", \"status\": " : "{\"reason\": \"stopped\", \"status\": ");
    append_number(&j, (unsigned)status);
    if (leave.name && leave.name[0]) append(&j, ", \"name\": \""), append(&j, leave.name), append(&j, "\"");
    append(&j, ", \"signal\": ");
    append_number(&j, (unsigned)sig);
    append(&j, ", \"detail\": \"ended at once by signal ");
    append_number(&j, (unsigned)sig);
    if (short_name) append(&j, " (SIG"), append(&j, short_name), append(&j, ")");
    append(&j, ": what the guest had come to is not known\"}\n");
    (void)put_text(leave.json_fd, j.text, j.len);
}

/* sig: on account of which we go. */
static void clean_up(int sig)
{
    const int status = leave.status >= 0 ? leave.status : STATUS_SIGNAL + sig;
    term_leave();
    if (leave.json_fd >= 0) write_json(sig, status);
    leave.json_fd = -1;
    if (leave.has_socket) (void)unlink(leave.socket);
    leave.has_socket = false;
}

void leave_now(int sig)
{
    const int status = leave.status >= 0 ? leave.status : STATUS_SIGNAL + sig;
    clean_up(sig);
    _exit(status);
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
    const int error = errno;
    (void)context;
    if (sig == SIGALRM && leave.is_urgent) leave_now(leave.asked ? leave.asked : SIGALRM);
    if (!signals_is_of_write(sig, info->si_pid)) {
        if (leave_is_second(sig)) leave_now(sig);
        leave_hurry();
    }
    errno = error;
}

bool leave_is_second(int sig)
{
    if (leave.asked == 0) {
        leave.asked = sig;
        leave.asked_ns = now_ns();
        return false;
    }
    return leave.asked != sig || now_ns() - leave.asked_ns >= ECHO_NS;
}

int leave_asked(void)
{
    return leave.asked;
}

void leave_hurry(void)
{
    leave.is_urgent = true;
    (void)alarm(LEAVE_S);
}

void leave_relax(void)
{
    (void)alarm(0);
    leave.is_urgent = false;
}

static void guard(int sig)
{
    struct sigaction old;
    const struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    if (sigaction(sig, &sa, &old) < 0) return;
    if (old.sa_handler == SIG_DFL)
        sigaddset(&leave.guarded, sig);
    else
        (void)sigaction(sig, &old, NULL); /* ignored by whoever started us: that stays */
}

/* Before there is something to report, and after that, it is no reason to die: what comes early is read later. Blocked
 * and not handled, so that it interrupts no system call of the library's. */
static void hold(int sig)
{
    sigset_t set;
    if (signals_is_ignored(sig)) return;
    sigemptyset(&set);
    sigaddset(&set, sig);
    sigaddset(&leave.guarded, sig);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
}

void leave_guard(void)
{
    int sig;
    sigemptyset(&leave.guarded);
    for (unsigned i = 0; (sig = signals_ending(i)) != 0; i++) guard(sig);
    hold(SIGUSR1);
    term_guard_faults(clean_up);
}

const sigset_t *leave_guarded(void)
{
    return &leave.guarded;
}

void leave_owes_json(int fd, bool starts_line)
{
    leave.starts_line = starts_line;
    leave.json_fd = fd;
}

void leave_owes_socket(const char *path)
{
    leave.has_socket = false;
    if (!path || strlen(path) >= sizeof(leave.socket)) return;
    memcpy(leave.socket, path, strlen(path) + 1);
    leave.has_socket = true;
}

void leave_knows(const char *name, int status)
{
    leave.name = name;
    leave.status = status;
}

/* The terminal is given back, and signals end a VM: with a pseudo-terminal of our own and a VM that is an eventfd. */
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vmm/cli/leave.c"
#include "vmm/cli/put.c"
#include "vmm/cli/signals.c"
#include "vmm/cli/term.c"
#include "vmm/cli/wait.c"

#define CHILD_LIMIT_S 20 /* a child that hangs is ended by SIGALRM and fails its test */

/* The VM: ends when its eventfd is written. */
static int vm_fd = -1;
static struct vireo_vm *the_vm = (struct vireo_vm *)&vm_fd; /* only passed around */
static bool vm_is_stubborn;                                 /* does not end when asked */
static int again;                                           /* ... but has this signal sent */
static uint64_t wait_ns;                                    /* ... after that time */

int vireo_vm_event_fd(const struct vireo_vm *vm)
{
    (void)vm;
    return vm_fd;
}

void vireo_vm_stop(struct vireo_vm *vm)
{
    (void)vm;
    if (!vm_is_stubborn) {
        assert_int_equal(eventfd_write(vm_fd, 1), 0);
        return;
    }
    for (uint64_t begin = now_ns(); now_ns() - begin < wait_ns;) (void)usleep(1000);
    assert_int_equal(kill(getpid(), again), 0); /* the user asks again, but not at once */
}

/* The guest ends when its terminal has this size. */
#define END_COLS 99
#define END_ROWS 33

int vireo_vm_console_resize(struct vireo_vm *vm, unsigned cols, unsigned rows)
{
    (void)vm;
    if (cols == END_COLS && rows == END_ROWS) assert_int_equal(eventfd_write(vm_fd, 1), 0);
    return 0;
}

int vireo_vm_wait(struct vireo_vm *vm, int timeout_ms, struct vireo_end *out)
{
    (void)vm;
    (void)timeout_ms;
    *out = (struct vireo_end){.name = "timeout", .status = 124};
    return 0;
}

int vireo_control_fd(const struct vireo_control *c)
{
    (void)c;
    return -1;
}

void vireo_control_serve(struct vireo_control *c)
{
    (void)c;
}

void say(const char *fmt, ...)
{
    (void)fmt;
}

static bool is_raw(int fd)
{
    struct termios t;
    assert_int_equal(tcgetattr(fd, &t), 0);
    return !(t.c_lflag & (ICANON | ECHO | ISIG));
}

/* Run body in a child whose controlling terminal is ours. Returns waitpid's status; *after: the terminal's state. */
static int in_terminal(void (*body)(int ready), bool *was_raw, bool *is_raw_after)
{
    int master, ready[2];
    assert_int_equal(pipe(ready), 0);
    const pid_t pid = forkpty(&master, NULL, NULL, NULL);
    assert_true(pid >= 0);
    if (pid == 0) {
        const struct rlimit no_core = {0};
        (void)setrlimit(RLIMIT_CORE, &no_core);
        (void)alarm(CHILD_LIMIT_S);
        body(ready[1]);
        _exit(0);
    }
    close(ready[1]);
    char c;
    *was_raw = read(ready[0], &c, 1) == 1 && c == 'r';
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    *is_raw_after = is_raw(master); /* a pty's two ends share one setting */
    close(ready[0]);
    close(master);
    return status;
}

static void tell(int ready)
{
    const char c = is_raw(STDIN_FILENO) ? 'r' : 'c';
    if (write(ready, &c, 1) != 1) _exit(99);
}

static void enter_and_leave(int ready)
{
    term_enter();
    tell(ready);
    term_leave();
    term_leave();
}

static void enter_and_abort(int ready)
{
    term_enter();
    tell(ready);
    abort();
}

static void enter_and_fault(int ready)
{
    term_enter();
    tell(ready);
    (void)kill(getpid(), SIGSEGV);
}

static void enter_in_background(int ready)
{
    if (setpgid(0, 0) < 0 && errno != EPERM) _exit(98); /* a session's leader can't leave; its child can */
    const pid_t pid = fork();
    if (pid == 0) {
        (void)setpgid(0, 0);
        term_enter();
        tell(ready);
        _exit(term.is_raw);
    }
    int status;
    (void)waitpid(pid, &status, 0);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 97);
}

static void terminal_is_given_back_on_every_way_out(void **state)
{
    (void)state;
    static const struct {
        void (*body)(int ready);
        int signal;
    } rows[] = {{enter_and_leave, 0}, {enter_and_abort, SIGABRT}, {enter_and_fault, SIGSEGV}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        bool was_raw, is_raw_after;
        const int status = in_terminal(rows[i].body, &was_raw, &is_raw_after);
        assert_true(was_raw);
        assert_false(is_raw_after);
        /* A sanitizer has a handler of its own and turns the second fault into an exit. */
        if (rows[i].signal == 0)
            assert_int_equal(status, 0);
        else
            assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == rows[i].signal : WEXITSTATUS(status) != 0);
    }
}

static void background_job_leaves_the_terminal_alone(void **state)
{
    (void)state;
    bool was_raw, is_raw_after;
    const int status = in_terminal(enter_in_background, &was_raw, &is_raw_after);
    assert_int_equal(status, 0);
    assert_false(was_raw);
    assert_false(is_raw_after);
}

static void run_in_terminal(int ready)
{
    struct run_signals s = {.fd = -1};
    vm_fd = eventfd(0, 0);
    if (leave_guard()) _exit(106);
    if (run_catch_signals(&s, true) != 0) _exit(96);
    term_enter();
    tell(ready);
    _exit(run_wait(&s, the_vm, NULL));
}

/* Bounded: a terminal that never changes fails the test. */
static bool becomes_raw(int fd)
{
    for (unsigned i = 0; i < 1000 * CHILD_LIMIT_S && !is_raw(fd); i++) (void)usleep(1000);
    return is_raw(fd);
}

static void stopped_job_gives_the_terminal_back_and_takes_it_again(void **state)
{
    (void)state;
    int master, status, ready[2];
    char c;
    assert_int_equal(pipe(ready), 0);
    const pid_t pid = forkpty(&master, NULL, NULL, NULL);
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)alarm(CHILD_LIMIT_S);
        run_in_terminal(ready[1]);
    }
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_true(is_raw(master));
    assert_int_equal(kill(pid, SIGTSTP), 0);
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    assert_false(is_raw(master));
    assert_int_equal(kill(pid, SIGCONT), 0);
    assert_true(becomes_raw(master));
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == SIGTERM);
    close(master);
    close(ready[0]);
    close(ready[1]);
}

static void a_resized_terminal_is_told_to_the_vm(void **state)
{
    (void)state;
    const struct winsize w = {.ws_col = END_COLS, .ws_row = END_ROWS};
    int master, status, ready[2];
    char c;
    assert_int_equal(pipe(ready), 0);
    const pid_t pid = forkpty(&master, NULL, NULL, NULL);
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)alarm(CHILD_LIMIT_S);
        run_in_terminal(ready[1]);
    }
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_int_equal(ioctl(master, TIOCSWINSZ, &w), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(master);
    close(ready[0]);
    close(ready[1]);
}

/* In a child, so that blocked signals and handlers end with it. */
static int in_child(void (*body)(void))
{
    int status;
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)alarm(CHILD_LIMIT_S);
        body();
        _exit(100);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static struct run_signals caught(void)
{
    struct run_signals s = {.fd = -1};
    vm_fd = eventfd(0, 0);
    if (leave_guard()) _exit(106);
    if (vm_fd < 0 || run_catch_signals(&s, false) != 0) _exit(101);
    return s;
}

static void end_by_itself(void)
{
    const struct run_signals s = caught();
    if (eventfd_write(vm_fd, 1) < 0) _exit(102);
    _exit(run_wait(&s, the_vm, NULL));
}

static void end_by_term(void)
{
    const struct run_signals s = caught();
    (void)kill(getpid(), SIGTERM);
    _exit(run_wait(&s, the_vm, NULL));
}

static void end_by_hup_while_ignored(void)
{
    (void)signal(SIGHUP, SIG_IGN);
    const struct run_signals s = caught();
    (void)kill(getpid(), SIGHUP);
    (void)kill(getpid(), SIGQUIT);
    _exit(run_wait(&s, the_vm, NULL));
}

static void ask_twice(void)
{
    vm_is_stubborn = true;
    again = SIGINT;
    wait_ns = 2 * ECHO_NS;
    const struct run_signals s = caught();
    (void)kill(getpid(), SIGTERM);
    (void)run_wait(&s, the_vm, NULL);
}

/* As timeout(1) does it, the same signal to the process and to its group, or systemd, SIGTERM and SIGHUP. Then it is
 * not asked again. */
static void hear_an_echo(void)
{
    vm_is_stubborn = true;
    again = SIGHUP;
    const struct run_signals s = caught();
    (void)kill(getpid(), SIGTERM);
    (void)alarm(1); /* still waiting then, and that is the second signal */
    (void)run_wait(&s, the_vm, NULL);
}

static void signals_end_the_vm_from_the_waiting_thread(void **state)
{
    (void)state;
    assert_int_equal(in_child(end_by_itself), 0);
    assert_int_equal(in_child(end_by_term), SIGTERM);
    assert_int_equal(in_child(end_by_hup_while_ignored), SIGQUIT);
    assert_int_equal(in_child(ask_twice), STATUS_SIGNAL + SIGINT);
    assert_int_equal(in_child(hear_an_echo), STATUS_SIGNAL + SIGALRM);
}

static int ending; /* what a child sends itself */

static void end_by_any(void)
{
    const struct run_signals s = caught();
    (void)kill(getpid(), ending);
    _exit(run_wait(&s, the_vm, NULL));
}

static void fail_to_write(void)
{
    int ends[2];
    const struct run_signals s = caught();
    if (pipe(ends) < 0 || close(ends[0]) < 0) _exit(103);
    if (put_text(ends[1], "x", 1) != -EPIPE) _exit(104);
    if (eventfd_write(vm_fd, 1) < 0) _exit(102);
    _exit(run_wait(&s, the_vm, NULL));
}

static void every_signal_that_can_end_the_process_ends_the_vm(void **state)
{
    (void)state;
    unsigned i;
    const int some = SIGRTMIN + 8; /* they are one range, and QEMU's user emulation keeps its end for itself */
    for (i = 0; (ending = signals_ending(i)) != 0; i++) {
        if (ending == SIGPIPE || ending == SIGXFSZ) continue; /* from oneself they are a write that failed */
        if (ending > some) continue;
        assert_int_equal(in_child(end_by_any), ending);
    }
    assert_true(i > 40);
    assert_int_equal(in_child(fail_to_write), 0);
}

static void await(int sig)
{
    while (leave_asked() != sig) (void)usleep(1000);
}

/* Before the VM is there and after it has gone nobody waits for it. */
static void ask_before_and_again(void)
{
    if (leave_guard()) _exit(106);
    (void)kill(getpid(), SIGTERM);
    await(SIGTERM);
    (void)kill(getpid(), SIGHUP); /* an echo */
    (void)usleep(2 * ECHO_NS / 1000);
    (void)kill(getpid(), SIGQUIT);
    for (;;) (void)pause();
}

static void ask_after_the_end(void)
{
    struct run_signals s = caught();
    if (eventfd_write(vm_fd, 1) < 0 || run_wait(&s, the_vm, NULL) != 0) _exit(102);
    leave_watches(NULL);
    (void)kill(getpid(), SIGTERM);
    (void)kill(getpid(), SIGUSR1);
    await(SIGTERM);
    run_release_signals(&s);
    leave_knows(NULL, NULL, 7);
    (void)usleep(2 * ECHO_NS / 1000);
    (void)kill(getpid(), SIGINT);
    for (;;) (void)pause();
}

static void hang_in(const char *output, int status)
{
    const struct run_signals s = caught();
    if (eventfd_write(vm_fd, 1) < 0 || run_wait(&s, the_vm, NULL) != 0) _exit(102);
    leave_knows(NULL, "poweroff", status);
    leave_hurry();
    leave_writes(output);
    for (;;) (void)pause();
}
static void hang_in_a_report(void)
{
    hang_in("stats", 0);
}
static void hang_in_taking_apart(void)
{
    hang_in(NULL, 5);
}

static void take_too_long_to_end(void)
{
    if (leave_guard()) _exit(106);
    leave_knows(NULL, NULL, 7);
    leave_hurry();
    for (;;) (void)pause();
}

static void signals_are_heard_before_and_after_too(void **state)
{
    (void)state;
    assert_int_equal(in_child(ask_before_and_again), STATUS_SIGNAL + SIGQUIT);
    assert_int_equal(in_child(ask_after_the_end), 7);
    assert_int_equal(in_child(take_too_long_to_end), 7);
    assert_int_equal(in_child(hang_in_a_report), STATUS_BAD_COMMAND);
    assert_int_equal(in_child(hang_in_taking_apart), 5);
}

static void leave_in_a_hurry(void)
{
    char path[] = "/tmp/vireo-test-XXXXXX";
    if (leave_guard()) _exit(106);
    leave_owes_json(STDOUT_FILENO, false);
    leave_knows("web", NULL, -1);
    (void)close(mkstemp(path));
    leave_owes_socket(path);
    (void)kill(getpid(), SIGTERM);
    await(SIGTERM);
    clean_up_fault(SIGRTMIN);
    _exit(access(path, F_OK) == 0);
}

/* The directory was cleaned, and another VM of that name runs. */
static void leave_when_replaced(void)
{
    char path[] = "/tmp/vireo-test-XXXXXX", other[64];
    if (leave_guard()) _exit(106);
    (void)close(mkstemp(path));
    leave_owes_socket(path);
    (void)snprintf(other, sizeof(other), "%s.new", path);
    (void)close(open(other, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    if (rename(other, path) < 0) _exit(107);
    clean_up_fault(SIGTERM);
    _exit(unlink(path) < 0);
}

static void the_socket_of_another_vm_stays(void **state)
{
    (void)state;
    assert_int_equal(in_child(leave_when_replaced), 0);
}

static void whoever_leaves_at_once_leaves_nothing_behind(void **state)
{
    (void)state;
    int ends[2];
    char text[JSON_MAX_BYTES] = "";
    assert_int_equal(pipe(ends), 0);
    const int out = dup(STDOUT_FILENO);
    assert_int_equal(dup2(ends[1], STDOUT_FILENO), STDOUT_FILENO);
    const int status = in_child(leave_in_a_hurry);
    assert_int_equal(dup2(out, STDOUT_FILENO), STDOUT_FILENO);
    assert_int_equal(status, 0);
    assert_true(read(ends[0], text, sizeof(text) - 1) > 0);
    assert_string_equal(
        text, "{\"reason\": \"stopped\", \"status\": 162, \"name\": \"web\", \"signal\": 34, \"detail\": \"ended "
              "at once by signal 34: what the guest had come to is not known\"}\n");
    close(out);
    close(ends[0]);
    close(ends[1]);
}

UNIT_MAIN(UNIT(terminal_is_given_back_on_every_way_out), UNIT(background_job_leaves_the_terminal_alone),
          UNIT(stopped_job_gives_the_terminal_back_and_takes_it_again), UNIT(a_resized_terminal_is_told_to_the_vm),
          UNIT(signals_end_the_vm_from_the_waiting_thread), UNIT(every_signal_that_can_end_the_process_ends_the_vm),
          UNIT(signals_are_heard_before_and_after_too), UNIT(whoever_leaves_at_once_leaves_nothing_behind),
          UNIT(the_socket_of_another_vm_stays))

/* Every way out of `vireo run` but its last return: a second signal, a fault, a host that keeps us. Whatever must not
 * stay behind is undone first: the terminal's mode, the control socket, an empty report.
 *
 * A thread of its own hears the signals and keeps the time, since the main thread may hang in any file operation, and
 * in one on a dead network no handler of a signal runs either. It touches no file itself: what is to be written before
 * we go is written by one more thread, which is waited for FAREWELL_S. It waits by poll() and a timer of its own and
 * not by vmm/base/loop.h: it must get us out when the loop is what hangs.
 *
 * A signal asks once, and the run then ends as it should. Whoever asks again, or has waited LEAVE_S for what should
 * take milliseconds, gets out. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/concat.h"
#include "vmm/base/json_out.h"
#include "vmm/base/text.h"
#include "vmm/base/thread.h"
#include "vmm/cli/run.h"
#include "vmm/cli/term.h"

#define LEAVE_S        2 /* creating or destroying a VM of this host's whole memory takes less when nothing hangs */
#define WRITE_S        3 /* more than put_text waits for a reader that takes a little now and then */
#define FAREWELL_S     1 /* for the few bytes that are written last */
#define NS_PER_S       1000000000ull
#define SENTENCE_MAX   256  /* one of the sentences below */
#define JSON_MAX_BYTES 1024 /* the same with escapes, a name and three numbers */

/* The program's second piece of mutable global state, for the same reason as the terminal's: a handler of a fault has
 * no other way to know. Under the lock, which leave_now never gives back, so that nobody writes after it. Handlers of
 * faults read without it. */
static struct {
    pthread_mutex_t lock;
    atomic_int asked; /* the signal that asked first; 0: none */
    uint64_t asked_ns;
    struct vireo_vm *vm;  /* runs, and a signal stops it; NULL: none */
    bool has_ended;       /* the vm, and the clock has been started for that */
    bool is_urgent;       /* the clock runs */
    uint64_t deadline_ns; /* then it is over */
    uint64_t timer_ns;    /* when the timer wakes the thread that hears; 0: not at all. No later than the deadline */
    const char *writing;  /* the output that the main thread may hang in; NULL: none */
    const char *name, *reason;
    int status;  /* -1: how it went is not known */
    int json_fd; /* -1: no report is owed */
    bool starts_line;
    struct {
        int dir_fd; /* -1: there is no socket */
        dev_t dev;
        ino_t ino;
        char file[NAME_MAX + 1];
    } socket;
    int signal_fd, timer_fd;
} leave = {.lock = PTHREAD_MUTEX_INITIALIZER,
           .status = -1,
           .json_fd = -1,
           .socket.dir_fd = -1,
           .signal_fd = -1,
           .timer_fd = -1};

/* ---- what is written last ---- */

/* Why we go. sig 0: the time is over. */
struct farewell {
    int sig, status;
    const char *unwritten; /* the output that hangs; NULL: none */
    sem_t is_over;
};

static void describe(char sentence[SENTENCE_MAX], const struct farewell *f)
{
    const char *name = sigabbrev_np(f->sig);
    if (f->unwritten) {
        concat(sentence, SENTENCE_MAX, f->unwritten);
        concat(sentence, SENTENCE_MAX, ": could not be written: the file does not answer");
    } else if (f->sig) {
        concat(sentence, SENTENCE_MAX, "ended at once by signal ");
        concat_number(sentence, SENTENCE_MAX, (unsigned)f->sig);
        if (name) {
            concat(sentence, SENTENCE_MAX, " (SIG");
            concat(sentence, SENTENCE_MAX, name);
            concat(sentence, SENTENCE_MAX, ")");
        }
        concat(sentence, SENTENCE_MAX, ": what the guest had come to is not known");
    } else {
        concat(sentence, SENTENCE_MAX, "this host kept the program longer than it waits");
    }
}

/* By calls that a signal's handler may make (signal-safety(7)). */
static void write_json(const struct farewell *f)
{
    char text[JSON_MAX_BYTES] = "", sentence[SENTENCE_MAX] = "";
    struct text_buffer b = {.text = text, .size = sizeof(text)};
    struct json_out j = {.write = text_to_buffer, .arg = &b, .is_line = leave.starts_line};
    describe(sentence, f);
    json_put_object(&j, NULL);
    json_put_string(&j, "reason", leave.reason ? leave.reason : f->sig ? "stopped" : "error");
    json_put_int(&j, "status", f->status);
    if (leave.name && leave.name[0]) json_put_string(&j, "name", leave.name);
    if (f->sig) json_put_int(&j, "signal", f->sig);
    json_put_string(&j, "detail", sentence);
    json_put_end(&j);
    text_to_buffer(&b, "\n", 1);
    (void)put_text(leave.json_fd, b.text, b.len);
}

/* Only while it is the one that was made here: another VM of that name may have taken the place. */
static void remove_socket(void)
{
    struct stat st;
    const int dir_fd = leave.socket.dir_fd;
    if (dir_fd >= 0 && fstatat(dir_fd, leave.socket.file, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        st.st_dev == leave.socket.dev && st.st_ino == leave.socket.ino)
        (void)unlinkat(dir_fd, leave.socket.file, 0);
    leave.socket.dir_fd = -1;
}

static void clean_up(const struct farewell *f)
{
    remove_socket();
    if (leave.json_fd >= 0) write_json(f);
    leave.json_fd = -1;
}

/* Of a fault, in its handler: by calls that it may make (signal-safety(7)). */
static void clean_up_fault(int sig)
{
    const struct farewell f = {.sig = sig, .status = leave.status >= 0 ? leave.status : STATUS_SIGNAL + sig};
    clean_up(&f);
}

static void *say_farewell(void *arg)
{
    struct farewell *f = arg;
    clean_up(f);
    if (f->unwritten) say("%s: could not be written: the file does not answer", f->unwritten);
    (void)sem_post(&f->is_over);
    return NULL;
}

/* ---- the thread that hears ---- */

/* How the VM ended, where the main thread hangs before it could tell. */
static void learn_reason(void)
{
    static struct vireo_end end;
    if (!leave.vm || leave.reason || vireo_vm_wait(leave.vm, 0, &end) != 0) return;
    leave.reason = end.name;
    if (!leave.asked) leave.status = end.status;
}

/* A report that was asked for and can't be written is a status of its own, but who asks for the end gets that. */
static int status_of(int sig, const char *unwritten)
{
    if (unwritten && (leave.status >= 0 || leave.has_ended || !sig)) return STATUS_BAD_COMMAND;
    if (leave.status >= 0) return leave.status;
    return sig ? STATUS_SIGNAL + sig : STATUS_BAD_HOST;
}

/* With the lock, which stays taken. sig: who asked again; 0: the time is over. */
__attribute__((noreturn)) static void leave_now(int sig)
{
    static struct farewell f; /* its thread may outlive this call */
    struct timespec until;
    if (leave.has_ended) learn_reason();
    f.sig = sig ? sig : leave.asked;
    f.unwritten = sig ? NULL : leave.writing;
    f.status = status_of(f.sig, f.unwritten);
    term_leave();
    (void)sem_init(&f.is_over, 0, 0);
    if (clock_gettime(CLOCK_REALTIME, &until) == 0 &&
        thread_make(NULL, &(struct thread_start){.fn = say_farewell, .arg = &f}) == 0) {
        until.tv_sec += FAREWELL_S;
        while (sem_timedwait(&f.is_over, &until) < 0 && errno == EINTR) continue;
    }
    _exit(f.status);
}

/* With the lock: wake the thread that hears at this time, or earlier. */
static void wake_at(uint64_t ns)
{
    const struct itimerspec at = {.it_value = {(time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S)}};
    if (leave.timer_ns && leave.timer_ns <= ns) return;
    leave.timer_ns = ns;
    (void)timerfd_settime(leave.timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

/* With the lock. A deadline that is put off costs no system call: the thread wakes, looks, and waits for the rest. */
static void set_clock(unsigned seconds)
{
    leave.deadline_ns = now_ns() + seconds * NS_PER_S;
    leave.is_urgent = true;
    wake_at(leave.deadline_ns);
}

static void hear(int sig)
{
    if (leave.asked == 0) {
        leave.asked_ns = now_ns();
        leave.asked = sig;
        if (leave.vm)
            vireo_vm_stop(leave.vm); /* its end starts the clock */
        else if (!leave.is_urgent)
            set_clock(LEAVE_S);
    } else if (now_ns() - leave.asked_ns >= ECHO_NS) {
        leave_now(sig);
    }
}

static void watch_once(struct pollfd *fds)
{
    uint64_t count;
    if (fds[1].revents && read(leave.timer_fd, &count, sizeof(count)) > 0) leave.timer_ns = 0;
    const int sig = fds[0].revents ? signals_read(leave.signal_fd) : 0;
    if (sig) hear(sig);
    if (fds[2].revents && leave.vm && !leave.has_ended) {
        leave.has_ended = true;
        if (!leave.is_urgent) set_clock(leave.writing ? WRITE_S : LEAVE_S);
    }
    if (leave.is_urgent && now_ns() >= leave.deadline_ns) leave_now(0);
    if (leave.is_urgent) wake_at(leave.deadline_ns);
    fds[2].fd = leave.vm && !leave.has_ended ? vireo_vm_event_fd(leave.vm) : -1;
}

static void *watch(void *arg)
{
    struct pollfd fds[] = {{.fd = leave.signal_fd, .events = POLLIN},
                           {.fd = leave.timer_fd, .events = POLLIN},
                           {.fd = -1, .events = POLLIN}};
    (void)arg;
    for (;;) {
        if (poll(fds, 3, -1) < 0) continue;
        (void)pthread_mutex_lock(&leave.lock);
        watch_once(fds);
        (void)pthread_mutex_unlock(&leave.lock);
    }
    return NULL;
}

/* ---- what the main thread tells ---- */

int leave_guard(void)
{
    static const int none[] = {0};
    sigset_t usr1;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    if (!signals_is_ignored(SIGUSR1)) (void)sigprocmask(SIG_BLOCK, &usr1, NULL);
    term_guard_faults(clean_up_fault);
    leave.signal_fd = signals_catch(none);
    if (leave.signal_fd < 0) return leave.signal_fd;
    leave.timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (leave.timer_fd < 0) return -errno;
    return thread_make(NULL, &(struct thread_start){.fn = watch});
}

int leave_asked(void)
{
    return leave.asked;
}

void leave_hurry(void)
{
    (void)pthread_mutex_lock(&leave.lock);
    set_clock(LEAVE_S);
    (void)pthread_mutex_unlock(&leave.lock);
}

void leave_sees_end(void)
{
    (void)pthread_mutex_lock(&leave.lock);
    if (!leave.has_ended && !leave.is_urgent) set_clock(LEAVE_S);
    leave.has_ended = true;
    (void)pthread_mutex_unlock(&leave.lock);
}

void leave_relax(void)
{
    (void)pthread_mutex_lock(&leave.lock);
    if (leave.asked)
        set_clock(LEAVE_S);
    else
        leave.is_urgent = false;
    (void)pthread_mutex_unlock(&leave.lock);
}

void leave_writes(const char *output)
{
    (void)pthread_mutex_lock(&leave.lock);
    leave.writing = output;
    if (leave.is_urgent)
        set_clock(output ? WRITE_S : LEAVE_S);
    else if (output && leave.vm)
        wake_at(1); /* the main thread may not see the VM's end: the one that hears shall look out for it */
    (void)pthread_mutex_unlock(&leave.lock);
}

void leave_watches(struct vireo_vm *vm)
{
    (void)pthread_mutex_lock(&leave.lock);
    leave.vm = vm;
    if (vm) leave.is_urgent = false;
    if (vm && leave.asked) {
        vireo_vm_stop(vm);
        wake_at(1);
    }
    (void)pthread_mutex_unlock(&leave.lock);
}

void leave_owes_json(int fd, bool starts_line)
{
    (void)pthread_mutex_lock(&leave.lock);
    leave.starts_line = starts_line;
    leave.json_fd = fd;
    (void)pthread_mutex_unlock(&leave.lock);
}

void leave_owes_socket(const char *path)
{
    struct stat st;
    char dir[PATH_MAX];
    const char *slash = path ? strrchr(path, '/') : NULL;
    int dir_fd = -1;
    if (slash && strlen(path) < sizeof(dir) && strlen(slash + 1) < sizeof(leave.socket.file)) {
        memcpy(dir, path, (size_t)(slash + 1 - path));
        dir[slash + 1 - path] = '\0';
        dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (dir_fd >= 0 && fstatat(dir_fd, slash + 1, &st, AT_SYMLINK_NOFOLLOW) < 0) {
            close(dir_fd);
            dir_fd = -1;
        }
    }
    (void)pthread_mutex_lock(&leave.lock);
    const int old = leave.socket.dir_fd;
    leave.socket.dir_fd = -1; /* for a handler of a fault that comes in between */
    if (dir_fd >= 0) {
        leave.socket.dev = st.st_dev;
        leave.socket.ino = st.st_ino;
        memcpy(leave.socket.file, slash + 1, strlen(slash + 1) + 1);
        leave.socket.dir_fd = dir_fd;
    }
    (void)pthread_mutex_unlock(&leave.lock);
    if (old >= 0) close(old);
}

void leave_knows(const char *name, const char *reason, int status)
{
    (void)pthread_mutex_lock(&leave.lock);
    leave.name = name;
    leave.reason = reason;
    leave.status = status;
    (void)pthread_mutex_unlock(&leave.lock);
}

/* Workers and their watch. A worker is this program, or another version of it, run as `vireo bench KIND --worker`; its
 * lines go into the result as they come. KVM_RUN may hang where no signal ends it for seconds, so another process must
 * watch: it kills a worker that gives no result in the time it announced, and starts the next one for the items that
 * are left. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/cli/bench.h"

#define STATUS_SPOKEN  120   /* a vireo that ends with this or more has said why on our standard error */
#define GRACE_MS       2000  /* beyond what a worker announced, so that its own watch comes first */
#define SILENCE_MS     60000 /* most between two items; an emulated host takes long to describe its environment */
#define DEATH_MS       3000  /* how long to wait for a killed worker: a KVM_RUN of kvm_pvm was seen to take as long */
#define LINE_MAX_BYTES (16u << 20) /* as result_add takes */
#define READ_BYTES     (64u << 10)

struct worker {
    pid_t pid;
    int fd; /* its standard output; -1: closed */
    char *text;
    size_t len, room, scanned; /* bytes of text; scanned: so many at its beginning have no newline */
    unsigned lines;
    uint64_t deadline_ns;
    char begun[BENCH_ID_MAX]; /* the item that the deadline is for; "": none */
    bool is_started;          /* it wrote something */
};

/* ---- progress ---- */

void progress_clear(const struct bench_progress *p)
{
    if (p->is_shown) fputs("\r\033[K", stderr);
}

static void progress_show(const struct bench_progress *p, const char *item)
{
    if (!p->is_shown) return;
    const unsigned in_process = p->all / p->processes, at = p->done - p->process * in_process;
    fprintf(stderr, "\r\033[Kprocess %u of %u, %u of %u: %s", p->process + 1, p->processes, at + 1, in_process, item);
    if (p->done > 0) {
        const double spent = (double)(now_ns() - p->started_ns) / 1e9;
        fprintf(stderr, ", about %.0f s left", spent / p->done * (p->all - p->done));
    }
}

/* ---- start and end ---- */

/* Runs after fork, so it makes only calls that a signal handler may make. */
static void become_worker(const char *program, char *const *argv, int out, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGXFSZ, SIG_IGN); /* so that it says when it would write more than ulimit -f */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || dup2(out, STDOUT_FILENO) < 0) _exit(STATUS_BAD_HOST);
    (void)execv(program, argv);
    _exit(127);
}

static bool is_begun(const struct bench_order *o, const bool *begun)
{
    for (unsigned i = 0; i < o->items; i++)
        if (!begun[i]) return false;
    return true;
}

/* The items that are left, as "--rows=a,b". The caller's to free; NULL: no memory. */
static char *selection(const struct bench_order *o, const bool *begun)
{
    char *text = NULL;
    size_t len;
    const char *before = "=";
    FILE *f = open_memstream(&text, &len);
    if (!f) return NULL;
    fprintf(f, "--%s", o->kind->select);
    for (unsigned i = 0; i < o->items; i++) {
        if (begun[i]) continue;
        fprintf(f, "%s%s", before, o->item[i]);
        before = ",";
    }
    return fclose(f) == 0 ? text : NULL;
}

static int start(struct worker *w, const char *program, const struct bench_order *o, const bool *begun,
                 struct vireo_error *e)
{
    int out[2];
    char *items = selection(o, begun);
    char *argv[BENCH_WORDS_MAX + 6] = {"vireo", "bench", (char *)(uintptr_t)o->kind->name, "--worker", items};
    memcpy(argv + 5, o->word, o->words * sizeof(o->word[0]));
    *w = (struct worker){.pid = -1, .fd = -1, .deadline_ns = now_ns() + SILENCE_MS * 1000000ull};
    if (!items || pipe2(out, O_CLOEXEC) < 0) {
        free(items);
        return bad_call(e, errno, "start a worker");
    }
    const pid_t parent = getpid();
    w->pid = fork();
    if (w->pid == 0) become_worker(program, argv, out[1], parent);
    close(out[1]);
    w->fd = out[0];
    free(items);
    return w->pid < 0 ? bad_call(e, errno, "start a worker") : 0;
}

/* Wait for its end. false: it goes on, though it was killed or has closed its output, and nobody waits any longer. */
static bool reap(struct worker *w, int *status)
{
    const uint64_t until = now_ns() + DEATH_MS * 1000000ull;
    for (;;) {
        const pid_t got = waitpid(w->pid, status, WNOHANG);
        if (got == w->pid) return true;
        if (got < 0 && errno != EINTR) return false;
        if (now_ns() > until) return false;
        (void)poll(NULL, 0, 5);
    }
}

static bool put_down(struct worker *w)
{
    int status;
    (void)kill(w->pid, SIGKILL);
    return reap(w, &status);
}

static void finish(struct worker *w)
{
    if (w->fd >= 0) close(w->fd);
    free(w->text);
}

/* ---- its lines ---- */

static void note_pending(struct worker *w, const struct bench_watch *watch, const struct result *r, bool *begun)
{
    unsigned ms = SILENCE_MS;
    const char *item = result_pending(r, &ms);
    const uint64_t now = now_ns();
    if (!item) {
        w->begun[0] = '\0';
        w->deadline_ns = now + SILENCE_MS * 1000000ull;
        return;
    }
    if (strcmp(item, w->begun) == 0) return; /* it has its deadline already */
    (void)snprintf(w->begun, sizeof(w->begun), "%s", item);
    w->deadline_ns = now + ((uint64_t)ms + GRACE_MS) * 1000000u;
    for (unsigned i = 0; i < watch->order->items; i++) {
        if (begun[i] || strcmp(watch->order->item[i], item) != 0) continue;
        begun[i] = true;
        progress_show(watch->progress, item);
        watch->progress->done++;
    }
}

static int take_lines(struct worker *w, const struct bench_watch *watch, struct result *r, bool *begun,
                      struct vireo_error *e)
{
    if (!w->text) return 0;
    char *line = w->text, *from = line + w->scanned, *end;
    while ((end = memchr(from, '\n', w->len - (size_t)(from - w->text))) != NULL) {
        struct err inner = {0};
        w->lines++;
        if (result_add(r, line, (size_t)(end - line), &inner))
            return bad_command(e, "line %u of a worker: %.500s", w->lines, inner.text);
        note_pending(w, watch, r, begun);
        line = from = end + 1;
    }
    w->len -= (size_t)(line - w->text);
    w->scanned = w->len;
    memmove(w->text, line, w->len);
    return 0;
}

/* 1: read; 0: the end; <0: *e is filled. */
static int read_some(struct worker *w, struct vireo_error *e)
{
    if (w->room - w->len < READ_BYTES) {
        char *more = w->room < LINE_MAX_BYTES ? realloc(w->text, 2 * w->room + READ_BYTES) : NULL;
        if (!more) return bad_command(e, "a worker's line is too long");
        w->room = 2 * w->room + READ_BYTES;
        w->text = more;
    }
    const ssize_t n = read(w->fd, w->text + w->len, w->room - w->len);
    if (n < 0) return errno == EINTR ? 1 : bad_call(e, errno, "read from a worker");
    w->len += (size_t)n;
    w->is_started = w->is_started || n > 0;
    return n > 0;
}

/* ---- the watch ---- */

enum outcome { OUTCOME_ENDED, OUTCOME_LATE, OUTCOME_SIGNAL, OUTCOME_ERROR };

static enum outcome listen_to(struct worker *w, struct bench_watch *watch, struct result *r, bool *begun,
                              struct vireo_error *e)
{
    for (;;) {
        const uint64_t now = now_ns();
        if (now >= w->deadline_ns) return OUTCOME_LATE;
        struct pollfd fds[] = {{.fd = w->fd, .events = POLLIN}, {.fd = watch->signals, .events = POLLIN}};
        if (poll(fds, 2, (int)((w->deadline_ns - now) / 1000000u) + 1) < 0 && errno != EINTR) {
            bad_call(e, errno, "wait for a worker");
            return OUTCOME_ERROR;
        }
        if (fds[1].revents && (watch->signal = signals_read(watch->signals)) != 0) return OUTCOME_SIGNAL;
        if (!fds[0].revents) continue;
        const int rc = read_some(w, e);
        if (rc == 0) return OUTCOME_ENDED;
        if (rc < 0 || take_lines(w, watch, r, begun, e)) return OUTCOME_ERROR;
    }
}

static int give_up(struct result *r, const char *status, const char *why, struct vireo_error *e)
{
    struct err err = {0};
    return lib_error(e, result_give_up(r, status, why, &err), &err);
}

static int on_late(struct worker *w, struct result *r, struct vireo_error *e)
{
    unsigned ms = 0;
    char why[160];
    const bool has_item = result_pending(r, &ms) != NULL, is_gone = put_down(w);
    if (!has_item) return bad_command(e, "a worker said nothing for %u s: it was ended", SILENCE_MS / 1000);
    (void)snprintf(why, sizeof(why), "no result within %.1f s: its process was killed%s", (ms + GRACE_MS) / 1e3,
                   is_gone ? "" : ", which took no effect yet, so that it may disturb what follows");
    return give_up(r, "timeout", why, e);
}

/* 1: it has done all it was told. 0: it was given up. <0: *e is filled. */
static int on_end(struct worker *w, struct result *r, struct vireo_error *e)
{
    int status = 0;
    unsigned ms;
    char why[160];
    if (!reap(w, &status)) (void)put_down(w);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 1;
    if (WIFSIGNALED(status))
        (void)snprintf(why, sizeof(why), "its process was ended by signal %d (%s)", WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
    else
        (void)snprintf(why, sizeof(why), "its process ended with status %d", WEXITSTATUS(status));
    if (result_pending(r, &ms)) return give_up(r, "failed", why, e);
    if (WIFEXITED(status) && WEXITSTATUS(status) >= STATUS_SPOKEN) {
        *e = (struct vireo_error){.code = -EIO, .exit_status = WEXITSTATUS(status)};
        return e->code;
    }
    bad_command(e, "a worker%s: %s", w->is_started ? "" : " that had said nothing", why + strlen("its process "));
    return e->code;
}

/* An item that never came to anything costs one time-out, not one of each process. */
static void skip_hopeless(const struct bench_watch *watch, const struct result *r, bool *begun)
{
    for (unsigned i = 0; i < watch->order->items; i++) {
        begun[i] = result_is_hopeless(r, watch->order->item[i]);
        watch->progress->done += begun[i];
    }
}

int watch_process(struct bench_watch *watch, const struct bench_side *side, struct vireo_error *e)
{
    bool begun[BENCH_ITEMS_MAX] = {false};
    int rc = 0;
    skip_hopeless(watch, side->result, begun);
    while (rc == 0 && !is_begun(watch->order, begun)) { /* each round begins an item, or sets rc */
        struct worker w;
        rc = start(&w, side->program, watch->order, begun, e);
        const enum outcome how = rc ? OUTCOME_ERROR : listen_to(&w, watch, side->result, begun, e);
        if (how == OUTCOME_LATE) rc = on_late(&w, side->result, e);
        if (how == OUTCOME_ENDED) rc = on_end(&w, side->result, e);
        if (how == OUTCOME_SIGNAL) rc = -EINTR;
        if (how == OUTCOME_ERROR && rc == 0) rc = e->code;
        if (w.pid > 0 && (how == OUTCOME_SIGNAL || how == OUTCOME_ERROR)) (void)put_down(&w);
        finish(&w);
    }
    return rc > 0 ? 0 : rc;
}

/* `vireo top`: a running VM, watched. In a terminal the picture stays in its place and follows the window's size; in a
 * pipe one block comes after the other. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/base/text.h"
#include "vmm/base/urgency.h"
#include "vmm/cli/cli.h"
#include "vmm/cli/series.h"
#include "vmm/cli/term.h"

#define INTERVAL_MIN_S 0.1
#define INTERVAL_MAX_S 3600.0
#define DURATION_MAX_S 31536000.0 /* a year */
#define COUNT_MAX      1000000000.0
#define KEY_QUIT       'q'
#define KEY_INTERRUPT  3  /* Ctrl-C: in raw mode a character */
#define KEY_STOP       26 /* Ctrl-Z */

/* ECMA-48, and DEC's private modes that every terminal has: another screen, the cursor hidden; and back. */
#define SCREEN_ENTER "\033[?1049h\033[?25l"
#define SCREEN_LEAVE "\033[?25h\033[?1049l"
#define SCREEN_HOME  "\033[H"
#define LINE_END     "\033[K\r\n" /* what was there before is cleared */
#define SCREEN_END   "\033[J"

struct top {
    struct args_words words;
    const char *name;
    const char *interval, *count, *duration, *record; /* as given; NULL: not */
    uint64_t interval_ns, duration_ns, left;          /* left: samples to show; 0: no end */
    bool has_screen;
    int signals;
    struct series series;
    struct top_history history;
};

static void set_name(void *ctx, const char *word)
{
    args_add(&((struct top *)ctx)->words, word);
}

static const struct setting options[] = {
    {"interval", "TIME", "seconds between two looks, 0.1 to 3600 (default 1), or 500ms",
     CLI_TEXT(struct top, interval)},
    {"count", "N", "end after N looks", CLI_TEXT(struct top, count)},
    {"duration", "TIME", "end after so many seconds, or after 30m", CLI_TEXT(struct top, duration)},
    {"record", "FILE", "write what is seen to a file instead, of one VM, several, or all; `vireo report` draws it",
     CLI_TEXT(struct top, record)},
    {0},
};

/* A number within bounds, or what it is without one. false: text is none. */
static bool parse_number(const char *text, double low, double high, double *out)
{
    char *end;
    if (!text) return true;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && *out >= low && *out <= high; /* not for a NaN */
}

static int parse(struct top *t, const struct command *self, char **words, struct vireo_error *e)
{
    double seconds = 1, count = 0, duration = 0;
    int rc = args_parse(self, ARGS_OWN, words, t, e);
    if (!rc && !t->record) rc = client_name(&t->words, &t->name, e);
    if (rc) return rc;
    if (t->words.count > ARGS_WORDS_MAX)
        return bad_command(e, "%u VMs: at most %d can be named; without a name all are recorded", t->words.count,
                           ARGS_WORDS_MAX);
    rc = args_check_once(&t->words, e);
    if (rc) return rc;
    if (!t->name && !t->record)
        return bad_command(e, "which VM? write vireo top NAME; `vireo stat` lists those that run");
    if (!args_time(t->interval, INTERVAL_MIN_S, INTERVAL_MAX_S, &seconds))
        return bad_command(e, "interval %.100s: must be 0.1 to 3600 seconds, as 2 or 500ms", t->interval);
    if (!parse_number(t->count, 1, COUNT_MAX, &count) || count != (double)(uint64_t)count)
        return bad_command(e, "count %.100s: must be a whole number from 1 on", t->count);
    if (!args_time(t->duration, INTERVAL_MIN_S, DURATION_MAX_S, &duration))
        return bad_command(e, "duration %.100s: must be 0.1 to 31536000 seconds, as 60 or 30m", t->duration);
    t->interval_ns = (uint64_t)(seconds * 1e9);
    t->duration_ns = (uint64_t)(duration * 1e9);
    t->left = (uint64_t)count;
    return 0;
}

/* ---- the screen ---- */

/* What a terminal that is stopped does not take is missing until the next look: whoever wants to go must be heard. */
static void put(const char *text, size_t len)
{
    (void)put_text(STDOUT_FILENO, text, len);
}

static void enter(struct top *t)
{
    if (!t->has_screen) return;
    term_demand();
    term_enter();
    put(SCREEN_ENTER, strlen(SCREEN_ENTER));
}

static void leave(struct top *t)
{
    if (!t->has_screen) return;
    put(SCREEN_LEAVE, strlen(SCREEN_LEAVE));
    term_leave();
}

/* A '?' for what could move the cursor, as it came from another process, and for what may be wider than a column. */
static void put_line(FILE *f, const char *text, size_t len, unsigned columns)
{
    unsigned bytes;
    for (size_t at = 0; at < len && columns > 0; at += bytes, columns--) {
        const bool is_plain = text_next(text + at, len - at, &bytes) == TEXT_PLAIN;
        fputc(is_plain && bytes == 1 ? text[at] : '?', f);
    }
}

/* As much of the block as the window holds. */
static void put_on_screen(const char *text)
{
    struct winsize w = {0};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) < 0 || w.ws_row == 0) w = (struct winsize){.ws_row = 24, .ws_col = 80};
    char *out = NULL;
    size_t len;
    FILE *f = open_memstream(&out, &len);
    if (!f) return;
    fputs(SCREEN_HOME, f);
    for (unsigned row = 1; row < w.ws_row && *text; row++) {
        const size_t line = strcspn(text, "\n");
        put_line(f, text, line, w.ws_col);
        fputs(LINE_END, f);
        text += line + (text[line] != '\0');
    }
    fputs(SCREEN_END, f);
    if (fclose(f) == 0) put(out, len);
    free(out);
}

static void show(const struct top *t)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    if (!f) return;
    (void)series_put_alarms(f, &t->series, now_ns());
    top_draw(f, t->name, &t->series.now, &t->series.change);
    top_vcpus_draw(f, &t->series);
    top_history_draw(f, &t->history);
    const bool is_good = fclose(f) == 0;
    if (is_good && t->has_screen) put_on_screen(text);
    if (is_good && !t->has_screen) {
        printf("%s\n", text);
        (void)fflush(stdout);
    }
    free(text);
}

/* ---- looking ---- */

/* 1: it was looked at; 0: it has ended; <0: *e is filled. */
static int look(struct top *t, struct vireo_error *e)
{
    const bool is_first = t->series.now.age_ns == 0;
    const int rc = series_look(&t->series, t->name, e);
    if (rc == -ENOENT && !is_first) return 0;
    if (rc < 0) return rc;
    if (rc == SERIES_NEW && !is_first) return 0;             /* another one has its name now */
    if (!is_first) top_history_add(&t->history, &t->series); /* the first look shows all since the VM began */
    return series_judge(&t->series, now_ns(), NULL, NULL) ? 1 : bad_call(e, ENOMEM, "keep what is usual");
}

/* After a stop, whoever stopped us. */
static void go_on(struct top *t)
{
    enter(t);
    show(t);
}

static void stop_ourselves(struct top *t)
{
    leave(t);
    (void)kill(getpid(), SIGSTOP);
}

/* Is it time to go? */
static bool on_signal(struct top *t)
{
    const int sig = signals_read(t->signals);
    if (sig == SIGTSTP)
        stop_ourselves(t);
    else if (sig == SIGWINCH)
        show(t);
    else if (sig == SIGCONT)
        go_on(t);
    else
        return sig != 0;
    return false;
}

static bool on_key(struct top *t)
{
    char key;
    const ssize_t n = read(STDIN_FILENO, &key, 1);
    if (n == 0) return true; /* the terminal is gone */
    if (n != 1) return false;
    if (key == KEY_STOP) stop_ourselves(t);
    return key == KEY_QUIT || key == KEY_INTERRUPT;
}

/* Until then, or until somebody wants to go: true. */
static bool wait_until(struct top *t, uint64_t until_ns)
{
    for (;;) {
        struct pollfd fds[] = {{.fd = t->signals, .events = POLLIN},
                               {.fd = t->has_screen ? STDIN_FILENO : -1, .events = POLLIN}};
        const uint64_t now = now_ns();
        if (now >= until_ns) return false;
        if (poll(fds, 2, (int)((until_ns - now + 999999) / 1000000)) < 0 && errno != EINTR) return true;
        if (fds[0].revents && on_signal(t)) return true;
        if (fds[1].revents && on_key(t)) return true;
    }
}

static int watch(struct top *t, struct vireo_error *e)
{
    struct urgency urgency = {0};
    uint64_t next_ns = now_ns();
    const uint64_t end_ns = t->duration_ns ? next_ns + t->duration_ns : UINT64_MAX;
    int rc;
    urgency_renew(&urgency);
    while ((rc = look(t, e)) > 0) {
        show(t);
        urgency_renew(&urgency);
        if (ferror(stdout) || (t->left && --t->left == 0)) return 1;
        next_ns += t->interval_ns;
        if (next_ns < now_ns()) next_ns = now_ns(); /* late: no burst to make up for it */
        if (next_ns > end_ns || wait_until(t, next_ns)) return 1;
    }
    return rc;
}

static int catch_signals(bool has_screen)
{
    const int list[] = {has_screen ? SIGTSTP : SIGCONT, SIGCONT, SIGWINCH, 0};
    sigset_t of_pipe;
    const int fd = signals_catch(list);
    sigemptyset(&of_pipe);
    sigaddset(&of_pipe, SIGPIPE);
    if (!has_screen) (void)sigprocmask(SIG_UNBLOCK, &of_pipe, NULL); /* `vireo top NAME | head` ends without a word */
    return fd;
}

static int run_record(struct top *t)
{
    const struct top_record order = {
        .path = strcmp(t->record, "-") == 0 ? NULL : t->record,
        .names = t->words.word,
        .names_count = t->words.count,
        .interval_ns = t->interval_ns,
        .duration_ns = t->duration_ns,
        .looks = t->left,
        .signals = t->signals,
    };
    return top_record(&order);
}

static int run_top(const struct command *self, char **words, uint64_t started_ns)
{
    struct top t = {.has_screen = term_is_console()};
    struct vireo_error e;
    (void)started_ns;
    if (parse(&t, self, words, &e)) return say_error(&e);
    t.has_screen = t.has_screen && !t.record;
    t.signals = catch_signals(t.has_screen);
    if (t.signals < 0) {
        say("catch signals: %s", strerror(-t.signals));
        return STATUS_BAD_HOST;
    }
    if (t.record) {
        const int status = run_record(&t);
        close(t.signals);
        return status;
    }
    enter(&t);
    const int rc = watch(&t, &e);
    leave(&t);
    if (rc == 0) say("%s has ended", t.name);
    const int status = rc < 0 ? say_error(&e) : 0;
    series_fini(&t.series);
    close(t.signals);
    return finish_output(NULL, "standard output", status);
}

const struct command command_top = {
    .name = "top",
    .args = "NAME... [OPTION...]",
    .help = "Watch where a running VM's time goes, or record it",
    .options = options,
    .list = client_list,
    .set_word = set_name,
    .run = run_top,
};

/* `vireo top --record`: VMs looked at without a screen, each look a line of a file. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/urgency.h"
#include "vmm/cli/recording.h"

#define WATCHED_MAX   64                    /* VMs at a time, and in all: a picture of more says nothing */
#define RETRY_WAIT_NS UINT64_C(30000000000) /* a process that is stopped takes five seconds to find out */

struct watched {
    char *name;
    struct series series;
    bool is_there, is_bad;
    uint64_t retry_ns; /* not before; of one that did not answer */
};

struct record_run {
    const struct top_record *order;
    struct recording recording;
    struct watched *watched; /* WATCHED_MAX; in a recording a VM is called by its place */
    unsigned count;
    uint64_t samples, alarms, looks;
    bool is_full; /* more VMs than are watched: it was said */
    uint64_t now_ns;
};

struct event_arg { /* what a series' event belongs to */
    struct record_run *run;
    unsigned vm;
};

static void on_event(void *arg, const struct series_metric *m, enum anomaly_event event, const struct anomaly_alarm *a)
{
    const struct event_arg *of = arg;
    struct record_run *r = of->run;
    char *text = NULL;
    size_t len;
    recording_alarm(&r->recording, of->vm, m, event, a, r->now_ns);
    r->alarms += event == ANOMALY_BEGINS;
    if (event != ANOMALY_BEGINS) return;
    FILE *f = open_memstream(&text, &len);
    if (!f) return;
    series_put_alarm(f, m, a, r->now_ns);
    if (fclose(f) == 0) say("%s: %.*s", r->watched[of->vm].name, (int)strcspn(text, "\n"), text);
    free(text);
}

static struct watched *find(struct record_run *r, const char *name)
{
    for (unsigned i = 0; i < r->count; i++)
        if (strcmp(r->watched[i].name, name) == 0) return &r->watched[i];
    if (r->count == WATCHED_MAX) {
        if (!r->is_full) say("%s is not recorded: a recording holds %d VMs", name, WATCHED_MAX);
        r->is_full = true;
        return NULL;
    }
    struct watched *w = &r->watched[r->count];
    w->name = strdup(name);
    if (w->name) r->count++;
    return w->name ? w : NULL;
}

/* What a VM that does not answer is: one that has gone, or a sentence, said once. */
static void lose(struct record_run *r, struct watched *w, int rc, const struct vireo_error *e)
{
    if (w->is_there) recording_gone(&r->recording, (unsigned)(w - r->watched), r->now_ns);
    w->is_there = false;
    if (rc == -ENOENT) return;
    if (!w->is_bad) (void)say_error(e);
    w->is_bad = true;
    w->retry_ns = now_ns() + RETRY_WAIT_NS;
}

/* 0, or why it could not be looked at, with *e filled. */
static int look_at(struct record_run *r, struct watched *w, struct vireo_error *e)
{
    const unsigned vm = (unsigned)(w - r->watched);
    struct event_arg arg = {r, vm};
    if (now_ns() < w->retry_ns) return 0;
    const int rc = series_look(&w->series, w->name, e);
    r->now_ns = now_ns();
    if (rc < 0) {
        lose(r, w, rc, e);
        return rc;
    }
    if (rc == SERIES_NEW || !w->is_there) recording_vm(&r->recording, vm, w->name, &w->series, r->now_ns);
    w->is_there = true;
    w->is_bad = false;
    if (rc == SERIES_NEW) return 0;
    recording_sample(&r->recording, vm, &w->series, r->now_ns);
    r->samples++;
    if (!series_judge(&w->series, r->now_ns, on_event, &arg)) return bad_call(e, ENOMEM, "keep what is usual");
    return 0;
}

/* Those that the user named, which must run to begin with, or all that run now. */
static int look(struct record_run *r, struct vireo_error *e)
{
    char **all = NULL;
    int rc = 0;
    for (unsigned i = 0; i < r->order->names_count; i++) {
        struct watched *w = find(r, r->order->names[i]);
        rc = w ? look_at(r, w, e) : bad_call(e, ENOMEM, "%s", r->order->names[i]);
        if (rc < 0 && (r->looks == 0 || rc == -ENOMEM)) return rc;
    }
    if (r->order->names_count > 0) return 0;
    rc = client_names(&all, e);
    for (char **at = all; at && *at; at++) (void)find(r, *at);
    client_names_free(all);
    for (unsigned i = 0; rc == 0 && i < r->count; i++)
        if (look_at(r, &r->watched[i], e) == -ENOMEM) rc = -ENOMEM;
    return rc;
}

static unsigned living(const struct record_run *r)
{
    unsigned n = 0;
    for (unsigned i = 0; i < r->count; i++) n += r->watched[i].is_there;
    return n;
}

/* On a terminal, one line in its place. */
static void show_progress(const struct record_run *r)
{
    char text[160];
    if (!isatty(STDERR_FILENO)) return;
    const unsigned n = living(r);
    const int len = snprintf(text, sizeof(text), "\r%u VM%s, %llu samples, %llu alarm%s; Ctrl-C ends it \033[K\r", n,
                             n == 1 ? "" : "s", (unsigned long long)r->samples, (unsigned long long)r->alarms,
                             r->alarms == 1 ? "" : "s");
    (void)put_text(STDERR_FILENO, text, (size_t)len);
}

static void clear_progress(void)
{
    if (isatty(STDERR_FILENO)) (void)put_text(STDERR_FILENO, "\r\033[K", 4);
}

/* Until then, or until a signal wants us to end, or whoever reads what we write has gone, which without a VM no write
 * would tell: true. */
static bool wait_until(const struct record_run *r, uint64_t until_ns)
{
    for (uint64_t now; (now = now_ns()) < until_ns;) {
        struct pollfd fds[] = {{.fd = r->order->signals, .events = POLLIN},
                               {.fd = r->order->path ? -1 : STDOUT_FILENO, .events = 0}};
        (void)poll(fds, 2, (int)((until_ns - now + 999999) / 1000000));
        if (fds[0].revents && signals_read(fds[0].fd) != 0) return true;
        if (fds[1].revents & (POLLERR | POLLHUP)) return true;
    }
    return false;
}

/* Has it come to its end, of whichever kind? */
static bool is_over(struct record_run *r)
{
    const struct top_record *o = r->order;
    r->looks++;
    if (ferror(r->recording.f) || fflush(r->recording.f) != 0) return true; /* finish_output says it */
    if (o->names_count > 0 && living(r) == 0) {
        say(r->count == 1 ? "%s has ended" : "%s and all others have ended", o->names[0]);
        return true;
    }
    if (ftello(r->recording.f) >= (off_t)RECORDING_MAX) {
        say("%s holds %llu MiB, which is as much as a recording may", o->path,
            (unsigned long long)(RECORDING_MAX >> 20));
        return true;
    }
    return o->looks && r->looks >= o->looks;
}

static int run(struct record_run *r, struct vireo_error *e)
{
    const struct top_record *o = r->order;
    struct urgency urgency = {0};
    uint64_t next_ns = now_ns();
    const uint64_t end_ns = o->duration_ns ? next_ns + o->duration_ns : UINT64_MAX;
    int rc;
    r->recording.from_ns = next_ns;
    recording_begin(&r->recording, o->interval_ns);
    urgency_renew(&urgency);
    while ((rc = look(r, e)) == 0 && !is_over(r)) {
        show_progress(r);
        urgency_renew(&urgency);
        next_ns += o->interval_ns;
        if (next_ns < now_ns()) next_ns = now_ns(); /* late: no burst to make up for it */
        if (next_ns > end_ns || wait_until(r, next_ns)) break;
    }
    recording_end(&r->recording, now_ns());
    clear_progress();
    return rc;
}

/* Those that the user named run: asked before the file is emptied, since a slip of the keyboard in a name must not cost
 * the recording that is there. */
static int check_names(const struct top_record *o, struct vireo_error *e)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < o->names_count; i++) {
        struct page p = {NULL, 0};
        rc = client_fetch(o->names[i], "/stats", &p, e);
        free(p.text);
    }
    return rc;
}

/* A file that takes no more is an error that is said, no signal. */
static FILE *open_file(const struct top_record *o, struct vireo_error *e)
{
    struct outputs files = {.count = 0};
    if (!o->path) return stdout;
    FILE *f = output_open(&files, "recording", o->path, e);
    if (!f) return NULL;
    /* Before it is emptied. A pipe or a device can't be spoilt by a second one. */
    struct stat st;
    const bool is_file = fstat(fileno(f), &st) == 0 && S_ISREG(st.st_mode);
    if (is_file && flock(fileno(f), LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
        bad_command(e, "recording %.400s: another vireo top writes there; name another file, or end that one", o->path);
        (void)fclose(f);
        return NULL;
    }
    output_empty(fileno(f));
    return f;
}

int top_record(const struct top_record *o)
{
    struct vireo_error e;
    struct record_run r = {.order = o, .watched = calloc(WATCHED_MAX, sizeof(*r.watched))};
    int rc = r.watched ? 0 : bad_call(&e, ENOMEM, "record");
    if (!rc) rc = check_names(o, &e);
    r.recording.f = rc ? NULL : open_file(o, &e);
    if (!r.recording.f) {
        free(r.watched);
        return say_error(&e);
    }
    rc = run(&r, &e);
    for (unsigned i = 0; i < r.count; i++) {
        series_fini(&r.watched[i].series);
        free(r.watched[i].name);
    }
    free(r.watched);
    const int status = rc < 0 ? say_error(&e) : 0;
    return finish_output(o->path ? r.recording.f : NULL, o->path ? o->path : "standard output", status);
}

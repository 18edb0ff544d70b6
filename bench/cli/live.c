/* `vireo fairness NAME...`: are the vCPUs of these running VMs treated fairly? */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/cli/bench.h"
#include "bench/live/live.h"
#include "vmm/config/value.h"

#define NS_PER_S      UINT64_C(1000000000)
#define DURATION_NS   (10 * 1000000000ull)
#define STATUS_UNFAIR 1 /* what --fail-on asks for has come */

struct live_words {
    struct args_words names;
    const char *duration, *weights, *fail_on, *output;
    bool has_json;
};

/* What the sleep between samples needs. */
struct pause {
    int signals, signal; /* a signalfd; the one that came, which ends the record early */
    bool is_shown;       /* progress, on a terminal */
    uint64_t begun_ns, duration_ns;
};

static void set_name(void *ctx, const char *word)
{
    args_add(&((struct live_words *)ctx)->names, word);
}

static const struct setting options[] = {
    {"duration", "TIME", "watch for so long, 1s to 600s (default 10s)", CLI_TEXT(struct live_words, duration)},
    {"weights", "NAME=NUMBER,...",
     "what each VM ought to have against the others (default: that of its cgroup, where each has one of the same "
     "parent; else 1 each)",
     CLI_TEXT(struct live_words, weights)},
    {"json", NULL, "one JSON object instead of text, which `vireo report` draws",
     CLI_SWITCH(struct live_words, has_json)},
    {"output", "FILE", "write it there (default: standard output)", CLI_TEXT(struct live_words, output)},
    {"fail-on", "fail|inconclusive", "end with status 1 if a property fails; or if one fails or is inconclusive",
     CLI_TEXT(struct live_words, fail_on)},
    {0},
};

/* A shell completes each word, not only the first. */
static void list_vms(FILE *f, const char *word)
{
    (void)word;
    client_list(f, NULL);
}

/* ---- the words ---- */

/* A bare number is of seconds, as elsewhere. */
static bool parse_duration(const char *text, uint64_t *ns)
{
    uint64_t seconds;
    if (value_u64(text, &seconds)) {
        if (seconds > LIVE_MOST_NS / NS_PER_S) return false;
        *ns = seconds * NS_PER_S;
    } else if (!value_time(text, ns)) {
        return false;
    }
    return *ns >= LIVE_LEAST_NS && *ns <= LIVE_MOST_NS;
}

static int check_words(const struct live_words *w, uint64_t *duration_ns, struct vireo_error *e)
{
    *duration_ns = DURATION_NS;
    if (w->names.count > ARGS_WORDS_MAX)
        return bad_command(e, "%u VMs: at most %d are watched at once", w->names.count, ARGS_WORDS_MAX);
    const int rc = args_check_once(&w->names, e);
    if (rc) return rc;
    if (w->duration && !parse_duration(w->duration, duration_ns))
        return bad_command(e, "duration %.200s: a time from 1s to 600s, as 30s or 30", w->duration);
    if (w->fail_on && strcmp(w->fail_on, "fail") != 0 && strcmp(w->fail_on, "inconclusive") != 0)
        return bad_command(e, "fail-on %.200s: fail or inconclusive", w->fail_on);
    return 0;
}

/* Those that are named, or all that run. *all: client_names_free frees it. */
static int choose(struct live_words *w, char ***all, struct vireo_error *e)
{
    if (w->names.count > 0) return 0;
    const int rc = client_names(all, e);
    if (rc) return rc;
    for (char **at = *all; at && *at; at++) args_add(&w->names, *at);
    if (w->names.count > ARGS_WORDS_MAX)
        return bad_command(e, "%u VMs run: at most %d are watched at once; name them", w->names.count, ARGS_WORDS_MAX);
    if (w->names.count > 0) return 0;
    bad_command(e, "no VM that has a name runs");
    (void)snprintf(e->hint, sizeof(e->hint), "start one with vireo run --name NAME");
    return e->code;
}

static int find_vms(const struct live_words *w, struct live_record *r, struct vireo_error *e)
{
    struct err err = {0};
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < w->names.count; i++) {
        struct page p = {0};
        rc = client_fetch(w->names.word[i], "/stats", &p, e);
        if (rc == 0) rc = lib_error(e, live_add_vm(r, w->names.word[i], p.text, p.len, &err), &err);
        free(p.text);
    }
    return rc ? rc : lib_error(e, live_weigh(r, w->weights, &err), &err);
}

/* ---- watching ---- */

static bool wait_until(void *arg, uint64_t until_ns)
{
    struct pause *p = arg;
    if (p->is_shown)
        (void)fprintf(stderr, "\rwatching: %.0f of %.0f s ", (double)(now_ns() - p->begun_ns) / 1e9,
                      (double)p->duration_ns / 1e9);
    for (uint64_t now; (now = now_ns()) < until_ns;) {
        const struct timespec left = {.tv_sec = (time_t)((until_ns - now) / 1000000000u),
                                      .tv_nsec = (long)((until_ns - now) % 1000000000u)};
        struct pollfd fd = {.fd = p->signals, .events = POLLIN};
        if (ppoll(&fd, 1, &left, NULL) > 0 && (p->signal = signals_read(p->signals)) != 0) return false;
    }
    return true;
}

/* A VM that is called otherwise now, or whose name another one has. */
static void note_names(struct live_record *r)
{
    for (unsigned k = 0; k < r->vms; k++)
        if (!strstr(r->note, " ended ") && client_pid(r->vm[k].name) != r->vm[k].pid)
            live_append(r->note, "vm %s does not answer to that name any more: it was renamed, or has just ended",
                        r->vm[k].name);
}

static int watch(struct live_record *r, struct pause *p, struct vireo_error *e)
{
    static const int no_more[] = {0};
    struct err err = {0};
    p->signals = signals_catch(no_more);
    if (p->signals < 0) return bad_call(e, -p->signals, "catch signals");
    p->is_shown = isatty(STDERR_FILENO) == 1;
    p->begun_ns = now_ns();
    const struct live_watch w = {.duration_ns = p->duration_ns, .sleep = wait_until, .arg = p};
    const int rc = lib_error(e, live_sample(r, &w, &err), &err);
    if (p->is_shown) (void)fprintf(stderr, "\r\033[K");
    close(p->signals);
    if (rc == 0) note_names(r);
    return rc;
}

/* ---- what was found ---- */

static int tell(const struct live_words *w, const struct live_record *r, FILE *f, struct vireo_error *e)
{
    struct live_report *found = calloc(1, sizeof(*found));
    int status = 0;
    if (!found || live_judge(r, found)) {
        free(found);
        bad_call(e, ENOMEM, "judge %u samples", r->samples);
        return say_error(e);
    }
    if (w->output) output_empty(fileno(f));
    (w->has_json ? live_put_json : live_put_text)(f, r, found);
    const bool is_strict = w->fail_on && strcmp(w->fail_on, "inconclusive") == 0;
    if (w->fail_on && (found->verdict == FAIR_FAIL || (is_strict && found->verdict == FAIR_INCONCLUSIVE)))
        status = STATUS_UNFAIR;
    live_report_free(found);
    free(found);
    return status;
}

static int run_fairness(const struct command *self, char **words, uint64_t started_ns)
{
    struct live_words w = {0};
    struct pause p = {.signals = -1};
    struct outputs files = {.count = 0};
    struct live_record *r = calloc(1, sizeof(*r));
    struct vireo_error e;
    char **all = NULL;
    (void)started_ns;
    if (!r) {
        bad_call(&e, ENOMEM, "a record");
        return say_error(&e);
    }
    int rc = args_parse(self, ARGS_OWN, words, &w, &e);
    if (!rc && w.output && strcmp(w.output, "-") == 0) w.output = NULL;
    if (!rc) rc = check_words(&w, &p.duration_ns, &e);
    if (!rc) rc = choose(&w, &all, &e);
    if (!rc) rc = find_vms(&w, r, &e);
    FILE *f = !rc && w.output ? output_open(&files, "output", w.output, &e) : stdout;
    if (!f) rc = e.code;
    if (!rc) rc = watch(r, &p, &e);
    int status = rc ? say_error(&e) : tell(&w, r, f, &e);
    if (f && (w.output || !rc))
        status = finish_output(w.output ? f : NULL, w.output ? w.output : "standard output", status);
    if (p.signal) status = STATUS_SIGNAL + p.signal;
    client_names_free(all);
    live_record_free(r);
    free(r);
    return status;
}

const struct command command_fairness = {
    .name = "fairness",
    .args = "[NAME...] [OPTION...]",
    .help = HELP_FAIRNESS,
    .options = options,
    .list = list_vms,
    .set_word = set_name,
    .run = run_fairness,
};

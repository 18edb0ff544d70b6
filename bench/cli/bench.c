/* `vireo bench`: what does a VM exit cost here, and do vCPUs get their share?
 *
 * Each process of a measurement is a fresh one, because all samples of one process share a layout of memory, a CPU and
 * a moment. It is this program again, as a worker (watch.c). With --against, the workers of two programs take turns, A
 * B A B, so that a change on the host meanwhile affects both. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/cli/bench.h"
#include "vmm/base/nearest.h"

#define PROCESSES_MAX 200 /* as many as a result holds */
#define KINDS_MAX     8   /* for the names among which the nearest is looked for; there are two */
#define SELF          "/proc/self/exe"

#define STATUS_FOUND 1 /* of --fail-on */
#define MARGIN_MAX   100.0

struct bench {
    const struct bench_kind *kind; /* NULL: none was named */
    void *settings;                /* the kind's options, checked as they come; a worker runs with them */
    const char *processes, *format, *output, *against, *output_against, *compare, *show, *fail_on, *margin;
    double margin_share;     /* 0.05: a row that is slower by more than 5 % is a regression */
    struct args_words words; /* the second file of --compare */
    bool is_worker, has_list;
    struct bench_order order;
    const char *wanted; /* the list of items as the user gave it; NULL: all */
};

/* ---- options ---- */

static void set_word(void *ctx, const char *word)
{
    args_add(&((struct bench *)ctx)->words, word);
}

static const struct setting options[] = {
    {"list", NULL, "list what is measured, and measure nothing", CLI_SWITCH(struct bench, has_list)},
    {"processes", "N", "measure in so many fresh processes (exits 10, fairness 1)", CLI_TEXT(struct bench, processes)},
    {"format", "FORMAT", "text, json, csv; of exits also hgrm, kut (default text)", CLI_TEXT(struct bench, format)},
    {"output", "FILE", "write the result there (default: standard output)", CLI_TEXT(struct bench, output)},
    {"against", "PROGRAM", "take turns with another vireo, and compare: A is this one, B that",
     CLI_TEXT(struct bench, against)},
    {"output-against", "FILE", "write the other one's result there", CLI_TEXT(struct bench, output_against)},
    {"compare", "FILE FILE", "compare two results, made earlier with --format json", CLI_TEXT(struct bench, compare)},
    {"show", "FILE", "write such a result in another --format", CLI_TEXT(struct bench, show)},
    {"fail-on", "fail|inconclusive|regression",
     "end with status 1 when fairness has such a verdict, or a comparison such a row", CLI_TEXT(struct bench, fail_on)},
    {"margin", "PERCENT", "a row that is slower by more is a regression (default 5%)", CLI_TEXT(struct bench, margin)},
    {"worker", NULL, "be a process of a measurement: JSON lines on standard output",
     CLI_SWITCH(struct bench, is_worker)},
    {0},
};

/* kind: of what is measured or shown, NULL where it is not known yet. */
static int check_fail_on(const struct bench *b, const char *kind, struct vireo_error *e)
{
    const char *on = b->fail_on;
    const bool is_comparison = b->compare || b->against;
    if (b->margin && !is_comparison)
        return bad_command(e, "margin %.40s: of a comparison only, --compare or --against", b->margin);
    if (!on) return 0;
    if (strcmp(on, "regression") == 0)
        return is_comparison ? 0 : bad_command(e, "fail-on regression: of a comparison only, --compare or --against");
    if (strcmp(on, "fail") != 0 && strcmp(on, "inconclusive") != 0)
        return bad_command(e, "fail-on %.40s: one of fail, inconclusive, regression", on);
    if (is_comparison || (kind && strcmp(kind, bench_fairness.name) != 0))
        return bad_command(e, "fail-on %s: of fairness only, which has verdicts", on);
    return 0;
}

static int read_margin(struct bench *b, struct vireo_error *e)
{
    char *end = NULL;
    b->margin_share = RESULT_MARGIN;
    if (!b->margin) return 0;
    b->margin_share = strtod(b->margin, &end) / 100;
    if (b->margin[0] < '0' || b->margin[0] > '9' || (*end && strcmp(end, "%") != 0) || !(b->margin_share <= MARGIN_MAX))
        return bad_command(e, "margin %.40s: a percentage from 0 to %.0f, as 5%%", b->margin, 100 * MARGIN_MAX);
    return 0;
}

/* The exit status of what was written without an error: does it have what --fail-on names? r: a result of fairness, or
 * NULL. */
static int judge(const struct bench *b, const struct result *r, int regressions)
{
    if (!b->fail_on) return 0;
    const bool is_regression = strcmp(b->fail_on, "regression") == 0;
    const unsigned n =
        is_regression ? (unsigned)regressions : result_failures(r, strcmp(b->fail_on, "inconclusive") == 0);
    if (n == 0) return 0;
    say("fail-on %s: %u %s", b->fail_on, n,
        is_regression ? n == 1 ? "row is slower" : "rows are slower"
        : n == 1      ? "finding"
                      : "findings");
    return STATUS_FOUND;
}

/* Check an option of the kind by setting it, and keep it for the workers. */
static int keep_key(void *ctx, const char *key, const char *value, struct vireo_error *e)
{
    struct bench *b = ctx;
    struct bench_order *o = &b->order;
    const struct setting *option = b->kind->options;
    struct err err = {0};
    while (strcmp(option->name, key) != 0) option++; /* args_parse has found it there */
    const int rc = option->set(b->settings, value, &err);
    if (rc) return lib_error(e, rc, &err);
    if (strcmp(key, b->kind->select) == 0) {
        b->wanted = value;
        return 0;
    }
    if (o->words == BENCH_WORDS_MAX) return bad_command(e, "--%s: more than %d options", key, BENCH_WORDS_MAX);
    if (asprintf(&o->word[o->words], "--%s=%s", key, value) < 0) return bad_call(e, ENOMEM, "--%s", key);
    o->words++;
    return 0;
}

/* ---- the items ---- */

static int add_item(struct bench_order *o, const char *id, size_t len, struct vireo_error *e)
{
    for (unsigned i = 0; i < o->items; i++)
        if (strlen(o->item[i]) == len && memcmp(o->item[i], id, len) == 0) return 0;
    if (o->items == BENCH_ITEMS_MAX || len >= BENCH_ID_MAX)
        return bad_command(e, "--%s: more than %d items, or a name too long", o->kind->select, BENCH_ITEMS_MAX);
    memcpy(o->item[o->items], id, len);
    o->item[o->items++][len] = '\0';
    return 0;
}

static int add_all(struct bench_order *o, struct vireo_error *e)
{
    const struct bench_item *item;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && (item = o->kind->item(i)) != NULL; i++)
        rc = add_item(o, item->id, strlen(item->id), e);
    return rc;
}

/* The kind, which knows the names, has checked the list. */
static int select_items(struct bench *b, struct vireo_error *e)
{
    int rc = b->wanted ? 0 : add_all(&b->order, e);
    for (const char *at = b->wanted; at && *at && rc == 0;) {
        const size_t n = strcspn(at, ",");
        rc = n == 3 && memcmp(at, "all", 3) == 0 ? add_all(&b->order, e) : add_item(&b->order, at, n, e);
        at += at[n] ? n + 1 : n;
    }
    return rc;
}

/* ---- measuring ---- */

struct measurement {
    struct bench_side side[2];
    const char *path[2];
    FILE *out[2];
    unsigned sides, processes;
};

/* A result without rows has the same formats, so writing it finds an unknown format before anything is measured. */
static void discard(void *arg, const char *text, size_t len)
{
    (void)arg;
    (void)text;
    (void)len;
}

static int prepare(const struct bench *b, struct measurement *m, struct vireo_error *e)
{
    struct err err = {0};
    int rc = 0;
    struct outputs files = {.count = 0};
    outputs_beside(&files, "the program that is measured against", b->against);
    m->side[0].program = SELF;
    m->side[1].program = b->against;
    m->path[0] = b->output;
    m->path[1] = b->output_against;
    m->sides = b->against ? 2 : 1;
    for (unsigned i = 0; i < m->sides && rc == 0; i++)
        if (!(m->side[i].result = result_create(b->kind->name))) rc = bad_call(e, ENOMEM, "a result");
    if (rc == 0 && b->format) rc = lib_error(e, result_write(m->side[0].result, b->format, discard, NULL, &err), &err);
    for (unsigned i = 0; i < m->sides && rc == 0; i++)
        if (m->path[i] && !(m->out[i] = output_open(&files, i ? "output-against" : "output", m->path[i], e)))
            rc = e->code;
    return rc;
}

/* Whether the program is a vireo with benches shows only when its turn comes. */
static int check_against(const char *program, struct vireo_error *e)
{
    struct stat st;
    if (stat(program, &st) < 0 || access(program, X_OK) < 0)
        return bad_command(e, "against %.400s: %s", program, strerror(errno));
    return S_ISREG(st.st_mode) ? 0 : bad_command(e, "against %.400s: not a program, as no file", program);
}

/* After a signal or an error, too: then the results have what was measured until then. */
static int write_results(const struct bench *b, struct measurement *m, bool has_all, int status)
{
    struct err err = {0};
    const char *format = b->format ? b->format : b->against ? "json" : "text";
    for (unsigned i = 0; i < m->sides; i++) {
        FILE *f = m->out[i] ? m->out[i] : stdout;
        if (!m->out[i] && b->against) continue; /* standard output is for the comparison */
        const int rc = result_write(m->side[i].result, format, output_write, f, &err);
        if (rc) status = say_err(rc, &err);
        status = finish_output(m->out[i], m->path[i] ? m->path[i] : "standard output", status);
        m->out[i] = NULL;
    }
    if (!has_all) return status;
    if (!b->against) return status ? status : judge(b, m->side[0].result, 0);
    const int rc =
        result_compare(m->side[0].result, m->side[1].result, b->margin_share, "text", output_write, stdout, &err);
    if (rc < 0) return say_err(rc, &err);
    status = finish_output(NULL, "standard output", status);
    return status ? status : judge(b, NULL, rc);
}

/* For one process more, of each side: will it be over within the kind's budget, if it takes as long as those before? */
static bool has_time(const struct bench *b, const struct measurement *m, const struct bench_progress *p)
{
    const uint32_t budget_ms = b->kind->budget_ms ? b->kind->budget_ms(b->settings) : 0;
    if (!budget_ms || !p->process || p->process % m->sides) return true;
    const uint64_t spent_ms = (now_ns() - p->started_ns) / 1000000;
    return spent_ms + spent_ms * m->sides / p->process <= budget_ms;
}

static int measure(const struct bench *b, struct measurement *m, struct vireo_error *e)
{
    struct bench_progress progress = {
        .is_shown = isatty(STDERR_FILENO) == 1,
        .processes = m->processes * m->sides,
        .all = m->processes * m->sides * b->order.items,
        .started_ns = now_ns(),
    };
    static const int no_more[] = {0};
    struct bench_watch watch = {.order = &b->order, .progress = &progress, .signals = signals_catch(no_more)};
    int rc = watch.signals < 0 ? bad_call(e, -watch.signals, "catch signals") : 0;
    if (rc) return say_error(e);
    for (; rc == 0 && progress.process < progress.processes && has_time(b, m, &progress); progress.process++)
        rc = watch_process(&watch, &m->side[progress.process % m->sides], e);
    progress_clear(&progress);
    close(watch.signals);
    int status = 0;
    if (rc && rc != -EINTR) status = e->text[0] ? say_error(e) : e->exit_status;
    if (rc == -EINTR) {
        status = STATUS_SIGNAL + watch.signal;
        say("ended by signal %d (%s) in process %u of %u: what was measured until then is written", watch.signal,
            strsignal(watch.signal), progress.process, progress.processes);
    }
    if (rc == 0 && progress.process < progress.processes)
        say("there was time for %u of %u processes", progress.process, progress.processes);
    if (rc && progress.done < 2) return status; /* nothing was measured to its end, so there is nothing to write */
    return write_results(b, m, rc == 0, status);
}

static int check_measurement(const struct bench *b, unsigned *processes, struct vireo_error *e)
{
    char *end = NULL;
    const unsigned long n = b->processes ? strtoul(b->processes, &end, 10) : b->kind->processes;
    *processes = (unsigned)n;
    if (b->processes && (b->processes[0] < '1' || b->processes[0] > '9' || *end || n > PROCESSES_MAX))
        return bad_command(e, "processes %.40s: a number from 1 to %d", b->processes, PROCESSES_MAX);
    if (b->words.count > 0) return bad_command(e, "\"%.200s\" is not an option of vireo bench", b->words.word[0]);
    if (b->output_against && !b->against)
        return bad_command(e, "output-against %.400s: there is none without --against", b->output_against);
    if (b->output && b->output_against && strcmp(b->output, b->output_against) == 0)
        return bad_command(e, "output-against %.400s: the file of --output too; name another", b->output_against);
    if (b->against && b->kind == &bench_fairness)
        return bad_command(e, "against %.400s: only durations can be compared, %s has verdicts", b->against,
                           b->kind->name);
    return b->against ? check_against(b->against, e) : 0;
}

static int run_measurement(struct bench *b, struct vireo_error *e)
{
    struct measurement m = {.sides = 0};
    int rc = check_fail_on(b, b->kind->name, e);
    if (rc == 0) rc = check_measurement(b, &m.processes, e);
    if (rc == 0) rc = select_items(b, e);
    if (rc == 0) rc = prepare(b, &m, e);
    const int status = rc ? say_error(e) : measure(b, &m, e);
    for (unsigned i = 0; i < m.sides; i++) {
        if (m.out[i]) (void)fclose(m.out[i]);
        result_destroy(m.side[i].result);
    }
    return status;
}

/* ---- results of earlier ---- */

static int run_on_files(struct bench *b, struct vireo_error *e)
{
    struct result *one = NULL, *two = NULL;
    const char *format = b->format ? b->format : "text";
    const unsigned words = b->compare ? 1 : 0;
    int regressions = 0;
    struct outputs files = {.count = 0};
    struct err err = {0};
    int rc = check_fail_on(b, NULL, e);
    if (rc == 0 && b->compare && b->words.count == 0)
        rc = bad_command(e, "compare %.400s: with what? Name two results", b->compare);
    if (rc == 0 && b->words.count > words)
        rc = bad_command(e, "\"%.200s\" is not an option of vireo bench", b->words.word[words]);
    const char *first = b->compare ? b->compare : b->show;
    outputs_beside(&files, "a result", first);
    outputs_beside(&files, "a result", b->compare ? b->words.word[0] : NULL);
    if (rc == 0) rc = result_read(&one, first, e);
    if (rc == 0 && b->compare) rc = result_read(&two, b->words.word[0], e);
    if (rc == 0) rc = check_fail_on(b, result_kind(one), e);
    FILE *f = rc == 0 && b->output ? output_open(&files, "output", b->output, e) : NULL;
    if (rc == 0 && b->output && !f) rc = e->code;
    FILE *out = f ? f : stdout;
    if (rc == 0) {
        rc = two ? result_compare(one, two, b->margin_share, format, output_write, out, &err)
                 : result_write(one, format, output_write, out, &err);
        if (rc > 0) regressions = rc;
        rc = rc > 0 ? 0 : lib_error(e, rc, &err);
    }
    int status = rc ? say_error(e) : 0;
    if (f || rc == 0) status = finish_output(f, b->output ? b->output : "standard output", status);
    if (status == 0) status = judge(b, one, regressions);
    result_destroy(one);
    result_destroy(two);
    return status;
}

/* ---- a worker ---- */

/* Flush each line, from which whoever watches counts the time. */
static void print_line(void *arg, const char *json)
{
    (void)arg;
    puts(json);
    (void)fflush(stdout);
}

/* Measure in this process, one JSON object a line to standard output. */
static int be_worker(const struct bench *b)
{
    struct err err = {0};
    const struct bench_sink sink = {.line = print_line};
    const int rc = b->kind->run(b->settings, &sink, &err);
    return rc ? say_err(rc, &err) : finish_output(NULL, "standard output", 0);
}

/* ---- the command ---- */

static int list_kinds(void)
{
    const struct bench_kind *k;
    for (unsigned i = 0; (k = bench_kind_at(i)) != NULL; i++) printf("%-10s %s\n", k->name, k->help);
    printf("\n`vireo bench KIND` measures, `vireo bench KIND --list` lists what, `vireo bench --help` explains.\n");
    return finish_output(NULL, "standard output", 0);
}

static int list_items(const struct bench_kind *kind)
{
    const struct bench_item *item;
    for (unsigned i = 0; (item = kind->item(i)) != NULL; i++) printf("%-22s %s\n", item->id, item->title);
    return finish_output(NULL, "standard output", 0);
}

static int dispatch(struct bench *b, const struct command *c, char **words, struct vireo_error *e)
{
    int rc = args_parse(c, ARGS_OWN, words, b, e);
    if (rc && b->kind) bench_hint_kind(b->kind, words, e);
    if (rc == 0 && b->compare && b->show) rc = bad_command(e, "--compare and --show: one at a time");
    if (rc == 0) rc = read_margin(b, e);
    if (rc) return say_error(e);
    if (b->compare || b->show) return run_on_files(b, e);
    if (!b->kind) {
        bad_command(e, "no kind of bench given");
        (void)snprintf(e->hint, sizeof(e->hint), "`vireo bench` lists them");
        return say_error(e);
    }
    rc = args_parse(c, ARGS_KEYS, words, b, e);
    if (rc) return say_error(e);
    if (b->has_list) return list_items(b->kind);
    return b->is_worker ? be_worker(b) : run_measurement(b, e);
}

static int set_kind(struct bench *b, const char *name, struct vireo_error *e)
{
    b->kind = b->order.kind = bench_kind_find(name);
    if (!b->kind) {
        const char *names[KINDS_MAX + 1] = {NULL};
        for (unsigned i = 0; i < KINDS_MAX && bench_kind_at(i); i++) names[i] = bench_kind_at(i)->name;
        bad_command(e, "unknown bench \"%.200s\"", name);
        if (!nearest_hint(e->hint, sizeof(e->hint), "", name, WORDS_IN(names)))
            (void)snprintf(e->hint, sizeof(e->hint), "`vireo bench` lists them");
        return e->code;
    }
    b->settings = calloc(1, b->kind->options_size);
    if (!b->settings) return bad_call(e, ENOMEM, "bench %s", name);
    b->kind->init(b->settings);
    return 0;
}

static int run_bench(const struct command *self, char **words, uint64_t started_ns)
{
    struct bench b = {0};
    struct vireo_error e;
    struct command c = *self;
    (void)started_ns;
    if (!words[0]) return list_kinds();
    if (words[0][0] != '-' && set_kind(&b, *words++, &e)) return say_error(&e);
    c.keys = b.kind;
    const int status = dispatch(&b, &c, words, &e);
    for (unsigned i = 0; i < b.order.words; i++) free(b.order.word[i]);
    if (b.kind) b.kind->fini(b.settings);
    free(b.settings);
    return status;
}

static bool nth_key(const struct command *self, unsigned index, struct setting *out)
{
    const struct bench_kind *kind = self->keys;
    const struct setting *o = kind ? kind->options : NULL;
    for (; o && o->name; o++, index--) {
        if (index > 0) continue;
        *out = (struct setting){.name = o->name, .arg = o->arg, .help = o->help};
        return true;
    }
    return false;
}

static void print_kinds(FILE *f)
{
    const struct bench_kind *k;
    for (unsigned i = 0; (k = bench_kind_at(i)) != NULL; i++) {
        char title[160];
        (void)snprintf(title, sizeof(title), "vireo bench %s: %s.", k->name, k->help);
        fputc('\n', f);
        help_print_text(f, 0, 0, title);
        for (const struct setting *o = k->options; o->name; o++) help_print_option(f, o->name, o->arg, o->help);
    }
}

const struct command command_bench = {
    .name = "bench",
    .args = "KIND [OPTION...]",
    .help = HELP_BENCH,
    .options = options,
    .key = nth_key,
    .more = print_kinds,
    .list = bench_list_options,
    .set_word = set_word,
    .set_key = keep_key,
    .run = run_bench,
};

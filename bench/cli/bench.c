/* `vireo bench`: what does a VM exit cost here, and do vCPUs get their share?
 *
 * Each process of a measurement is a fresh one, as what lies within one process shares a layout of memory, a CPU and a
 * moment: it is this program again, as a worker (bench_watch.c). With --against the workers of two programs take turns,
 * A B A B, so that what changes on the host meanwhile strikes both. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/cli/bench.h"

#define PROCESSES_MAX 200 /* as a result holds */
#define SELF          "/proc/self/exe"

struct bench {
    const char *kind;
    const char *processes, *format, *output, *against, *output_against, *compare, *show;
    struct args_words words; /* the second file of --compare */
    bool is_worker, has_list;
    struct vireo_bench *bench; /* checks the options; a worker runs it */
    struct bench_order order;
    const char *wanted; /* the list of items as the user gave it; NULL: all */
};

/* What a kind needs of this program. */
struct kind {
    const char *name, *select;
    unsigned processes; /* by default: an interval over processes needs ten, and fairness takes minutes each */
};
static const struct kind kinds[] = {{"exits", "rows", 10}, {"fairness", "experiments", 1}};

static const struct kind *kind_of(const char *name)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(kinds[i].name, name) == 0) return &kinds[i];
    return NULL;
}

/* ---- options ---- */

static void set_word(void *ctx, const char *word)
{
    args_add(&((struct bench *)ctx)->words, word);
}

static const struct cli_option options[] = {
    {"list", NULL, "list what is measured, and measure nothing", CLI_SWITCH(struct bench, has_list)},
    {"processes", "N", "measure in so many fresh processes (exits 10, fairness 1)", CLI_TEXT(struct bench, processes)},
    {"format", "FORMAT", "text, json, csv; of exits also hgrm, kut (default text)", CLI_TEXT(struct bench, format)},
    {"output", "FILE", "write the result there (default: standard output)", CLI_TEXT(struct bench, output)},
    {"against", "PROGRAM", "take turns with another vireo, and compare: A is this one, B that",
     CLI_TEXT(struct bench, against)},
    {"output-against", "FILE", "write the other one's result there", CLI_TEXT(struct bench, output_against)},
    {"compare", "FILE FILE", "compare two results, made earlier with --format json", CLI_TEXT(struct bench, compare)},
    {"show", "FILE", "write such a result in another --format", CLI_TEXT(struct bench, show)},
    {"worker", NULL, "be a process of a measurement: JSON lines on standard output",
     CLI_SWITCH(struct bench, is_worker)},
    {0},
};

/* One option of the kind: checked by setting it, kept for the workers. */
static int keep_key(void *ctx, const char *key, const char *value, struct vireo_error *e)
{
    struct bench *b = ctx;
    struct bench_order *o = &b->order;
    const int rc = vireo_bench_set(b->bench, key, value, e);
    if (rc) return rc;
    if (strcmp(key, o->select) == 0) {
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
        return bad_command(e, "--%s: more than %d items, or a name too long", o->select, BENCH_ITEMS_MAX);
    memcpy(o->item[o->items], id, len);
    o->item[o->items++][len] = '\0';
    return 0;
}

static int add_all(struct bench_order *o, struct vireo_error *e)
{
    struct vireo_bench_item item;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && vireo_bench_item(o->kind, i, &item); i++)
        rc = add_item(o, item.id, strlen(item.id), e);
    return rc;
}

/* The list has been checked by the library, which knows the names. */
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

/* An unknown format is refused before anything is measured: a result without rows has the same formats. */
static void discard(void *arg, const char *text, size_t len)
{
    (void)arg;
    (void)text;
    (void)len;
}

static int prepare(const struct bench *b, struct measurement *m, struct vireo_error *e)
{
    int rc = 0;
    struct outputs files = {.count = 0};
    outputs_beside(&files, "the program that is measured against", b->against);
    m->side[0].program = SELF;
    m->side[1].program = b->against;
    m->path[0] = b->output;
    m->path[1] = b->output_against;
    m->sides = b->against ? 2 : 1;
    for (unsigned i = 0; i < m->sides && rc == 0; i++) rc = vireo_result_create(&m->side[i].result, b->kind, e);
    if (rc == 0 && b->format) rc = vireo_result_write(m->side[0].result, b->format, discard, NULL, e);
    for (unsigned i = 0; i < m->sides && rc == 0; i++)
        if (m->path[i] && !(m->out[i] = output_open(&files, i ? "output-against" : "output", m->path[i], e)))
            rc = e->code;
    return rc;
}

/* A program that is no vireo, or a vireo without benches, would only be found when its turn comes. */
static int check_against(const char *program, struct vireo_error *e)
{
    struct stat st;
    if (stat(program, &st) < 0 || access(program, X_OK) < 0)
        return bad_command(e, "against %.400s: %s", program, strerror(errno));
    return S_ISREG(st.st_mode) ? 0 : bad_command(e, "against %.400s: not a program, as no file", program);
}

/* What is written after a signal or an error too: what was measured until then. */
static int write_results(const struct bench *b, struct measurement *m, bool has_all, int status)
{
    struct vireo_error e;
    const char *format = b->format ? b->format : b->against ? "json" : "text";
    for (unsigned i = 0; i < m->sides; i++) {
        FILE *f = m->out[i] ? m->out[i] : stdout;
        if (!m->out[i] && b->against) continue; /* then standard output has the comparison */
        if (vireo_result_write(m->side[i].result, format, output_write, f, &e)) status = say_error(&e);
        status = finish_output(m->out[i], m->path[i] ? m->path[i] : "standard output", status);
        m->out[i] = NULL;
    }
    if (!b->against || !has_all) return status;
    if (vireo_result_compare(m->side[0].result, m->side[1].result, "text", output_write, stdout, &e))
        return say_error(&e);
    return finish_output(NULL, "standard output", status);
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
    for (; rc == 0 && progress.process < progress.processes; progress.process++)
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
    if (rc && progress.done < 2) return status; /* nothing was measured to its end, nothing is written */
    return write_results(b, m, rc == 0, status);
}

static int check_measurement(struct bench *b, const struct kind *kind, unsigned *processes, struct vireo_error *e)
{
    char *end = NULL;
    const unsigned long n = b->processes ? strtoul(b->processes, &end, 10) : kind->processes;
    *processes = (unsigned)n;
    if (b->processes && (b->processes[0] < '1' || b->processes[0] > '9' || *end || n > PROCESSES_MAX))
        return bad_command(e, "processes %.40s: a number from 1 to %d", b->processes, PROCESSES_MAX);
    if (b->words.count > 0) return bad_command(e, "\"%.200s\" is not an option of vireo bench", b->words.word[0]);
    if (b->output_against && !b->against)
        return bad_command(e, "output-against %.400s: there is none without --against", b->output_against);
    if (b->output && b->output_against && strcmp(b->output, b->output_against) == 0)
        return bad_command(e, "output-against %.400s: the file of --output too; name another", b->output_against);
    if (b->against && strcmp(b->kind, "exits") != 0)
        return bad_command(e, "against %.400s: only exits can be compared, %s has verdicts", b->against, b->kind);
    return b->against ? check_against(b->against, e) : 0;
}

static int run_measurement(struct bench *b, const struct kind *kind, struct vireo_error *e)
{
    struct measurement m = {.sides = 0};
    int rc = check_measurement(b, kind, &m.processes, e);
    if (rc == 0) rc = select_items(b, e);
    if (rc == 0) rc = prepare(b, &m, e);
    const int status = rc ? say_error(e) : measure(b, &m, e);
    for (unsigned i = 0; i < m.sides; i++) {
        if (m.out[i]) (void)fclose(m.out[i]);
        vireo_result_destroy(m.side[i].result);
    }
    return status;
}

/* ---- results of earlier ---- */

static int run_on_files(struct bench *b, struct vireo_error *e)
{
    struct vireo_result *one = NULL, *two = NULL;
    const char *format = b->format ? b->format : "text";
    const unsigned words = b->compare ? 1 : 0;
    struct outputs files = {.count = 0};
    int rc = 0;
    if (b->compare && b->words.count == 0)
        rc = bad_command(e, "compare %.400s: with what? Name two results", b->compare);
    if (b->words.count > words) rc = bad_command(e, "\"%.200s\" is not an option of vireo bench", b->words.word[words]);
    const char *first = b->compare ? b->compare : b->show;
    outputs_beside(&files, "a result", first);
    outputs_beside(&files, "a result", b->compare ? b->words.word[0] : NULL);
    if (rc == 0) rc = result_read(&one, first, e);
    if (rc == 0 && b->compare) rc = result_read(&two, b->words.word[0], e);
    FILE *f = rc == 0 && b->output ? output_open(&files, "output", b->output, e) : NULL;
    if (rc == 0 && b->output && !f) rc = e->code;
    FILE *out = f ? f : stdout;
    if (rc == 0)
        rc = two ? vireo_result_compare(one, two, format, output_write, out, e)
                 : vireo_result_write(one, format, output_write, out, e);
    int status = rc ? say_error(e) : 0;
    if (f || rc == 0) status = finish_output(f, b->output ? b->output : "standard output", status);
    vireo_result_destroy(one);
    vireo_result_destroy(two);
    return status;
}

/* ---- the command ---- */

static int list_kinds(void)
{
    const char *name, *help;
    for (unsigned i = 0; (name = vireo_bench_kind(i, &help)) != NULL; i++) printf("%-10s %s\n", name, help);
    printf("\n`vireo bench KIND` measures, `vireo bench KIND --list` lists what, `vireo bench --help` explains.\n");
    return finish_output(NULL, "standard output", 0);
}

static int list_items(const char *kind)
{
    struct vireo_bench_item item;
    for (unsigned i = 0; vireo_bench_item(kind, i, &item); i++) printf("%-22s %s\n", item.id, item.title);
    return finish_output(NULL, "standard output", 0);
}

static int dispatch(struct bench *b, const struct command *c, char **words, struct vireo_error *e)
{
    const struct kind *kind = b->kind ? kind_of(b->kind) : NULL;
    int rc = args_parse(c, ARGS_OWN, words, b, e);
    if (rc == 0 && b->compare && b->show) rc = bad_command(e, "--compare and --show: one at a time");
    if (rc) return say_error(e);
    if (b->compare || b->show) return run_on_files(b, e);
    if (!kind) {
        bad_command(e, "no kind of bench given");
        (void)snprintf(e->hint, sizeof(e->hint), "`vireo bench` lists them");
        return say_error(e);
    }
    b->order.kind = b->kind;
    b->order.select = kind->select;
    rc = args_parse(c, ARGS_KEYS, words, b, e);
    if (rc) return say_error(e);
    if (b->has_list) return list_items(b->kind);
    return b->is_worker ? worker_main(b->bench) : run_measurement(b, kind, e);
}

static int run_bench(const struct command *self, char **words, uint64_t started_ns)
{
    struct bench b = {0};
    struct vireo_error e;
    struct command c = *self;
    (void)started_ns;
    if (!words[0]) return list_kinds();
    if (words[0][0] != '-') {
        b.kind = *words++;
        if (vireo_bench_create(&b.bench, b.kind, &e)) return say_error(&e);
        c.bench = b.kind;
    }
    const int status = dispatch(&b, &c, words, &e);
    for (unsigned i = 0; i < b.order.words; i++) free(b.order.word[i]);
    vireo_bench_destroy(b.bench);
    return status;
}

static bool nth_key(const struct command *self, unsigned index, struct vireo_key *out)
{
    return self->bench && vireo_bench_option(self->bench, index, out);
}

static void print_kinds(FILE *f)
{
    const char *kind, *help;
    struct vireo_key k;
    for (unsigned n = 0; (kind = vireo_bench_kind(n, &help)) != NULL; n++) {
        char title[160];
        (void)snprintf(title, sizeof(title), "vireo bench %s: %s.", kind, help);
        fputc('\n', f);
        help_print_text(f, 0, 0, title);
        for (unsigned i = 0; vireo_bench_option(kind, i, &k); i++) help_print_option(f, k.name, k.arg, k.help);
    }
}

static void list_options(FILE *f)
{
    const char *kind, *help;
    struct vireo_key k;
    for (unsigned n = 0; (kind = vireo_bench_kind(n, &help)) != NULL; n++) {
        fprintf(f, "%s\t\t%s\n", kind, help);
        for (unsigned i = 0; vireo_bench_option(kind, i, &k); i++) help_list_option(f, k.name, k.arg, k.help);
    }
}

const struct command command_bench = {
    .name = "bench",
    .args = "KIND [OPTION...]",
    .help = HELP_BENCH,
    .options = options,
    .key = nth_key,
    .more = print_kinds,
    .list = list_options,
    .set_word = set_word,
    .set_key = keep_key,
    .run = run_bench,
};

/* vireo report: an HTML page of result files. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/cli/bench.h"
#include "bench/report/live.h"
#include "bench/report/recording.h"

struct page_words {
    struct args_words path;
    const char *output; /* NULL: standard output */
};

static void add_path(void *ctx, const char *word)
{
    args_add(&((struct page_words *)ctx)->path, word);
}

/* A file that takes no more is an error that is said; in a pipe we end as others do. */
static void ignore_write_signals(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
}

static int write_page(const struct page_words *w, FILE *f, struct result *const *results)
{
    struct err err = {0};
    if (w->output) ignore_write_signals();
    const struct result *const *list = (const struct result *const *)results;
    const char *names[ARGS_WORDS_MAX];
    for (unsigned i = 0; i < w->path.count; i++) {
        const char *slash = strrchr(w->path.word[i], '/');
        names[i] = slash ? slash + 1 : w->path.word[i];
    }
    const int status = say_err(report_write(list, names, w->path.count, output_write, f, &err), &err);
    return finish_output(w->output ? f : NULL, w->output ? w->output : "standard output", status);
}

/* A recording has a page of its own. 1: the only word names one, and *out is it; 0: it does not; <0: *e is filled. */
static int read_recording(const struct page_words *w, struct recording_seen **out, struct vireo_error *e)
{
    struct err inner = {0};
    const char *path = w->path.word[0];
    off_t size;
    int rc = 0;
    FILE *f = open_to_read(path, &size);
    const bool is_one = f && recording_is_one(f);
    if (is_one && size > (off_t)RECORDING_MAX)
        rc = bad_command(e, "%.300s: more than the %llu MiB that a recording may hold", path,
                         (unsigned long long)(RECORDING_MAX >> 20));
    else if (is_one && w->path.count > 1)
        rc = bad_command(e, "%.300s: a recording has a page of its own; give it alone", path);
    else if (is_one && recording_read(out, f, &inner))
        rc = bad_command(e, "%.200s: %.500s", path, inner.text);
    if (f) (void)fclose(f);
    return rc ? rc : is_one;
}

/* What of it could not be read stands on the page, and is said. */
static int write_recording(const struct page_words *w, FILE *f, const struct recording_seen *r)
{
    struct err err = {0};
    if (w->output) ignore_write_signals();
    if (r->note[0]) say("%s: %s", w->path.word[0], r->note);
    const int status = say_err(report_recording(r, output_write, f, &err), &err);
    return finish_output(w->output ? f : NULL, w->output ? w->output : "standard output", status);
}

/* What `vireo fairness` found has one too. As read_recording; the text is the caller's to free. */
static int read_live(const struct page_words *w, struct page *out, struct vireo_error *e)
{
    const char *path = w->path.word[0];
    off_t size;
    int rc = 0;
    FILE *f = open_to_read(path, &size);
    const bool is_one = f && report_live_is_one(f);
    if (is_one && size > RESULT_BYTES_MAX)
        rc = bad_command(e, "%.300s: not a file of at most %d MiB, as a result is", path, RESULT_BYTES_MAX >> 20);
    else if (is_one && w->path.count > 1)
        rc = bad_command(e, "%.300s: what vireo fairness found has a page of its own; give it alone", path);
    else if (is_one && !(out->text = malloc((size_t)size + 1)))
        rc = bad_call(e, ENOMEM, "%.300s", path);
    if (!rc && is_one) out->len = fread(out->text, 1, (size_t)size, f);
    if (!rc && is_one && ferror(f)) rc = bad_command(e, "read %.300s: %s", path, strerror(errno));
    if (f) (void)fclose(f);
    return rc ? rc : is_one;
}

static int write_live(const struct page_words *w, FILE *f, const struct page *p)
{
    struct err err = {0};
    if (w->output) ignore_write_signals();
    const int rc = report_live(p->text, p->len, output_write, f, &err);
    const int status = say_err(err_wrap(&err, rc, "%.300s", w->path.word[0]), &err);
    return finish_output(w->output ? f : NULL, w->output ? w->output : "standard output", status);
}

static int run_report(const struct command *self, char **words, uint64_t started_ns)
{
    struct page_words w = {0};
    struct outputs files = {.count = 0};
    struct result *results[ARGS_WORDS_MAX] = {NULL};
    struct recording_seen *recording = NULL;
    struct page live = {0};
    struct vireo_error e;
    (void)started_ns;
    int rc = args_parse(self, ARGS_OWN, words, &w, &e);
    if (w.output && strcmp(w.output, "-") == 0) w.output = NULL;
    if (!rc && w.path.count > ARGS_WORDS_MAX)
        rc = bad_command(&e, "%u results: a page holds %d; give fewer", w.path.count, ARGS_WORDS_MAX);
    if (!rc && w.path.count == 0)
        rc = bad_command(&e, "no result file given; `vireo bench exits --format json --output FILE` makes one, and "
                             "`vireo top --record FILE` a recording");
    for (unsigned i = 0; !rc && i < w.path.count; i++) outputs_beside(&files, "a result", w.path.word[i]);
    if (!rc) rc = read_recording(&w, &recording, &e);
    const bool is_recording = rc > 0;
    if (is_recording) rc = 0;
    if (!rc && !is_recording) rc = read_live(&w, &live, &e);
    const bool is_live = rc > 0;
    if (is_live) rc = 0;
    for (unsigned i = 0; !rc && !is_recording && !is_live && i < w.path.count; i++)
        rc = result_read(&results[i], w.path.word[i], &e);
    FILE *f = !rc && w.output ? output_open(&files, "open", w.output, &e) : stdout;
    if (!f) rc = e.code;
    const int status = rc          ? say_error(&e)
                       : recording ? write_recording(&w, f, recording)
                       : is_live   ? write_live(&w, f, &live)
                                   : write_page(&w, f, results);
    recording_destroy(recording);
    free(live.text);
    for (unsigned i = 0; i < ARGS_WORDS_MAX; i++) result_destroy(results[i]);
    return status;
}

static void list_words(FILE *f, const char *word)
{
    (void)word;
    fputs("FILE\t\ta result of vireo bench or vireo fairness, or a recording of vireo top\n", f);
}

static const struct setting options[] = {
    {"output", "FILE", "write the page there (default: standard output)", CLI_TEXT(struct page_words, output)},
    {0},
};

const struct command command_report = {
    .name = "report",
    .args = "RESULT.json...|RECORDING [--output FILE]",
    .help = HELP_REPORT,
    .options = options,
    .list = list_words,
    .set_word = add_path,
    .run = run_report,
};

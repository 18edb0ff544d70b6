/* vireo report: an HTML page of result files. */
#include <string.h>

#include "bench/cli/bench.h"

struct page_words {
    struct args_words path;
    const char *output; /* NULL: standard output */
};

static void add_path(void *ctx, const char *word)
{
    args_add(&((struct page_words *)ctx)->path, word);
}

static int write_page(const struct page_words *w, FILE *f, struct result *const *results)
{
    struct err err = {0};
    if (w->output) { /* a file that takes no more is an error that is said; in a pipe we end as others do */
        (void)signal(SIGPIPE, SIG_IGN);
        (void)signal(SIGXFSZ, SIG_IGN);
    }
    const struct result *const *list = (const struct result *const *)results;
    const int status = say_err(report_write(list, w->path.count, output_write, f, &err), &err);
    return finish_output(w->output ? f : NULL, w->output ? w->output : "standard output", status);
}

static int run_report(const struct command *self, char **words, uint64_t started_ns)
{
    struct page_words w = {0};
    struct outputs files = {.count = 0};
    struct result *results[ARGS_WORDS_MAX] = {NULL};
    struct vireo_error e;
    (void)started_ns;
    int rc = args_parse(self, ARGS_OWN, words, &w, &e);
    if (w.output && strcmp(w.output, "-") == 0) w.output = NULL;
    if (!rc && w.path.count > ARGS_WORDS_MAX)
        rc = bad_command(&e, "%u results: a page holds %d; give fewer", w.path.count, ARGS_WORDS_MAX);
    if (!rc && w.path.count == 0)
        rc = bad_command(&e, "no result file given; `vireo bench exits --format json --output FILE` makes one");
    for (unsigned i = 0; !rc && i < w.path.count; i++) outputs_beside(&files, "a result", w.path.word[i]);
    for (unsigned i = 0; !rc && i < w.path.count; i++) rc = result_read(&results[i], w.path.word[i], &e);
    FILE *f = !rc && w.output ? output_open(&files, "open", w.output, &e) : stdout;
    if (!f) rc = e.code;
    const int status = rc ? say_error(&e) : write_page(&w, f, results);
    for (unsigned i = 0; i < ARGS_WORDS_MAX; i++) result_destroy(results[i]);
    return status;
}

static void list_words(FILE *f, const char *word)
{
    (void)word;
    fputs("FILE\t\ta result of vireo bench\n", f);
}

static const struct setting options[] = {
    {"output", "FILE", "write the page there (default: standard output)", CLI_TEXT(struct page_words, output)},
    {0},
};

const struct command command_report = {
    .name = "report",
    .args = "RESULT.json... [--output FILE]",
    .help = HELP_REPORT,
    .options = options,
    .list = list_words,
    .set_word = add_path,
    .run = run_report,
};

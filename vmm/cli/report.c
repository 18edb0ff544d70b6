/* vireo report: an HTML page of result files. */
#include <string.h>

#include "vmm/cli/cli.h"

#define RESULTS_MAX 16 /* of a page, as vireo_report_write has it */

struct page_words {
    const char *path[RESULTS_MAX];
    unsigned count, too_many;
    const char *output; /* NULL: standard output */
};

static void add_path(void *ctx, const char *word)
{
    struct page_words *w = ctx;
    if (w->count < RESULTS_MAX)
        w->path[w->count++] = word;
    else
        w->too_many++;
}

static void set_output(void *ctx, const char *value)
{
    struct page_words *w = ctx;
    w->output = strcmp(value, "-") == 0 ? NULL : value;
}

static int write_page(const struct page_words *w, struct vireo_result *const *results)
{
    struct vireo_error e;
    FILE *f = w->output ? output_open("open", w->output, 0, &e) : stdout;
    if (!f) return say_error(&e);
    const struct vireo_result *const *list = (const struct vireo_result *const *)results;
    const int rc = vireo_report_write(list, w->count, output_write, f, &e);
    const int status = rc ? say_error(&e) : 0;
    return finish_output(w->output ? f : NULL, w->output ? w->output : "standard output", status);
}

static int run_report(const struct command *self, char **words, uint64_t started_ns)
{
    struct page_words w = {0};
    struct vireo_result *results[RESULTS_MAX] = {NULL};
    struct vireo_error e;
    (void)started_ns;
    int rc = args_parse(self, ARGS_OWN, words, &w, &e);
    if (!rc && w.too_many > 0)
        rc = bad_command(&e, "%u results: a page holds %d; give fewer", w.count + w.too_many, RESULTS_MAX);
    if (!rc && w.count == 0)
        rc = bad_command(&e, "no result file given; `vireo bench exits --format json --output FILE` makes one");
    for (unsigned i = 0; i < w.count && !rc; i++) rc = result_read(&results[i], w.path[i], &e);
    const int status = rc ? say_error(&e) : write_page(&w, results);
    for (unsigned i = 0; i < w.count; i++) vireo_result_destroy(results[i]);
    return status;
}

static const struct cli_option options[] = {
    {"output", "FILE", "write the page there (default: standard output)", set_output},
    {0},
};

const struct command command_report = {
    .name = "report",
    .args = "RESULT.json... [--output FILE]",
    .help = HELP_REPORT,
    .options = options,
    .set_word = add_path,
    .run = run_report,
};

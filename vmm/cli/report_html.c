/* vireo report: an HTML page of result files. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

#define RESULT_MAX_BYTES ((off_t)64 << 20) /* as the library takes */

int result_read(struct vireo_result **out, const char *path, struct vireo_error *e)
{
    struct stat st;
    struct vireo_error inner;
    char *text = NULL;
    size_t len = 0;
    FILE *f = fopen(path, "re");
    if (!f) return bad_command(e, "open %.400s: %s", path, strerror(errno));
    int rc = 0;
    if (fstat(fileno(f), &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > RESULT_MAX_BYTES)
        rc = bad_command(e, "%.400s: not a file of at most 64 MiB, as a result is", path);
    else if (!(text = malloc((size_t)st.st_size + 1)))
        rc = bad_command(e, "%.400s: out of memory", path);
    if (rc == 0) len = fread(text, 1, (size_t)st.st_size, f);
    if (rc == 0 && ferror(f)) rc = bad_command(e, "read %.400s: %s", path, strerror(errno));
    fclose(f);
    if (rc == 0 && vireo_result_load(out, text, len, &inner)) rc = bad_command(e, "%.200s: %.500s", path, inner.text);
    free(text);
    return rc;
}

static void write_out(void *arg, const char *text, size_t len)
{
    fwrite(text, 1, len, arg); /* finish_output looks at the stream's error */
}

/* The page is made in memory first: a file that is there stays as it is when the page can't be made. */
static int write_page(const struct page_words *w, struct vireo_result *const *results)
{
    struct vireo_error e;
    char *text = NULL;
    size_t len = 0;
    FILE *memory = open_memstream(&text, &len);
    if (!memory) {
        say("no memory for the page");
        return STATUS_BAD_HOST;
    }
    const int rc = vireo_report_write((const struct vireo_result *const *)results, w->count, write_out, memory, &e);
    if (fclose(memory) != 0 && !rc) {
        free(text);
        say("no memory for the page");
        return STATUS_BAD_HOST;
    }
    int status = rc ? say_error(&e) : 0;
    FILE *f = rc || !w->output ? NULL : fopen(w->output, "we");
    if (!rc && w->output && !f) {
        say("open %s: %s", w->output, strerror(errno));
        status = STATUS_BAD_COMMAND;
    } else if (!rc) {
        write_out(f ? f : stdout, text, len);
        status = finish_output(f, w->output ? w->output : "standard output", 0);
    }
    free(text);
    return status;
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

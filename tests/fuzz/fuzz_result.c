/* Results from anybody's text. The first byte says which door: a result file, or a worker's lines. What is taken can be
 * written in every format, and what is written as JSON is taken again and, rounded as JSON rounds, is the same. */
#include "bench/result/result.h"
#include "tests/fuzz/fuzz.h"

struct text {
    char *s;
    size_t len;
};

static void collect(void *arg, const char *s, size_t len)
{
    struct text *t = arg;
    t->s = malloc(len + 1);
    MUST(t->s);
    memcpy(t->s, s, len);
    t->len = len;
}

static void check_outcome(int rc, const struct err *e)
{
    MUST(rc <= 0);
    MUST(rc == 0 || (e->code == rc && e->text[0] && strlen(e->text) < ERR_TEXT_MAX));
}

static void write_all(const struct result *r)
{
    static const char *const formats[] = {"text", "csv", "hgrm", "kut"};
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        struct text t = {0};
        struct err e = {0};
        const int rc = result_write(r, formats[i], collect, &t, &e);
        check_outcome(rc, &e);
        MUST(rc == 0 || (i >= 2 && strcmp(result_kind(r), "exits") != 0));
        free(t.s);
    }
}

/* What is written of r as JSON is taken again. NULL: it came from lines and has no environment, as files must. */
static struct result *reread(const struct result *r, struct text *json)
{
    struct result *again = NULL;
    struct err e = {0};
    MUST(result_write(r, "json", collect, json, &e) == 0);
    if (result_load(&again, json->s, json->len, &e)) MUST(strcmp(e.text, "has no environment") == 0);
    return again;
}

static void read_again(const struct result *r)
{
    struct text full = {0}, rounded = {0}, same = {0}, comparison = {0};
    struct err e = {0};
    struct result *again = reread(r, &full);
    if (again) {
        struct result *third = reread(again, &rounded);
        MUST(third && result_write(third, "json", collect, &same, &e) == 0);
        MUST(rounded.len == same.len && memcmp(rounded.s, same.s, same.len) == 0);
        const int rc = result_compare(r, again, 0.05, "text", collect, &comparison, &e);
        check_outcome(rc < 0 ? rc : 0, &e);
        result_destroy(third);
    }
    result_destroy(again);
    free(full.s);
    free(rounded.s);
    free(same.s);
    free(comparison.s);
}

static struct result *from_lines(const char *kind, char *text)
{
    struct result *r = result_create(kind);
    char *line;
    while (r && (line = strsep(&text, "\n")) != NULL) {
        struct err e = {0};
        unsigned ms;
        check_outcome(result_add(r, line, strlen(line), &e), &e);
        const char *pending = result_pending(r, &ms);
        if (pending && strcmp(pending, "stuck") == 0) check_outcome(result_give_up(r, "timeout", "late", &e), &e);
    }
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct result *r = NULL;
    struct err e = {0};
    if (size == 0) return 0;
    char *text = text_of(data + 1, size - 1);
    if (!text) return 0;
    if (data[0] == 'e' || data[0] == 'f')
        r = from_lines(data[0] == 'e' ? "exits" : "fairness", text);
    else
        check_outcome(result_load(&r, text, size - 1, &e), &e);
    if (r) {
        write_all(r);
        read_again(r);
    }
    result_destroy(r);
    free(text);
    return 0;
}

#include "bench/result/table.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void table_init(struct table *t, FILE *f)
{
    *t = (struct table){.f = f};
}

void table_column(struct table *t, const char *title)
{
    const size_t n = strlen(title);
    const bool is_left = n > 2 && strcmp(title + n - 2, " <") == 0;
    assert(t->columns < TABLE_COLUMNS_MAX && t->cells == 0);
    const unsigned i = t->columns++;
    t->name[i] = title;
    t->is_left[i] = is_left;
    t->name_len[i] = t->width[i] = (int)n - (is_left ? 2 : 0);
}

void table_columns(struct table *t, const char *const *titles)
{
    for (; *titles; titles++) table_column(t, *titles);
}

/* NULL in place of a cell that there was no memory for. */
static void add(struct table *t, char *text)
{
    const unsigned column = t->at;
    t->at = column + 1 < t->columns ? column + 1 : 0;
    char **more = realloc(t->cell, (t->cells + 1) * sizeof(*more));
    if (!more || !text) errno = ENOMEM;
    if (more) t->cell = more;
    if (!more || !text) {
        free(text);
        if (more) t->cell[t->cells++] = NULL;
        return;
    }
    int *width = &t->width[column];
    const int n = (int)strlen(text);
    t->cell[t->cells++] = text;
    if (n > *width) *width = n;
}

void table_cell(struct table *t, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0) text = NULL;
    va_end(ap);
    add(t, text);
}

static void print_cell(const struct table *t, unsigned column, const char *text, int len)
{
    const int pad = t->width[column] - len;
    const char *gap = column ? "  " : "";
    if (!t->is_left[column])
        fprintf(t->f, "%s%*s%.*s", gap, pad, "", len, text);
    else if (column + 1 < t->columns)
        fprintf(t->f, "%s%.*s%*s", gap, len, text, pad, "");
    else
        fprintf(t->f, "%s%.*s", gap, len, text); /* no blanks at the end of a line */
}

void table_fini(struct table *t)
{
    assert(t->columns > 0 || t->cells == 0);
    for (unsigned i = 0; t->cells && i < t->columns; i++) print_cell(t, i, t->name[i], t->name_len[i]);
    if (t->cells) fputc('\n', t->f);
    for (unsigned i = 0, column = 0; i < t->cells; i++) {
        const char *text = t->cell[i] ? t->cell[i] : "";
        print_cell(t, column, text, (int)strlen(text));
        column = column + 1 < t->columns ? column + 1 : 0;
        if (column == 0) fputc('\n', t->f);
        free(t->cell[i]);
    }
    free(t->cell);
}

int result_out_open(struct result_out *o, struct err *e)
{
    *o = (struct result_out){0};
    o->f = open_memstream(&o->text, &o->len);
    if (!o->f) return err_set(e, -ENOMEM, "out of memory");
    errno = 0;
    return 0;
}

int result_out_close(struct result_out *o, result_write_fn *write, void *arg, struct err *e)
{
    const bool is_good = errno != ENOMEM && !ferror(o->f);
    const bool is_whole = fclose(o->f) == 0 && is_good;
    if (is_whole) write(arg, o->text, o->len);
    free(o->text);
    return is_whole ? 0 : err_set(e, -ENOMEM, "out of memory");
}

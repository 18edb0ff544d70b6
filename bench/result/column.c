#include "bench/result/column.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- values ---- */

struct value {
    const struct key *key; /* NULL: unknown */
    const void *member;
    double scale; /* of durations */
};

static struct value value_at(const struct column *c, const char *path, const struct column_source *s)
{
    const void *in = s->in;
    if (!s->phase && strchr(path, '*')) return (struct value){0};
    const struct key *k = key_at(s->shape, path, s->phase, &in);
    const double tick = c->is_in_ticks ? 1 : s->tick_ns;
    return (struct value){
        .key = k->type == VALUE_TEXT || key_is_known(k, in) ? k : NULL,
        .member = (const char *)in + k->offset,
        .scale = k->unit == UNIT_TICKS         ? tick
                 : k->unit == UNIT_BATCH_TICKS ? tick / s->batch
                                               : 1,
    };
}

/* NULL: it is a number, or unknown. */
static const char *value_text(const struct value *v)
{
    switch (v->key ? v->key->type : VALUE_NUMBER) {
    case VALUE_NAME:
    case VALUE_TEXT: return v->member;
    case VALUE_WORD:
    case VALUE_BOOL: return v->key->words[*(const int *)v->member];
    default: return NULL;
    }
}

static double value_number(const struct value *v)
{
    switch (v->key ? v->key->type : VALUE_TEXT) {
    case VALUE_COUNT: return (double)*(const uint64_t *)v->member * v->scale;
    case VALUE_LIST: return *(const unsigned *)v->member;
    case VALUE_NUMBER: return *(const double *)v->member * v->scale;
    default: return NAN;
    }
}

/* ---- for people ---- */

void columns_begin(struct table *t, FILE *f, const struct column *columns)
{
    table_init(t, f);
    for (const struct column *c = columns; c->title; c++) table_column(t, c->title);
}

static void put_cell(struct table *t, const struct column *c, const struct column_source *s)
{
    const struct value v = value_at(c, c->path, s), to = value_at(c, c->to ? c->to : c->path, s);
    const double low = value_number(&v), high = value_number(&to);
    const bool is_count = v.key && v.key->type != VALUE_NUMBER && v.key->unit == UNIT_NONE;
    const int decimals = c->decimals ? (int)c->decimals : !is_count && high < 100 ? 1 : 0;
    if (value_text(&v))
        table_cell(t, "%s", value_text(&v));
    else if (isnan(low) || isnan(high))
        table_cell(t, "n/a");
    else if (c->to)
        table_cell(t, "%.*f%s%.*f", decimals, low, c->between ? c->between : "-", decimals, high);
    else
        table_cell(t, "%.*f", decimals, low);
}

void columns_put(struct table *t, const struct column *columns, const struct column_source *s)
{
    for (const struct column *c = columns; c->title; c++) put_cell(t, c, s);
}

/* ---- CSV ---- */

void csv_text(FILE *f, const char *s)
{
    fputc('"', f);
    for (; *s; s++) {
        if (*s == '"') fputc('"', f);
        fputc((unsigned char)*s < ' ' ? ' ' : *s, f);
    }
    fputc('"', f);
}

void csv_number(FILE *f, double number)
{
    if (!isnan(number)) fprintf(f, "%.12g", number);
}

void csv_head(FILE *f, const struct column *columns)
{
    for (const struct column *c = columns; c->title; c++) fprintf(f, "%s%s", c == columns ? "" : ",", c->title);
    fputc('\n', f);
}

void csv_line(FILE *f, const struct column *columns, const struct column_source *s)
{
    for (const struct column *c = columns; c->title; c++) {
        const struct value v = value_at(c, c->path, s);
        const char *text = value_text(&v);
        if (c != columns) fputc(',', f);
        if (text && v.key->type == VALUE_TEXT)
            csv_text(f, text);
        else if (text)
            fputs(text, f);
        else
            csv_number(f, value_number(&v));
    }
    fputc('\n', f);
}

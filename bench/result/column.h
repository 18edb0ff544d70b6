/* Columns of what the table of shapes keeps, for people (table.h) and as CSV (RFC 4180, lines ended by LF). A column is
 * a title and the path of a key; the key's line in the table of shapes says how its value is written. */
#ifndef VIREO_BENCH_RESULT_COLUMN_H
#define VIREO_BENCH_RESULT_COLUMN_H

#include "bench/result/shape.h"
#include "bench/result/table.h"

struct column {
    const char *title;   /* NULL ends a list of columns. In a table " <" at its end aligns the column to the left */
    const char *path;    /* "headline.p50", "phases.*.max": as key_at takes it */
    const char *to;      /* in a table, the other end of an interval, or what the first is a part of; NULL: neither */
    const char *between; /* the two; NULL: "-" */
    unsigned decimals;   /* in a table; 0: none of a count, of other figures one below 100 */
    bool is_in_ticks;    /* a duration; false: in nanoseconds */
};

#define COLUMN(name, at, ...)                                                                                          \
    {                                                                                                                  \
        .title = name, .path = at, __VA_ARGS__                                                                         \
    }

/* Where columns find their values. */
struct column_source {
    enum shape shape;
    const void *in;    /* the struct that keeps it */
    const char *phase; /* for "*" in a path; NULL: what such a path leads to is unknown */
    double tick_ns;    /* what a tick is printed as, of a column that is not in ticks */
    double batch;      /* operations, by which durations of batches are divided */
};

void columns_begin(struct table *t, FILE *f, const struct column *columns);
void columns_put(struct table *t, const struct column *columns, const struct column_source *s); /* one row */

void csv_head(FILE *f, const struct column *columns);
void csv_line(FILE *f, const struct column *columns, const struct column_source *s);
void csv_text(FILE *f, const char *s);   /* a quoted field */
void csv_number(FILE *f, double number); /* a field; NaN leaves it empty */

#endif

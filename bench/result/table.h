/* Text for people in aligned columns, and a text that is handed over whole or not at all. */
#ifndef VIREO_BENCH_RESULT_TABLE_H
#define VIREO_BENCH_RESULT_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#include "bench/result/result.h"

#define TABLE_COLUMNS_MAX 16

/* Rows are kept until the end, as only then the widths of the columns are known. When memory runs out, errno is ENOMEM,
 * which result_out_close sees; the error of the FILE is not set. */
struct table {
    FILE *f;
    unsigned columns, cells, at;         /* at: column of the next cell */
    const char *name[TABLE_COLUMNS_MAX]; /* name_len of it */
    int name_len[TABLE_COLUMNS_MAX];
    int width[TABLE_COLUMNS_MAX];
    bool is_left[TABLE_COLUMNS_MAX];
    char **cell;
};
void table_init(struct table *t, FILE *f);
/* title: outlives the table; " <" at its end aligns the column to the left. All columns come before the first cell. */
void table_column(struct table *t, const char *title);
void table_columns(struct table *t, const char *const *titles); /* several; ends with NULL */
void table_cell(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void table_fini(struct table *t); /* prints it, when it has rows */

/* A text that is being made. */
struct result_out {
    FILE *f;
    char *text;
    size_t len;
};
int result_out_open(struct result_out *o, struct err *e);
int result_out_close(struct result_out *o, result_write_fn *write, void *arg, struct err *e);

#endif

/* From anybody's JSON to the parts of result_model.h: forms first, by tables, then values. Private to result*.c. */
#ifndef VIREO_BENCH_RESULT_PARSE_H
#define VIREO_BENCH_RESULT_PARSE_H

#include "bench/result/model.h"

/* What a value must be. A null is taken as if the key were missing. */
enum shape_type {
    SHAPE_ID,     /* a string that fits RESULT_ID_MAX, of its characters */
    SHAPE_TEXT,   /* a string of up to RESULT_TEXT_MAX bytes */
    SHAPE_COUNT,  /* a whole number, 0 or more */
    SHAPE_NUMBER, /* any number */
    SHAPE_BOOL,
    SHAPE_SCALAR,  /* a text, a number or a bool */
    SHAPE_OBJECT,  /* with the keys of `of`; without one, all of whose values are scalars */
    SHAPE_OBJECTS, /* a list of such */
    SHAPE_NUMBERS, /* a list of numbers */
    SHAPE_POINTS,  /* a list of lists of numbers and texts */
};
struct shape {
    const char *key; /* NULL: the end of the table. Keys that are not in it are let through */
    enum shape_type type;
    bool is_required;
    const struct shape *of;
};
int shape_check(const json_t *object, const struct shape *shape, struct err *e);

int environment_check(const json_t *env, const char *kind, struct err *e);
int experiment_check(const json_t *experiment, struct err *e);

/* Values of what has been checked; the default where there is none. */
uint64_t json_count(const json_t *object, const char *key, uint64_t otherwise);
double json_figure(const json_t *object, const char *key, double otherwise);
const char *json_text(const json_t *object, const char *key, const char *otherwise);

/* out: an empty one; filled, or empty when h is refused. */
int dist_parse(struct dist *out, const json_t *h, struct err *e);
int dist_merge(struct dist *into, const struct dist *from); /* 0 or -ENOMEM: then into is as it was */
void dist_fini(struct dist *d);

/* A row of a worker's line (one process) or of a result file. out: a zeroed one; owned by the caller on success only.
 */
int row_parse(struct result_row *out, const json_t *row, struct err *e);
int row_merge(struct result_row *into, struct result_row *from,
              struct err *e); /* takes from; into is as it was on error */
void row_fini(struct result_row *r);
int row_status_find(const char *name); /* enum row_status, or -1 */

#endif

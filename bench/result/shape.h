/* The shape of every object in a result file and in a worker's line: one table, one line a key.
 *
 * The table checks and reads what comes from outside (shape_read), writes objects as JSON (shape_write), says how the
 * rows of several processes become one (row_merge), and is what columns of text and CSV are made of (column.h).
 * docs/result-format.md explains the keys and holds the same table; test_result.c compares the two. To add a key, add a
 * line here, a line there, and the member that keeps it. */
#ifndef VIREO_BENCH_RESULT_SHAPE_H
#define VIREO_BENCH_RESULT_SHAPE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/err.h"
#include "vmm/base/json_out.h"

#define SHAPE_NAME_MAX 63     /* bytes of a row's, an experiment's or a property's name */
#define SHAPE_TEXT_MAX 1000   /* bytes of any other string; a sentence has some hundred */
#define SHAPE_LIST_MAX 100000 /* elements of a list; 30 s of windows are 600 */

enum shape {
    SHAPE_NONE,
    SHAPE_file,
    SHAPE_begin,
    SHAPE_environment,
    SHAPE_host,
    SHAPE_counter,
    SHAPE_row,
    SHAPE_exits,
    SHAPE_legs,
    SHAPE_headline,
    SHAPE_process,
    SHAPE_phases,
    SHAPE_distribution,
    SHAPE_quantiles,
    SHAPE_quantile,
    SHAPE_experiment,
    SHAPE_vcpu,
    SHAPE_identity,
    SHAPE_property,
    SHAPE_plots,
    SHAPE_compared
};

/* What a value is, and the C type of the member that keeps it. */
enum value_type {
    VALUE_NAME,   /* char[SHAPE_NAME_MAX + 1]; "" is unknown */
    VALUE_TEXT,   /* char[SHAPE_TEXT_MAX + 1] */
    VALUE_WORD,   /* an enum, the index in `words`; -1 is unknown */
    VALUE_COUNT,  /* uint64_t; COUNT_UNKNOWN */
    VALUE_NUMBER, /* double; NaN is unknown */
    VALUE_BOOL,   /* int; -1 is unknown */
    VALUE_SCALAR, /* a text, a number or a bool; not kept, as are those without a C type below */
    VALUE_OBJECT, /* of shape `of`; a struct within the same struct, or members of that one (offset 0) */
    VALUE_OBJECTS,
    VALUE_LIST,  /* of objects as well, read one by one by whoever keeps them; the member is how many, an unsigned */
    VALUE_FACTS, /* an object of scalars */
    VALUE_NUMBERS,
    VALUE_POINTS, /* a list of lists of numbers and texts */
    VALUE_DIST,   /* struct dist */
    VALUE_BUCKETS /* read by dist.c */
};
#define COUNT_UNKNOWN UINT64_MAX

enum key_need {
    KEY_OPTIONAL, /* null, like a missing key, is unknown */
    KEY_REQUIRED,
    KEY_DERIVED /* written for readers of the file, and not read: it follows from the rest */
};

/* How the values of two processes become one. A duration of what timed out or did not exit is no duration of the row.
 * So MERGE_SUM_OK takes the value of the process that is ok when the other is not, and their sum otherwise. */
enum key_merge { MERGE_NONE, MERGE_FIRST, MERGE_SUM, MERGE_SUM_OK, MERGE_ALL, MERGE_LARGEST, MERGE_WORST, MERGE_OWN };

/* What a number counts. Ticks are those of the environment's counter. */
enum key_unit { UNIT_NONE, UNIT_TICKS, UNIT_BATCH_TICKS, UNIT_NS }; /* ticks of one operation; of a whole batch */

struct key {
    enum shape shape;
    const char *object, *key; /* object: the shape's name */
    enum value_type type;
    enum key_unit unit;
    enum key_need need;
    enum key_merge merge;
    enum shape of;
    const char *const *words; /* of a word; of a bool, those that columns of text have for it */
    double low, high;         /* of counts and numbers; both 0: any. A text that must be one word has `words` */
    double otherwise;         /* of a count or number that is missing; NaN: it is unknown */
    size_t offset, size;      /* of the member in the struct of its shape; size 0: not kept */
    /* Write the elements of a list. in: the struct. NULL: the list is not kept. */
    void (*write)(struct json_out *j, const void *in);
};
extern const struct key result_keys[]; /* by shape, in the order in which keys are written; ends with no key */

/* What a key's value must be: "a whole number from 1 to 1000000". */
#define KEY_WORDS_MAX 160
const char *key_words(const struct key *k, char buf[KEY_WORDS_MAX]);
const char *key_merge_words(enum key_merge m);
const char *key_unit_words(enum key_unit u);

/* Is the member that keeps k in *in known? */
bool key_is_known(const struct key *k, const void *in);
/* The key that a path as "headline.p50" leads to from shape s, and in *in, a struct of s, the struct that keeps it. "*"
 * in the path stands for `any`. The path is one of ours: it must lead to a key. */
const struct key *key_at(enum shape s, const char *path, const char *any, const void **in);

/* Check that v is an object of this shape, and fill the members of *out. With out NULL it is only checked. With v NULL
 * every member becomes what it is without its key. Keys that the table does not have are let through. An error names
 * the key, its value and what is wanted. */
int shape_read(enum shape s, const json_t *v, void *out, struct err *e);
/* Write the object that *in holds, in the table's order. What is unknown or not kept is null. */
void shape_write(struct json_out *j, const char *key, enum shape s, const void *in);
/* Write what was read. What lies deeper than struct json_out can go, as nothing of ours does, becomes null. */
void json_write(struct json_out *j, const char *key, const json_t *v);
#define JSON_DIGITS 12 /* significant ones of a number that is no count */
/* What is in the text, the caller's; NULL after an error that says where it is no JSON. */
json_t *json_read(const char *text, size_t len, struct err *e);

/* The index of v among the words, which end with NULL; -1: it is none of them. */
int word_find(const char *const *words, const json_t *v);
const char *json_text(const json_t *object, const char *key); /* "" where there is none */

#endif

/* What the kernel says of one of its tracepoints in tracefs (events/SYSTEM/NAME/format): its number, where its fields
 * lie in a record, and the names that it prints for values of a field (Documentation/trace/events.rst, 4). The text is
 * read and nothing of it is assumed, as offsets and fields differ between kernels. */
#ifndef VIREO_CLI_TRACE_FORMAT_H
#define VIREO_CLI_TRACE_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRACE_FIELDS_MAX 32  /* kvm_exit has fifteen */
#define TRACE_NAMES_MAX  512 /* kvm_exit has some 200, of two kinds of processor */
#define TRACE_TEXT_MAX   48  /* bytes of a name, cut to fit */
#define TRACE_LISTS_MAX  8   /* __print_symbolic() in one text */

struct trace_field {
    char name[TRACE_TEXT_MAX];
    unsigned offset, size; /* bytes: 1, 2, 4 or 8 for trace_value */
};

struct trace_name {
    unsigned list; /* of which list */
    uint64_t value;
    char text[TRACE_TEXT_MAX];
};

struct trace_format {
    unsigned id;
    unsigned fields, names, lists;
    struct trace_field field[TRACE_FIELDS_MAX];
    char list_field[TRACE_LISTS_MAX][TRACE_TEXT_MAX]; /* whose values each list names */
    struct trace_name name[TRACE_NAMES_MAX];
};

/* false: it is no such text, or has more than the limits above. */
bool trace_format_read(struct trace_format *out, const char *text);
const struct trace_field *trace_field(const struct trace_format *f, const char *name); /* NULL: there is none */
/* A field of a record, zero-extended. false: the record ends before it, or it is no number. */
bool trace_value(const struct trace_field *field, const void *record, size_t size, uint64_t *out);
/* What the nth list (from 0) of a field calls a value. NULL: nothing. */
const char *trace_name(const struct trace_format *f, const char *field, unsigned nth, uint64_t value);

#endif

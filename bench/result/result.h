/* Results of benches: made of the lines that worker processes wrote (bench.h), or read from a file; compared, and
 * written for people and programs. docs/result-format.md explains lines and files, shape.h has their table, model.h
 * what is in a result. One thread at a time. */
#ifndef VIREO_BENCH_RESULT_RESULT_H
#define VIREO_BENCH_RESULT_RESULT_H

#include <stddef.h>

#include "vmm/base/err.h"

struct result;

typedef void result_write_fn(void *arg, const char *text, size_t len);

/* kind: "exits" or "fairness". NULL: no memory. */
struct result *result_create(const char *kind);
void result_destroy(struct result *r);
/* One line of a worker. A new environment begins a new process. r stays as it was when the line is refused. */
int result_add(struct result *r, const char *line, size_t len, struct err *e);
/* What the worker whose lines come has begun and not finished, or NULL, and how long it may take. Valid until the next
 * line. */
const char *result_pending(const struct result *r, unsigned *timeout_ms);
/* Give that up: its status becomes "timeout" or "failed", why is one sentence. The next environment is then not of a
 * new process, but of a worker that goes on in place of this one. -ENOENT: nothing is pending. */
int result_give_up(struct result *r, const char *status, const char *why, struct err *e);
/* A result file's text. Another schema, or none: one sentence. */
int result_load(struct result **out, const char *text, size_t len, struct err *e);
const char *result_kind(const struct result *r);

/* format: "text", "json", "csv", "hgrm", "kut". One that the kind does not have: one sentence with those it has. */
int result_write(const struct result *r, const char *format, result_write_fn *write, void *arg, struct err *e);
/* a beside b: ratio with interval, permutation test, for each row that both have; "text" or "json". Results that must
 * not be compared (other kind, architecture, counter) are refused; other environments and runs that were not
 * interleaved are said. */
int result_compare(const struct result *a, const struct result *b, const char *format, result_write_fn *write,
                   void *arg, struct err *e);
/* One self-contained HTML page of them all (bench/report). */
int report_write(const struct result *const *results, unsigned count, result_write_fn *write, void *arg, struct err *e);

#endif

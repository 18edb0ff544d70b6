/* Results of benches: made of the lines that worker processes wrote (bench.h), or read from a file; compared, and
 * written for people and programs. docs/result-format.md explains lines and files, shape.h has their table, model.h
 * what is in a result. One thread at a time. */
#ifndef VIREO_BENCH_RESULT_RESULT_H
#define VIREO_BENCH_RESULT_RESULT_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm/base/err.h"

#define RESULT_BYTES_MAX (64 << 20) /* of a file: 40 rows of six histograms are 2 MiB at most; of 128, 6 */

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
/* Give up what is pending: its status becomes "timeout" or "failed", and `why` is one sentence. The next environment is
 * then of a worker that goes on in place of this process. -ENOENT: nothing is pending. */
int result_give_up(struct result *r, const char *status, const char *why, struct err *e);
/* Has no process got a single sample of that row before its time was up? Then the next one will not either. */
bool result_is_hopeless(const struct result *r, const char *row);
/* Make a result of the text of a file. An error says which object and key of the file has which value, and what is
 * wanted. */
int result_load(struct result **out, const char *text, size_t len, struct err *e);
const char *result_kind(const struct result *r);

/* format: "text", "json", "csv", "hgrm", "kut". An error names those that results of this kind have. */
int result_write(const struct result *r, const char *format, result_write_fn *write, void *arg, struct err *e);
/* Compare a and b, as "text" or "json": for each row that both have, the ratio with its interval, and a permutation
 * test. Results of another kind, architecture or counter are refused. Where the environments differ, or the processes
 * did not take turns, the comparison says so. A regression is a row in which b is shown to be slower, and by more than
 * margin, a share of a. How many there are, or -errno. */
#define RESULT_MARGIN 0.05 /* unless the user says another; less is often the layout of another build */
int result_compare(const struct result *a, const struct result *b, double margin, const char *format,
                   result_write_fn *write, void *arg, struct err *e);
/* Of a result of fairness: how many properties fail; and, if wanted, how many are open: those that are inconclusive,
 * identities that do not hold, and experiments that were begun and found nothing. */
unsigned result_failures(const struct result *r, bool has_open);
/* One self-contained HTML page of them all (bench/report). names: what the page calls each, as its file's name; NULL:
 * letters are enough. */
int report_write(const struct result *const *results, const char *const *names, unsigned count, result_write_fn *write,
                 void *arg, struct err *e);

#endif

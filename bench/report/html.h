/* HTML as it is written: literal text goes out as it stands, what is put into it is escaped. One thread. */
#ifndef VIREO_BENCH_REPORT_HTML_H
#define VIREO_BENCH_REPORT_HTML_H

#include <stddef.h>

#include "bench/result/result.h"

#define HTML_BUFFER 4096 /* a few lines of a page: each write has some work to do */

struct html {
    result_write_fn *write;
    void *arg;
    size_t len;
    char buf[HTML_BUFFER];
};

/* Of printf's conversions: %s, %c, %d, %u, %f, %g, with widths and precisions in the format itself, and %%. A string is
 * escaped so that it is text wherever it stands, in an element or in a quoted attribute: & < > " ' and control
 * characters, which HTML has no way to write (they become U+FFFD, as does what is no UTF-8). NULL is empty. */
void html_put(struct html *h, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void html_literal(struct html *h, const char *s); /* as it stands */
void html_flush(struct html *h);

#endif

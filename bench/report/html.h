/* HTML as it is written: literal text goes out as it stands, what is put into it is escaped. One thread. */
#ifndef VIREO_BENCH_REPORT_HTML_H
#define VIREO_BENCH_REPORT_HTML_H

#include <stdio.h>

/* Of printf's conversions: %s, %c, %d, %u, %f, %g, with widths and precisions in the format itself, and %%. A string is
 * escaped so that it is text wherever it stands, in an element or in a quoted attribute: & < > " ' and control
 * characters, which HTML has no way to write (they become U+FFFD, as does what is not UTF-8). NULL is empty. */
void html_put(FILE *page, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif

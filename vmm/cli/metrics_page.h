/* Pages of several VMs for Prometheus as one: each family once, with the samples of all that have it (text exposition
 * format 0.0.4, https://prometheus.io/docs/instrumenting/exposition_formats/). What answered may be anything that lies
 * in the directory of sockets, so a page that breaks the format, or speaks for another VM, is left out whole. One
 * thread. */
#ifndef VIREO_CLI_METRICS_PAGE_H
#define VIREO_CLI_METRICS_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define METRICS_FAMILIES_MAX 512 /* a page has some 110, and VMs of several versions may run */
#define METRICS_NAME_MAX     128 /* of a family, and of a VM */

struct metrics_family {
    char name[METRICS_NAME_MAX], type[16];
    FILE *f; /* its head and its samples */
    char *text;
    size_t len;
};

struct metrics_page {
    struct metrics_family family[METRICS_FAMILIES_MAX]; /* in the order in which they came */
    unsigned count, last;                               /* last: the one that was asked for last */
};

/* The page that the VM called vm gave: len bytes and a NUL. Of a family whose type another VM has otherwise nothing is
 * taken. false: it is no such page, or memory is out; then none of it is in the page. */
bool metrics_page_add(struct metrics_page *p, const char *vm, const char *text, size_t len);
/* Say whether it gave one: the family vireo_up. */
bool metrics_page_up(struct metrics_page *p, const char *vm, bool is_up);
/* All of it, len bytes and a NUL, the caller's to free; NULL: no memory. Afterwards the page takes nothing more. */
char *metrics_page_end(struct metrics_page *p, size_t *len);
void metrics_page_fini(struct metrics_page *p); /* of a page that was zeroed to begin with; legal twice */

#endif

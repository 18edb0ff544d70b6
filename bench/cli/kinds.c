/* What the kinds of benches have: for shells, and for whoever takes one's option for the other's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/cli/bench.h"

/* "a[,...]|b[,...]": what an option that takes a list of items may have. The caller's to free; NULL: no memory. */
static char *items_of(const struct bench_kind *k)
{
    char *text = NULL;
    size_t len;
    const struct bench_item *item;
    FILE *f = open_memstream(&text, &len);
    if (!f) return NULL;
    for (unsigned i = 0; (item = k->item(i)) != NULL; i++) fprintf(f, "%s%s[,...]", i ? "|" : "", item->id);
    if (fclose(f) == 0) return text;
    free(text);
    return NULL;
}

static void list_kind(FILE *f, const struct bench_kind *k)
{
    for (const struct setting *o = k->options; o->name; o++) {
        char *items = strcmp(o->name, k->select) == 0 ? items_of(k) : NULL;
        help_list_option(f, o->name, items ? items : o->arg, o->help);
        free(items);
    }
}

void bench_list_options(FILE *f, const char *kind)
{
    const struct bench_kind *k;
    for (unsigned i = 0; (k = bench_kind_at(i)) != NULL; i++) {
        if (!kind) fprintf(f, "%s\t\t%s\n", k->name, k->help);
        if (kind && strcmp(kind, k->name) != 0) continue;
        list_kind(f, k);
    }
}

static bool has_option(const struct bench_kind *k, const char *name, size_t len)
{
    for (const struct setting *o = k->options; o->name; o++)
        if (strlen(o->name) == len && memcmp(o->name, name, len) == 0) return true;
    return false;
}

void bench_hint_kind(const struct bench_kind *kind, char **words, struct vireo_error *e)
{
    const struct bench_kind *k;
    for (; *words; words++) {
        const char *name = *words + 2;
        const size_t len = strncmp(*words, "--", 2) == 0 ? strcspn(name, "=") : 0;
        if (!len || has_option(kind, name, len)) continue;
        for (unsigned i = 0; (k = bench_kind_at(i)) != NULL; i++) {
            if (!has_option(k, name, len)) continue;
            (void)snprintf(e->hint, sizeof(e->hint),
                           "--%.*s is of `vireo bench %s`; `vireo bench %s` is told what to measure by --%s", (int)len,
                           name, k->name, kind->name, kind->select);
            return;
        }
    }
}

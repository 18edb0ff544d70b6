/* Benches and results: the public face of vmm/measure. */
#include "bench/bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/cli/bench.h"
#include "bench/result/result.h"
#include "vmm/base/nearest.h"
#include "vmm/lib/lib.h"

#define KINDS_MAX 8 /* for the names among which the nearest is looked for; there are two */

struct vireo_bench {
    const struct bench_kind *kind;
    void *options;
    atomic_bool is_stopped;
};

/* ---- what there is ---- */

static const struct bench_kind *find_kind(const char *name)
{
    const struct bench_kind *k;
    for (unsigned i = 0; (k = bench_kind_at(i)) != NULL; i++)
        if (strcmp(k->name, name) == 0) return k;
    return NULL;
}

const char *vireo_bench_kind(unsigned index, const char **help)
{
    const struct bench_kind *k = bench_kind_at(index);
    if (!k) return NULL;
    if (help) *help = k->help;
    return k->name;
}

bool vireo_bench_option(const char *kind, unsigned index, struct vireo_key *out)
{
    const struct bench_kind *k = find_kind(kind);
    const struct bench_option *o = k ? k->options : NULL;
    while (o && o->name && index > 0) {
        o++;
        index--;
    }
    if (!o || !o->name) return false;
    *out = (struct vireo_key){.name = o->name, .arg = o->arg, .help = o->help, .is_repeated = o->is_repeated};
    return true;
}

bool vireo_bench_item(const char *kind, unsigned index, struct vireo_bench_item *out)
{
    const struct bench_kind *k = find_kind(kind);
    const struct bench_item *item = k ? k->item(index) : NULL;
    if (!item) return false;
    *out = (struct vireo_bench_item){.id = item->id, .title = item->title};
    return true;
}

/* ---- a bench ---- */

static int no_memory(struct vireo_error *e)
{
    struct err err = {0};
    return lib_error(e, err_set(&err, -ENOMEM, "out of memory"), &err);
}

static int unknown_kind(const char *kind, struct vireo_error *e)
{
    struct err err = {0};
    const int rc = err_set(&err, -EINVAL, "unknown bench \"%.200s\"", kind);
    const char *names[KINDS_MAX + 1] = {NULL};
    for (unsigned i = 0; i < KINDS_MAX && bench_kind_at(i); i++) names[i] = bench_kind_at(i)->name;
    nearest_err_hint(&err, kind, WORDS_IN(names));
    return lib_error(e, rc, &err);
}

int vireo_bench_create(struct vireo_bench **out, const char *kind, struct vireo_error *e)
{
    const struct bench_kind *k = find_kind(kind);
    if (!k) return unknown_kind(kind, e);
    struct vireo_bench *b = calloc(1, sizeof(*b));
    void *options = calloc(1, k->options_size ? k->options_size : 1);
    if (!b || !options) {
        free(b);
        free(options);
        return no_memory(e);
    }
    b->kind = k;
    b->options = options;
    k->init(options);
    *out = b;
    return 0;
}

void vireo_bench_destroy(struct vireo_bench *b)
{
    if (!b) return;
    b->kind->fini(b->options);
    free(b->options);
    free(b);
}

int vireo_bench_set(struct vireo_bench *b, const char *key, const char *value, struct vireo_error *e)
{
    struct err err = {0};
    for (const struct bench_option *o = b->kind->options; o->name; o++)
        if (strcmp(o->name, key) == 0) return lib_error(e, o->set(b->options, value, &err), &err);
    const int rc = err_set(&err, -EINVAL, "unknown option \"%.200s\"", key);
    nearest_err_hint(&err, key, WORDS_OF(b->kind->options, name, SIZE_MAX));
    return lib_error(e, rc, &err);
}

int vireo_bench_run(struct vireo_bench *b, void (*line)(void *arg, const char *json), void *arg, struct vireo_error *e)
{
    struct err err = {0};
    const struct bench_sink sink = {.line = line, .arg = arg, .is_stopped = &b->is_stopped};
    return lib_error(e, b->kind->run(b->options, &sink, &err), &err);
}

void vireo_bench_stop(struct vireo_bench *b)
{
    atomic_store(&b->is_stopped, true);
}

/* ---- results: a vireo_result is a struct result under its public name ---- */

static struct result *inner(const struct vireo_result *r)
{
    return (struct result *)(uintptr_t)r;
}

int vireo_result_create(struct vireo_result **out, const char *kind, struct vireo_error *e)
{
    if (!find_kind(kind)) return unknown_kind(kind, e);
    struct result *r = result_create(kind);
    if (!r) return no_memory(e);
    *out = (struct vireo_result *)r;
    return 0;
}

int vireo_result_load(struct vireo_result **out, const char *json, size_t len, struct vireo_error *e)
{
    struct err err = {0};
    struct result *r = NULL;
    const int rc = lib_error(e, result_load(&r, json, len, &err), &err);
    if (rc == 0) *out = (struct vireo_result *)r;
    return rc;
}

void vireo_result_destroy(struct vireo_result *r)
{
    result_destroy(inner(r));
}

int vireo_result_add(struct vireo_result *r, const char *line, size_t len, struct vireo_error *e)
{
    struct err err = {0};
    return lib_error(e, result_add(inner(r), line, len, &err), &err);
}

const char *vireo_result_pending(const struct vireo_result *r, unsigned *timeout_ms)
{
    return result_pending(inner(r), timeout_ms);
}

int vireo_result_give_up(struct vireo_result *r, const char *status, const char *why, struct vireo_error *e)
{
    struct err err = {0};
    return lib_error(e, result_give_up(inner(r), status, why, &err), &err);
}

int vireo_result_write(const struct vireo_result *r, const char *format, vireo_write_fn *write, void *arg,
                       struct vireo_error *e)
{
    struct err err = {0};
    return lib_error(e, result_write(inner(r), format, write, arg, &err), &err);
}

int vireo_result_compare(const struct vireo_result *a, const struct vireo_result *b, const char *format,
                         vireo_write_fn *write, void *arg, struct vireo_error *e)
{
    struct err err = {0};
    return lib_error(e, result_compare(inner(a), inner(b), format, write, arg, &err), &err);
}

int vireo_report_write(const struct vireo_result *const *results, unsigned count, vireo_write_fn *write, void *arg,
                       struct vireo_error *e)
{
    struct err err = {0};
    /* The same pointers under their inner name. */
    return lib_error(e, report_write((const struct result *const *)(const void *)results, count, write, arg, &err),
                     &err);
}

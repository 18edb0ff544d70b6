/* A page of a VM's statistics as numbers, and the difference of two. */
#include <stdlib.h>
#include <string.h>

#include "vmm/cli/top.h"

static uint64_t number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    const json_int_t n = json_is_integer(value) ? json_integer_value(value) : 0;
    return n > 0 ? (uint64_t)n : 0;
}

static const char *string(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static void load_steps(const json_t *list, uint64_t out[TOP_STEPS])
{
    size_t i;
    const json_t *pair;
    json_array_foreach(list, i, pair)
    {
        const json_int_t step = json_integer_value(json_array_get(pair, 0));
        const json_int_t count = json_integer_value(json_array_get(pair, 1));
        if (step >= 0 && step < TOP_STEPS && count > 0) out[step] = (uint64_t)count;
    }
}

static void load_class(const json_t *object, struct top_row *out)
{
    const json_t *vcpu = json_object_get(object, "vcpu");
    *out = (struct top_row){
        .vcpu = json_is_integer(vcpu) ? (int)json_integer_value(vcpu) : -1,
        .count = number(object, "count"),
        .run_ns = number(json_object_get(object, "run"), "total_ns"),
        .handler_ns = number(json_object_get(object, "handler"), "total_ns"),
    };
    (void)snprintf(out->name, sizeof(out->name), "%s", string(object, "name"));
    load_steps(json_object_get(object, "run_steps"), out->run);
    load_steps(json_object_get(object, "handler_steps"), out->handler);
}

static bool load_rows(struct top_sample *s, const json_t *rows)
{
    size_t i;
    const json_t *row;
    const size_t all = json_array_size(rows), most = all < TOP_ROWS_MAX ? all : TOP_ROWS_MAX;
    s->row = calloc(most + 1, sizeof(*s->row));
    if (!s->row) return false;
    json_array_foreach(rows, i, row)
    {
        const char *kind = string(row, "kind");
        if (strcmp(kind, "class") == 0 && s->count < most) load_class(row, &s->row[s->count++]);
        if (strcmp(kind, "doorbell") == 0) s->saved += number(row, "count");
    }
    return true;
}

bool top_sample_read(struct top_sample *s, const json_t *page)
{
    top_sample_fini(s);
    bool is_good = strcmp(string(page, "schema"), "vireo-stats-1") == 0 && load_rows(s, json_object_get(page, "rows"));
    s->pid = (int)number(page, "pid");
    s->age_ns = number(page, "age_ns");
    const size_t vcpus = json_array_size(json_object_get(page, "vcpus"));
    s->vcpus = vcpus <= TOP_VCPUS_MAX ? (unsigned)vcpus : 0;
    is_good = is_good && s->vcpus > 0;
    s->sum = json_number_value(json_object_get(page, "weighted_sum"));
    (void)snprintf(s->uuid, sizeof(s->uuid), "%s", string(page, "uuid"));
    if (!is_good) top_sample_fini(s);
    return is_good;
}

void top_sample_fini(struct top_sample *s)
{
    free(s->row);
    *s = (struct top_sample){0};
}

/* Counts only grow; what a hostile page says else is nothing. */
static uint64_t less(uint64_t from, uint64_t to)
{
    return to > from ? to - from : 0;
}

static void subtract_row(struct top_row *row, const struct top_row *from)
{
    row->count = less(from->count, row->count);
    row->run_ns = less(from->run_ns, row->run_ns);
    row->handler_ns = less(from->handler_ns, row->handler_ns);
    for (unsigned i = 0; i < TOP_STEPS; i++) {
        row->run[i] = less(from->run[i], row->run[i]);
        row->handler[i] = less(from->handler[i], row->handler[i]);
    }
}

static const struct top_row *row_like(const struct top_sample *s, const struct top_row *row)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->row[i].vcpu == row->vcpu && strcmp(s->row[i].name, row->name) == 0) return &s->row[i];
    return NULL;
}

bool top_sample_subtract(struct top_sample *change, const struct top_sample *from, const struct top_sample *to)
{
    struct top_row *rows = calloc(to->count + 1, sizeof(*rows));
    if (!rows) return false;
    top_sample_fini(change);
    *change = *to;
    change->row = rows;
    change->age_ns = less(from->age_ns, to->age_ns);
    change->saved = less(from->saved, to->saved);
    for (size_t i = 0; i < to->count; i++) {
        const struct top_row *before = row_like(from, &to->row[i]);
        rows[i] = to->row[i];
        if (before) subtract_row(&rows[i], before);
    }
    return true;
}

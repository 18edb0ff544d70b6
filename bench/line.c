#include "bench/line.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/base/hist.h"

static int no_memory(struct err *e)
{
    return err_set(e, -ENOMEM, "no memory for a line of results");
}

int bench_line_begin(struct bench_line *l, const char *type, struct err *e)
{
    *l = (struct bench_line){.json.write = json_to_file};
    l->f = open_memstream(&l->text, &l->len);
    if (!l->f) return no_memory(e);
    l->json.arg = l->f;
    json_put_object(&l->json, NULL);
    json_put_string(&l->json, "type", type);
    return 0;
}

int bench_line_end(struct bench_line *l, const struct bench_sink *sink, struct err *e)
{
    json_put_end(&l->json);
    const bool has_all = !ferror(l->f);
    const int rc = fclose(l->f) == 0 && has_all ? 0 : no_memory(e);
    if (rc == 0) sink->line(sink->arg, l->text);
    free(l->text);
    return rc;
}

int bench_line_item(const struct bench_sink *sink, const char *item, uint64_t timeout_ms, struct err *e)
{
    struct bench_line l;
    const int rc = bench_line_begin(&l, "begin", e);
    if (rc) return rc;
    json_put_string(&l.json, "item", item);
    json_put_uint(&l.json, "timeout_ms", timeout_ms);
    return bench_line_end(&l, sink, e);
}

/* The lowest value of the histogram's bucket that this one is in. */
static uint64_t bucket_of(uint64_t value)
{
    const unsigned shift = hist_shift(value);
    return value >> shift << shift;
}

void bench_line_put_histogram(struct json_out *j, const char *key, const uint64_t *sorted, uint32_t count)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; i++) sum += sorted[i];
    json_put_object(j, key);
    json_put_uint(j, "count", count);
    json_put_uint(j, "min", sorted[0]);
    json_put_uint(j, "max", sorted[count - 1]);
    json_put_uint(j, "sum", sum);
    json_put_array(j, "hist");
    for (uint32_t i = 0; i < count;) {
        const uint64_t bucket = bucket_of(sorted[i]);
        uint32_t n = 0;
        for (; i < count && bucket_of(sorted[i]) == bucket; i++) n++;
        json_put_array(j, NULL);
        json_put_uint(j, NULL, bucket);
        json_put_uint(j, NULL, n);
        json_put_end(j);
    }
    json_put_end(j);
    json_put_end(j);
}

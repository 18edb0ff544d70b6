#include "bench/line.h"

#include <errno.h>
#include <stdlib.h>

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

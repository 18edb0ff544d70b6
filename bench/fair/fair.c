#include "bench/fair/fair.h"

#include <errno.h>

/* Of a run, beyond its duration: machines are made, guests start and threads are joined on a busy host. */
#define SLACK_MS 60000

static const struct bench_item *item(unsigned index)
{
    return index < FAIR_ITEM_COUNT ? &fair_item[index] : NULL;
}

static uint64_t timeout_ms(const struct fair_options *o, unsigned index)
{
    struct fair_plan p;
    uint64_t sum = 0;
    for (unsigned v = 0; fair_plan_make(o, index, v, &p); v++)
        sum += (o->duration_ns + p.pause_ns) / 1000000 + SLACK_MS;
    return sum;
}

/* Only a stop is an error; everything else is a result. */
static int run_variant(const struct fair_options *o, const struct fair_plan *p, const struct bench_sink *sink,
                       struct err *e)
{
    struct fair_record record;
    struct fair_report found;
    struct err why = {0};

    if (p->lacks[0]) {
        fair_put_unsupported(sink, p, p->lacks);
        return 0;
    }
    const int rc = fair_run(o, p, sink, &record, &why);
    if (rc == 0) {
        fair_judge(o, p, &record, &found);
        fair_put(o, p, &record, &found, sink);
    } else if (rc != -ECANCELED) {
        fair_put_unsupported(sink, p, why.text);
    }
    fair_record_free(&record);
    return rc == -ECANCELED ? err_set(e, rc, "stopped") : 0;
}

static int run(const void *options, const struct bench_sink *sink, struct err *e)
{
    struct fair_options o = *(const struct fair_options *)options; /* the check adds what this host has */
    struct fair_plan p;
    int rc = fair_options_check(&o, e);

    if (rc) return rc;
    fair_put_environment(&o, sink);
    for (unsigned i = 0; i < FAIR_ITEM_COUNT && !rc; i++) {
        if (!(o.experiments >> i & 1)) continue;
        fair_put_begin(sink, fair_item[i].id, timeout_ms(&o, i));
        for (unsigned v = 0; !rc && fair_plan_make(&o, i, v, &p); v++) rc = run_variant(&o, &p, sink, e);
    }
    return rc;
}

const struct bench_kind bench_fairness = {
    .name = "fairness",
    .help = "how vCPUs share processors, held against docs/properties.md",
    .options = fair_option,
    .select = "experiments",
    .processes = 1, /* each takes minutes */
    .item = item,
    .options_size = sizeof(struct fair_options),
    .init = fair_options_init,
    .fini = fair_options_fini,
    .run = run,
};

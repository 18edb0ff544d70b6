#include "vmm/machine/stats.h"

#include "vmm/lib/lib.h"

_Static_assert((int)VIREO_STAT_KERNEL == (int)STATS_KERNEL, "kinds are passed on as they are");

struct passing {
    void (*fn)(void *arg, const struct vireo_stat *s);
    void *arg;
};

static struct vireo_times times(const struct stats_times *t)
{
    return (struct vireo_times){
        .total = t->total,
        .min = t->min,
        .p50 = t->p50,
        .p90 = t->p90,
        .p99 = t->p99,
        .p999 = t->p999,
        .max = t->max,
        .overflow = t->overflow,
    };
}

static void pass_on(void *arg, const struct stats_row *row)
{
    const struct passing *p = arg;
    const struct vireo_stat s = {
        .kind = (enum vireo_stat_kind)row->kind,
        .vcpu = row->vcpu,
        .name = row->name,
        .device = row->device,
        .unit = row->unit,
        .address = row->addr,
        .offset = row->offset,
        .count = row->count,
        .run = times(&row->run),
        .handler = times(&row->handler),
        .first_ns = row->first_ns,
        .last_ns = row->last_ns,
    };
    p->fn(p->arg, &s);
}

int vireo_vm_stats(struct vireo_vm *vm, struct vireo_stats *out, void (*fn)(void *arg, const struct vireo_stat *s),
                   void *arg)
{
    struct passing p = {fn, arg};
    struct stats_info info;
    const int rc = machine_stats(vm->machine, &info, fn ? pass_on : NULL, &p);
    if (rc == 0)
        *out =
            (struct vireo_stats){.counter = info.counter, .hz = info.hz, .cost_ns = info.cost_ns, .vcpus = info.vcpus};
    return rc;
}

#include <errno.h>
#include <stdlib.h>
#include <uuid/uuid.h>

#include "vmm/lib/lib.h"
#include "vmm/watch/figures.h"
#include "vmm/watch/page.h"

_Static_assert((int)VIREO_STAT_DEVICE == (int)STATS_DEVICE, "kinds are passed on as they are");
_Static_assert((int)VIREO_STATS_PROMETHEUS == (int)STATS_PROMETHEUS, "and so are formats");
_Static_assert(LIB_UUID_MAX == UUID_STR_LEN, "it fits");

struct passing {
    void (*fn)(void *arg, const struct vireo_stat *s);
    void *arg;
};

struct vireo_times lib_times(const struct stats_times *t)
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
        .run = lib_times(&row->run),
        .handler = lib_times(&row->handler),
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
    const int rc = machine_stats(vm->machine, STATS_FULL, &info, fn ? pass_on : NULL, &p);
    if (rc == 0)
        *out =
            (struct vireo_stats){.counter = info.counter, .hz = info.hz, .cost_ns = info.cost_ns, .vcpus = info.vcpus};
    return rc;
}

/* Lock held. */
static void name_uniquely(struct vireo_vm *vm)
{
    uuid_t id;
    if (vm->uuid[0]) return;
    uuid_generate_random(id);
    uuid_unparse_lower(id, vm->uuid);
}

const char *vireo_vm_uuid(struct vireo_vm *vm)
{
    pthread_mutex_lock(&vm->lock);
    name_uniquely(vm);
    pthread_mutex_unlock(&vm->lock);
    return vm->uuid;
}

/* Lock held. */
static int locked_page(struct vireo_vm *vm, const struct stats_request *r, char **text, size_t *len, struct err *e)
{
    name_uniquely(vm);
    if (!vm->figures) vm->figures = figures_create();
    if (!vm->figures) return err_set(e, -ENOMEM, "no memory for statistics");
    const struct stats_subject subject = {
        .machine = vm->machine, .name = vm->name, .uuid = vm->uuid, .kernel = vm->kernel, .figures = vm->figures};
    return stats_page(&subject, r, text, len, e);
}

int lib_stats_page(struct vireo_vm *vm, const struct vireo_stats_view *view, char **text, size_t *len, struct err *e)
{
    const struct stats_request r = {
        .format = (enum stats_format)view->format, .weights = view->weights, .has_steps = view->has_steps};
    pthread_mutex_lock(&vm->lock);
    const int rc = locked_page(vm, &r, text, len, e);
    pthread_mutex_unlock(&vm->lock);
    return rc;
}

int vireo_vm_stats_write(struct vireo_vm *vm, const struct vireo_stats_view *view, vireo_write_fn *write, void *arg,
                         struct vireo_error *e)
{
    struct err err = {0};
    char *text = NULL;
    size_t len = 0;
    int rc = LIB_CHECK_RESERVED(view, "struct vireo_stats_view", &err);
    if (!rc) rc = lib_stats_page(vm, view, &text, &len, &err);
    if (rc == 0) write(arg, text, len);
    free(text);
    return lib_error(e, rc, &err);
}

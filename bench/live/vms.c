/* Names become VMs: their threads, from a page of statistics, and how the kernel was told to schedule these. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/live/live.h"
#include "vmm/base/nearest.h"

int live_record_alloc(struct live_record *r, unsigned samples)
{
    r->at = calloc(samples, sizeof(*r->at));
    r->cell = calloc((size_t)samples * r->vcpus, sizeof(*r->cell));
    r->room = samples;
    return r->at && r->cell ? 0 : -ENOMEM;
}

void live_record_free(struct live_record *r)
{
    free(r->at);
    free(r->cell);
    r->at = NULL;
    r->cell = NULL;
}

/* ---- its threads ---- */

static int add_vcpu(struct live_record *r, const json_t *thread, struct err *e)
{
    const json_t *tid = json_object_get(thread, "tid"), *index = json_object_get(thread, "vcpu");
    const struct live_vm *vm = &r->vm[r->vms];
    struct live_vcpu *v = &r->vcpu[r->vcpus];
    if (!json_is_integer(index)) return 0; /* another of its threads */
    if (r->vcpus == LIVE_VCPUS)
        return err_set(e, -E2BIG, "vm %s: more than %d vCPUs in all; name fewer VMs", vm->name, LIVE_VCPUS);
    const json_int_t id = json_integer_value(tid), number = json_integer_value(index);
    if (id <= 0 || id > INT32_MAX || number < 0 || number > INT32_MAX)
        return err_set(e, -EINVAL, "vm %s: what answers tells of a thread %lld", vm->name, (long long)id);
    *v = (struct live_vcpu){.vm = r->vms, .index = (unsigned)number, .tid = (pid_t)id};
    if (cause_read(v->tid, &v->cause) || sched_getaffinity(v->tid, sizeof(v->cpus), &v->cpus))
        return err_set(e, -ENODATA, "vm %s: vCPU %u has ended", vm->name, v->index);
    r->vcpus++;
    return 0;
}

static int by_index(const void *a, const void *b)
{
    const struct live_vcpu *x = a, *y = b;
    return (x->index > y->index) - (x->index < y->index);
}

int live_add_vm(struct live_record *r, const char *name, const char *page, size_t len, struct err *e)
{
    struct live_vm *vm = &r->vm[r->vms];
    size_t i;
    const json_t *thread;
    int rc = 0;
    if (r->vms == LIVE_VMS) return err_set(e, -E2BIG, "vm %s: more than %d VMs", name, LIVE_VMS);
    json_t *o = json_loadb(page, len, 0, NULL);
    const json_int_t pid = json_integer_value(json_object_get(o, "pid"));
    const json_t *schema = json_object_get(o, "schema");
    if (!json_is_string(schema) || strcmp(json_string_value(schema), "vireo-stats-1") != 0 || pid <= 0 ||
        pid > INT32_MAX)
        rc = err_set(e, -EINVAL, "vm %s: what answers gives no page of vireo-stats-1", name);
    *vm = (struct live_vm){.pid = (pid_t)pid, .weight = 1, .first = r->vcpus};
    (void)snprintf(vm->name, sizeof(vm->name), "%s", name);
    json_array_foreach(json_object_get(o, "threads"), i, thread)
    {
        if (!rc) rc = add_vcpu(r, thread, e);
    }
    json_decref(o);
    vm->vcpus = r->vcpus - vm->first;
    if (!rc && vm->vcpus == 0) rc = err_set(e, -ENODATA, "vm %s: it has ended", name);
    if (rc) r->vcpus = vm->first;
    if (rc) return rc;
    qsort(&r->vcpu[vm->first], vm->vcpus, sizeof(r->vcpu[0]), by_index);
    r->vms++;
    return 0;
}

/* ---- their weights ---- */

static int weigh_one(struct live_record *r, const char *word, size_t len, struct err *e)
{
    char one[LIVE_NAME + 32], *end;
    unsigned k = 0;
    if (len >= sizeof(one)) return err_set(e, -EINVAL, "weights \"%.60s\": write NAME=NUMBER,...", word);
    memcpy(one, word, len);
    one[len] = '\0';
    char *equals = strrchr(one, '=');
    if (!equals || equals == one) return err_set(e, -EINVAL, "weights \"%s\": write NAME=NUMBER,...", one);
    *equals = '\0';
    while (k < r->vms && strcmp(r->vm[k].name, one) != 0) k++;
    if (k == r->vms) {
        const char *names[LIVE_VMS + 1] = {NULL};
        for (unsigned i = 0; i < r->vms; i++) names[i] = r->vm[i].name;
        (void)err_set(e, -EINVAL, "weights: \"%s\" is none of the VMs that are watched", one);
        nearest_err_hint(e, one, WORDS_IN(names));
        err_hint(e, "it must be one of those that the command names, or of all that run when it names none");
        return -EINVAL;
    }
    const double weight = strtod(equals + 1, &end);
    if (end == equals + 1 || *end || !(weight >= 1e-3 && weight <= 1e6))
        return err_set(e, -EINVAL, "weights: %s=%s: a number from 0.001 to 1000000", one, equals + 1);
    if (r->vm[k].is_weighed) return err_set(e, -EINVAL, "weights: \"%s\" is given twice; leave one out", one);
    r->vm[k].weight = weight;
    r->vm[k].is_weighed = true;
    return 0;
}

/* The folder in which a group lies: the length of its path. */
static size_t parent_len(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) : 0;
}

/* Has each VM a group of its own, all of one parent? Only then do these groups' weights stand against each other. */
static bool are_siblings(const struct live_record *r)
{
    for (unsigned k = 0; k < r->vms; k++) {
        const struct live_vm *vm = &r->vm[k];
        const char *path = r->vcpu[vm->first].cause.group.path, *first = r->vcpu[0].cause.group.path;
        const size_t len = parent_len(path);
        if (!len || len != parent_len(first) || memcmp(path, first, len) != 0) return false;
        for (unsigned i = 0; i < r->vcpus; i++)
            if ((r->vcpu[i].vm == k) != (strcmp(r->vcpu[i].cause.group.path, path) == 0)) return false;
        if (!r->vcpu[vm->first].cause.group.weight) return false;
    }
    return true;
}

int live_weigh(struct live_record *r, const char *text, struct err *e)
{
    int rc = 0;
    r->weights_from = text ? "given" : "equal";
    for (const char *at = text; at && rc == 0; at = *at ? at + 1 : NULL) {
        const size_t len = strcspn(at, ",");
        rc = weigh_one(r, at, len, e);
        at += len;
    }
    if (text || r->vms < 2 || !are_siblings(r)) return rc;
    r->weights_from = "cgroup";
    for (unsigned k = 0; k < r->vms; k++) r->vm[k].weight = (double)r->vcpu[r->vm[k].first].cause.group.weight / 100;
    return 0;
}

#include "vmm/cli/recording.h"

#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/json_out.h"

#define TIME_MAX 32 /* "2026-11-30T22:30:00Z" */

static struct json_out begin_line(const struct recording *r, const char *type)
{
    struct json_out j = {.write = json_to_file, .arg = r->f};
    json_put_object(&j, NULL);
    if (type) json_put_string(&j, "type", type);
    return j;
}

static struct json_out begin_of(const struct recording *r, const char *type, unsigned vm, uint64_t t_ns)
{
    struct json_out j = begin_line(r, type);
    json_put_uint(&j, "t_ns", t_ns - r->from_ns);
    json_put_uint(&j, "vm", vm);
    return j;
}

static void end_line(struct json_out *j)
{
    json_put_end(j);
    json_to_file(j->arg, "\n", 1);
}

/* ---- where it was made ---- */

static void put_fact(void *arg, const struct vireo_host_fact *f)
{
    static const char *const wanted[] = {"cpu", "kvm.module", "nested"};
    for (unsigned i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        if (strcmp(f->id, wanted[i]) == 0) json_put_string(arg, f->id, f->value);
}

static void put_host(struct json_out *j)
{
    struct utsname u = {0};
    (void)uname(&u);
    json_put_object(j, "host");
    json_put_string(j, "name", u.nodename);
    json_put_string(j, "kernel", u.release);
    json_put_string(j, "arch", u.machine);
    json_put_int(j, "cpus", sysconf(_SC_NPROCESSORS_ONLN));
    (void)vireo_host_probe(put_fact, j);
    json_put_end(j);
}

void recording_begin(struct recording *r, uint64_t interval_ns)
{
    char text[TIME_MAX] = "";
    const time_t seconds = time(NULL);
    struct tm tm;
    if (gmtime_r(&seconds, &tm)) (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
    struct json_out j = begin_line(r, NULL);
    json_put_string(&j, "schema", RECORDING_SCHEMA);
    json_put_string(&j, "vireo", vireo_version());
    json_put_string(&j, "time", text);
    json_put_uint(&j, "interval_ns", interval_ns);
    put_host(&j);
    end_line(&j);
}

/* ---- VMs ---- */

void recording_vm(struct recording *r, unsigned vm, const char *name, const struct series *s, uint64_t t_ns)
{
    struct json_out j = begin_of(r, "vm", vm, t_ns);
    json_put_string(&j, "name", name);
    json_put_string(&j, "uuid", s->now.uuid);
    json_put_int(&j, "pid", s->now.pid);
    json_put_uint(&j, "vcpus", s->now.vcpus);
    json_put_uint(&j, "age_ns", s->now.age_ns);
    end_line(&j);
}

static void put_class(struct json_out *j, const struct top_row *row)
{
    json_put_object(j, NULL);
    json_put_string(j, "name", row->name);
    json_put_uint(j, "count", row->count);
    json_put_uint(j, "run_ns", row->run_ns);
    json_put_uint(j, "handler_ns", row->handler_ns);
    json_put_real(j, "run_p50_ns", top_quantile(row->run, 0.5), 4);
    json_put_real(j, "run_p99_ns", top_quantile(row->run, 0.99), 4);
    json_put_real(j, "handler_p50_ns", top_quantile(row->handler, 0.5), 4);
    json_put_real(j, "handler_p99_ns", top_quantile(row->handler, 0.99), 4);
    json_put_end(j);
}

static void put_classes(struct json_out *j, const struct top_sample *c)
{
    json_put_array(j, "classes");
    for (size_t i = 0; i < c->count; i++)
        if (top_is_of_all(c, &c->row[i]) && c->row[i].count > 0) put_class(j, &c->row[i]);
    json_put_end(j);
}

static void put_vcpu(struct json_out *j, const struct series *s, unsigned vcpu)
{
    uint64_t exits = 0, handler_ns = 0;
    const uint64_t *figure = s->host_change.vcpu[vcpu];
    for (size_t i = 0; i < s->change.count; i++) {
        const struct top_row *row = &s->change.row[i];
        if (row->vcpu != (int)vcpu) continue;
        exits += row->count;
        handler_ns += row->handler_ns;
    }
    json_put_object(j, NULL);
    json_put_uint(j, "vcpu", vcpu);
    json_put_uint(j, "exits", exits);
    json_put_uint(j, "handler_ns", handler_ns);
    for (unsigned k = 0; k < SERIES_FIGURES; k++)
        if (figure[k] != SERIES_UNTOLD) json_put_uint(j, series_figures[k], figure[k]);
    json_put_end(j);
}

static void put_disks(struct json_out *j, const struct series_host *h)
{
    json_put_array(j, "disks");
    for (unsigned i = 0; i < h->disks; i++) {
        json_put_object(j, NULL);
        json_put_string(j, "name", h->disk[i].name);
        json_put_uint(j, "requests", h->disk[i].requests);
        json_put_uint(j, "requests_ns", h->disk[i].ns);
        json_put_end(j);
    }
    json_put_end(j);
}

void recording_sample(struct recording *r, unsigned vm, const struct series *s, uint64_t t_ns)
{
    struct json_out j = begin_of(r, "sample", vm, t_ns);
    json_put_uint(&j, "interval_ns", s->change.age_ns);
    json_put_uint(&j, "saved", s->change.saved);
    if (s->host_change.throttled_ns != SERIES_UNTOLD) json_put_uint(&j, "throttled_ns", s->host_change.throttled_ns);
    put_classes(&j, &s->change);
    json_put_array(&j, "vcpus");
    for (unsigned i = 0; i < s->now.vcpus; i++) put_vcpu(&j, s, i);
    json_put_end(&j);
    put_disks(&j, &s->host_change);
    end_line(&j);
}

void recording_alarm(struct recording *r, unsigned vm, const struct series_metric *m, enum anomaly_event event,
                     const struct anomaly_alarm *a, uint64_t t_ns)
{
    static const char *const words[] = {
        [ANOMALY_BEGINS] = "begins", [ANOMALY_ENDS] = "ends", [ANOMALY_SETTLES] = "settles"};
    struct json_out j = begin_of(r, "alarm", vm, t_ns);
    json_put_string(&j, "event", words[event]);
    json_put_string(&j, "metric", m->kind->name);
    json_put_string(&j, "of", m->of);
    json_put_string(&j, "unit", m->kind->unit);
    json_put_uint(&j, "since_ns", a->since_ns > r->from_ns ? a->since_ns - r->from_ns : 0);
    json_put_real(&j, "value", a->value, 6);
    json_put_real(&j, "median", a->median, 6);
    json_put_real(&j, "mad", a->mad, 6);
    json_put_uint(&j, "samples", a->before);
    json_put_bool(&j, "is_slow", a->is_slow);
    json_put_real(&j, "odds", a->odds, 4);
    end_line(&j);
}

void recording_gone(struct recording *r, unsigned vm, uint64_t t_ns)
{
    struct json_out j = begin_of(r, "gone", vm, t_ns);
    end_line(&j);
}

void recording_end(struct recording *r, uint64_t t_ns)
{
    struct json_out j = begin_line(r, "end");
    json_put_uint(&j, "t_ns", t_ns - r->from_ns);
    end_line(&j);
}

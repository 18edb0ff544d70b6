/* What was found, as lines of a result (docs/result-format.md). */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/fair/judge.h"
#include "bench/provenance.h"

static void put(const struct bench_sink *sink, json_t *object)
{
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(object);
    if (text) sink->line(sink->arg, text);
    free(text);
}

static json_t *figure(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *integer(uint64_t n)
{
    return json_integer((json_int_t)n);
}

void fair_put_environment(const struct fair_options *o, const struct bench_sink *sink)
{
    char source[100], path[FAIR_TEXT], why[FAIR_TEXT];
    const char *cgroup = o->cgroup ? o->cgroup : fair_cgroup_find(path, sizeof(path), why) ? path : why;
    const uint64_t slice = fair_slice_ns(0, 2, source);
    json_t *env = provenance_environment("fairness");

    json_object_set_new(
        env, "options",
        json_pack("{s:f, s:i}", "duration_s", (double)o->duration_ns / 1e9, "cpus", CPU_COUNT(&o->cpus)));
    json_object_set_new(env, "scheduler",
                        json_pack("{s:o, s:o, s:s, s:s}", "tick_ns", integer(fair_tick_ns()), "slice_ns",
                                  integer(slice), "slice_source", source, "cgroup", cgroup));
    put(sink, env);
}

void fair_put_begin(const struct bench_sink *sink, const char *item, uint64_t timeout_ms)
{
    put(sink, json_pack("{s:s, s:s, s:o}", "type", "begin", "item", item, "timeout_ms", integer(timeout_ms)));
}

void fair_put_unsupported(const struct bench_sink *sink, const struct fair_plan *p, const char *why)
{
    put(sink, json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", "experiment", "id", p->id, "variant", p->variant, "status",
                        "unsupported", "detail", why));
}

static json_t *scheduling(const struct cause *c)
{
    return json_pack("{s:i, s:i, s:i, s:o, s:s, s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "policy", c->policy,
                     "nice", c->nice, "priority", c->priority, "slice_ns", integer(c->slice_ns), "cpus", c->cpus, "cpu",
                     c->cpu, "cgroup", c->group.path, "weight", integer(c->group.weight), "quota_us",
                     integer(c->group.quota_us), "period_us", integer(c->group.period_us), "throttled",
                     integer(c->throttled.times), "autogroup",
                     c->has_autogroup ? json_integer(c->autogroup) : json_null(), "autogroup_nice",
                     c->has_autogroup ? json_integer(c->autogroup_nice) : json_null(), "core_cookie",
                     c->has_cookie ? integer(c->cookie) : json_null());
}

static json_t *vcpus(const struct fair_plan *p, const struct fair_record *r, const struct fair_report *found)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < p->vcpu_count; i++) {
        json_t *charged = json_array();
        for (unsigned s = 1; s < r->samples; s++) json_array_append_new(charged, integer(fair_charged(r, i, s - 1, s)));
        json_array_append_new(list, json_pack("{s:i, s:i, s:o, s:o, s:o}", "vm", (int)p->vcpu[i].vm, "vcpu",
                                              (int)(i - fair_first_vcpu(p, i)), "share", figure(found->share[i]),
                                              "charged", charged, "scheduling", scheduling(&r->cause[i])));
    }
    return list;
}

static json_t *identity(const struct fair_finding *f)
{
    char text[2 * FAIR_TEXT + 8];
    (void)snprintf(text, sizeof(text), f->text[0] && f->reason[0] ? "%s; %s" : "%s%s", f->text, f->reason);
    return json_pack("{s:s, s:o, s:s}", "id", fair_properties[f->property].id, "holds",
                     f->verdict == FAIR_INCONCLUSIVE ? json_null() : json_boolean(f->verdict == FAIR_PASS), "text",
                     text);
}

static json_t *property(const struct fair_finding *f)
{
    static const char *const verdicts[] = {
        [FAIR_PASS] = "pass", [FAIR_FAIL] = "fail", [FAIR_INCONCLUSIVE] = "inconclusive", [FAIR_REPORTED] = "reported"};
    const struct fair_property_row *row = &fair_properties[f->property];
    return json_pack("{s:s, s:s, s:o, s:o, s:s, s:s, s:s}", "id", row->id, "verdict", verdicts[f->verdict], "statistic",
                     figure(f->figures.statistic), "bound", figure(f->figures.bound), "unit", row->is_time ? "ns" : "",
                     "text", f->text, "reason", f->reason);
}

static json_t *plots(const struct fair_options *o, const struct fair_plan *p, const struct fair_record *r,
                     const struct fair_report *found)
{
    json_t *convergence = json_array(), *share = json_array(), *gaps = json_array();
    uint64_t sum = 0;

    for (unsigned i = 0; i < found->windows; i++)
        json_array_append_new(convergence, json_pack("[o, o]", integer(o->window_ns[i]), figure(found->error[i])));
    for (unsigned i = 0; i < p->vcpu_count; i++) sum += fair_charged(r, i, 0, r->samples - 1);
    for (unsigned i = 0; i < p->vcpu_count && sum > 0; i++) {
        char label[32];
        (void)snprintf(label, sizeof(label), p->vm_count > 1 ? "%u (VM %u)" : "%u", i, p->vcpu[i].vm);
        const double part = (double)fair_charged(r, i, 0, r->samples - 1) / (double)sum;
        json_array_append_new(share, json_pack("[s, o, o]", label, figure(part), figure(found->share[i])));
    }
    for (unsigned b = 0; b < FAIR_BUCKETS; b++) {
        const double ns = fair_bucket_ns(r, b);
        uint64_t n = 0;
        for (unsigned i = 0; i < p->vcpu_count; i++) n += r->guest[i].gap[b];
        if (n && ns < 0x1p63) /* longer ones are centuries, and a guest's joke */
            json_array_append_new(gaps, json_pack("[o, o]", integer((uint64_t)ns), integer(n)));
    }
    return json_pack("{s:o, s:o, s:o}", "convergence", convergence, "share", share, "gaps", gaps);
}

void fair_put(const struct fair_options *o, const struct fair_plan *p, const struct fair_record *r,
              const struct fair_report *found, const struct bench_sink *sink)
{
    json_t *identities = json_array(), *properties = json_array(), *windows = json_array();
    bool is_doubtful = false, is_violated = false;

    for (unsigned i = 0; i < found->count; i++) {
        const struct fair_finding *f = &found->finding[i];
        is_doubtful |= f->verdict == FAIR_INCONCLUSIVE && found->disturbed[0];
        is_violated |= f->verdict == FAIR_FAIL;
        if (f->property >= FAIR_C1)
            json_array_append_new(identities, identity(f));
        else
            json_array_append_new(properties, property(f));
    }
    for (unsigned i = 0; i < found->windows; i++) json_array_append_new(windows, integer(o->window_ns[i]));
    put(sink, json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "type", "experiment", "id", p->id,
                        "variant", p->variant, "status",
                        is_violated   ? "violated"
                        : is_doubtful ? "inconclusive"
                                      : "ok",
                        "detail", found->disturbed, "vcpus", vcpus(p, r, found), "windows_ns", windows, "identities",
                        identities, "properties", properties, "plots", plots(o, p, r, found)));
}

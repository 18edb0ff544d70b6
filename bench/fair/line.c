/* Lines as docs/result-format.md has them. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/fair/fair.h"
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

void fair_put_environment(const struct fair_options *o, const struct bench_sink *sink)
{
    char source[100], path[FAIR_TEXT], why[FAIR_TEXT];
    const bool has_cgroup = o->cgroup || fair_cgroup_find(path, sizeof(path), why);
    const uint64_t slice = fair_slice_ns(0, 2, source);
    json_t *env = provenance_environment("fairness");

    json_object_set_new(
        env, "options",
        json_pack("{s:f, s:i}", "duration_s", (double)o->duration_ns / 1e9, "cpus", CPU_COUNT(&o->cpus)));
    json_object_set_new(env, "scheduler",
                        json_pack("{s:I, s:I, s:s, s:s}", "tick_ns", (json_int_t)fair_tick_ns(), "slice_ns",
                                  (json_int_t)slice, "slice_source", source, "cgroup",
                                  o->cgroup    ? o->cgroup
                                  : has_cgroup ? path
                                               : why));
    put(sink, env);
}

void fair_put_begin(const struct bench_sink *sink, const char *item, uint64_t timeout_ms)
{
    put(sink, json_pack("{s:s, s:s, s:I}", "type", "begin", "item", item, "timeout_ms", (json_int_t)timeout_ms));
}

void fair_put_unsupported(const struct bench_sink *sink, const struct fair_plan *p, const char *why)
{
    put(sink, json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", "experiment", "id", p->id, "variant", p->variant, "status",
                        "unsupported", "detail", why));
}

static json_t *vcpus(const struct fair_plan *p, const struct fair_record *r, const struct fair_report *found)
{
    json_t *list = json_array();
    for (unsigned i = 0, first = 0; i < p->vcpu_count; i++) {
        json_t *charged = json_array();
        if (i && p->vcpu[i].vm != p->vcpu[i - 1].vm) first = i;
        for (unsigned s = 1; s < r->samples; s++)
            json_array_append_new(
                charged, json_integer((json_int_t)(fair_at(r, s, i)->charged - fair_at(r, s - 1, i)->charged)));
        json_array_append_new(list, json_pack("{s:i, s:i, s:o, s:o}", "vm", (int)p->vcpu[i].vm, "vcpu",
                                              (int)(i - first), "share", figure(found->share[i]), "charged", charged));
    }
    return list;
}

static json_t *identity(const struct fair_finding *f)
{
    char text[2 * FAIR_TEXT + 8];
    (void)snprintf(text, sizeof(text), f->text[0] && f->reason[0] ? "%s; %s" : "%s%s", f->text, f->reason);
    return json_pack("{s:s, s:o, s:s}", "id", fair_property_name[f->property], "holds",
                     f->verdict == FAIR_INCONCLUSIVE ? json_null() : json_boolean(f->verdict == FAIR_PASS), "text",
                     text);
}

static json_t *property(const struct fair_finding *f)
{
    static const char *const verdicts[] = {
        [FAIR_PASS] = "pass", [FAIR_FAIL] = "fail", [FAIR_INCONCLUSIVE] = "inconclusive", [FAIR_REPORTED] = "reported"};
    return json_pack("{s:s, s:s, s:o, s:o, s:s, s:s, s:s}", "id", fair_property_name[f->property], "verdict",
                     verdicts[f->verdict], "statistic", figure(f->statistic), "bound", figure(f->bound), "unit",
                     f->unit, "text", f->text, "reason", f->reason);
}

static json_t *plots(const struct fair_options *o, const struct fair_plan *p, const struct fair_record *r,
                     const struct fair_report *found)
{
    json_t *convergence = json_array(), *share = json_array(), *gaps = json_array();
    double sum = 0;

    for (unsigned i = 0; i < found->windows; i++)
        json_array_append_new(convergence, json_pack("[I, o]", (json_int_t)o->window_ns[i], figure(found->error[i])));
    for (unsigned i = 0; i < p->vcpu_count; i++)
        sum += (double)(fair_at(r, r->samples - 1, i)->charged - fair_at(r, 0, i)->charged);
    for (unsigned i = 0; i < p->vcpu_count && sum > 0; i++) {
        char label[32];
        (void)snprintf(label, sizeof(label), p->vm_count > 1 ? "%u (VM %u)" : "%u", i, p->vcpu[i].vm);
        const double c = (double)(fair_at(r, r->samples - 1, i)->charged - fair_at(r, 0, i)->charged);
        json_array_append_new(share, json_pack("[s, o, o]", label, figure(c / sum), figure(found->share[i])));
    }
    for (unsigned b = 0; b < FAIR_BUCKETS; b++) {
        uint64_t n = 0;
        for (unsigned i = 0; i < p->vcpu_count; i++) n += r->guest[i].gap[b];
        if (!n) continue;
        const double ns = ldexp((4.0 + b % 4) / 4, (int)(b / 4)) / r->ticks_per_ns;
        if (!(ns < 0x1p63)) continue; /* centuries: a guest's joke */
        json_array_append_new(gaps, json_pack("[I, I]", (json_int_t)ns, (json_int_t)n));
    }
    return json_pack("{s:o, s:o, s:o}", "convergence", convergence, "share", share, "gaps", gaps);
}

void fair_put(const struct fair_options *o, const struct fair_plan *p, const struct fair_record *r,
              const struct fair_report *found, const struct bench_sink *sink)
{
    json_t *identities = json_array(), *properties = json_array(), *windows = json_array();
    bool is_doubtful = false;

    for (unsigned i = 0; i < found->count; i++) {
        const struct fair_finding *f = &found->finding[i];
        const bool is_identity = f->property >= FAIR_C1;
        is_doubtful |= f->verdict == FAIR_INCONCLUSIVE && found->disturbed[0];
        json_array_append_new(is_identity ? identities : properties, is_identity ? identity(f) : property(f));
    }
    for (unsigned i = 0; i < found->windows; i++)
        json_array_append_new(windows, json_integer((json_int_t)o->window_ns[i]));
    put(sink, json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "type", "experiment", "id", p->id,
                        "variant", p->variant, "status", is_doubtful ? "inconclusive" : "ok", "detail",
                        found->disturbed, "vcpus", vcpus(p, r, found), "windows_ns", windows, "identities", identities,
                        "properties", properties, "plots", plots(o, p, r, found)));
}

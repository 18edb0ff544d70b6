/* What was found, as lines of a result (docs/result-format.md). */
#include <stdio.h>

#include "bench/fair/judge.h"
#include "bench/line.h"
#include "bench/provenance.h"

#define FIGURE_DIGITS 9

/* A line that can't be made for lack of memory is left out: the reader says that the item had no result. */
static bool begin(struct bench_line *l, const char *type)
{
    return bench_line_begin(l, type, NULL) == 0;
}

void fair_put_environment(const struct fair_options *o, const struct bench_sink *sink)
{
    char source[100], path[FAIR_TEXT], why[FAIR_TEXT];
    const char *cgroup = o->cgroup ? o->cgroup : fair_cgroup_find(path, sizeof(path), why) ? path : why;
    const uint64_t slice = fair_slice_ns(0, 2, source);
    struct bench_line l;
    if (!begin(&l, "environment")) return;
    provenance_put(&l.json, "fairness");
    json_put_object(&l.json, "options");
    json_put_real(&l.json, "duration_s", (double)o->duration_ns / 1e9, FIGURE_DIGITS);
    json_put_int(&l.json, "cpus", CPU_COUNT(&o->cpus));
    json_put_end(&l.json);
    json_put_object(&l.json, "scheduler");
    json_put_uint(&l.json, "tick_ns", fair_tick_ns());
    json_put_uint(&l.json, "slice_ns", slice);
    json_put_string(&l.json, "slice_source", source);
    json_put_string(&l.json, "cgroup", cgroup);
    json_put_end(&l.json);
    (void)bench_line_end(&l, sink, NULL);
}

void fair_put_begin(const struct bench_sink *sink, const char *item, uint64_t timeout_ms)
{
    (void)bench_line_item(sink, item, timeout_ms, NULL);
}

/* What every line of an experiment begins with. */
static void put_head(struct json_out *j, const struct fair_plan *p, const char *status, const char *detail)
{
    json_put_string(j, "id", p->id);
    json_put_string(j, "variant", p->variant);
    json_put_string(j, "status", status);
    json_put_string(j, "detail", detail);
}

void fair_put_unsupported(const struct bench_sink *sink, const struct fair_plan *p, const char *why)
{
    struct bench_line l;
    if (!begin(&l, "experiment")) return;
    put_head(&l.json, p, "unsupported", why);
    (void)bench_line_end(&l, sink, NULL);
}

static void put_known(struct json_out *j, const char *key, bool is_known, int64_t n)
{
    if (is_known)
        json_put_int(j, key, n);
    else
        json_put_null(j, key);
}

static void put_scheduling(struct json_out *j, const struct cause *c)
{
    json_put_object(j, "scheduling");
    json_put_int(j, "policy", c->policy);
    json_put_int(j, "nice", c->nice);
    json_put_int(j, "priority", c->priority);
    json_put_uint(j, "slice_ns", c->slice_ns);
    json_put_string(j, "cpus", c->cpus);
    json_put_int(j, "cpu", c->cpu);
    json_put_string(j, "cgroup", c->group.path);
    json_put_uint(j, "weight", c->group.weight);
    json_put_uint(j, "quota_us", c->group.quota_us);
    json_put_uint(j, "period_us", c->group.period_us);
    json_put_uint(j, "throttled", c->throttled.times);
    put_known(j, "autogroup", c->has_autogroup, c->autogroup);
    put_known(j, "autogroup_nice", c->has_autogroup, c->autogroup_nice);
    if (c->has_cookie)
        json_put_uint(j, "core_cookie", c->cookie);
    else
        json_put_null(j, "core_cookie");
    json_put_end(j);
}

static void put_vcpus(struct json_out *j, const struct fair_plan *p, const struct fair_record *r,
                      const struct fair_report *found)
{
    json_put_array(j, "vcpus");
    for (unsigned i = 0; i < p->vcpu_count; i++) {
        json_put_object(j, NULL);
        json_put_uint(j, "vm", p->vcpu[i].vm);
        json_put_uint(j, "vcpu", i - fair_first_vcpu(p, i));
        json_put_real(j, "share", found->share[i], FIGURE_DIGITS);
        json_put_array(j, "charged");
        for (unsigned s = 1; s < r->samples; s++) json_put_uint(j, NULL, fair_charged(r, i, s - 1, s));
        json_put_end(j);
        put_scheduling(j, &r->cause[i]);
        json_put_end(j);
    }
    json_put_end(j);
}

static void put_identity(struct json_out *j, const struct fair_finding *f)
{
    char text[2 * FAIR_TEXT + 8];
    (void)snprintf(text, sizeof(text), f->text[0] && f->reason[0] ? "%s; %s" : "%s%s", f->text, f->reason);
    json_put_object(j, NULL);
    json_put_string(j, "id", fair_properties[f->property].id);
    if (f->verdict == FAIR_INCONCLUSIVE)
        json_put_null(j, "holds");
    else
        json_put_bool(j, "holds", f->verdict == FAIR_PASS);
    json_put_string(j, "text", text);
    json_put_end(j);
}

static void put_property(struct json_out *j, const struct fair_finding *f)
{
    static const char *const verdicts[] = {
        [FAIR_PASS] = "pass", [FAIR_FAIL] = "fail", [FAIR_INCONCLUSIVE] = "inconclusive", [FAIR_REPORTED] = "reported"};
    const struct fair_property_row *row = &fair_properties[f->property];
    json_put_object(j, NULL);
    json_put_string(j, "id", row->id);
    json_put_string(j, "verdict", verdicts[f->verdict]);
    json_put_real(j, "statistic", f->figures.statistic, FIGURE_DIGITS);
    json_put_real(j, "bound", f->figures.bound, FIGURE_DIGITS);
    json_put_string(j, "unit", row->is_time ? "ns" : "");
    json_put_string(j, "text", f->text);
    json_put_string(j, "reason", f->reason);
    json_put_end(j);
}

/* The identities, from C1 on, or the properties before them. */
static void put_findings(struct json_out *j, const char *key, const struct fair_report *found, bool are_identities)
{
    json_put_array(j, key);
    for (unsigned i = 0; i < found->count; i++) {
        if ((found->finding[i].property >= FAIR_C1) != are_identities) continue;
        (are_identities ? put_identity : put_property)(j, &found->finding[i]);
    }
    json_put_end(j);
}

static void put_share_plot(struct json_out *j, const struct fair_plan *p, const struct fair_record *r,
                           const struct fair_report *found)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < p->vcpu_count; i++) sum += fair_charged(r, i, 0, r->samples - 1);
    json_put_array(j, "share");
    for (unsigned i = 0; i < p->vcpu_count && sum > 0; i++) {
        char label[32];
        (void)snprintf(label, sizeof(label), p->vm_count > 1 ? "%u (VM %u)" : "%u", i, p->vcpu[i].vm);
        json_put_array(j, NULL);
        json_put_string(j, NULL, label);
        json_put_real(j, NULL, (double)fair_charged(r, i, 0, r->samples - 1) / (double)sum, FIGURE_DIGITS);
        json_put_real(j, NULL, found->share[i], FIGURE_DIGITS);
        json_put_end(j);
    }
    json_put_end(j);
}

static void put_plots(struct json_out *j, const struct fair_options *o, const struct fair_plan *p,
                      const struct fair_record *r, const struct fair_report *found)
{
    json_put_object(j, "plots");
    json_put_array(j, "convergence");
    for (unsigned i = 0; i < found->windows; i++) {
        json_put_array(j, NULL);
        json_put_uint(j, NULL, o->window_ns[i]);
        json_put_real(j, NULL, found->error[i], FIGURE_DIGITS);
        json_put_end(j);
    }
    json_put_end(j);
    put_share_plot(j, p, r, found);
    json_put_array(j, "gaps");
    for (unsigned b = 0; b < FAIR_BUCKETS; b++) {
        const double ns = fair_bucket_ns(r, b);
        uint64_t n = 0;
        for (unsigned i = 0; i < p->vcpu_count; i++) n += r->guest[i].gap[b];
        if (n == 0 || ns >= 0x1p63) continue; /* longer ones are centuries, and a guest's joke */
        json_put_array(j, NULL);
        json_put_uint(j, NULL, (uint64_t)ns);
        json_put_uint(j, NULL, n);
        json_put_end(j);
    }
    json_put_end(j);
    json_put_end(j);
}

void fair_put(const struct fair_options *o, const struct fair_plan *p, const struct fair_record *r,
              const struct fair_report *found, const struct bench_sink *sink)
{
    struct bench_line l;
    bool is_doubtful = false, is_violated = false;
    if (!begin(&l, "experiment")) return;
    for (unsigned i = 0; i < found->count; i++) {
        is_doubtful |= found->finding[i].verdict == FAIR_INCONCLUSIVE && found->disturbed[0];
        is_violated |= found->finding[i].verdict == FAIR_FAIL;
    }
    put_head(&l.json, p, is_violated ? "violated" : is_doubtful ? "inconclusive" : "ok", found->disturbed);
    put_vcpus(&l.json, p, r, found);
    json_put_array(&l.json, "windows_ns");
    for (unsigned i = 0; i < found->windows; i++) json_put_uint(&l.json, NULL, o->window_ns[i]);
    json_put_end(&l.json);
    put_findings(&l.json, "identities", found, true);
    put_findings(&l.json, "properties", found, false);
    put_plots(&l.json, o, p, r, found);
    (void)bench_line_end(&l, sink, NULL);
}

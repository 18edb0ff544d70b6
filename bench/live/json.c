/* What was found, for programs: one object of schema vireo-fairness-1, whose keys stay. docs/man/vireo-fairness.1 has
 * them; `vireo report` draws it. */
#include <sys/utsname.h>
#include <time.h>

#include "bench/live/live.h"
#include "vmm/base/json_out.h"
#include "vmm/base/version.h"

static void put_ns(struct json_out *j, const char *key, double ns)
{
    json_put_uint(j, key, ns > 0 ? (uint64_t)ns : 0);
}

static void put_settings(struct json_out *j, const struct live_vcpu *v)
{
    const struct cause *c = &v->cause;
    char cpus[CAUSE_CPUS];
    json_put_string(j, "cpus", live_cpus_text(&v->cpus, cpus));
    json_put_int(j, "policy", c->policy);
    json_put_int(j, "nice", c->nice);
    json_put_string(j, "cgroup", c->group.path[0] ? c->group.path : NULL);
    json_put_uint(j, "cgroup_weight", c->group.weight);
    json_put_uint(j, "quota_us", c->group.quota_us);
    json_put_uint(j, "period_us", c->group.period_us);
    json_put_uint(j, "throttled", c->throttled.times);
    json_put_uint(j, "throttled_ns", c->throttled.ns);
}

/* [[begin, end, ran, due], ...]: ns since the beginning, and in between. */
static void put_lane(struct json_out *j, const struct live_record *r, const struct live_due *d, unsigned vcpu)
{
    json_put_array(j, "lane");
    for (unsigned b = 0; b < d->blocks; b++) {
        json_put_array(j, NULL);
        json_put_uint(j, NULL, r->at[d->block[b].from] - r->at[0]);
        json_put_uint(j, NULL, r->at[d->block[b].to] - r->at[0]);
        put_ns(j, NULL, d->charged[b * r->vcpus + vcpu]);
        put_ns(j, NULL, d->due[b * r->vcpus + vcpu]);
        json_put_end(j);
    }
    json_put_end(j);
}

static void put_vms(struct json_out *j, const struct live_record *r)
{
    json_put_line(j);
    json_put_array(j, "vms");
    for (unsigned k = 0; k < r->vms; k++) {
        json_put_line(j);
        json_put_object(j, NULL);
        json_put_string(j, "name", r->vm[k].name);
        json_put_int(j, "pid", r->vm[k].pid);
        json_put_real(j, "weight", r->vm[k].weight, 6);
        json_put_uint(j, "other_threads_ns", r->vm[k].own_ns);
        json_put_end(j);
    }
    json_put_line(j);
    json_put_end(j);
}

static void put_vcpus(struct json_out *j, const struct live_record *r, const struct live_report *found)
{
    json_put_line(j);
    json_put_array(j, "vcpus");
    for (unsigned i = 0; i < r->vcpus; i++) {
        const struct live_had *h = &found->due.had[i];
        json_put_line(j);
        json_put_object(j, NULL);
        json_put_string(j, "vm", r->vm[r->vcpu[i].vm].name);
        json_put_uint(j, "vcpu", r->vcpu[i].index);
        json_put_int(j, "tid", r->vcpu[i].tid);
        put_ns(j, "wanted_ns", h->charged + h->waited);
        put_ns(j, "ran_ns", h->charged);
        put_ns(j, "waited_ns", h->waited);
        put_ns(j, "due_ns", h->due_in_all);
        put_ns(j, "due_beside_ns", h->due_beside);
        put_ns(j, "longest_wait_ns", h->longest);
        put_settings(j, &r->vcpu[i]);
        put_lane(j, r, &found->due, i);
        json_put_end(j);
    }
    json_put_line(j);
    json_put_end(j);
}

static void put_properties(struct json_out *j, const struct live_record *r, const struct live_report *found)
{
    json_put_line(j);
    json_put_array(j, "properties");
    for (unsigned p = 0; p < LIVE_PROPERTY_COUNT; p++) {
        const struct live_finding *x = &found->finding[p];
        json_put_line(j);
        json_put_object(j, NULL);
        json_put_string(j, "id", live_properties[p].id);
        json_put_string(j, "title", live_properties[p].title);
        json_put_string(j, "verdict", live_verdicts[x->verdict]);
        json_put_string(j, "vm", x->vm >= 0 ? r->vm[x->vm].name : NULL);
        if (x->vcpu >= 0)
            json_put_uint(j, "vcpu", r->vcpu[x->vcpu].index);
        else
            json_put_null(j, "vcpu");
        put_ns(j, "statistic_ns", x->statistic);
        put_ns(j, "bound_ns", x->bound);
        json_put_string(j, "text", x->text);
        json_put_string(j, "cause", x->cause);
        json_put_string(j, "reason", x->reason);
        json_put_end(j);
    }
    json_put_line(j);
    json_put_end(j);
}

static void put_cpus(struct json_out *j, const struct live_record *r)
{
    json_put_line(j);
    json_put_array(j, "cpus");
    for (unsigned c = 0; c < CPU_SETSIZE; c++) {
        if (!r->cpu[c].is_online) continue;
        json_put_line(j);
        json_put_object(j, NULL);
        json_put_uint(j, "cpu", c);
        json_put_uint(j, "busy_ns", r->cpu[c].busy);
        json_put_uint(j, "idle_ns", r->cpu[c].idle);
        json_put_uint(j, "steal_ns", r->cpu[c].steal);
        json_put_array(j, "others");
        for (unsigned k = 0; k < r->takers; k++) {
            if (r->taker[k].cpu != c) continue;
            json_put_object(j, NULL);
            json_put_int(j, "pid", r->taker[k].pid);
            json_put_string(j, "name", r->taker[k].name);
            json_put_uint(j, "ran_ns", r->taker[k].ns);
            json_put_end(j);
        }
        json_put_end(j);
        json_put_end(j);
    }
    json_put_line(j);
    json_put_end(j);
}

static void put_host(struct json_out *j, const struct live_record *r)
{
    char now[32] = "";
    struct utsname u = {0};
    struct tm tm;
    const time_t t = time(NULL);
    (void)uname(&u);
    if (gmtime_r(&t, &tm)) (void)strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", &tm);
    json_put_string(j, "vireo", BUILD_VERSION);
    json_put_string(j, "time", now);
    json_put_string(j, "host", u.nodename);
    json_put_string(j, "kernel", u.release);
    put_ns(j, "duration_ns", live_wall(r));
    json_put_uint(j, "samples", r->samples);
    json_put_uint(j, "tick_ns", r->tick_ns);
    json_put_uint(j, "slice_ns", r->slice_ns);
    json_put_string(j, "slice_source", r->slice_source);
    json_put_string(j, "weights", r->weights_from);
    json_put_uint(j, "watching_ns", r->own_ns);
}

void live_put_json(FILE *f, const struct live_record *r, const struct live_report *found)
{
    struct json_out j = {.write = json_to_file, .arg = f};
    json_put_object(&j, NULL);
    json_put_string(&j, "schema", LIVE_SCHEMA);
    json_put_string(&j, "verdict", live_verdicts[found->verdict]);
    json_put_string(&j, "summary", found->summary);
    json_put_string(&j, "note", r->note);
    json_put_line(&j);
    put_host(&j, r);
    put_ns(&j, "vcpus_ns", found->vcpus_ns);
    put_ns(&j, "other_threads_ns", found->own_ns);
    put_ns(&j, "others_ns", found->others_ns);
    put_ns(&j, "unnamed_ns", found->rest_ns);
    put_ns(&j, "idle_ns", found->idle_ns);
    put_ns(&j, "steal_ns", found->steal_ns);
    put_vms(&j, r);
    put_vcpus(&j, r, found);
    put_properties(&j, r, found);
    put_cpus(&j, r);
    json_put_line(&j);
    json_put_end(&j);
    fputc('\n', f);
}

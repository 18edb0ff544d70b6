#include "vmm/cli/series.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S 1e9

const char *const series_figures[SERIES_FIGURES] = {
    [FIGURE_CPU_NS] = "cpu_ns",
    [FIGURE_RUN_DELAY_NS] = "run_delay_ns",
    [FIGURE_STEAL_NS] = "steal_ns",
    [FIGURE_VOLUNTARY] = "switches_voluntary",
    [FIGURE_INVOLUNTARY] = "switches_involuntary",
    [FIGURE_MIGRATIONS] = "migrations",
    [FIGURE_GUEST_NS] = "guest_ns",
    [FIGURE_KERNEL_NS] = "kernel_ns",
};

/* How much of each is worth a word, if it has at least doubled: what costs about a hundredth of a CPU. */
enum { EXIT_RATE, HANDLER, DOORBELL_RATE, RUN_DELAY, THROTTLED, DISK_TIME };
static const struct series_kind kinds[] = {
    [EXIT_RATE] = {"exit_rate", "1/s", "exits by", {.least = 1000, .ratio = 1}},
    [HANDLER] = {"handler_p50", "ns", "median handler of", {.least = 10000, .ratio = 1}},
    [DOORBELL_RATE] = {"doorbell_rate", "1/s", "doorbells", {.least = 10000, .ratio = 1}},
    /* A tenth of the time: what others' work on a shared host takes now and then. */
    [RUN_DELAY] = {"run_delay", "s/s", "waiting for a CPU of", {.least = 0.1, .ratio = 1}},
    [THROTTLED] = {"throttled", "s/s", "throttled by its cgroup", {.least = 0.02, .ratio = 1}},
    [DISK_TIME] = {"disk_time", "ns", "mean request of", {.least = 1000000, .ratio = 1}},
};

/* ---- what a page tells beside top_sample ---- */

static uint64_t told(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) && json_integer_value(value) >= 0 ? (uint64_t)json_integer_value(value)
                                                                    : SERIES_UNTOLD;
}

static const char *word(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static struct series_disk *disk_called(struct series_host *h, const char *name)
{
    unsigned i = 0;
    while (i < h->disks && strncmp(h->disk[i].name, name, TOP_WORD - 1) != 0) i++;
    if (i == SERIES_DISKS_MAX) return NULL;
    if (i == h->disks) {
        h->disk[h->disks++] = (struct series_disk){0};
        (void)snprintf(h->disk[i].name, TOP_WORD, "%s", name);
    }
    return &h->disk[i];
}

static void load_disks(struct series_host *h, const json_t *rows)
{
    size_t i;
    const json_t *row;
    json_array_foreach(rows, i, row)
    {
        const char *name = word(row, "name");
        const bool is_time = strcmp(name, "requests_ns") == 0;
        const uint64_t count = told(row, "count");
        if (strcmp(word(row, "kind"), "device") != 0 || count == SERIES_UNTOLD) continue;
        if (!is_time && strcmp(name, "requests") != 0) continue;
        struct series_disk *d = disk_called(h, word(row, "device"));
        if (d) *(is_time ? &d->ns : &d->requests) = count;
    }
}

static void load_host(struct series_host *h, const json_t *page)
{
    const json_t *vcpus = json_object_get(page, "vcpus"), *one;
    size_t i;
    memset(h->vcpu, 0xff, sizeof(h->vcpu)); /* SERIES_UNTOLD */
    memset(h->cpu, 0xff, sizeof(h->cpu));
    h->disks = 0;
    h->throttled_ns = told(page, "throttled_ns");
    load_disks(h, json_object_get(page, "rows"));
    json_array_foreach(vcpus, i, one)
    {
        const uint64_t vcpu = told(one, "vcpu");
        if (vcpu < TOP_VCPUS_MAX) h->cpu[vcpu] = told(one, "cpu");
        for (unsigned k = 0; k < SERIES_FIGURES && vcpu < TOP_VCPUS_MAX; k++)
            h->vcpu[vcpu][k] = told(one, series_figures[k]);
    }
}

/* ---- what happened between two ---- */

/* Counts only grow; what a hostile page says else is nothing. */
static uint64_t growth(uint64_t from, uint64_t to)
{
    if (from == SERIES_UNTOLD || to == SERIES_UNTOLD) return SERIES_UNTOLD;
    return to > from ? to - from : 0;
}

static void subtract_host(struct series_host *change, const struct series_host *from, const struct series_host *to)
{
    *change = *to;
    change->throttled_ns = growth(from->throttled_ns, to->throttled_ns);
    for (unsigned i = 0; i < TOP_VCPUS_MAX; i++)
        for (unsigned k = 0; k < SERIES_FIGURES; k++) change->vcpu[i][k] = growth(from->vcpu[i][k], to->vcpu[i][k]);
    for (unsigned i = 0; i < to->disks; i++) {
        struct series_disk *d = &change->disk[i];
        for (unsigned k = 0; k < from->disks; k++) {
            if (strcmp(from->disk[k].name, d->name) != 0) continue;
            d->requests = growth(from->disk[k].requests, d->requests);
            d->ns = growth(from->disk[k].ns, d->ns);
        }
    }
}

/* Another VM has the name now. */
static void begin_anew(struct series *s)
{
    top_sample_fini(&s->before);
    top_sample_fini(&s->change);
    free(s->metric);
    s->metric = NULL;
    s->metrics = s->judged = 0;
    s->host_before = (struct series_host){0};
}

static int take(struct series *s, const json_t *page, const char *name, struct vireo_error *e)
{
    struct top_sample sample = {0};
    if (!top_sample_read(&sample, page)) return bad_command(e, "%s: what answers there is no VM of this version", name);
    const bool is_new = s->now.age_ns == 0 || strcmp(sample.uuid, s->now.uuid) != 0;
    top_sample_fini(&s->before);
    s->before = s->now;
    s->now = sample;
    s->host_before = s->host;
    if (is_new) begin_anew(s);
    load_host(&s->host, page);
    subtract_host(&s->host_change, &s->host_before, &s->host);
    if (!top_sample_subtract(&s->change, &s->before, &s->now)) return bad_call(e, ENOMEM, "compare two samples");
    return is_new ? SERIES_NEW : SERIES_GOES_ON;
}

int series_take(struct series *s, const char *name, const char *text, size_t len, struct vireo_error *e)
{
    json_t *page = json_loadb(text, len, 0, NULL);
    const int rc = take(s, page, name, e);
    json_decref(page);
    return rc;
}

int series_look(struct series *s, const char *name, struct vireo_error *e)
{
    struct page p;
    int rc = client_fetch(name, SERIES_PAGE, &p, e);
    if (rc) return rc;
    rc = series_take(s, name, p.text, p.len, e);
    free(p.text);
    return rc;
}

void series_fini(struct series *s)
{
    begin_anew(s);
    top_sample_fini(&s->now);
}

/* ---- what has changed ---- */

struct judge {
    struct series *series;
    double seconds, unhindered; /* the interval, and of it what vCPUs in the mean were not kept waiting */
    uint64_t t_ns;
    series_event_fn *on_event;
    void *arg;
    bool has_failed;
};

/* A kind of exit that comes for the first time was there none of before. */
static void remember_none(struct series_metric *m, unsigned samples)
{
    struct anomaly_alarm alarm;
    for (unsigned i = 0; i < samples && i < ANOMALY_WINDOW; i++) {
        (void)anomaly_feed(&m->anomaly, &m->kind->rule, 0, 0, &alarm);
        (void)anomaly_feed(&m->unhindered, &m->kind->rule, 0, 0, &alarm);
    }
}

/* The series' metrics are made as they come: NULL where there are too many, or no memory. */
static struct series_metric *metric_of(struct judge *j, const struct series_kind *kind, const char *of)
{
    struct series *s = j->series;
    for (unsigned i = 0; i < s->metrics; i++)
        if (s->metric[i].kind == kind && strcmp(s->metric[i].of, of) == 0) return &s->metric[i];
    if (s->metrics == SERIES_METRICS_MAX) return NULL;
    struct series_metric *more = realloc(s->metric, (s->metrics + 1) * sizeof(*more));
    if (!more) {
        j->has_failed = true;
        return NULL;
    }
    s->metric = more;
    struct series_metric *m = &more[s->metrics++];
    *m = (struct series_metric){.kind = kind};
    (void)snprintf(m->of, sizeof(m->of), "%s", of);
    if (kind == &kinds[EXIT_RATE]) remember_none(m, s->judged);
    return m;
}

static void tell(const struct judge *j, struct series_metric *m, enum anomaly_event event,
                 const struct anomaly_alarm *alarm)
{
    m->alarms += event == ANOMALY_BEGINS;
    if (event != ANOMALY_NONE && j->on_event) j->on_event(j->arg, m, event, alarm);
}

static void feed(struct judge *j, unsigned kind, const char *of, double value)
{
    struct anomaly_alarm alarm;
    struct series_metric *m = metric_of(j, &kinds[kind], of);
    if (!m) return;
    const enum anomaly_event event = anomaly_feed(&m->anomaly, &m->kind->rule, j->t_ns, value, &alarm);
    tell(j, m, event, &alarm);
}

static bool is_rate(const struct series_kind *kind)
{
    return kind == &kinds[EXIT_RATE] || kind == &kinds[DOORBELL_RATE];
}

const struct anomaly_alarm *series_alarm(const struct series_metric *m)
{
    if (is_rate(m->kind) && !anomaly_now(&m->unhindered)) return NULL;
    return anomaly_now(&m->anomaly);
}

static bool is_end(enum anomaly_event event)
{
    return event == ANOMALY_ENDS || event == ANOMALY_SETTLES;
}

static void feed_rate(struct judge *j, unsigned kind, const char *of, uint64_t count)
{
    struct anomaly_alarm alarm, beside;
    struct series_metric *m = metric_of(j, &kinds[kind], of);
    if (!m) return;
    const struct anomaly_rule *rule = &m->kind->rule;
    enum anomaly_event event = anomaly_feed(&m->anomaly, rule, j->t_ns, (double)count / j->seconds, &alarm);
    const enum anomaly_event other =
        anomaly_feed(&m->unhindered, rule, j->t_ns, (double)count / j->unhindered, &beside);
    const struct anomaly_alarm *now = series_alarm(m);
    if ((now != NULL) == m->is_told) return;
    m->is_told = now != NULL;
    if (anomaly_now(&m->anomaly)) alarm = *anomaly_now(&m->anomaly); /* the other one began or ended */
    if (now)
        event = ANOMALY_BEGINS;
    else if (!is_end(event))
        event = is_end(other) ? other : ANOMALY_ENDS;
    tell(j, m, event, &alarm);
}

/* Each vCPU's share of the interval in which it ran or did not want to. A wait counts when it ends, so it may have
 * begun before; what it ran is certain. */
static double unhindered(const struct series *s, double seconds)
{
    double sum = 0;
    for (unsigned i = 0; i < s->now.vcpus; i++) {
        const uint64_t cpu = s->host_change.vcpu[i][FIGURE_CPU_NS], delay = s->host_change.vcpu[i][FIGURE_RUN_DELAY_NS];
        if (cpu == SERIES_UNTOLD || delay == SERIES_UNTOLD) return seconds;
        const double ran = (double)cpu / NS_PER_S, rest = seconds - (double)delay / NS_PER_S;
        sum += rest > ran ? rest : ran;
    }
    return sum > 0 ? sum / s->now.vcpus : seconds;
}

static void judge_exits(struct judge *j)
{
    const struct top_sample *c = &j->series->change;
    for (size_t i = 0; i < c->count; i++) {
        const struct top_row *row = &c->row[i];
        if (!top_is_of_all(c, row)) continue;
        feed_rate(j, EXIT_RATE, row->name, row->count);
        if (row->count > 0) feed(j, HANDLER, row->name, top_quantile(row->handler, 0.5));
    }
    feed_rate(j, DOORBELL_RATE, "", c->saved);
}

static void judge_host(struct judge *j)
{
    const double seconds = j->seconds;
    const struct series_host *h = &j->series->host_change;
    for (unsigned i = 0; i < j->series->now.vcpus; i++) {
        char of[TOP_WORD];
        const uint64_t delay = h->vcpu[i][FIGURE_RUN_DELAY_NS];
        (void)snprintf(of, sizeof(of), "vCPU %u", i);
        if (delay != SERIES_UNTOLD) feed(j, RUN_DELAY, of, (double)delay / NS_PER_S / seconds);
    }
    if (h->throttled_ns != SERIES_UNTOLD) feed(j, THROTTLED, "", (double)h->throttled_ns / NS_PER_S / seconds);
    for (unsigned i = 0; i < h->disks; i++)
        if (h->disk[i].requests > 0) /* a slow disk has few */
            feed(j, DISK_TIME, h->disk[i].name, (double)h->disk[i].ns / (double)h->disk[i].requests);
}

/* Did the VM do nothing at all? Then it is paused, or sleeps. */
static bool is_still(const struct series *s)
{
    for (size_t i = 0; i < s->change.count; i++)
        if (s->change.row[i].count > 0) return false;
    for (unsigned i = 0; i < s->now.vcpus; i++)
        if (s->host_change.vcpu[i][FIGURE_CPU_NS] > 0) return false; /* or untold */
    return true;
}

static bool knows_enough(const struct series *s)
{
    bool is_ready = s->metrics > 0;
    for (unsigned i = 0; i < s->metrics; i++) is_ready = is_ready && anomaly_is_ready(&s->metric[i].anomaly);
    return is_ready;
}

/* A pause does not make what was usual before it unusual: while nothing moves nothing is learned, but by who knows
 * nothing yet. */
bool series_judge(struct series *s, uint64_t t_ns, series_event_fn *on_event, void *arg)
{
    struct judge j = {.series = s, .t_ns = t_ns, .on_event = on_event, .arg = arg};
    const double seconds = (double)s->change.age_ns / NS_PER_S;
    if (s->before.age_ns == 0 || seconds <= 0 || (is_still(s) && knows_enough(s))) return true;
    j.seconds = seconds;
    j.unhindered = unhindered(s, seconds);
    judge_exits(&j);
    judge_host(&j);
    s->judged++;
    return !j.has_failed;
}

/* ---- as a person reads it ---- */

static void put_value(FILE *f, const char *unit, double value)
{
    if (strcmp(unit, "ns") == 0)
        fprintf(f, value < 1e6 ? "%.3g us" : "%.4g ms", value / (value < 1e6 ? 1e3 : 1e6));
    else if (strcmp(unit, "s/s") == 0)
        fprintf(f, "%.3g %% of the time", 100 * value);
    else
        fprintf(f, value < 10 ? "%.2g %s" : "%.0f %s", value, unit);
}

void series_put_alarm(FILE *f, const struct series_metric *m, const struct anomaly_alarm *a, uint64_t now_ns)
{
    const char *unit = m->kind->unit;
    fprintf(f, "%s%s%s: ", m->kind->title, m->of[0] ? " " : "", m->of);
    put_value(f, unit, a->value);
    fprintf(f, " for %.0f s; usual was ", (double)(now_ns - a->since_ns) / NS_PER_S);
    put_value(f, unit, a->median);
    fputs(" (spread ", f);
    put_value(f, unit, a->mad);
    fprintf(f, ", %u samples%s); by chance once in %.2g\n", a->before, a->is_slow ? " of 30" : "", a->odds);
}

unsigned series_put_alarms(FILE *f, const struct series *s, uint64_t now_ns)
{
    unsigned n = 0;
    for (unsigned i = 0; i < s->metrics; i++) {
        const struct anomaly_alarm *a = series_alarm(&s->metric[i]);
        if (!a) continue;
        fputs("alarm: ", f);
        series_put_alarm(f, &s->metric[i], a, now_ns);
        n++;
    }
    return n;
}

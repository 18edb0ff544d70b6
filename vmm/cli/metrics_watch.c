#include "vmm/cli/metrics_watch.h"

#include <stdlib.h>
#include <string.h>

#include "vmm/base/text.h"
#include "vmm/cli/series.h"

struct watched {
    char *name;
    struct series series;
    bool is_seen; /* in this scrape */
};

struct metrics_watch {
    struct watched vm[METRICS_WATCHED_MAX];
    unsigned count;
};

struct metrics_watch *metrics_watch_create(void)
{
    return calloc(1, sizeof(struct metrics_watch));
}

static void forget(struct watched *v)
{
    series_fini(&v->series);
    free(v->name);
}

void metrics_watch_destroy(struct metrics_watch *w)
{
    for (unsigned i = 0; w && i < w->count; i++) forget(&w->vm[i]);
    free(w);
}

void metrics_watch_begin(struct metrics_watch *w)
{
    for (unsigned i = 0; i < w->count; i++) w->vm[i].is_seen = false;
}

void metrics_watch_end(struct metrics_watch *w)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < w->count; i++) {
        if (!w->vm[i].is_seen)
            forget(&w->vm[i]);
        else
            w->vm[kept++] = w->vm[i];
    }
    w->count = kept;
}

static struct watched *find(struct metrics_watch *w, const char *name)
{
    for (unsigned i = 0; i < w->count; i++)
        if (strcmp(w->vm[i].name, name) == 0) return &w->vm[i];
    return NULL;
}

bool metrics_watch_name(struct metrics_watch *w, const char *name)
{
    struct watched *v = find(w, name);
    if (!v && w->count < METRICS_WATCHED_MAX) {
        v = &w->vm[w->count];
        *v = (struct watched){.name = strdup(name)};
        if (!v->name) return false;
        w->count++;
    }
    if (v) v->is_seen = true;
    return v != NULL;
}

/* ---- what is said ---- */

/* A label's value: text of others, without what moves a terminal. */
static void put_label(FILE *f, const char *label, const char *value)
{
    char safe[TOP_WORD];
    (void)snprintf(safe, sizeof(safe), "%s", value);
    text_blunt(safe, strlen(safe), "");
    fprintf(f, ",%s=\"", label);
    for (const char *at = safe; *at; at++) fprintf(f, *at == '"' || *at == '\\' ? "\\%c" : "%c", *at);
    fputc('"', f);
}

/* Prometheus has seconds. */
static double in_base_unit(const struct series_metric *m, double value)
{
    return strcmp(m->kind->unit, "ns") == 0 ? value / 1e9 : value;
}

/* false: it has no such value now. */
typedef bool value_fn(const struct series_metric *m, double *out);

static bool is_on(const struct series_metric *m, double *out)
{
    *out = series_alarm(m) != NULL;
    return true;
}

static bool how_many(const struct series_metric *m, double *out)
{
    *out = (double)m->alarms;
    return true;
}

static bool value_now(const struct series_metric *m, double *out)
{
    const struct anomaly_alarm *a = series_alarm(m);
    if (a) *out = in_base_unit(m, a->value);
    return a != NULL;
}

static bool usual_value(const struct series_metric *m, double *out)
{
    const struct anomaly_alarm *a = series_alarm(m);
    if (a) *out = in_base_unit(m, a->median);
    return a != NULL;
}

static const struct alarm_family {
    const char *name, *type, *help;
    value_fn *value;
} families[] = {
    {"vireo_alarm", "gauge", "1 while the figure has risen as chance does not explain", is_on},
    {"vireo_alarms_total", "counter", "Such rises that this vireo metrics has told of", how_many},
    {"vireo_alarm_value", "gauge", "What it rose to, while the alarm is on: 1/s, seconds, or a share of the time",
     value_now},
    {"vireo_alarm_usual", "gauge", "The median before it rose, in the same unit", usual_value},
};

static void put_family(FILE *f, const struct alarm_family *of, const char *name, const struct series *s)
{
    double value;
    fprintf(f, "# HELP %s %s.\n# TYPE %s %s\n", of->name, of->help, of->name, of->type);
    for (unsigned i = 0; i < s->metrics; i++) {
        const struct series_metric *m = &s->metric[i];
        if (!of->value(m, &value)) continue;
        fprintf(f, "%s{vm=\"%s\"", of->name, name);
        put_label(f, "figure", m->kind->name);
        put_label(f, "of", m->of);
        fprintf(f, "} %.9g\n", value);
    }
}

static void put_all(FILE *f, const char *name, const struct series *s, bool is_watched)
{
    fprintf(f,
            "# HELP vireo_watched Whether this vireo metrics looks for changes of the VM's figures.\n"
            "# TYPE vireo_watched gauge\nvireo_watched{vm=\"%s\"} %d\n",
            name, is_watched);
    for (size_t i = 0; s && s->metrics && i < sizeof(families) / sizeof(families[0]); i++)
        put_family(f, &families[i], name, s);
}

/* A page that can't be read leaves what is known as it is: the VM may answer again. */
void metrics_watch_take(struct metrics_watch *w, struct metrics_page *p, const char *name, const char *text, size_t len)
{
    struct watched *v = find(w, name);
    struct vireo_error e;
    char *said = NULL;
    size_t said_len = 0;
    bool is_watched = v && text;
    if (is_watched) {
        const int rc = series_take(&v->series, name, text, len, &e);
        is_watched = rc >= 0;
        if (rc == SERIES_GOES_ON) is_watched = series_judge(&v->series, now_ns(), NULL, NULL);
    }
    FILE *f = open_memstream(&said, &said_len);
    if (!f) return;
    put_all(f, name, is_watched ? &v->series : NULL, is_watched);
    if (fclose(f) == 0) (void)metrics_page_add(p, name, said, said_len);
    free(said);
}

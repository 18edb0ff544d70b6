#include "vmm/cli/anomaly.h"

#include <stdlib.h>

#define RING (ANOMALY_WINDOW + ANOMALY_RECENT_MAX)

/* The sample that is `ago` samples old; 0 is the last one. */
static double sample(const struct anomaly_series *s, unsigned ago)
{
    return s->value[(s->count - 1 - ago) % RING];
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* With an even number the upper one. Sorts. */
static double median(double *value, unsigned n)
{
    qsort(value, n, sizeof(*value), by_value);
    return value[n / 2];
}

/* Of the n samples before the k last ones. */
static void baseline(const struct anomaly_series *s, unsigned k, struct anomaly_alarm *out)
{
    double value[ANOMALY_WINDOW] = {0}; /* which is the median of none */
    for (unsigned i = 0; i < out->before; i++) value[i] = sample(s, k + i);
    out->median = median(value, out->before);
    for (unsigned i = 0; i < out->before; i++)
        value[i] = value[i] > out->median ? value[i] - out->median : out->median - value[i];
    out->mad = median(value, out->before);
}

/* C(n+k,k) / C(j+k,k), where j of the n samples before the k last ones are not below all of these. */
static double odds(const struct anomaly_series *s, unsigned k, unsigned n)
{
    double low = sample(s, 0), ratio = 1;
    unsigned j = 0;
    for (unsigned i = 1; i < k; i++) low = sample(s, i) < low ? sample(s, i) : low;
    for (unsigned i = 0; i < n; i++) j += sample(s, k + i) >= low;
    for (unsigned i = 1; i <= k; i++) ratio *= (double)(n + i) / (j + i);
    return ratio;
}

/* How far above the median is worth an alarm. */
static double distance(const struct anomaly_rule *rule, const struct anomaly_alarm *a)
{
    const double spread = ANOMALY_SPREADS * ANOMALY_NORMAL * a->mad, ratio = rule->ratio * a->median;
    const double most = spread > ratio ? spread : ratio;
    return most > rule->least ? most : rule->least;
}

/* Are the k last samples unlike those before them? */
static bool differs(const struct anomaly_series *s, const struct anomaly_rule *rule, unsigned k,
                    struct anomaly_alarm *out)
{
    double recent[ANOMALY_RECENT_MAX];
    const uint64_t held = s->count - k;
    out->before = held < ANOMALY_WINDOW ? (unsigned)held : ANOMALY_WINDOW;
    out->odds = odds(s, k, out->before);
    if (out->odds < ANOMALY_ODDS) return false;
    baseline(s, k, out);
    for (unsigned i = 0; i < k; i++) recent[i] = sample(s, i);
    out->value = median(recent, k);
    out->since_ns = s->at_ns[(s->count - k) % ANOMALY_RECENT_MAX];
    return out->value - out->median > distance(rule, out);
}

static enum anomaly_event look_for_a_change(struct anomaly_series *s, const struct anomaly_rule *rule)
{
    for (unsigned k = ANOMALY_RECENT_MIN; k <= ANOMALY_RECENT_MAX && s->count >= ANOMALY_LEAST + k; k++) {
        struct anomaly_alarm found = {0};
        if (!differs(s, rule, k, &found)) continue;
        s->alarm = found;
        s->is_on = true;
        s->back = 0;
        s->lasted = k;
        return ANOMALY_BEGINS;
    }
    return ANOMALY_NONE;
}

static enum anomaly_event look_for_an_end(struct anomaly_series *s, const struct anomaly_rule *rule)
{
    const double value = sample(s, 0);
    s->lasted++;
    if (value > s->alarm.value) s->alarm.value = value;
    s->back = value - s->alarm.median < distance(rule, &s->alarm) / 2 ? s->back + 1 : 0;
    s->is_on = s->back < ANOMALY_RECENT_MIN && s->lasted < ANOMALY_WINDOW;
    if (s->is_on) return ANOMALY_NONE;
    return s->back == ANOMALY_RECENT_MIN ? ANOMALY_ENDS : ANOMALY_SETTLES;
}

static enum anomaly_event add(struct anomaly_series *s, const struct anomaly_rule *rule, uint64_t t_ns, double value)
{
    s->value[s->count % RING] = value;
    s->at_ns[s->count % ANOMALY_RECENT_MAX] = t_ns;
    s->count++;
    return s->is_on ? look_for_an_end(s, rule) : look_for_a_change(s, rule);
}

/* The slow series sees what the fast one has not told of: while that has an alarm nothing is added, and a level that
 * has become usual is none that has crept up. */
static enum anomaly_event feed_slow(struct anomaly *a, const struct anomaly_rule *rule, uint64_t t_ns, double value)
{
    a->batch[a->batched++] = value;
    if (a->batched < ANOMALY_SLOW) return ANOMALY_NONE;
    a->batched = 0;
    return add(&a->slow, rule, t_ns, median(a->batch, ANOMALY_SLOW));
}

enum anomaly_event anomaly_feed(struct anomaly *a, const struct anomaly_rule *rule, uint64_t t_ns, double value,
                                struct anomaly_alarm *out)
{
    const bool was_on = a->fast.is_on;
    enum anomaly_event event = add(&a->fast, rule, t_ns, value);
    *out = a->fast.alarm;
    if (event == ANOMALY_SETTLES && !a->slow.is_on) a->slow = (struct anomaly_series){0};
    if (was_on || event != ANOMALY_NONE) return event;
    event = feed_slow(a, rule, t_ns, value);
    a->slow.alarm.is_slow = true;
    *out = a->slow.alarm;
    return event;
}

const struct anomaly_alarm *anomaly_now(const struct anomaly *a)
{
    if (a->fast.is_on) return &a->fast.alarm;
    return a->slow.is_on ? &a->slow.alarm : NULL;
}

bool anomaly_is_ready(const struct anomaly *a)
{
    return a->fast.count >= ANOMALY_LEAST + ANOMALY_RECENT_MAX;
}

#include "bench/report/recording.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SCHEMA_STEM  "vireo-recording-"
#define NS_PER_S     1e9
#define STEP_LEAST   1000000 /* ns: whatever a header says */
#define STEP_FOLDS   40      /* twice as long each time: years */
#define VALUE_MAX    1e15    /* more is no figure of ours */
#define INTERVAL_MAX UINT64_C(3600000000000)

struct reader {
    struct recording_seen *r;
    char line[RECORDING_LINE_MAX + 2];
    const char *why; /* what is wrong with a line, static; NULL: nothing */
    bool has_end;
};

/* ---- values ---- */

static void copy(char *out, size_t size, const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    (void)snprintf(out, size, "%s", text ? text : "");
}

/* NAN: it is not there, or no figure. */
static double real(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    const double v = json_is_number(value) ? json_number_value(value) : NAN;
    return v >= 0 && v <= VALUE_MAX ? v : NAN;
}

static uint64_t whole(const json_t *object, const char *key)
{
    const double v = real(object, key);
    return isnan(v) ? 0 : (uint64_t)v;
}

/* ---- curves ---- */

/* Twice the time has to find room in the same steps. */
static void fold_curve(struct recording_curve *c)
{
    const unsigned half = RECORDING_STEPS / 2;
    for (unsigned i = 0; i < half; i++) {
        const unsigned a = 2 * i, b = a + 1;
        c->sum[i] = c->sum[a] + c->sum[b];
        c->peak[i] = fmax(c->peak[a], c->peak[b]);
        c->count[i] = c->count[a] + c->count[b];
    }
    memset(c->sum + half, 0, half * sizeof(c->sum[0]));
    memset(c->peak + half, 0, half * sizeof(c->peak[0]));
    memset(c->count + half, 0, half * sizeof(c->count[0]));
}
_Static_assert(RECORDING_STEPS % 2 == 0, "steps are folded in pairs");

static bool make_room(struct recording_seen *r, uint64_t t_ns)
{
    for (unsigned i = 0; i < STEP_FOLDS && t_ns / r->step_ns >= RECORDING_STEPS; i++) {
        r->step_ns *= 2;
        for (unsigned k = 0; k < r->curves; k++) fold_curve(r->curve[k]);
    }
    return t_ns / r->step_ns < RECORDING_STEPS;
}

const struct recording_curve *recording_curve(const struct recording_seen *r, unsigned vm, enum recording_kind kind,
                                              const char *of)
{
    const struct recording_curve *c = r->vm[vm].curve;
    while (c && (c->kind != kind || strncmp(c->of, of, TOP_WORD - 1) != 0)) c = c->next;
    return c;
}

static struct recording_curve *add_curve(struct recording_seen *r, unsigned vm, enum recording_kind kind,
                                         const char *of)
{
    if (r->curves == RECORDING_CURVES_MAX || r->vm[vm].curves == RECORDING_OF_VM_MAX) return NULL;
    struct recording_curve *c = calloc(1, sizeof(*c));
    if (!c) return NULL;
    c->vm = vm;
    c->kind = kind;
    (void)snprintf(c->of, sizeof(c->of), "%s", of);
    c->next = r->vm[vm].curve;
    r->vm[vm].curve = c;
    r->vm[vm].curves++;
    r->curve[r->curves++] = c;
    return c;
}

double recording_value(const struct recording_curve *c, unsigned step)
{
    const bool is_peak = c->kind == CURVE_HANDLER_P99 || c->kind == CURVE_RUN_P99;
    if (c->count[step] == 0) return NAN;
    return is_peak ? c->peak[step] : c->sum[step] / c->count[step];
}

struct moment { /* where a sample's values go */
    struct recording_seen *r;
    unsigned vm, step;
    double seconds;
};

/* A value that is not told is left out, and so is one for whose curve there is no room, which the note then says. */
static void put(const struct moment *m, enum recording_kind kind, const char *of, double value)
{
    if (isnan(value)) return;
    struct recording_curve *c = (struct recording_curve *)recording_curve(m->r, m->vm, kind, of);
    if (!c) c = add_curve(m->r, m->vm, kind, of);
    if (!c) m->r->has_lost = true;
    if (!c) return;
    c->sum[m->step] += value;
    c->peak[m->step] = fmax(c->peak[m->step], value);
    c->count[m->step]++;
}

/* ---- lines ---- */

static void take_class(const struct moment *m, const json_t *class)
{
    static const struct {
        enum recording_kind kind;
        const char *key;
    } times[] = {{CURVE_HANDLER_P50, "handler_p50_ns"},
                 {CURVE_HANDLER_P99, "handler_p99_ns"},
                 {CURVE_RUN_P50, "run_p50_ns"},
                 {CURVE_RUN_P99, "run_p99_ns"}};
    char of[TOP_WORD];
    copy(of, sizeof(of), class, "name");
    put(m, CURVE_EXITS, of, real(class, "count") / m->seconds);
    for (unsigned i = 0; i < sizeof(times) / sizeof(times[0]); i++)
        put(m, times[i].kind, of, real(class, times[i].key));
}

static void take_vcpu(const struct moment *m, const json_t *vcpu)
{
    char of[TOP_WORD];
    (void)snprintf(of, sizeof(of), "vCPU %u", (unsigned)whole(vcpu, "vcpu") % TOP_VCPUS_MAX);
    put(m, CURVE_CPU, of, real(vcpu, "cpu_ns") / NS_PER_S / m->seconds);
    put(m, CURVE_DELAY, of, real(vcpu, "run_delay_ns") / NS_PER_S / m->seconds);
    put(m, CURVE_STEAL, of, real(vcpu, "steal_ns") / NS_PER_S / m->seconds);
}

static void take_disk(const struct moment *m, const json_t *disk)
{
    char of[TOP_WORD];
    const double requests = real(disk, "requests");
    copy(of, sizeof(of), disk, "name");
    put(m, CURVE_DISK_RATE, of, requests / m->seconds);
    if (requests > 0) put(m, CURVE_DISK_TIME, of, real(disk, "requests_ns") / requests);
}

static void take_each(const struct moment *m, const json_t *sample, const char *key,
                      void (*take)(const struct moment *m, const json_t *one))
{
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(sample, key), i, one)
    {
        take(m, one);
    }
}

/* A kind of exit that did not come is none, where it has come before. */
static void take_absent(const struct moment *m)
{
    for (struct recording_curve *c = m->r->vm[m->vm].curve; c; c = c->next)
        if (c->kind == CURVE_EXITS && c->count[m->step] == 0) c->count[m->step] = 1;
}

static const char *take_sample(struct recording_seen *r, unsigned vm, uint64_t t_ns, const json_t *line)
{
    const double seconds = real(line, "interval_ns") / NS_PER_S;
    if (!(seconds > 0)) return "has no interval";
    if (!make_room(r, t_ns)) return "is of a time that no recording reaches";
    const struct moment m = {r, vm, (unsigned)(t_ns / r->step_ns), seconds};
    take_each(&m, line, "classes", take_class);
    take_absent(&m);
    take_each(&m, line, "vcpus", take_vcpu);
    take_each(&m, line, "disks", take_disk);
    put(&m, CURVE_DOORBELLS, "", real(line, "saved") / seconds);
    put(&m, CURVE_THROTTLED, "", real(line, "throttled_ns") / NS_PER_S / seconds);
    r->vm[vm].samples++;
    r->samples++;
    return NULL;
}

static void take_vm(struct recording_vm *vm, const json_t *line)
{
    char uuid[TOP_WORD];
    copy(uuid, sizeof(uuid), line, "uuid");
    if (strcmp(uuid, vm->uuid) != 0) vm->lives++;
    memcpy(vm->uuid, uuid, sizeof(uuid));
    copy(vm->name, sizeof(vm->name), line, "name");
    vm->vcpus = (unsigned)whole(line, "vcpus") % (TOP_VCPUS_MAX + 1);
    vm->is_there = true;
}

/* The last one that is on, of what this line tells of. */
static struct recording_alarm_seen *alarm_on(const struct recording_seen *r, const struct recording_alarm_seen *a)
{
    for (unsigned i = r->alarms; i-- > 0;) {
        struct recording_alarm_seen *one = &r->alarm[i];
        if (one->vm == a->vm && one->until_ns == 0 && one->is_slow == a->is_slow &&
            strcmp(one->metric, a->metric) == 0 && strcmp(one->of, a->of) == 0)
            return one;
    }
    return NULL;
}

static const char *take_alarm(struct recording_seen *r, unsigned vm, uint64_t t_ns, const json_t *line)
{
    char event[TOP_WORD];
    struct recording_alarm_seen a = {.vm = vm,
                                     .since_ns = whole(line, "since_ns"),
                                     .value = real(line, "value"),
                                     .median = real(line, "median"),
                                     .mad = real(line, "mad"),
                                     .odds = real(line, "odds"),
                                     .samples = (unsigned)(whole(line, "samples") % UINT32_MAX),
                                     .is_slow = json_is_true(json_object_get(line, "is_slow"))};
    copy(event, sizeof(event), line, "event");
    copy(a.metric, sizeof(a.metric), line, "metric");
    copy(a.of, sizeof(a.of), line, "of");
    copy(a.unit, sizeof(a.unit), line, "unit");
    if (isnan(a.value) || isnan(a.median) || isnan(a.mad)) return "is an alarm without its evidence";
    if (strcmp(event, "begins") == 0) {
        if (r->alarms < RECORDING_ALARMS_MAX)
            r->alarm[r->alarms++] = a;
        else
            r->alarms_lost++;
        return NULL;
    }
    struct recording_alarm_seen *on = alarm_on(r, &a);
    if (!on) return NULL;
    on->until_ns = t_ns;
    on->value = a.value;
    on->has_settled = strcmp(event, "settles") == 0;
    return NULL;
}

/* What is wrong with the line, or NULL. A type that is not known is a later version's, and let through. */
static const char *take_line(struct reader *in, const json_t *line)
{
    struct recording_seen *r = in->r;
    const char *type = json_string_value(json_object_get(line, "type"));
    const double vm = real(line, "vm"), t_ns = real(line, "t_ns");
    if (!json_is_object(line) || !type) return "has no type";
    if (isnan(t_ns)) return "has no time";
    in->has_end = strcmp(type, "end") == 0;
    if ((uint64_t)t_ns > r->end_ns) r->end_ns = (uint64_t)t_ns;
    if (in->has_end) return NULL;
    if (!(vm < RECORDING_VMS_MAX)) return "names no VM";
    const unsigned i = (unsigned)vm;
    if (strcmp(type, "vm") == 0) take_vm(&r->vm[i], line);
    if (!r->vm[i].is_there) return "is of a VM that no line before it names";
    if (strcmp(type, "sample") == 0) return take_sample(r, i, (uint64_t)t_ns, line);
    return strcmp(type, "alarm") == 0 ? take_alarm(r, i, (uint64_t)t_ns, line) : NULL;
}

/* ---- the file ---- */

/* A whole line, without its end: 1; 0: there is none; <0: it is cut, or too long, and in->why says so. */
static int next_line(struct reader *in, FILE *f)
{
    if (!fgets(in->line, sizeof(in->line), f)) return 0;
    const size_t len = strlen(in->line);
    in->r->lines++;
    if (len > 0 && in->line[len - 1] == '\n') return 1;
    in->why = len > RECORDING_LINE_MAX ? "is longer than a line may be" : "is cut off";
    return -1;
}

static json_t *parse(const struct reader *in)
{
    return json_loads(in->line, JSON_REJECT_DUPLICATES, NULL);
}

static int take_header(struct reader *in, FILE *f, struct err *e)
{
    struct recording_seen *r = in->r;
    json_t *line = next_line(in, f) > 0 ? parse(in) : NULL;
    const json_t *host = json_object_get(line, "host");
    char schema[TOP_WORD];
    int rc = 0;
    copy(schema, sizeof(schema), line, "schema");
    r->interval_ns = whole(line, "interval_ns");
    if (strncmp(schema, SCHEMA_STEM, strlen(SCHEMA_STEM)) != 0)
        rc = err_set(e, -EINVAL, "no recording of vireo top --record: its first line does not say so");
    else if (strcmp(schema, RECORDING_SCHEMA) != 0)
        rc = err_set(e, -EINVAL, "a recording of another version, %s; this program reads %s", schema, RECORDING_SCHEMA);
    else if (r->interval_ns == 0 || r->interval_ns > INTERVAL_MAX)
        rc = err_set(e, -EINVAL, "line 1: \"interval_ns\" is not a time of up to an hour");
    r->step_ns = r->interval_ns > STEP_LEAST ? r->interval_ns : STEP_LEAST;
    copy(r->time, sizeof(r->time), line, "time");
    copy(r->vireo, sizeof(r->vireo), line, "vireo");
    copy(r->host, sizeof(r->host), host, "name");
    copy(r->kernel, sizeof(r->kernel), host, "kernel");
    copy(r->cpu, sizeof(r->cpu), host, "cpu");
    json_decref(line);
    return rc;
}

static void take_lines(struct reader *in, FILE *f)
{
    while (!in->why && next_line(in, f) > 0) {
        json_t *line = parse(in);
        in->why = line ? take_line(in, line) : "is no JSON object";
        json_decref(line);
    }
}

static void put_note(struct reader *in)
{
    struct recording_seen *r = in->r;
    const double seconds = (double)r->end_ns / NS_PER_S;
    if (in->why)
        (void)snprintf(r->note, sizeof(r->note), "Line %llu %s: what is before it, %.1f s, is shown.",
                       (unsigned long long)r->lines, in->why, seconds);
    else if (!in->has_end)
        (void)snprintf(r->note, sizeof(r->note), "The recording was cut short, after %.1f s: its last line is missing.",
                       seconds);
    else if (r->has_lost)
        (void)snprintf(r->note, sizeof(r->note),
                       "It has more curves than are drawn: those that came last are missing.");
}

static struct recording_seen *recording_create(void)
{
    struct recording_seen *r = calloc(1, sizeof(*r));
    if (!r) return NULL;
    r->curve = calloc(RECORDING_CURVES_MAX, sizeof(struct recording_curve *));
    r->alarm = calloc(RECORDING_ALARMS_MAX, sizeof(*r->alarm));
    if (r->curve && r->alarm) return r;
    recording_destroy(r);
    return NULL;
}

int recording_read(struct recording_seen **out, FILE *f, struct err *e)
{
    struct reader *in = calloc(1, sizeof(*in));
    struct recording_seen *r = recording_create();
    int rc = -ENOMEM;
    if (!in || !r) {
        err_set(e, rc, "read a recording: no memory");
        goto out;
    }
    in->r = r;
    rc = take_header(in, f, e);
    if (rc) goto out;
    take_lines(in, f);
    put_note(in);
    *out = r;
    r = NULL;
out:
    recording_destroy(r);
    free(in);
    return rc;
}

bool recording_is_one(FILE *f)
{
    char line[256] = "";
    const bool has_line = fgets(line, sizeof(line), f) != NULL;
    rewind(f);
    return has_line && strstr(line, "\"" SCHEMA_STEM) != NULL;
}

void recording_destroy(struct recording_seen *r)
{
    if (!r) return;
    for (unsigned i = 0; i < r->curves; i++) free(r->curve[i]);
    free(r->curve);
    free(r->alarm);
    free(r);
}

#include "bench/result/shape.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/result/model.h"

#define BATCH_MAX  1000000 /* operations between two counter reads: a second of the fastest ones */
#define EXITS_MAX  1e15    /* of a process; the sum over 200 processes still fits 63 bits */
#define NUMBER_MAX 1e30    /* more than any sum of ticks; what is computed from it stays finite */
#define HZ_MIN     1e3     /* slower than any counter of a processor */
#define HZ_MAX     1e12    /* and faster */

const char *const row_statuses[] = {"ok", "no-exit", "timeout", "unsupported", "failed", NULL};
const char *const row_groups[] = {"control", "kernel", "user", "sandbox", NULL};
const char *const count_verdicts[] = {"agrees", "explained", "more", "fewer", NULL};
const char *const phase_names[] = {"rtt",       "rtt_undisturbed", "exit_leg",  "user",
                                   "entry_leg", "kvm_run",         "yardstick", NULL};
static const char *const schemas[] = {RESULT_SCHEMA, NULL};
const char *const result_kinds[] = {"exits", "fairness", "sandbox", NULL};
static const char *const experiment_statuses[] = {"ok",     "violated", "inconclusive", "unsupported", "timeout",
                                                  "failed", NULL};
const char *const difference_words[] = {"no figures", "no difference shown", "slower", "faster", NULL};
static const char *const agree_words[] = {"differ", "agree", NULL};
static const char *const hold_words[] = {"fails", "holds", NULL};
const char *const verdicts[] = {"pass", "fail", "inconclusive", "reported", NULL};

#define AT(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)
#define ROW(member)      AT(struct result_row, member)
#define DIST(member)     AT(struct dist, member)
#define FINDING(member)  AT(struct finding, member)
#define QUANTILE(n)      .offset = (n) * sizeof(struct quantile), .size = sizeof(struct quantile) /* of dist_shares */

#define REQUIRED .need = KEY_REQUIRED
#define DERIVED  .need = KEY_DERIVED
#define TICKS    .unit = UNIT_TICKS
#define BATCH    .unit = UNIT_BATCH_TICKS
#define NS       .unit = UNIT_NS
#define KEY(s, name, value, ...)                                                                                       \
    {                                                                                                                  \
        .shape = SHAPE_##s, .object = #s, .key = name, .type = VALUE_##value, __VA_ARGS__                              \
    }

const struct key result_keys[] = {
    KEY(file, "schema", WORD, REQUIRED, .words = schemas),
    KEY(file, "kind", WORD, REQUIRED, .words = result_kinds),
    KEY(file, "environments", LIST, REQUIRED, .of = SHAPE_environment),
    KEY(file, "rows", LIST, .of = SHAPE_row),
    KEY(file, "experiments", LIST, .of = SHAPE_experiment),

    KEY(begin, "item", NAME, REQUIRED, AT(struct result_pending, item)),
    KEY(begin, "timeout_ms", COUNT, REQUIRED, AT(struct result_pending, timeout_ms)),

    KEY(environment, "kind", WORD, REQUIRED, .words = result_kinds),
    KEY(environment, "arch", NAME, REQUIRED),
    KEY(environment, "vireo", TEXT),
    KEY(environment, "time", TEXT),
    KEY(environment, "host", OBJECT, REQUIRED, .of = SHAPE_host),
    KEY(environment, "options", FACTS),
    KEY(environment, "cost", FACTS),
    KEY(environment, "counter", OBJECT, .of = SHAPE_counter),
    KEY(environment, "scheduler", FACTS),

    KEY(host, "nature", TEXT),
    KEY(host, "cpu", TEXT),
    KEY(host, "microcode", SCALAR),
    KEY(host, "kernel", TEXT),
    KEY(host, "module", TEXT),
    KEY(host, "parameters", FACTS),
    KEY(host, "halt_poll_ns", SCALAR),
    KEY(host, "mitigations", SCALAR),
    KEY(host, "governor", TEXT),
    KEY(host, "smt", SCALAR),
    KEY(host, "cpus", COUNT),
    KEY(host, "hypervisor", TEXT),

    KEY(counter, "name", TEXT, REQUIRED),
    KEY(counter, "hz", NUMBER, REQUIRED, .low = HZ_MIN, .high = HZ_MAX),
    KEY(counter, "is_shared", BOOL),
    KEY(counter, "offset_error", NUMBER, TICKS),

    KEY(row, "row", NAME, REQUIRED, .merge = MERGE_FIRST, ROW(id)),
    KEY(row, "group", WORD, .merge = MERGE_FIRST, .words = row_groups, ROW(group)),
    KEY(row, "status", WORD, REQUIRED, .merge = MERGE_OWN, .words = row_statuses, ROW(status)),
    KEY(row, "detail", TEXT, .merge = MERGE_OWN, ROW(detail)),
    KEY(row, "batch", COUNT, .merge = MERGE_OWN, .low = 1, .high = BATCH_MAX, .otherwise = 1, ROW(batch)),
    KEY(row, "samples", COUNT, .merge = MERGE_SUM_OK, .high = RESULT_SAMPLES_MAX, ROW(samples)),
    KEY(row, "disturbed", COUNT, .merge = MERGE_SUM_OK, .high = RESULT_SAMPLES_MAX, ROW(disturbed)),
    KEY(row, "exits", OBJECT, .of = SHAPE_exits),
    KEY(row, "baseline", NUMBER, BATCH, .low = 0, .high = NUMBER_MAX, .otherwise = NAN, ROW(baseline)),
    KEY(row, "ratio", NUMBER, DERIVED, ROW(ratio)),
    KEY(row, "identity", OBJECT, .of = SHAPE_legs),
    KEY(row, "headline", OBJECT, DERIVED, .of = SHAPE_headline, ROW(headline)),
    KEY(row, "p50s", NUMBERS, TICKS, DERIVED, .write = row_write_p50s),
    KEY(row, "processes", LIST, .merge = MERGE_OWN, .of = SHAPE_process, ROW(processes), .write = row_write_processes),
    KEY(row, "processes_ok", COUNT, DERIVED, ROW(processes_ok)),
    KEY(row, "phases", OBJECT, .of = SHAPE_phases),

    KEY(exits, "expected", COUNT, .merge = MERGE_SUM, .high = EXITS_MAX, .otherwise = NAN, ROW(expected)),
    KEY(exits, "counted", COUNT, .merge = MERGE_SUM, .high = EXITS_MAX, .otherwise = NAN, ROW(counted)),
    KEY(exits, "source", TEXT, .merge = MERGE_FIRST, ROW(source)),
    KEY(exits, "agrees", BOOL, .merge = MERGE_ALL, .words = agree_words, ROW(agrees)),
    KEY(exits, "verdict", WORD, .merge = MERGE_WORST, .words = count_verdicts, ROW(verdict)),
    KEY(exits, "because", TEXT, .merge = MERGE_FIRST, ROW(because)),

    KEY(legs, "holds", BOOL, REQUIRED, .merge = MERGE_ALL, .words = hold_words, ROW(legs_hold)),
    KEY(legs, "residual", NUMBER, BATCH, .merge = MERGE_LARGEST, .otherwise = NAN, ROW(residual)),

    KEY(headline, "phase", WORD, DERIVED, .words = phase_names, AT(struct headline, phase)),
    KEY(headline, "p50", NUMBER, TICKS, DERIVED, AT(struct headline, p50)),
    KEY(headline, "low", NUMBER, TICKS, DERIVED, AT(struct headline, low)),
    KEY(headline, "high", NUMBER, TICKS, DERIVED, AT(struct headline, high)),
    KEY(headline, "ns", NUMBER, NS, DERIVED, AT(struct headline, ns)),
    KEY(headline, "all", NUMBER, TICKS, DERIVED, AT(struct headline, all)),

    KEY(process, "status", WORD, REQUIRED, .words = row_statuses, AT(struct row_process, status)),
    KEY(process, "p50", NUMBER, TICKS, .high = NUMBER_MAX, .otherwise = NAN, AT(struct row_process, p50)),
    KEY(process, "undisturbed", NUMBER, TICKS, .high = NUMBER_MAX, .otherwise = NAN,
        AT(struct row_process, undisturbed)),
    KEY(process, "baseline", NUMBER, BATCH, .high = NUMBER_MAX, .otherwise = NAN, AT(struct row_process, baseline)),

    KEY(phases, "rtt", DIST, .merge = MERGE_SUM_OK, ROW(phase[PHASE_RTT])),
    KEY(phases, "rtt_undisturbed", DIST, .merge = MERGE_SUM_OK, ROW(phase[PHASE_UNDISTURBED])),
    KEY(phases, "exit_leg", DIST, .merge = MERGE_SUM_OK, ROW(phase[PHASE_EXIT_LEG])),
    KEY(phases, "user", DIST, .merge = MERGE_SUM_OK, ROW(phase[PHASE_USER])),
    KEY(phases, "entry_leg", DIST, .merge = MERGE_SUM_OK, ROW(phase[PHASE_ENTRY_LEG])),
    KEY(phases, "kvm_run", DIST, .merge = MERGE_SUM_OK, ROW(phase[PHASE_KVM_RUN])),
    KEY(phases, "yardstick", DIST, .merge = MERGE_SUM_OK, ROW(phase[PHASE_YARDSTICK])),

    KEY(distribution, "count", COUNT, REQUIRED, .high = RESULT_SAMPLES_MAX, DIST(count)),
    KEY(distribution, "min", COUNT, BATCH, DIST(min)),
    KEY(distribution, "max", COUNT, BATCH, DIST(max)),
    KEY(distribution, "sum", NUMBER, BATCH, DIST(sum)),
    KEY(distribution, "quantiles", OBJECT, DERIVED, .of = SHAPE_quantiles, DIST(quantile)),
    KEY(distribution, "hist", BUCKETS, .write = dist_write_buckets),

    KEY(quantiles, "p50", OBJECT, DERIVED, .of = SHAPE_quantile, QUANTILE(0)),
    KEY(quantiles, "p90", OBJECT, DERIVED, .of = SHAPE_quantile, QUANTILE(1)),
    KEY(quantiles, "p99", OBJECT, DERIVED, .of = SHAPE_quantile, QUANTILE(2)),
    KEY(quantiles, "p999", OBJECT, DERIVED, .of = SHAPE_quantile, QUANTILE(3)),

    KEY(quantile, "ticks", NUMBER, TICKS, DERIVED, AT(struct quantile, ticks)),
    KEY(quantile, "low", NUMBER, TICKS, DERIVED, AT(struct quantile, low)),
    KEY(quantile, "high", NUMBER, TICKS, DERIVED, AT(struct quantile, high)),

    KEY(experiment, "id", NAME, REQUIRED),
    KEY(experiment, "variant", TEXT),
    KEY(experiment, "status", WORD, REQUIRED, .words = experiment_statuses),
    KEY(experiment, "detail", TEXT),
    KEY(experiment, "process", COUNT),
    KEY(experiment, "vcpus", OBJECTS, .of = SHAPE_vcpu),
    KEY(experiment, "windows_ns", NUMBERS, NS),
    KEY(experiment, "identities", OBJECTS, .of = SHAPE_identity),
    KEY(experiment, "properties", OBJECTS, .of = SHAPE_property),
    KEY(experiment, "plots", OBJECT, .of = SHAPE_plots),

    KEY(vcpu, "vm", COUNT),
    KEY(vcpu, "vcpu", COUNT),
    KEY(vcpu, "share", NUMBER),
    KEY(vcpu, "charged", NUMBERS, NS),
    KEY(vcpu, "scheduling", FACTS),

    KEY(identity, "id", NAME, REQUIRED, FINDING(id)),
    KEY(identity, "holds", BOOL, .words = hold_words, FINDING(holds)),
    KEY(identity, "text", TEXT, FINDING(text)),

    KEY(property, "id", NAME, REQUIRED, FINDING(id)),
    KEY(property, "verdict", WORD, REQUIRED, .words = verdicts, FINDING(verdict)),
    KEY(property, "statistic", NUMBER, .otherwise = NAN, FINDING(statistic)),
    KEY(property, "bound", NUMBER, .otherwise = NAN, FINDING(bound)),
    KEY(property, "unit", TEXT, FINDING(unit)),
    KEY(property, "text", TEXT, FINDING(text)),
    KEY(property, "reason", TEXT, FINDING(reason)),

    KEY(plots, "convergence", POINTS),
    KEY(plots, "share", POINTS),
    KEY(plots, "gaps", POINTS),

    KEY(compared, "row", NAME, DERIVED, AT(struct compared, row)),
    KEY(compared, "a_ns", NUMBER, NS, DERIVED, AT(struct compared, a_ns)),
    KEY(compared, "b_ns", NUMBER, NS, DERIVED, AT(struct compared, b_ns)),
    KEY(compared, "ratio", NUMBER, DERIVED, AT(struct compared, ratio)),
    KEY(compared, "low", NUMBER, DERIVED, AT(struct compared, low)),
    KEY(compared, "high", NUMBER, DERIVED, AT(struct compared, high)),
    KEY(compared, "p", NUMBER, DERIVED, AT(struct compared, p)),
    KEY(compared, "processes_a", COUNT, DERIVED, AT(struct compared, processes_a)),
    KEY(compared, "processes_b", COUNT, DERIVED, AT(struct compared, processes_b)),
    KEY(compared, "verdict", WORD, DERIVED, .words = difference_words, AT(struct compared, verdict)),
    KEY(compared, "is_regression", BOOL, DERIVED, AT(struct compared, is_regression)),
    {0},
};

static const char *object_name(enum shape s)
{
    const struct key *k = result_keys;
    while (k->shape != s) k++;
    return k->object;
}

const char *key_merge_words(enum key_merge m)
{
    static const char *const words[] = {
        [MERGE_NONE] = "",
        [MERGE_FIRST] = "first",
        [MERGE_SUM] = "sum",
        [MERGE_SUM_OK] = "sum of ok ones",
        [MERGE_ALL] = "true if all are",
        [MERGE_LARGEST] = "largest in size",
        [MERGE_WORST] = "last of the words",
        [MERGE_OWN] = "own rule",
    };
    return words[m];
}

const char *key_unit_words(enum key_unit u)
{
    static const char *const words[] = {
        [UNIT_NONE] = "", [UNIT_TICKS] = "ticks", [UNIT_BATCH_TICKS] = "ticks of a batch", [UNIT_NS] = "ns"};
    return words[u];
}

static const char *list_words(const char *const *words, char buf[KEY_WORDS_MAX])
{
    size_t used = (size_t)snprintf(buf, KEY_WORDS_MAX, "%s", words[1] ? "one of" : "");
    for (; *words && used < KEY_WORDS_MAX; words++)
        used +=
            (size_t)snprintf(buf + used, KEY_WORDS_MAX - used, "%s%s%s", used ? " " : "", *words, words[1] ? "," : "");
    return buf;
}

const char *key_words(const struct key *k, char buf[KEY_WORDS_MAX])
{
    static const char *const words[] = {
        [VALUE_NAME] = "a name of 1 to 63 letters, digits, _ - . +",
        [VALUE_TEXT] = "a text of at most 1000 bytes",
        [VALUE_COUNT] = "a whole number",
        [VALUE_NUMBER] = "a number",
        [VALUE_BOOL] = "true or false",
        [VALUE_SCALAR] = "a text, a number, true or false",
        [VALUE_OBJECT] = "an object",
        [VALUE_OBJECTS] = "a list of at most 100000 objects",
        [VALUE_LIST] = "a list of at most 100000 objects",
        [VALUE_FACTS] = "an object of texts, numbers, true and false",
        [VALUE_NUMBERS] = "a list of at most 100000 numbers",
        [VALUE_POINTS] = "a list of at most 100000 lists of numbers and texts",
        [VALUE_DIST] = "an object: distribution",
        [VALUE_BUCKETS] = "a list of at most 100000 pairs [value, count]",
    };
    if (k->type == VALUE_WORD) return list_words(k->words, buf);
    const int used = snprintf(buf, KEY_WORDS_MAX, "%s", words[k->type]);
    char *rest = buf + used;
    const size_t room = KEY_WORDS_MAX - (size_t)used;
    if (k->of)
        (void)snprintf(rest, room, ": %s", object_name(k->of));
    else if (k->high > 0)
        (void)snprintf(rest, room, k->high < NUMBER_MAX ? " from %.15g to %.15g" : " from %.15g on", k->low, k->high);
    else if (k->type == VALUE_COUNT)
        (void)snprintf(rest, room, " from 0 on");
    return buf;
}

/* ---- reading ---- */

static bool is_text(const json_t *v)
{
    return json_is_string(v) && json_string_length(v) <= SHAPE_TEXT_MAX;
}

static bool is_name(const json_t *v)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.+";
    const size_t n = json_string_length(v); /* 0 when v is not a string */
    return n >= 1 && n <= SHAPE_NAME_MAX && strspn(json_string_value(v), letters) == n;
}

static bool is_number(const json_t *v)
{
    return json_is_number(v) && json_number_value(v) > -NUMBER_MAX && json_number_value(v) < NUMBER_MAX;
}

static bool is_scalar(const json_t *v)
{
    return is_text(v) || json_is_number(v) || json_is_boolean(v) || json_is_null(v);
}

static bool is_list(const json_t *v, bool (*fits)(const json_t *element))
{
    if (!json_is_array(v) || json_array_size(v) > SHAPE_LIST_MAX) return false;
    for (size_t i = 0; fits && i < json_array_size(v); i++)
        if (!fits(json_array_get(v, i))) return false;
    return true;
}

static bool is_point(const json_t *v)
{
    return is_list(v, is_scalar);
}

static bool is_facts(const json_t *v)
{
    const char *key;
    json_t *member;
    if (!json_is_object(v)) return false;
    json_object_foreach((json_t *)v, key, member)
    {
        if (!is_scalar(member) || strlen(key) > SHAPE_TEXT_MAX) return false;
    }
    return true;
}

int word_find(const char *const *words, const json_t *v)
{
    for (int i = 0; json_is_string(v) && words[i]; i++)
        if (strcmp(words[i], json_string_value(v)) == 0) return i;
    return -1;
}

static bool is_within(const struct key *k, const json_t *v)
{
    const double n = json_number_value(v);
    if (k->type == VALUE_COUNT && (!json_is_integer(v) || json_integer_value(v) < 0)) return false;
    return is_number(v) && (k->high <= 0 || (n >= k->low && n <= k->high));
}

static bool fits(const struct key *k, const json_t *v)
{
    switch (k->type) {
    case VALUE_NAME: return is_name(v);
    case VALUE_TEXT: return is_text(v);
    case VALUE_WORD: return word_find(k->words, v) >= 0;
    case VALUE_COUNT:
    case VALUE_NUMBER: return is_within(k, v);
    case VALUE_BOOL: return json_is_boolean(v);
    case VALUE_SCALAR: return is_scalar(v);
    case VALUE_OBJECT:
    case VALUE_DIST: return json_is_object(v);
    case VALUE_OBJECTS:
    case VALUE_LIST:
    case VALUE_BUCKETS: return is_list(v, NULL);
    case VALUE_FACTS: return is_facts(v);
    case VALUE_NUMBERS: return is_list(v, is_number);
    case VALUE_POINTS: return is_list(v, is_point);
    }
    return false;
}

/* A value as an error shows it. */
static const char *shown(const json_t *v, char buf[80])
{
    if (json_is_string(v))
        (void)snprintf(buf, 80, "\"%.60s\"", json_string_value(v));
    else if (json_is_integer(v))
        (void)snprintf(buf, 80, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else if (json_is_real(v))
        (void)snprintf(buf, 80, "%.15g", json_real_value(v));
    else if (json_is_array(v))
        (void)snprintf(buf, 80, "a list of %zu", json_array_size(v));
    else
        (void)snprintf(buf, 80, "%s", json_is_object(v) ? "an object" : json_is_true(v) ? "true" : "false");
    return buf;
}

/* v fits k, or is NULL, which means unknown. */
static void keep(const struct key *k, const json_t *v, void *member)
{
    if (k->type == VALUE_NAME || k->type == VALUE_TEXT)
        (void)snprintf(member, k->size, "%s", v ? json_string_value(v) : "");
    else if (k->type == VALUE_WORD)
        *(int *)member = v ? word_find(k->words, v) : -1;
    else if (k->type == VALUE_BOOL)
        *(int *)member = v ? json_is_true(v) : -1;
    else if (k->type == VALUE_COUNT)
        *(uint64_t *)member = v                     ? (uint64_t)json_integer_value(v)
                              : isnan(k->otherwise) ? COUNT_UNKNOWN
                                                    : (uint64_t)k->otherwise;
    else if (k->type == VALUE_NUMBER)
        *(double *)member = v ? json_number_value(v) : k->otherwise;
}

static int read_objects(const struct key *k, const json_t *list, struct err *e)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const int rc = shape_read(k->of, json_array_get(list, i), NULL, e);
        if (rc) return err_wrap(e, rc, "%zu", i);
    }
    return 0;
}

static int read_value(const struct key *k, const json_t *v, char *out, struct err *e)
{
    char value[80], words[KEY_WORDS_MAX];
    if (v && !fits(k, v)) return err_set(e, -EINVAL, "%s is not %s", shown(v, value), key_words(k, words));
    if (k->type == VALUE_OBJECT && (v || out)) return shape_read(k->of, v, out ? out + k->offset : NULL, e);
    if (k->type == VALUE_OBJECTS) return read_objects(k, v, e);
    if (k->type == VALUE_DIST) return v && out ? dist_read((struct dist *)(void *)(out + k->offset), v, e) : 0;
    if (out && k->size) keep(k, v, out + k->offset);
    return 0;
}

int shape_read(enum shape s, const json_t *v, void *out, struct err *e)
{
    if (v && !json_is_object(v)) return err_set(e, -EINVAL, "not an object");
    for (const struct key *k = result_keys; k->key; k++) {
        if (k->shape != s || k->need == KEY_DERIVED) continue;
        const json_t *value = json_object_get(v, k->key);
        if (json_is_null(value)) value = NULL;
        if (v && !value && k->need == KEY_REQUIRED) return err_set(e, -EINVAL, "has no \"%s\"", k->key);
        const int rc = read_value(k, value, out, e);
        if (rc) return err_wrap(e, rc, "\"%s\"", k->key);
    }
    return 0;
}

json_t *json_read(const char *text, size_t len, struct err *e)
{
    json_error_t je;
    json_t *v = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je);
    if (!v) err_set(e, -EINVAL, "line %d, column %d: not JSON: %s", je.line, je.column, je.text);
    return v;
}

/* ---- the struct that keeps an object ---- */

static bool object_is_known(const struct key *object, const void *in)
{
    for (const struct key *k = result_keys; k->key; k++)
        if (k->shape == object->of && key_is_known(k, in)) return true;
    return false;
}

bool key_is_known(const struct key *k, const void *in)
{
    const void *member = (const char *)in + k->offset;
    switch (k->type) {
    case VALUE_NAME:
    case VALUE_TEXT: return k->size && *(const char *)member != '\0';
    case VALUE_WORD:
    case VALUE_BOOL: return k->size && *(const int *)member >= 0;
    case VALUE_COUNT: return k->size && *(const uint64_t *)member != COUNT_UNKNOWN;
    case VALUE_NUMBER: return k->size && !isnan(*(const double *)member);
    case VALUE_OBJECT: return k->need == KEY_DERIVED || object_is_known(k, member);
    case VALUE_DIST:
    case VALUE_LIST: return k->size;
    default: return false;
    }
}

const struct key *key_at(enum shape s, const char *path, const char *any, const void **in)
{
    for (;;) {
        const char *name = *path == '*' ? any : path;
        const size_t n = strcspn(name, "."), in_path = strcspn(path, ".");
        const struct key *k = result_keys;
        while (k->key && !(k->shape == s && strlen(k->key) == n && memcmp(k->key, name, n) == 0)) k++;
        assert(k->key);
        if (!path[in_path]) return k;
        *in = (const char *)*in + k->offset;
        s = k->type == VALUE_DIST ? SHAPE_distribution : k->of;
        path += in_path + 1;
    }
}

/* ---- writing ---- */

static void write_value(struct json_out *j, const struct key *k, const void *in)
{
    const void *member = (const char *)in + k->offset;
    switch (k->type) {
    case VALUE_NAME:
    case VALUE_TEXT: json_put_string(j, k->key, member); break;
    case VALUE_WORD: json_put_string(j, k->key, k->words[*(const int *)member]); break;
    case VALUE_BOOL: json_put_bool(j, k->key, *(const int *)member); break;
    case VALUE_COUNT: json_put_uint(j, k->key, *(const uint64_t *)member); break;
    case VALUE_NUMBER: json_put_real(j, k->key, *(const double *)member, JSON_DIGITS); break;
    case VALUE_OBJECT: shape_write(j, k->key, k->of, member); break;
    case VALUE_DIST:
        if (((const struct dist *)member)->count) shape_write(j, k->key, SHAPE_distribution, member);
        break;
    default: json_put_null(j, k->key);
    }
}

void shape_write(struct json_out *j, const char *key, enum shape s, const void *in)
{
    json_put_object(j, key);
    for (const struct key *k = result_keys; k->key; k++) {
        if (k->shape != s) continue;
        const bool is_text = k->size && (k->type == VALUE_NAME || k->type == VALUE_TEXT); /* "" is written so */
        if (k->write) {
            json_put_array(j, k->key);
            k->write(j, in);
            json_put_end(j);
        } else if (is_text || key_is_known(k, in)) {
            write_value(j, k, in);
        } else {
            json_put_null(j, k->key);
        }
    }
    json_put_end(j);
}

void json_write(struct json_out *j, const char *key, const json_t *v)
{
    const char *name;
    json_t *member;
    if (json_is_object(v) && j->depth < JSON_OUT_DEPTH) {
        json_put_object(j, key);
        /* The macro asks for an object that may be changed, though it changes nothing. */
        json_object_foreach((json_t *)v, name, member) json_write(j, name, member);
        json_put_end(j);
    } else if (json_is_array(v) && j->depth < JSON_OUT_DEPTH) {
        json_put_array(j, key);
        for (size_t i = 0; i < json_array_size(v); i++) json_write(j, NULL, json_array_get(v, i));
        json_put_end(j);
    } else if (json_is_integer(v)) {
        json_put_int(j, key, json_integer_value(v));
    } else if (json_is_real(v)) {
        json_put_real(j, key, json_real_value(v), JSON_DIGITS);
    } else if (json_is_boolean(v)) {
        json_put_bool(j, key, json_is_true(v));
    } else {
        json_put_string(j, key, json_string_value(v)); /* null, where it is none */
    }
}

const char *json_text(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : "";
}

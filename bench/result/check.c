/* The form of what comes from outside, by tables. */
#include <errno.h>
#include <string.h>

#include "bench/result/parse.h"

#define NUMBER_MAX 1e30 /* beyond any sum of ticks; what is reckoned from it stays finite */

static bool is_id(const json_t *v)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.+";
    const char *s = json_string_value(v);
    if (!s) return false;
    const size_t n = json_string_length(v);
    return n >= 1 && n <= RESULT_ID_MAX && strspn(s, letters) == n;
}

static bool is_text(const json_t *v)
{
    return json_is_string(v) && json_string_length(v) <= RESULT_TEXT_MAX;
}

static bool is_scalar(const json_t *v)
{
    return is_text(v) || json_is_number(v) || json_is_boolean(v) || json_is_null(v);
}

static bool is_each(const json_t *list, bool (*fits)(const json_t *v))
{
    if (!json_is_array(list) || json_array_size(list) > RESULT_LIST_MAX) return false;
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!fits(json_array_get(list, i))) return false;
    return true;
}

static bool is_number(const json_t *v)
{
    const double n = json_number_value(v);
    return json_is_number(v) && n > -NUMBER_MAX && n < NUMBER_MAX;
}

static bool is_point(const json_t *v)
{
    return is_each(v, is_scalar);
}

static bool is_flat(const json_t *v)
{
    const char *key;
    json_t *member;
    if (!json_is_object(v)) return false;
    json_object_foreach((json_t *)v, key, member)
    {
        if (!is_scalar(member) || strlen(key) > RESULT_TEXT_MAX) return false;
    }
    return true;
}

static int check_objects(const json_t *list, const struct shape *of, struct err *e)
{
    if (!json_is_array(list) || json_array_size(list) > RESULT_LIST_MAX) return err_set(e, -EINVAL, "not a list");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const int rc = shape_check(json_array_get(list, i), of, e);
        if (rc) return err_wrap(e, rc, "%zu", i);
    }
    return 0;
}

static int check_value(const json_t *v, const struct shape *s, struct err *e)
{
    static const char *const wanted[] = {
        [SHAPE_ID] = "a short name of letters, digits, _ - . +",
        [SHAPE_TEXT] = "a string of at most 1000 bytes",
        [SHAPE_COUNT] = "a whole number, 0 or more",
        [SHAPE_NUMBER] = "a number below 1e30",
        [SHAPE_BOOL] = "true or false",
        [SHAPE_SCALAR] = "a string, a number, true or false",
        [SHAPE_OBJECT] = "an object of strings, numbers, true and false",
        [SHAPE_OBJECTS] = "a list of objects",
        [SHAPE_NUMBERS] = "a list of numbers below 1e30",
        [SHAPE_POINTS] = "a list of lists of numbers and strings",
    };
    bool fits = false;
    switch (s->type) {
    case SHAPE_ID: fits = is_id(v); break;
    case SHAPE_TEXT: fits = is_text(v); break;
    case SHAPE_COUNT: fits = json_is_integer(v) && json_integer_value(v) >= 0; break;
    case SHAPE_NUMBER: fits = is_number(v); break;
    case SHAPE_BOOL: fits = json_is_boolean(v); break;
    case SHAPE_SCALAR: fits = is_scalar(v); break;
    case SHAPE_OBJECT:
        if (s->of) return shape_check(v, s->of, e);
        fits = is_flat(v);
        break;
    case SHAPE_OBJECTS: return check_objects(v, s->of, e);
    case SHAPE_NUMBERS: fits = is_each(v, is_number); break;
    case SHAPE_POINTS: fits = is_each(v, is_point); break;
    }
    return fits ? 0 : err_set(e, -EINVAL, "must be %s", wanted[s->type]);
}

int shape_check(const json_t *object, const struct shape *shape, struct err *e)
{
    if (!json_is_object(object)) return err_set(e, -EINVAL, "not an object");
    for (; shape->key; shape++) {
        const json_t *v = json_object_get(object, shape->key);
        if (!v || json_is_null(v)) {
            if (shape->is_required) return err_set(e, -EINVAL, "has no \"%s\"", shape->key);
            continue;
        }
        const int rc = check_value(v, shape, e);
        if (rc) return err_wrap(e, rc, "\"%s\"", shape->key);
    }
    return 0;
}

/* ---- environments ---- */

#define HZ_MIN 1e3  /* slower than any counter of a processor */
#define HZ_MAX 1e12 /* and faster */

static const struct shape host_shape[] = {
    {"nature", SHAPE_TEXT, false, NULL},
    {"cpu", SHAPE_TEXT, false, NULL},
    {"microcode", SHAPE_SCALAR, false, NULL},
    {"kernel", SHAPE_TEXT, false, NULL},
    {"module", SHAPE_TEXT, false, NULL},
    {"parameters", SHAPE_OBJECT, false, NULL},
    {"halt_poll_ns", SHAPE_SCALAR, false, NULL},
    {"mitigations", SHAPE_SCALAR, false, NULL},
    {"governor", SHAPE_TEXT, false, NULL},
    {"smt", SHAPE_SCALAR, false, NULL},
    {"cpus", SHAPE_COUNT, false, NULL},
    {"hypervisor", SHAPE_TEXT, false, NULL},
    {0},
};
static const struct shape counter_shape[] = {
    {"name", SHAPE_TEXT, true, NULL},
    {"hz", SHAPE_NUMBER, true, NULL},
    {"is_shared", SHAPE_BOOL, false, NULL},
    {"offset_error", SHAPE_NUMBER, false, NULL},
    {0},
};
static const struct shape environment_shape[] = {
    {"kind", SHAPE_ID, true, NULL},
    {"arch", SHAPE_ID, true, NULL},
    {"vireo", SHAPE_TEXT, false, NULL},
    {"time", SHAPE_TEXT, false, NULL},
    {"host", SHAPE_OBJECT, true, host_shape},
    {"options", SHAPE_OBJECT, false, NULL},
    {"cost", SHAPE_OBJECT, false, NULL},
    {"counter", SHAPE_OBJECT, false, counter_shape},
    {0},
};

int environment_check(const json_t *env, const char *kind, struct err *e)
{
    int rc = shape_check(env, environment_shape, e);
    if (rc) return rc;
    const char *its_kind = json_text(env, "kind", "");
    if (strcmp(its_kind, kind) != 0) return err_set(e, -EINVAL, "is of kind %s, not %s", its_kind, kind);
    const json_t *counter = json_object_get(env, "counter");
    if (!json_is_object(counter)) /* fairness may do without, durations of exits may not */
        return strcmp(kind, "exits") == 0 ? err_set(e, -EINVAL, "has no \"counter\"") : 0;
    const double hz = json_figure(counter, "hz", 0);
    if (!(hz >= HZ_MIN && hz <= HZ_MAX))
        return err_set(e, -EINVAL, "\"counter\": \"hz\": %g is no rate of a counter", hz);
    return 0;
}

/* ---- experiments ---- */

static const struct shape vcpu_shape[] = {
    {"vm", SHAPE_COUNT, false, NULL},
    {"vcpu", SHAPE_COUNT, false, NULL},
    {"share", SHAPE_NUMBER, false, NULL},
    {"charged", SHAPE_NUMBERS, false, NULL},
    {0},
};
static const struct shape identity_shape[] = {
    {"id", SHAPE_ID, true, NULL},
    {"holds", SHAPE_BOOL, false, NULL},
    {"text", SHAPE_TEXT, false, NULL},
    {0},
};
static const struct shape property_shape[] = {
    {"id", SHAPE_ID, true, NULL},
    {"verdict", SHAPE_ID, true, NULL},
    {"statistic", SHAPE_NUMBER, false, NULL},
    {"bound", SHAPE_NUMBER, false, NULL},
    {"unit", SHAPE_TEXT, false, NULL},
    {"text", SHAPE_TEXT, false, NULL},
    {"reason", SHAPE_TEXT, false, NULL},
    {0},
};
static const struct shape plots_shape[] = {
    {"convergence", SHAPE_POINTS, false, NULL},
    {"share", SHAPE_POINTS, false, NULL},
    {"gaps", SHAPE_POINTS, false, NULL},
    {0},
};
static const struct shape experiment_shape[] = {
    {"id", SHAPE_ID, true, NULL},
    {"variant", SHAPE_TEXT, false, NULL},
    {"status", SHAPE_ID, true, NULL},
    {"detail", SHAPE_TEXT, false, NULL},
    {"process", SHAPE_COUNT, false, NULL},
    {"vcpus", SHAPE_OBJECTS, false, vcpu_shape},
    {"windows_ns", SHAPE_NUMBERS, false, NULL},
    {"identities", SHAPE_OBJECTS, false, identity_shape},
    {"properties", SHAPE_OBJECTS, false, property_shape},
    {"plots", SHAPE_OBJECT, false, plots_shape},
    {0},
};

int experiment_check(const json_t *experiment, struct err *e)
{
    return shape_check(experiment, experiment_shape, e);
}

/* ---- values ---- */

uint64_t json_count(const json_t *object, const char *key, uint64_t otherwise)
{
    const json_t *v = json_object_get(object, key);
    return json_is_integer(v) ? (uint64_t)json_integer_value(v) : otherwise;
}

double json_figure(const json_t *object, const char *key, double otherwise)
{
    const json_t *v = json_object_get(object, key);
    return json_is_number(v) ? json_number_value(v) : otherwise;
}

const char *json_text(const json_t *object, const char *key, const char *otherwise)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : otherwise;
}

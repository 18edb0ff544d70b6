/* Where a result was measured. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bench/result/model.h"

int environment_check(const json_t *env, enum result_kind kind, struct err *e)
{
    int rc = shape_read(SHAPE_environment, env, NULL, e);
    if (rc == 0 && strcmp(json_text(env, "kind"), result_kinds[kind]) != 0)
        rc = err_set(e, -EINVAL, "is of kind %s, not %s", json_text(env, "kind"), result_kinds[kind]);
    /* Fairness may do without a counter, durations may not. */
    if (rc == 0 && result_kind_has_rows(kind) && !json_is_object(json_object_get(env, "counter")))
        rc = err_set(e, -EINVAL, "has no \"counter\"");
    return err_wrap(e, rc, "environment");
}

json_t *environment_at(const struct result *r, const char *path)
{
    json_t *v = json_array_get(r->environments, 0);
    while (v && *path) {
        char key[64];
        const size_t n = strcspn(path, ".");
        if (n >= sizeof(key)) return NULL;
        memcpy(key, path, n);
        key[n] = '\0';
        v = json_object_get(v, key);
        path += path[n] == '.' ? n + 1 : n;
    }
    return json_is_null(v) ? NULL : v;
}

static void print_scalar(FILE *f, const json_t *v, const char *null)
{
    if (json_is_string(v))
        fputs(json_string_value(v), f);
    else if (json_is_integer(v))
        fprintf(f, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else if (json_is_real(v))
        fprintf(f, "%g", json_real_value(v));
    else
        fputs(json_is_true(v) ? "yes" : json_is_false(v) ? "no" : null, f);
}

const char *environment_text(const struct result *r, const char *path, char buf[ENVIRONMENT_TEXT_MAX])
{
    json_t *v = environment_at(r, path);
    memset(buf, 0, ENVIRONMENT_TEXT_MAX);
    FILE *f = v ? fmemopen(buf, ENVIRONMENT_TEXT_MAX - 1, "w") : NULL; /* what does not fit is cut */
    if (!f) return "unknown";
    const char *key;
    json_t *member;
    if (!json_is_object(v)) print_scalar(f, v, "unknown");
    json_object_foreach(v, key, member)
    {
        fprintf(f, "%s%s=", ftell(f) > 0 ? " " : "", key);
        print_scalar(f, member, "none");
    }
    (void)fclose(f);
    return buf[0] ? buf : "none";
}

double environment_hz(const struct result *r)
{
    const json_t *hz = environment_at(r, "counter.hz");
    return json_is_number(hz) ? json_number_value(hz) : 1e9;
}

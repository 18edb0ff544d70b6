/* A result's life: from lines or from a file, to any of the formats. */
#include "bench/result/result.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/result/parse.h"
#include "bench/result/table.h"

#define SCHEMA      "vireo-result-1"
#define LINE_MAX    (16u << 20)     /* of a worker: an experiment of 30 s in 50 ms windows with 64 vCPUs is 1 MiB */
#define TIMEOUT_MAX (3600u * 1000u) /* ms; an item that takes an hour is stuck */

struct result *result_create(const char *kind)
{
    struct result *r = calloc(1, sizeof(*r));
    if (!r) return NULL;
    (void)snprintf(r->kind, sizeof(r->kind), "%s", kind);
    r->environments = json_array();
    r->experiments = json_array();
    if (r->environments && r->experiments) return r;
    result_destroy(r);
    return NULL;
}

void result_destroy(struct result *r)
{
    if (!r) return;
    for (unsigned i = 0; i < r->rows; i++) row_fini(&r->row[i]);
    free(r->row);
    json_decref(r->environments);
    json_decref(r->experiments);
    free(r);
}

const char *result_kind(const struct result *r)
{
    return r->kind;
}

static bool has_rows(const struct result *r)
{
    return strcmp(r->kind, "exits") == 0;
}

static int no_memory(struct err *e)
{
    return err_set(e, -ENOMEM, "out of memory");
}

/* ---- what a line or a file's member adds ---- */

static int add_environment(struct result *r, json_t *env, struct err *e)
{
    const int rc = environment_check(env, r->kind, e);
    if (rc) return err_wrap(e, rc, "environment");
    if (json_array_size(r->environments) >= RESULT_PROCESSES_MAX)
        return err_set(e, -E2BIG, "more than %u processes", RESULT_PROCESSES_MAX);
    const json_t *first = json_array_get(r->environments, 0);
    if (first && strcmp(json_text(first, "arch", ""), json_text(env, "arch", "")) != 0)
        return err_set(e, -EINVAL, "environment: of %s, after one of %s", json_text(env, "arch", ""),
                       json_text(first, "arch", ""));
    return json_array_append(r->environments, env) ? no_memory(e) : 0;
}

static struct result_row *find_row(const struct result *r, const char *id)
{
    for (unsigned i = 0; i < r->rows; i++)
        if (strcmp(r->row[i].id, id) == 0) return &r->row[i];
    return NULL;
}

static int append_row(struct result *r, struct result_row *row, struct err *e)
{
    if (r->rows >= RESULT_ROWS_MAX) return err_set(e, -E2BIG, "more than %u rows", RESULT_ROWS_MAX);
    struct result_row *more = realloc(r->row, (r->rows + 1) * sizeof(*more));
    if (!more) return no_memory(e);
    r->row = more;
    r->row[r->rows++] = *row;
    return 0;
}

static int add_row(struct result *r, const json_t *object, bool may_merge, struct err *e)
{
    struct result_row row = {0};
    int rc = has_rows(r) ? row_parse(&row, object, e) : err_set(e, -EINVAL, "a row, in a result of kind %s", r->kind);
    if (rc) return rc;
    struct result_row *known = find_row(r, row.id);
    if (known && !may_merge)
        rc = err_set(e, -EINVAL, "row %s stands there twice", row.id);
    else
        rc = known ? row_merge(known, &row, e) : append_row(r, &row, e);
    if (rc) row_fini(&row);
    return rc;
}

static int add_experiment(struct result *r, json_t *object, struct err *e)
{
    if (has_rows(r)) return err_set(e, -EINVAL, "an experiment, in a result of kind %s", r->kind);
    const int rc = experiment_check(object, e);
    if (rc) return err_wrap(e, rc, "experiment");
    if (json_array_size(r->experiments) >= RESULT_LIST_MAX)
        return err_set(e, -E2BIG, "more than %d experiments", RESULT_LIST_MAX);
    return json_array_append(r->experiments, object) ? no_memory(e) : 0;
}

/* ---- lines ---- */

static int line_environment(struct result *r, json_t *line, struct err *e)
{
    json_object_del(line, "type");
    const int rc = r->is_continued ? environment_check(line, r->kind, e) : add_environment(r, line, e);
    if (rc) return rc;
    r->is_continued = false;
    r->pending[0] = '\0';
    return 0;
}

static int line_begin(struct result *r, json_t *line, struct err *e)
{
    static const struct shape shape[] = {{"item", SHAPE_ID, true, NULL}, {"timeout_ms", SHAPE_COUNT, true, NULL}, {0}};
    const int rc = shape_check(line, shape, e);
    if (rc) return err_wrap(e, rc, "begin");
    const uint64_t ms = json_count(line, "timeout_ms", 0);
    (void)snprintf(r->pending, sizeof(r->pending), "%s", json_text(line, "item", ""));
    r->pending_ms = ms < TIMEOUT_MAX ? (unsigned)ms : TIMEOUT_MAX;
    return 0;
}

/* Several experiments may come of one item: it is pending until the next one begins. */
static int line_result(struct result *r, json_t *line, struct err *e)
{
    const bool is_row = strcmp(json_text(line, "type", ""), "row") == 0;
    if (json_array_size(r->environments) == 0) return err_set(e, -EINVAL, "a result before its environment");
    json_object_del(line, "type");
    if (is_row && json_object_get(line, "processes")) return err_set(e, -EINVAL, "a worker's row with \"processes\"");
    if (!is_row && json_object_set_new(line, "process", json_integer((json_int_t)json_array_size(r->environments) - 1)))
        return no_memory(e);
    const int rc = is_row ? add_row(r, line, true, e) : add_experiment(r, line, e);
    if (rc == 0 && is_row) r->pending[0] = '\0';
    return rc;
}

static int dispatch(struct result *r, json_t *line, struct err *e)
{
    const char *type = json_text(line, "type", "");
    if (strcmp(type, "environment") == 0) return line_environment(r, line, e);
    if (strcmp(type, "begin") == 0) return line_begin(r, line, e);
    if (strcmp(type, "row") == 0 || strcmp(type, "experiment") == 0) return line_result(r, line, e);
    return err_set(e, -EINVAL, "\"type\": \"%.40s\" is none that a bench writes", type);
}

int result_add(struct result *r, const char *line, size_t len, struct err *e)
{
    json_error_t je;
    if (len > LINE_MAX) return err_set(e, -EFBIG, "a line of %zu bytes; %u are possible", len, LINE_MAX);
    json_t *object = json_loadb(line, len, JSON_REJECT_DUPLICATES, &je);
    if (!object) return err_set(e, -EINVAL, "column %d: not JSON: %s", je.column, je.text);
    const int rc = dispatch(r, object, e);
    json_decref(object);
    return rc;
}

const char *result_pending(const struct result *r, unsigned *timeout_ms)
{
    if (r->pending[0] == '\0') return NULL;
    *timeout_ms = r->pending_ms;
    return r->pending;
}

int result_give_up(struct result *r, const char *status, const char *why, struct err *e)
{
    if (r->pending[0] == '\0') return err_set(e, -ENOENT, "nothing is being measured");
    json_t *line = has_rows(r) ? json_pack("{s:s, s:s, s:s, s:s}", "type", "row", "row", r->pending, "status", status,
                                           "detail", why)
                               : json_pack("{s:s, s:s, s:s, s:s}", "type", "experiment", "id", r->pending, "status",
                                           status, "detail", why);
    if (!line) return no_memory(e);
    const int rc = line_result(r, line, e);
    json_decref(line);
    if (rc) return rc;
    r->pending[0] = '\0';
    r->is_continued = true;
    return 0;
}

/* ---- files ---- */

static int load_members(struct result *r, json_t *root, struct err *e)
{
    static const struct {
        const char *name;
        int (*add)(struct result *r, json_t *member, struct err *e);
    } others[] = {{"environments", add_environment}, {"experiments", add_experiment}};
    size_t i;
    json_t *member;
    int rc = 0;
    for (size_t o = 0; o < 2 && rc == 0; o++) {
        json_array_foreach(json_object_get(root, others[o].name), i, member)
        {
            rc = others[o].add(r, member, e);
            if (rc) break;
        }
    }
    if (rc) return rc;
    json_array_foreach(json_object_get(root, "rows"), i, member)
    {
        rc = add_row(r, member, false, e);
        if (rc) return rc;
    }
    if (json_array_size(r->environments) == 0) return err_set(e, -EINVAL, "has no environment");
    return 0;
}

static int load_root(struct result **out, json_t *root, struct err *e)
{
    const char *schema = json_text(root, "schema", NULL), *kind = json_text(root, "kind", "");
    if (!schema) return err_set(e, -EINVAL, "not a result: it has no \"schema\"");
    if (strcmp(schema, SCHEMA) != 0)
        return err_set(e, -EINVAL, "schema \"%.80s\"; this version reads \"" SCHEMA "\"", schema);
    if (strcmp(kind, "exits") != 0 && strcmp(kind, "fairness") != 0)
        return err_set(e, -EINVAL, "kind \"%.80s\" is none; exits or fairness", kind);
    struct result *r = result_create(kind);
    if (!r) return no_memory(e);
    const int rc = load_members(r, root, e);
    if (rc)
        result_destroy(r);
    else
        *out = r;
    return rc;
}

int result_load(struct result **out, const char *text, size_t len, struct err *e)
{
    json_error_t je;
    if (len > RESULT_BYTES_MAX)
        return err_set(e, -EFBIG, "%zu bytes, more than the %u a result may have", len, RESULT_BYTES_MAX);
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je);
    if (!root) return err_set(e, -EINVAL, "line %d, column %d: not JSON: %s", je.line, je.column, je.text);
    const int rc = load_root(out, root, e);
    json_decref(root);
    return rc;
}

/* ---- environment ---- */

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

/* ---- formats ---- */

static void print_json(FILE *f, const struct result *r)
{
    json_t *root = result_json(r);
    if (!root || json_dumpf(root, f, JSON_COMPACT | JSON_REAL_PRECISION(12))) errno = ENOMEM;
    json_decref(root);
    fputc('\n', f);
}

static const struct format {
    const char *name;
    bool of_exits_only;
    void (*print)(FILE *f, const struct result *r);
} formats[] = {
    {"text", false, result_text}, {"json", false, print_json}, {"csv", false, result_csv},
    {"hgrm", true, result_hgrm},  {"kut", true, result_kut},
};

#define FORMATS (sizeof(formats) / sizeof(formats[0]))

static const struct format *find_format(const struct result *r, const char *name, struct err *e)
{
    char known[80] = "";
    for (size_t i = 0; i < FORMATS; i++) {
        if (formats[i].of_exits_only && !has_rows(r)) continue;
        if (strcmp(formats[i].name, name) == 0) return &formats[i];
        const size_t used = strlen(known);
        (void)snprintf(known + used, sizeof(known) - used, "%s%s", used ? ", " : "", formats[i].name);
    }
    err_set(e, -EINVAL, "format \"%.40s\": a result of kind %s has %s", name, r->kind, known);
    return NULL;
}

int result_write(const struct result *r, const char *format, result_write_fn *write, void *arg, struct err *e)
{
    const struct format *found = find_format(r, format, e);
    if (!found) return -EINVAL;
    struct result_out out;
    const int rc = result_out_open(&out, e);
    if (rc) return rc;
    found->print(out.f, r);
    return result_out_close(&out, write, arg, e);
}

/* A result's life: from lines or from a file, to any of the formats. */
#include "bench/result/result.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/result/model.h"
#include "bench/result/table.h"

#define LINE_MAX    (16u << 20)     /* of a worker: an experiment of 30 s in 50 ms windows with 64 vCPUs is 1 MiB */
#define TIMEOUT_MAX (3600u * 1000u) /* ms; an item that takes an hour is stuck */

struct result *result_create(const char *kind)
{
    struct result *r = calloc(1, sizeof(*r));
    if (!r) return NULL;
    for (unsigned i = 0; result_kinds[i]; i++)
        if (strcmp(kind, result_kinds[i]) == 0) r->kind = (enum result_kind)i;
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
    return result_kinds[r->kind];
}

struct result_row *result_row(const struct result *r, const char *id)
{
    for (unsigned i = 0; i < r->rows; i++)
        if (strcmp(r->row[i].id, id) == 0) return &r->row[i];
    return NULL;
}

static int no_memory(struct err *e)
{
    return err_set(e, -ENOMEM, "out of memory");
}

/* ---- what a line, or an element of a file's list, adds ---- */

static int add_environment(struct result *r, json_t *env, struct err *e)
{
    const int rc = environment_check(env, r->kind, e);
    if (rc) return rc;
    if (json_array_size(r->environments) >= RESULT_PROCESSES_MAX)
        return err_set(e, -E2BIG, "more than %u processes", RESULT_PROCESSES_MAX);
    const json_t *first = json_array_get(r->environments, 0);
    if (first && strcmp(json_text(first, "arch"), json_text(env, "arch")) != 0)
        return err_set(e, -EINVAL, "environment: of %s, after one of %s", json_text(env, "arch"),
                       json_text(first, "arch"));
    return json_array_append(r->environments, env) ? no_memory(e) : 0;
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

static int add_row(struct result *r, json_t *object, struct err *e)
{
    if (!result_kind_has_rows(r->kind)) return err_set(e, -EINVAL, "a row, in a result of kind %s", result_kind(r));
    struct result_row row = {0};
    int rc = row_read(&row, object, e);
    if (rc) return rc;
    struct result_row *known = result_row(r, row.id);
    rc = known ? row_merge(known, &row, e) : append_row(r, &row, e);
    if (rc) row_fini(&row);
    return rc;
}

static int add_experiment(struct result *r, json_t *object, struct err *e)
{
    if (r->kind != RESULT_FAIRNESS) return err_set(e, -EINVAL, "an experiment, in a result of kind %s", result_kind(r));
    const int rc = shape_read(SHAPE_experiment, object, NULL, e);
    if (rc) return err_wrap(e, rc, "experiment");
    if (json_array_size(r->experiments) >= SHAPE_LIST_MAX)
        return err_set(e, -E2BIG, "more than %d experiments", SHAPE_LIST_MAX);
    return json_array_append(r->experiments, object) ? no_memory(e) : 0;
}

/* ---- lines ---- */

static int line_environment(struct result *r, json_t *line, struct err *e)
{
    const int rc = r->is_continued ? environment_check(line, r->kind, e) : add_environment(r, line, e);
    if (rc) return rc;
    r->is_continued = false;
    r->pending.item[0] = '\0';
    return 0;
}

static int line_begin(struct result *r, json_t *line, struct err *e)
{
    struct result_pending begun;
    const int rc = shape_read(SHAPE_begin, line, &begun, e);
    if (rc) return err_wrap(e, rc, "begin");
    if (begun.timeout_ms > TIMEOUT_MAX) begun.timeout_ms = TIMEOUT_MAX;
    r->pending = begun;
    return 0;
}

static int line_row(struct result *r, json_t *line, struct err *e)
{
    if (json_array_size(r->environments) == 0) return err_set(e, -EINVAL, "a row before its environment");
    if (json_object_get(line, "processes")) return err_set(e, -EINVAL, "a worker's row with \"processes\"");
    const int rc = add_row(r, line, e);
    if (rc == 0) r->pending.item[0] = '\0';
    return rc;
}

/* Several experiments may come of one item: it is pending until the next one begins. */
static int line_experiment(struct result *r, json_t *line, struct err *e)
{
    const size_t processes = json_array_size(r->environments);
    if (processes == 0) return err_set(e, -EINVAL, "an experiment before its environment");
    if (json_object_set_new(line, "process", json_integer((json_int_t)processes - 1))) return no_memory(e);
    return add_experiment(r, line, e);
}

static const struct line {
    const char *type;
    int (*take)(struct result *r, json_t *line, struct err *e);
} lines[] = {
    {"environment", line_environment},
    {"begin", line_begin},
    {"row", line_row},
    {"experiment", line_experiment},
};

static int take_line(struct result *r, json_t *line, struct err *e)
{
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        if (strcmp(lines[i].type, json_text(line, "type")) != 0) continue;
        json_object_del(line, "type");
        return lines[i].take(r, line, e);
    }
    return err_set(e, -EINVAL, "\"type\": \"%.40s\" is not one of environment, begin, row, experiment",
                   json_text(line, "type"));
}

int result_add(struct result *r, const char *line, size_t len, struct err *e)
{
    if (len > LINE_MAX) return err_set(e, -EFBIG, "a line of %zu bytes; %u are possible", len, LINE_MAX);
    json_t *object = json_read(line, len, e);
    if (!object) return -EINVAL;
    const int rc = take_line(r, object, e);
    json_decref(object);
    return rc;
}

const char *result_pending(const struct result *r, unsigned *timeout_ms)
{
    if (r->pending.item[0] == '\0') return NULL;
    *timeout_ms = (unsigned)r->pending.timeout_ms;
    return r->pending.item;
}

int result_give_up(struct result *r, const char *status, const char *why, struct err *e)
{
    const bool is_row = result_kind_has_rows(r->kind);
    if (r->pending.item[0] == '\0') return err_set(e, -ENOENT, "nothing is being measured");
    json_t *line =
        json_pack("{s:s, s:s, s:s}", is_row ? "row" : "id", r->pending.item, "status", status, "detail", why);
    if (!line) return no_memory(e);
    const int rc = is_row ? line_row(r, line, e) : line_experiment(r, line, e);
    json_decref(line);
    if (rc) return rc;
    r->pending.item[0] = '\0';
    r->is_continued = true;
    return 0;
}

/* ---- files ---- */

static int load_list(struct result *r, const json_t *root, const char *name,
                     int (*add)(struct result *r, json_t *element, struct err *e), struct err *e)
{
    const json_t *list = json_object_get(root, name);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const int rc = add(r, json_array_get(list, i), e);
        if (rc) return err_wrap(e, rc, "\"%s\": %zu", name, i);
    }
    return 0;
}

/* A file has each row once: its processes are in it. */
static int load_row(struct result *r, json_t *row, struct err *e)
{
    const char *id = json_text(row, "row");
    return result_row(r, id) ? err_set(e, -EINVAL, "row %.63s stands there twice", id) : add_row(r, row, e);
}

static int load_root(struct result **out, const json_t *root, struct err *e)
{
    const char *schema = json_text(root, "schema");
    if (!schema[0]) return err_set(e, -EINVAL, "not a result: it has no \"schema\"");
    if (strcmp(schema, RESULT_SCHEMA) != 0)
        return err_set(e, -EINVAL, "schema \"%.80s\"; this version reads \"" RESULT_SCHEMA "\"", schema);
    int rc = shape_read(SHAPE_file, root, NULL, e);
    if (rc) return rc;
    struct result *r = result_create(json_text(root, "kind"));
    if (!r) return no_memory(e);
    rc = load_list(r, root, "environments", add_environment, e);
    if (rc == 0) rc = load_list(r, root, "experiments", add_experiment, e);
    if (rc == 0) rc = load_list(r, root, "rows", load_row, e);
    if (rc == 0 && json_array_size(r->environments) == 0) rc = err_set(e, -EINVAL, "has no environment");
    if (rc)
        result_destroy(r);
    else
        *out = r;
    return rc;
}

int result_load(struct result **out, const char *text, size_t len, struct err *e)
{
    if (len > RESULT_BYTES_MAX)
        return err_set(e, -EFBIG, "%zu bytes, more than the %d a result may have", len, RESULT_BYTES_MAX);
    json_t *root = json_read(text, len, e);
    if (!root) return -EINVAL;
    const int rc = load_root(out, root, e);
    json_decref(root);
    return rc;
}

/* ---- formats ---- */

static void print_json(FILE *f, const struct result *r)
{
    struct json_out j = {.write = json_to_file, .arg = f};
    json_put_object(&j, NULL);
    json_put_string(&j, "schema", RESULT_SCHEMA);
    json_put_string(&j, "kind", result_kind(r));
    json_write(&j, "environments", r->environments);
    if (r->kind == RESULT_FAIRNESS) {
        json_write(&j, "experiments", r->experiments);
    } else {
        json_put_array(&j, "rows");
        for (unsigned i = 0; i < r->rows; i++) {
            const struct result_row row = row_sum_up(&r->row[i], environment_hz(r));
            shape_write(&j, NULL, SHAPE_row, &row);
        }
        json_put_end(&j);
    }
    json_put_end(&j);
    fputc('\n', f);
}

static const struct format {
    const char *name;
    bool of_rows_only;
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
        if (formats[i].of_rows_only && !result_kind_has_rows(r->kind)) continue;
        if (strcmp(formats[i].name, name) == 0) return &formats[i];
        const size_t used = strlen(known);
        (void)snprintf(known + used, sizeof(known) - used, "%s%s", used ? ", " : "", formats[i].name);
    }
    err_set(e, -EINVAL, "format \"%.40s\": a result of kind %s has %s", name, result_kind(r), known);
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

bool result_is_hopeless(const struct result *r, const char *row)
{
    const struct result_row *found = result_row(r, row);
    return found && found->status == ROW_TIMEOUT && found->samples == 0;
}

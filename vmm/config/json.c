/* The configuration as a JSON object (RFC 8259), read by jansson and set through the same setters as the flags.
 *
 * jansson knows a line only for syntax errors. For what a setter refuses, and to bound the nesting before a recursive
 * parser sees it, a scanner walks the text: it knows strings and brackets, and nothing else of JSON. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "vmm/config/device.h"
#include "vmm/config/value.h"

struct scan {
    const char *text;
    size_t len, at;
    unsigned line, depth;
};

/* Step over one character, or one whole string; true while there was one. A string that never ends runs to the end. */
static bool scan_step(struct scan *s)
{
    if (s->at >= s->len) return false;
    const char c = s->text[s->at++];
    if (c == '\n') s->line++;
    if (c == '{' || c == '[') s->depth++;
    if ((c == '}' || c == ']') && s->depth > 0) s->depth--;
    if (c != '"') return true;
    while (s->at < s->len && s->text[s->at] != '"') {
        if (s->text[s->at] == '\n') s->line++;
        s->at += s->text[s->at] == '\\' ? 2 : 1;
    }
    s->at++;
    return true;
}

static int check_depth(const char *text, size_t len, struct err *e)
{
    struct scan s = {.text = text, .len = len, .line = 1};
    while (scan_step(&s))
        if (s.depth > CONFIG_JSON_DEPTH)
            return err_set(e, -EINVAL, "line %u: nested deeper than the %d levels a configuration needs", s.line,
                           CONFIG_JSON_DEPTH);
    return 0;
}

/* The line of the top-level key in text that parsed; 0 when it is spelled with escapes. */
static unsigned key_line(const char *text, size_t len, const char *key)
{
    struct scan s = {.text = text, .len = len, .line = 1};
    const size_t key_len = strlen(key);
    for (;;) {
        const size_t from = s.at;
        const unsigned line = s.line;
        if (!scan_step(&s)) return 0;
        const bool is_word = s.depth == 1 && s.at <= len && s.at - from == key_len + 2 && text[from] == '"';
        if (!is_word || memcmp(text + from + 1, key, key_len) != 0) continue;
        while (s.at < len && strchr(" \t\r\n", text[s.at])) scan_step(&s);
        if (s.at < len && text[s.at] == ':') return line;
    }
}

#define SCALAR_MAX 24 /* a 64-bit number in digits */

/* What one value may be: bits. */
enum takes { TAKES_STRING = 1 << 0, TAKES_NUMBER = 1 << 1, TAKES_SWITCH = 1 << 2 };

static unsigned takes_of(const struct setting *s)
{
    if (!s->arg) return TAKES_SWITCH;
    if (s->flags & SETTING_OR_NUMBER) return TAKES_STRING | TAKES_NUMBER;
    return s->flags & SETTING_NUMBER ? TAKES_NUMBER : TAKES_STRING;
}

static int wrong_type(const char *key, unsigned takes, struct err *e)
{
    static const char *const words[] = {
        [TAKES_STRING] = "a string",
        [TAKES_NUMBER] = "a whole number",
        [TAKES_STRING | TAKES_NUMBER] = "a string or a whole number",
        [TAKES_SWITCH] = "true or false",
    };
    return err_set(e, -EINVAL, VALUE_SHOWN ": must be %s", key, words[takes]);
}

/* A JSON value as the text a flag would have; buf is for numbers. NULL: it is none of what the key takes. */
static const char *scalar_text(const json_t *v, unsigned takes, char buf[SCALAR_MAX])
{
    if (json_is_string(v) && (takes & TAKES_STRING)) return json_string_value(v);
    if (json_is_boolean(v) && (takes & TAKES_SWITCH)) return json_is_true(v) ? "true" : "false";
    if (!json_is_integer(v) || !(takes & TAKES_NUMBER)) return NULL;
    (void)snprintf(buf, SCALAR_MAX, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    return buf;
}

static int set_member(struct device_draft *d, const char *key, const json_t *v, struct err *e)
{
    char buf[SCALAR_MAX];
    const struct setting *setting = device_setting(d, key);
    if (!setting) return device_set(d, key, "", e); /* which says that it is unknown */
    if (json_is_null(v)) return 0;
    const char *text = scalar_text(v, takes_of(setting), buf);
    return text ? device_set(d, key, text, e) : wrong_type(key, takes_of(setting), e);
}

static int set_members(struct device_draft *d, json_t *object, struct err *e)
{
    const char *key;
    json_t *v;
    json_object_foreach(object, key, v)
    {
        const int rc = set_member(d, key, v, e);
        if (rc) return rc;
    }
    return 0;
}

static int add_device(struct config *c, const struct device_kind *kind, json_t *v, struct err *e)
{
    struct device_draft d;
    int rc = device_begin(&d, kind, e);
    if (rc == 0 && json_is_object(v))
        rc = set_members(&d, v, e);
    else if (rc == 0 && json_is_string(v))
        rc = device_parse(&d, json_string_value(v), e);
    else if (rc == 0)
        rc = err_set(e, -EINVAL, "must be an object, or a string as the flag takes it");
    if (rc == 0) rc = device_add(&d, c, e);
    device_end(&d);
    return rc;
}

static int add_devices(struct config *c, struct config_found f, json_t *v, struct err *e)
{
    int rc = 0;
    if (!json_is_array(v)) return err_wrap(e, add_device(c, f.kind, v, e), "%s", f.key->name);
    for (size_t i = 0; i < json_array_size(v) && !rc; i++)
        rc = err_wrap(e, add_device(c, f.kind, json_array_get(v, i), e), "%s %zu", f.key->name, i);
    return rc;
}

static int set_scalar(struct config *c, const struct setting *k, const json_t *v, struct err *e)
{
    char buf[SCALAR_MAX];
    const char *text = scalar_text(v, takes_of(k), buf);
    return text ? config_set(c, k->name, text, e) : wrong_type(k->name, takes_of(k), e);
}

static int set_value(struct config *c, const char *key, json_t *v, struct err *e)
{
    const struct config_found f = config_find(c, key);
    const struct setting *k = f.key;
    if (!k) return config_set(c, key, "", e); /* which says that it is unknown */
    if (json_is_null(v)) return 0;
    if (config_adds_devices(f)) return add_devices(c, f, v, e);
    if (!json_is_array(v) || !(k->flags & SETTING_REPEATED)) return set_scalar(c, k, v, e);
    for (size_t i = 0; i < json_array_size(v); i++) {
        const int rc = set_scalar(c, k, json_array_get(v, i), e);
        if (rc) return rc;
    }
    return 0;
}

static int set_all(struct config *c, json_t *root, const char *text, size_t len, struct err *e)
{
    const char *key;
    json_t *v;
    json_object_foreach(root, key, v)
    {
        const int rc = set_value(c, key, v, e);
        if (rc == 0) continue;
        const unsigned line = key_line(text, len, key);
        return line ? err_wrap(e, rc, "line %u", line) : rc;
    }
    return 0;
}

int config_load_json(struct config *c, const char *text, size_t len, struct err *e)
{
    if (len > CONFIG_JSON_MAX)
        return err_set(e, -EFBIG, "%zu bytes, more than the %u a configuration may have", len, CONFIG_JSON_MAX);
    int rc = check_depth(text, len, e);
    if (rc) return rc;
    json_error_t je;
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je);
    if (!root) return err_set(e, -EINVAL, "line %d, column %d: not JSON: %s", je.line, je.column, je.text);
    rc = json_is_object(root) ? set_all(c, root, text, len, e)
                              : err_set(e, -EINVAL, "line 1: not an object; write {\"kernel\": \"vmlinuz\", ...}");
    json_decref(root);
    return rc;
}

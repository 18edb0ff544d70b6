#include "vmm/base/json_out.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/text.h"

#define REAL_MAX 48 /* 17 digits, a sign, a point, an exponent */

static void put(struct json_out *j, const char *text)
{
    j->write(j->arg, text, strlen(text));
}

/* The bit of the innermost level. */
static uint32_t level(const struct json_out *j)
{
    return j->depth ? UINT32_C(1) << (j->depth - 1) : 0;
}

static void begin_line(struct json_out *j, const char *otherwise)
{
    put(j, j->is_line ? "\n" : otherwise);
    j->is_line = false;
}

/* "\u009b": of a control, which is below U+0100. */
static void put_escape(struct json_out *j, unsigned char code)
{
    static const char hex[] = "0123456789abcdef";
    const char text[] = {'\\', 'u', '0', '0', hex[code >> 4], hex[code & 15], '\0'};
    put(j, text);
}

/* How many bytes from here on stand in JSON as they are. */
static size_t plain_run(const char *s)
{
    const char *at = s;
    while (*at >= ' ' && *at <= '~' && *at != '"' && *at != '\\') at++;
    return (size_t)(at - s);
}

static void put_quoted(struct json_out *j, const char *s)
{
    unsigned bytes;
    put(j, "\"");
    for (size_t left = strlen(s); left > 0; s += bytes, left -= bytes) {
        const size_t run = plain_run(s);
        if (run) j->write(j->arg, s, run);
        s += run;
        left -= run;
        if (left == 0) break;
        const enum text_kind kind = text_next(s, left, &bytes);
        if (kind == TEXT_CONTROL)
            put_escape(j, (unsigned char)s[bytes - 1]); /* of two bytes the second one is the number itself */
        else if (kind == TEXT_BROKEN)
            put(j, "\\ufffd");
        else if (*s == '"' || *s == '\\')
            put(j, *s == '"' ? "\\\"" : "\\\\");
        else
            j->write(j->arg, s, bytes);
    }
    put(j, "\"");
}

/* What stands before a value. */
static void begin_value(struct json_out *j, const char *key)
{
    const bool is_in_object = j->depth > 0 && !(j->is_array & level(j));
    assert((key != NULL) == is_in_object);
    if (j->has_items & level(j)) put(j, ",");
    begin_line(j, j->has_items & level(j) ? " " : "");
    j->has_items |= level(j);
    if (!key) return;
    put_quoted(j, key);
    put(j, ": ");
}

static void begin_level(struct json_out *j, const char *key, bool is_array)
{
    begin_value(j, key);
    assert(j->depth < JSON_OUT_DEPTH);
    j->depth++;
    j->has_items &= ~level(j);
    j->is_array = is_array ? j->is_array | level(j) : j->is_array & ~level(j);
    put(j, is_array ? "[" : "{");
}

void json_put_object(struct json_out *j, const char *key)
{
    begin_level(j, key, false);
}

void json_put_array(struct json_out *j, const char *key)
{
    begin_level(j, key, true);
}

void json_put_end(struct json_out *j)
{
    assert(j->depth > 0);
    begin_line(j, "");
    put(j, j->is_array & level(j) ? "]" : "}");
    j->depth--;
    if (j->depth == 0) j->is_array = j->has_items = 0;
}

void json_put_line(struct json_out *j)
{
    j->is_line = true;
}

/* ---- values ---- */

void json_put_string(struct json_out *j, const char *key, const char *s)
{
    if (!s) {
        json_put_null(j, key);
        return;
    }
    begin_value(j, key);
    put_quoted(j, s);
}

void json_put_uint(struct json_out *j, const char *key, uint64_t n)
{
    char digits[TEXT_DIGITS_MAX];
    begin_value(j, key);
    put(j, text_digits(digits, n));
}

void json_put_int(struct json_out *j, const char *key, int64_t n)
{
    char digits[TEXT_DIGITS_MAX];
    begin_value(j, key);
    if (n < 0) put(j, "-");
    put(j, text_digits(digits, n < 0 ? 0 - (uint64_t)n : (uint64_t)n));
}

void json_put_bool(struct json_out *j, const char *key, bool is_true)
{
    begin_value(j, key);
    put(j, is_true ? "true" : "false");
}

void json_put_null(struct json_out *j, const char *key)
{
    begin_value(j, key);
    put(j, "null");
}

void json_put_real(struct json_out *j, const char *key, double v, unsigned digits)
{
    char text[REAL_MAX];
    begin_value(j, key);
    (void)snprintf(text, sizeof(text), "%.*g", (int)(digits < 17 ? digits : 17), v);
    put(j, isfinite(v) ? text : "null");
}

void json_to_file(void *file, const char *text, size_t len)
{
    (void)fwrite(text, 1, len, file);
}

void json_block_flush(struct json_block *b)
{
    json_to_file(b->file, b->text, b->used);
    b->used = 0;
}

void json_to_block(void *block, const char *text, size_t len)
{
    struct json_block *b = block;
    if (len > sizeof(b->text) - b->used) json_block_flush(b);
    if (len > sizeof(b->text)) {
        json_to_file(b->file, text, len);
        return;
    }
    memcpy(b->text + b->used, text, len);
    b->used += len;
}

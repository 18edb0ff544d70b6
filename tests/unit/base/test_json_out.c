#include "tests/unit/unit.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/json_out.h"
#include "vmm/base/text.h"

struct page {
    char text[4096];
    struct text_buffer buffer;
    struct json_out json;
};

static struct json_out *begin(struct page *p)
{
    p->text[0] = '\0';
    p->buffer = (struct text_buffer){.text = p->text, .size = sizeof(p->text)};
    p->json = (struct json_out){.write = text_to_buffer, .arg = &p->buffer};
    return &p->json;
}

static void commas_and_keys_come_by_themselves(void **state)
{
    struct page p;
    struct json_out *j = begin(&p);
    (void)state;
    json_put_object(j, NULL);
    json_put_string(j, "name", "web");
    json_put_array(j, "rows");
    json_put_uint(j, NULL, 1);
    json_put_array(j, NULL);
    json_put_end(j);
    json_put_object(j, NULL);
    json_put_bool(j, "is_on", true);
    json_put_null(j, "value");
    json_put_end(j);
    json_put_end(j);
    json_put_int(j, "status", -1);
    json_put_end(j);
    assert_string_equal(p.text,
                        "{\"name\": \"web\", \"rows\": [1, [], {\"is_on\": true, \"value\": null}], \"status\": -1}");
}

static void a_line_begins_where_it_is_asked_for(void **state)
{
    struct page p;
    struct json_out *j = begin(&p);
    (void)state;
    json_put_array(j, NULL);
    json_put_line(j);
    json_put_uint(j, NULL, 1);
    json_put_uint(j, NULL, 2);
    json_put_line(j);
    json_put_uint(j, NULL, 3);
    json_put_line(j);
    json_put_end(j);
    assert_string_equal(p.text, "[\n1, 2,\n3\n]");
}

static void one_value_may_follow_another(void **state)
{
    struct page p;
    struct json_out *j = begin(&p);
    (void)state;
    for (int i = 0; i < 2; i++) {
        json_put_array(j, NULL);
        json_put_uint(j, NULL, 1);
        json_put_end(j);
    }
    json_put_string(j, NULL, NULL);
    assert_string_equal(p.text, "[1][1]null");
}

static void strings_and_keys_are_escaped(void **state)
{
    static const struct {
        const char *text, *json;
    } rows[] = {
        {"", "\"\""},
        {"a\"b\\c\n\x01\x7f\xc3\xa4", "\"a\\\"b\\\\c\\u000a\\u0001\\u007f\xc3\xa4\""},
        {"\xc2\x9b", "\"\\u009b\""},
        {"a\xff\xc3", "\"a\\ufffd\\ufffd\""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct page p;
        json_put_string(begin(&p), NULL, rows[i].text);
        assert_string_equal(p.text, rows[i].json);
        char want[64];
        struct json_out *j = begin(&p);
        json_put_object(j, NULL);
        json_put_bool(j, rows[i].text, true);
        json_put_end(j);
        (void)snprintf(want, sizeof(want), "{%s: true}", rows[i].json);
        assert_string_equal(p.text, want);
    }
}

static void numbers_are_whole_at_their_ends(void **state)
{
    struct page p;
    struct json_out *j = begin(&p);
    (void)state;
    json_put_array(j, NULL);
    json_put_uint(j, NULL, 0);
    json_put_uint(j, NULL, UINT64_MAX);
    json_put_int(j, NULL, INT64_MIN);
    json_put_int(j, NULL, INT64_MAX);
    json_put_end(j);
    assert_string_equal(p.text, "[0, 18446744073709551615, -9223372036854775808, 9223372036854775807]");
}

static void what_json_can_not_say_is_null(void **state)
{
    struct page p;
    struct json_out *j = begin(&p);
    (void)state;
    json_put_array(j, NULL);
    json_put_real(j, NULL, 0.1, 9);
    json_put_real(j, NULL, 2100000000, 12);
    json_put_real(j, NULL, -1.0 / 3, 3);
    json_put_real(j, NULL, (double)NAN, 9);
    json_put_real(j, NULL, (double)INFINITY, 9);
    json_put_real(j, NULL, 1e300, 40);
    json_put_end(j);
    assert_contains(p.text, "[0.1, 2100000000, -0.333, null, null, 1.000000000000000");
}

/* As deep as it goes, with levels of both kinds, read back by somebody else. */
static void it_can_be_read_at_any_depth(void **state)
{
    struct page p;
    struct json_out *j = begin(&p);
    json_error_t why;
    (void)state;
    for (unsigned i = 0; i < JSON_OUT_DEPTH / 2; i++) {
        json_put_object(j, NULL);
        json_put_array(j, "list");
        json_put_uint(j, NULL, i);
    }
    for (unsigned i = 0; i < JSON_OUT_DEPTH / 2; i++) {
        json_put_string(j, NULL, "\x1b\"");
        json_put_end(j);
        json_put_real(j, "real", 1e-9, 6);
        json_put_end(j);
    }
    assert_false(p.buffer.is_cut);
    json_t *root = json_loads(p.text, 0, &why);
    if (!root) fail_msg("%s in %s", why.text, p.text);
    assert_int_equal(json_array_size(json_object_get(root, "list")), 3);
    json_decref(root);
}

/* Pieces on both sides of a block's end, and one that is longer than a block. */
static void blocks_arrive_whole_and_in_order(void **state)
{
    enum { ITEMS = 1000 };
    static char longest[2 * sizeof((struct json_block *)0)->text + 1];
    char *text = NULL;
    size_t len = 0;
    struct json_block block = {.file = open_memstream(&text, &len)};
    struct json_out j = {.write = json_to_block, .arg = &block};
    (void)state;
    assert_non_null(block.file);
    memset(longest, 'x', sizeof(longest) - 1);
    json_put_array(&j, NULL);
    for (unsigned i = 0; i < ITEMS; i++) json_put_uint(&j, NULL, i);
    json_put_string(&j, NULL, longest);
    json_put_end(&j);
    json_block_flush(&block);
    assert_int_equal(fclose(block.file), 0);
    json_t *read = json_loads(text, 0, NULL);
    assert_int_equal(json_array_size(read), ITEMS + 1);
    for (unsigned i = 0; i < ITEMS; i++) assert_int_equal(json_integer_value(json_array_get(read, i)), i);
    assert_string_equal(json_string_value(json_array_get(read, ITEMS)), longest);
    json_decref(read);
    free(text);
}

UNIT_MAIN(UNIT(commas_and_keys_come_by_themselves), UNIT(a_line_begins_where_it_is_asked_for),
          UNIT(one_value_may_follow_another), UNIT(strings_and_keys_are_escaped), UNIT(numbers_are_whole_at_their_ends),
          UNIT(what_json_can_not_say_is_null), UNIT(it_can_be_read_at_any_depth),
          UNIT(blocks_arrive_whole_and_in_order))

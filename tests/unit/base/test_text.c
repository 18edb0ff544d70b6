#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "vmm/base/text.h"

/* What a string begins with. */
static void characters_are_those_of_utf8(void **state)
{
    static const struct {
        const char *text;
        size_t len;
        enum text_kind kind;
        unsigned bytes;
    } rows[] = {
        {"a", 1, TEXT_PLAIN, 1},
        {" ", 1, TEXT_PLAIN, 1},
        {"~", 1, TEXT_PLAIN, 1},
        {"\x1f", 1, TEXT_CONTROL, 1},
        {"\x7f", 1, TEXT_CONTROL, 1},
        {"\0", 1, TEXT_CONTROL, 1},
        {"\xc2\x80", 2, TEXT_CONTROL, 2}, /* U+0080 to U+009F */
        {"\xc2\x9f", 2, TEXT_CONTROL, 2},
        {"\xc2\xa0", 2, TEXT_PLAIN, 2},
        {"\xc3\xa4", 2, TEXT_PLAIN, 2},
        {"\xe2\x82\xac", 3, TEXT_PLAIN, 3},
        {"\xef\xbf\xbf", 3, TEXT_PLAIN, 3},
        {"\xf0\x90\x80\x80", 4, TEXT_PLAIN, 4},
        {"\xf4\x8f\xbf\xbf", 4, TEXT_PLAIN, 4},
        {"\x80", 1, TEXT_BROKEN, 1},             /* no first byte */
        {"\xc3", 1, TEXT_BROKEN, 1},             /* cut */
        {"\xe2\x82", 2, TEXT_BROKEN, 1},         /* cut */
        {"\xc3(", 2, TEXT_BROKEN, 1},            /* no second byte */
        {"\xf0\x90\x80(", 4, TEXT_BROKEN, 1},    /* no fourth */
        {"\xc0\xaf", 2, TEXT_BROKEN, 1},         /* overlong */
        {"\xe0\x9f\xbf", 3, TEXT_BROKEN, 1},     /* overlong */
        {"\xf0\x8f\xbf\xbf", 4, TEXT_BROKEN, 1}, /* overlong */
        {"\xed\xa0\x80", 3, TEXT_BROKEN, 1},     /* a surrogate */
        {"\xf4\x90\x80\x80", 4, TEXT_BROKEN, 1}, /* above U+10FFFF */
        {"\xff", 1, TEXT_BROKEN, 1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        unsigned bytes = 0;
        /* In a block of its own, so that a sanitizer sees a byte too many. */
        char *copy = malloc(rows[i].len);
        assert_non_null(copy);
        memcpy(copy, rows[i].text, rows[i].len);
        const enum text_kind kind = text_next(copy, rows[i].len, &bytes);
        free(copy);
        if (kind != rows[i].kind || bytes != rows[i].bytes) fail_msg("row %zu: kind %d, %u bytes", i, (int)kind, bytes);
    }
}

static void what_could_move_a_cursor_becomes_a_question_mark(void **state)
{
    static const struct {
        const char *text, *keep, *blunt;
    } rows[] = {
        {"web-1", "", "web-1"},
        {"a\x1b[2Jb\x7f\n", "", "a?[2Jb??"},
        {"a\tb\r\nc\x1b", "\n\r\t", "a\tb\r\nc?"},
        {"caf\xc3\xa9", "", "caf\xc3\xa9"},
        {"\xc2\x9b"
         "31m",
         "", "??31m"}, /* CSI in one character */
        {"\x9b"
         "31m",
         "", "?31m"}, /* and as a terminal of eight bits has it */
        {"", "\n", ""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[32];
        (void)snprintf(text, sizeof(text), "%s", rows[i].text);
        text_blunt(text, strlen(text), rows[i].keep);
        assert_string_equal(text, rows[i].blunt);
    }
}

static void a_nul_inside_is_blunted_too(void **state)
{
    char text[] = {'a', '\0', 'b'};
    (void)state;
    text_blunt(text, sizeof(text), "\n");
    assert_memory_equal(text, "a?b", 3);
}

static void what_is_written_is_safe(void **state)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    (void)state;
    assert_non_null(f);
    text_put_safe(f, "a\x1b\xc2\x9b\xe2\x82\xac\xff");
    assert_int_equal(fclose(f), 0);
    assert_string_equal(text, "a??\xe2\x82\xac?");
    free(text);
}

static void numbers_are_whole(void **state)
{
    char digits[TEXT_DIGITS_MAX];
    (void)state;
    assert_string_equal(text_digits(digits, 0), "0");
    assert_string_equal(text_digits(digits, 1200), "1200");
    assert_string_equal(text_digits(digits, UINT64_MAX), "18446744073709551615");
}

static void a_buffer_keeps_what_fits(void **state)
{
    char text[6] = "";
    struct text_buffer b = {.text = text, .size = sizeof(text)};
    (void)state;
    text_to_buffer(&b, "abc", 3);
    text_to_buffer(&b, "de", 2);
    assert_string_equal(text, "abcde");
    assert_false(b.is_cut);
    text_to_buffer(&b, "", 0);
    assert_false(b.is_cut);
    text_to_buffer(&b, "f", 1);
    assert_string_equal(text, "abcde");
    assert_int_equal(b.len, 5);
    assert_true(b.is_cut);
}

static void columns_are_as_wide_as_asked_and_no_number_is_cut(void **state)
{
    static const struct {
        uint64_t n;
        unsigned places, width;
        const char *text;
    } rows[] = {
        {0, 3, 7, "  0.000"},
        {5, 3, 0, "0.005"},
        {1234567, 3, 9, " 1234.567"},
        {1234567, 3, 2, "1234.567"},
        {1000, 1, 5, "100.0"},
        {42, 0, 4, "  42"},
        {0, 0, 0, "0"},
        {UINT64_MAX, 3, 0, "18446744073709551.615"},
    };
    char text[64] = "";
    struct text_buffer b = {.text = text, .size = sizeof(text)};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        b.len = 0;
        text_put_decimal(&b, rows[i].n, rows[i].places, rows[i].width);
        assert_string_equal(text, rows[i].text);
    }
    b.len = 0;
    text_put_left(&b, "ab", 4);
    text_put_right(&b, "cd", 4);
    text_put_left(&b, "long", 2);
    assert_string_equal(text, "ab    cdlong");
}

UNIT_MAIN(UNIT(characters_are_those_of_utf8), UNIT(what_could_move_a_cursor_becomes_a_question_mark),
          UNIT(a_nul_inside_is_blunted_too), UNIT(what_is_written_is_safe), UNIT(numbers_are_whole),
          UNIT(a_buffer_keeps_what_fits), UNIT(columns_are_as_wide_as_asked_and_no_number_is_cut))

#include "tests/unit/unit.h"

#include <limits.h>
#include <stdio.h>

#include "vmm/base/concat.h"

/* Every piece into every room, against what printf makes of it; nothing behind the room is touched. */
static void texts_are_cut_where_the_room_ends(void **state)
{
    (void)state;
    static const char *const pieces[] = {"", "a", "four", "seventeen letters"};
    for (size_t room = 4; room < 24; room++)
        for (size_t i = 0; i < COUNT_OF(pieces); i++)
            for (size_t most = 0; most < 20; most++) {
                char out[32], want[32];
                memset(out, '#', sizeof(out));
                memcpy(out, "web", 4);
                const int len = snprintf(want, room, "web%.*s", (int)most, pieces[i]);
                assert_int_equal(concat_most(out, room, pieces[i], most), (size_t)len < room);
                assert_string_equal(out, want);
                assert_int_equal(out[room], '#');
            }
}

static void numbers_are_decimal(void **state)
{
    (void)state;
    static const unsigned numbers[] = {0, 7, 10, 4096, INT_MAX, UINT_MAX};
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        char out[24] = "n", want[24];
        (void)snprintf(want, sizeof(want), "n%u!", numbers[i]);
        assert_true(concat_number(out, sizeof(out), numbers[i]));
        assert_true(concat(out, sizeof(out), "!"));
        assert_string_equal(out, want);
    }
    char small[4] = "";
    assert_false(concat_number(small, sizeof(small), 1234));
    assert_string_equal(small, "123");
}

UNIT_MAIN(UNIT(texts_are_cut_where_the_room_ends), UNIT(numbers_are_decimal))

#include "tests/unit/unit.h"

#include "vmm/base/nearest.h"

struct row {
    int number;
    const char *name;
};
static const struct row rows[] = {{1, "memory"}, {2, "disk"}, {3, "console"}, {4, NULL}, {5, "hidden"}};

static void it_is_found_by_its_start_or_a_slip_away(void **state)
{
    static const char *const known[] = {"run", "doctor", "help", NULL}, *const none[] = {NULL};
    (void)state;
    assert_string_equal(nearest("rnu", WORDS_IN(known)), "run");
    assert_string_equal(nearest("docter", WORDS_IN(known)), "doctor");
    assert_string_equal(nearest("doc", WORDS_IN(known)), "doctor");
    assert_null(nearest("boot", WORDS_IN(known)));
    assert_null(nearest("", WORDS_IN(known)));
    assert_null(nearest("run", WORDS_IN(none)));
}

static void a_table_of_structs_is_read_by_its_member(void **state)
{
    (void)state;
    assert_string_equal(nearest("meory", WORDS_OF(rows, name, COUNT_OF(rows))), "memory");
    assert_string_equal(nearest("disc", WORDS_OF(rows, name, COUNT_OF(rows))), "disk");
    assert_null(nearest("consle", WORDS_OF(rows, name, 2)));             /* it stops at the count */
    assert_null(nearest("hiden", WORDS_OF(rows, name, COUNT_OF(rows)))); /* and at a name that is NULL */
}

static void a_word_longer_than_any_is_no_slip_of_one(void **state)
{
    char word[200];
    memset(word, 'm', sizeof(word) - 1);
    word[sizeof(word) - 1] = '\0';
    (void)state;
    assert_null(nearest(word, WORDS_OF(rows, name, COUNT_OF(rows))));
}

static void hint_asks_or_stays_as_it_was(void **state)
{
    char hint[64] = "none";
    (void)state;
    assert_false(nearest_hint(hint, sizeof(hint), "--", "xyzzy", WORDS_OF(rows, name, COUNT_OF(rows))));
    assert_string_equal(hint, "none");
    assert_true(nearest_hint(hint, sizeof(hint), "--", "memroy", WORDS_OF(rows, name, COUNT_OF(rows))));
    assert_string_equal(hint, "did you mean \"--memory\"?");
}

static void an_errors_own_hint_comes_after_it(void **state)
{
    struct err e = {0};
    (void)state;
    err_set(&e, -1, "unknown");
    nearest_err_hint(&e, "memroy", WORDS_OF(rows, name, COUNT_OF(rows)));
    err_hint(&e, "see the list");
    assert_string_equal(e.hint, "did you mean \"memory\"?");
    err_set(&e, -1, "unknown");
    nearest_err_hint(&e, "xyzzy", WORDS_OF(rows, name, COUNT_OF(rows)));
    err_hint(&e, "see the list");
    assert_string_equal(e.hint, "see the list");
    nearest_err_hint(NULL, "memroy", WORDS_OF(rows, name, COUNT_OF(rows)));
}

UNIT_MAIN(UNIT(it_is_found_by_its_start_or_a_slip_away), UNIT(a_table_of_structs_is_read_by_its_member),
          UNIT(a_word_longer_than_any_is_no_slip_of_one), UNIT(hint_asks_or_stays_as_it_was),
          UNIT(an_errors_own_hint_comes_after_it))

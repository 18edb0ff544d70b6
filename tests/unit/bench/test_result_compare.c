/* Two results beside each other: what differs, what is a regression, and what must not be compared. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/bench/result_rig.h"

static void the_same_shows_no_difference(void **state)
{
    (void)state;
    char *text = compared(exits(10, 1000, 0), exits(10, 1000, 1), "text");
    assert_contains(text, "no difference shown");
    assert_contains(text, "no figures"); /* hypercall_null */
    assert_null(strstr(text, "slower"));
    assert_contains(text, "Regressions of more than 5 %: none.");
    assert_null(strstr(text, "did not take turns"));
    assert_null(strstr(text, "Different environments"));
    free(text);
}

/* 1000 to 1004 against 1010 to 1014 ticks of 0.5 ns: medians 501 and 506 ns. */
static void one_percent_slower_is_found_and_its_size_said(void **state)
{
    (void)state;
    char *json = compared(exits(10, 1000, 0), exits(10, 1010, 1), "json");
    assert_contains(json, "{\"row\": \"pio_out_user\", \"a_ns\": 501, \"b_ns\": 506, \"ratio\": 1.00998003992,");
    assert_contains(json,
                    "\"processes_a\": 10, \"processes_b\": 10, \"verdict\": \"slower\", \"is_regression\": false}");
    assert_contains(json, "\"is_interleaved\": true, \"different\": []");
    free(json);
    json = compared(exits(10, 1010, 0), exits(10, 1000, 1), "json");
    assert_contains(json, "\"verdict\": \"faster\"");
    free(json);
}

static void slower_by_more_than_the_margin_is_a_regression(void **state)
{
    (void)state;
    static const struct {
        unsigned ticks;
        double margin;
        int regressions;
    } cases[] = {{1020, 0.05, 0}, {1020, 0.01, 1}, {1020, 0, 1}, {980, 0, 0}, {1000, 0, 0}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct result *a = exits(10, 1000, 0), *b = exits(10, cases[i].ticks, 1);
        struct text t = {0};
        struct err e = {0};
        assert_int_equal(result_compare(a, b, cases[i].margin, "text", text_add, &t, &e), cases[i].regressions);
        assert_contains(t.s, cases[i].regressions ? " %: pio_out_user.\n" : " %: none.\n");
        free(t.s);
        result_destroy(a);
        result_destroy(b);
    }
}

static void rows_of_one_result_alone_are_named_and_those_that_differ_come_first(void **state)
{
    (void)state;
    struct result *a = new_result("exits"), *b = new_result("exits");
    for (unsigned p = 0; p < 10; p++) {
        add_environment(a, 2 * p);
        add_row(a, "same", "user", 900);
        add_row(a, "gone", "user", 900);
        add_row(a, "worse", "user", 900 + p % 5);
        add_environment(b, 2 * p + 1);
        add_row(b, "same", "user", 900);
        add_row(b, "worse", "user", 990 + p % 5);
        add_row(b, "new", "user", 900);
    }
    char *text = compared(a, b, "text");
    assert_contains(text, "Only in A: gone.\nOnly in B: new.\n");
    assert_contains(text, "Regressions of more than 5 %: worse.\n");
    assert_true(strstr(text, "\nworse ") && strstr(text, "\nworse ") < strstr(text, "\nsame "));
    free(text);
}

static void runs_one_after_the_other_are_said(void **state)
{
    (void)state;
    char *text = compared(exits(10, 1000, 0), exits(10, 1000, 40), "text");
    assert_contains(text, "did not take turns");
    free(text);
}

static void three_processes_have_a_ratio_but_no_interval(void **state)
{
    (void)state;
    char *json = compared(exits(3, 1000, 0), exits(3, 1010, 1), "json");
    assert_contains(json,
                    "\"low\": null, \"high\": null, \"p\": 0.1, \"processes_a\": 3, \"processes_b\": 3, \"verdict\": "
                    "\"no difference shown\"");
    free(json);
}

static void another_environment_is_said(void **state)
{
    (void)state;
    struct result *r = new_result("exits");
    add(r,
        "{\"type\":\"environment\",\"kind\":\"exits\",\"arch\":\"x86_64\",\"host\":{\"kernel\":\"6.18\"},\"counter\":{"
        "\"name\":\"TSC\",\"hz\":1e9}}");
    add_row(r, "pio_out_user", "user", 1000);
    char *text = compared(exits(1, 1000, 0), r, "text");
    assert_contains(text, "Different environments: host.kernel is 6.1.0 in A, 6.18 in B.\n");
    free(text);
}

static void what_must_not_be_compared_is_refused(void **state)
{
    (void)state;
    struct result *arm = new_result("exits"), *clock = new_result("exits"), *empty = new_result("exits");
    add(arm, "{\"type\":\"environment\",\"kind\":\"exits\",\"arch\":\"aarch64\",\"host\":{},\"counter\":{\"name\":"
             "\"CNTVCT\","
             "\"hz\":1e9}}");
    add(clock,
        "{\"type\":\"environment\",\"kind\":\"exits\",\"arch\":\"x86_64\",\"host\":{},\"counter\":{\"name\":\"CLOCK\","
        "\"hz\":1e9}}");
    add_environment(empty, 0);
    struct result *a = exits(1, 1000, 0), *fair = fairness();
    const struct {
        const struct result *b;
        const char *says;
    } cases[] = {{arm, "results of x86_64 and aarch64 can't be compared"},
                 {clock, "results timed by TSC and CLOCK can't be compared"},
                 {fair, "results of kind exits and fairness can't be compared"},
                 {empty, "no row in common"}};
    struct text t = {0};
    struct err e = {0};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_int_equal(result_compare(a, cases[i].b, 0.05, "text", text_add, &t, &e), -EINVAL);
        assert_contains(e.text, cases[i].says);
        if (cases[i].b != fair) result_destroy((struct result *)(uintptr_t)cases[i].b);
    }
    assert_int_equal(result_compare(fair, fair, 0.05, "text", text_add, &t, &e), -EINVAL);
    assert_contains(e.text, "there is no ratio of them");
    assert_int_equal(result_compare(a, a, 0.05, "csv", text_add, &t, &e), -EINVAL);
    assert_contains(e.text, "a comparison is text or json");
    assert_null(t.s);
    result_destroy(a);
    result_destroy(fair);
}

UNIT_MAIN(UNIT(the_same_shows_no_difference), UNIT(one_percent_slower_is_found_and_its_size_said),
          UNIT(slower_by_more_than_the_margin_is_a_regression),
          UNIT(rows_of_one_result_alone_are_named_and_those_that_differ_come_first),
          UNIT(runs_one_after_the_other_are_said), UNIT(three_processes_have_a_ratio_but_no_interval),
          UNIT(another_environment_is_said), UNIT(what_must_not_be_compared_is_refused))

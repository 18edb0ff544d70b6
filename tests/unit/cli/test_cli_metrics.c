/* Pages of several VMs as one, and pages that are none. */
#include <stdlib.h>

#include "tests/unit/unit.h"
#include "vmm/cli/metrics_page.c"

#define EXITS "# HELP vireo_exits_total Exits.\n# TYPE vireo_exits_total counter\n"
#define AGE   "# HELP vireo_age_seconds Age.\n# TYPE vireo_age_seconds gauge\n"

static bool add(struct metrics_page *p, const char *vm, const char *text)
{
    return metrics_page_add(p, vm, text, strlen(text));
}

/* What was put together, and the page is empty again. */
static char *end(struct metrics_page *p)
{
    size_t len;
    char *text = metrics_page_end(p, &len);
    assert_non_null(text);
    assert_int_equal(strlen(text), len);
    metrics_page_fini(p);
    return text;
}

static void a_family_stands_once_with_the_samples_of_all(void **state)
{
    struct metrics_page p = {0};
    (void)state;
    assert_true(add(&p, "a",
                    EXITS "vireo_exits_total{vm=\"a\",class=\"x \\\"y\\\" \\\\ z\"} 1\n" AGE
                          "vireo_age_seconds{vm=\"a\"} 1.5e-3\n"));
    assert_true(metrics_page_up(&p, "a", true));
    assert_true(add(&p, "b",
                    AGE "vireo_age_seconds{vm=\"b\"} +Inf\n" EXITS "vireo_exits_total{vm=\"b\"} 2\n"
                        "vireo_exits_total{vm=\"b\",vcpu=\"1\"} 3\n"));
    assert_true(metrics_page_up(&p, "b", true));
    assert_true(metrics_page_up(&p, "c", false));
    char *text = end(&p);
    assert_string_equal(text, EXITS "vireo_exits_total{vm=\"a\",class=\"x \\\"y\\\" \\\\ z\"} 1\n"
                                    "vireo_exits_total{vm=\"b\"} 2\nvireo_exits_total{vm=\"b\",vcpu=\"1\"} 3\n" AGE
                                    "vireo_age_seconds{vm=\"a\"} 1.5e-3\nvireo_age_seconds{vm=\"b\"} +Inf\n"
                                    "# HELP vireo_up Whether the VM gave its figures.\n# TYPE vireo_up gauge\n"
                                    "vireo_up{vm=\"a\"} 1\nvireo_up{vm=\"b\"} 1\nvireo_up{vm=\"c\"} 0\n");
    free(text);
}

static void a_histogram_has_its_three_parts_and_others_have_none(void **state)
{
    struct metrics_page p = {0};
    (void)state;
    assert_true(add(&p, "a",
                    "# HELP vireo_x H.\n# TYPE vireo_x histogram\nvireo_x_bucket{vm=\"a\",le=\"+Inf\"} 1\n"
                    "vireo_x_sum{vm=\"a\"} 1\nvireo_x_count{vm=\"a\"} 1\n"));
    assert_false(add(&p, "a", "# HELP vireo_x H.\n# TYPE vireo_x histogram\nvireo_x{vm=\"a\"} 1\n"));
    assert_false(add(&p, "a", AGE "vireo_age_seconds_sum{vm=\"a\"} 1\n"));
    free(end(&p));
}

/* Two versions of Vireo may run at the same time. */
static void of_a_family_that_another_has_otherwise_nothing_is_taken(void **state)
{
    struct metrics_page p = {0};
    (void)state;
    assert_true(add(&p, "a", AGE "vireo_age_seconds{vm=\"a\"} 1\n"));
    assert_true(add(&p, "b",
                    "# HELP vireo_age_seconds Other.\n# TYPE vireo_age_seconds counter\n"
                    "vireo_age_seconds{vm=\"b\"} 1\n" EXITS "vireo_exits_total{vm=\"b\"} 2\n"));
    char *text = end(&p);
    assert_string_equal(text, AGE "vireo_age_seconds{vm=\"a\"} 1\n" EXITS "vireo_exits_total{vm=\"b\"} 2\n");
    free(text);
}

static void a_page_that_lies_is_left_out_whole(void **state)
{
    static const char *const pages[] = {
        AGE "vireo_age_seconds{vm=\"b\"} 1\n",                             /* another VM's */
        AGE "vireo_age_seconds{vm=\"ab\"} 1\n",                            /* the same */
        AGE "vireo_age_seconds{vcpu=\"0\",vm=\"a\"} 1\n",                  /* ours has the VM first */
        AGE "vireo_age_seconds 1\n",                                       /* nobody's */
        AGE "vireo_exits_total{vm=\"a\"} 1\n",                             /* in another family */
        "vireo_age_seconds{vm=\"a\"} 1\n",                                 /* in none */
        "# TYPE vireo_age_seconds gauge\nvireo_age_seconds{vm=\"a\"} 1\n", /* without a HELP */
        "# HELP vireo_age_seconds Age.\nvireo_age_seconds{vm=\"a\"} 1\n",  /* without a TYPE */
        "# HELP vireo_age_seconds Age.\n# TYPE vireo_age_seconds summary\n",
        "# HELP vireo_age_seconds Age.\n# TYPE vireo_exits_total gauge\n",
        "# HELP up Age.\n# TYPE up gauge\nup{vm=\"a\"} 1\n", /* Prometheus' own */
        AGE "vireo_age_seconds{vm=\"a\"} 1\n"
            "# HELP vireo_up Up.\n# TYPE vireo_up gauge\nvireo_up{vm=\"a\"} 1\n", /* ours to say */
        "# HELP vireo_age_seconds A\\ge.\n",
        "# a comment\n",
        AGE "\n",
        AGE "vireo_age_seconds{vm=\"a\"} 1 1700000000\n", /* a time */
        AGE "vireo_age_seconds{vm=\"a\"} one\n",
        AGE "vireo_age_seconds{vm=\"a\"} \n",
        AGE "vireo_age_seconds{vm=\"a\"} 1e\n",
        AGE "vireo_age_seconds{vm=\"a\",} 1\n",
        AGE "vireo_age_seconds{vm=\"a\",b=\"c} 1\n",
        AGE "vireo_age_seconds{vm=\"a\",b=\"\\c\"} 1\n",
        AGE "vireo_age_seconds{vm=\"a\",b=\"\xff\"} 1\n",
        AGE "vireo_age_seconds{vm=\"a\",B=\"c\"} 1\n",
        AGE "vireo_age_seconds{vm=\"a\"} 1\r\n",
        EXITS "vireo_exits_total{vm=\"a\"} 1\n" AGE "vireo_age_seconds{vm=\"b\"} 1\n", /* the end of a good one */
    };
    struct metrics_page p = {0};
    (void)state;
    assert_true(metrics_page_up(&p, "a", false));
    for (size_t i = 0; i < COUNT_OF(pages); i++)
        if (add(&p, "a", pages[i])) fail_msg("taken: %s", pages[i]);
    char *text = end(&p);
    assert_string_equal(text, "# HELP vireo_up Whether the VM gave its figures.\n# TYPE vireo_up gauge\n"
                              "vireo_up{vm=\"a\"} 0\n");
    free(text);
}

static void more_families_than_there_is_room_for_are_refused(void **state)
{
    struct metrics_page p = {0};
    char text[256];
    unsigned taken = 0;
    (void)state;
    for (unsigned i = 0; i < METRICS_FAMILIES_MAX + 10; i++) {
        (void)snprintf(text, sizeof(text), "# HELP vireo_f%u H.\n# TYPE vireo_f%u gauge\nvireo_f%u{vm=\"a\"} 1\n", i, i,
                       i);
        taken += add(&p, "a", text);
    }
    assert_int_equal(taken, METRICS_FAMILIES_MAX);
    free(end(&p));
}

UNIT_MAIN(UNIT(a_family_stands_once_with_the_samples_of_all),
          UNIT(a_histogram_has_its_three_parts_and_others_have_none),
          UNIT(of_a_family_that_another_has_otherwise_nothing_is_taken), UNIT(a_page_that_lies_is_left_out_whole),
          UNIT(more_families_than_there_is_room_for_are_refused))

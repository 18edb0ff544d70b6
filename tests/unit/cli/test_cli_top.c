/* The numbers of `vireo top`: pages whose figures are known, their difference, and pages that are not what they should
 * be. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/unit.h"
#include "vmm/cli/top_draw.c"
#include "vmm/cli/top_sample.c"

#define PAGE(age, count, steps)                                                                                        \
    "{\"schema\": \"vireo-stats-1\", \"uuid\": \"u\", \"pid\": 7, \"age_ns\": " age                                    \
    ", \"vcpus\": [{\"vcpu\": 0}], \"weighted_sum\": 1.5,"                                                             \
    " \"rows\": [{\"kind\": \"class\", \"vcpu\": 0, \"name\": \"port out\", \"count\": " count                         \
    ", \"run\": {\"total_ns\": 9000}, \"handler\": {\"total_ns\": 1000}, \"run_steps\": " steps "},"                   \
    " {\"kind\": \"doorbell\", \"count\": " count "}]}"

static bool top_sample_load(struct top_sample *s, const char *text, size_t len)
{
    json_t *page = json_loadb(text, len, 0, NULL);
    const bool is_page = top_sample_read(s, page);
    json_decref(page);
    return is_page;
}

static void load(struct top_sample *s, const char *text)
{
    assert_true(top_sample_load(s, text, strlen(text)));
}

/* 2^(96/8) = 4096 ns and 2^(104/8) = 8192 ns. */
static void a_quantile_is_the_end_of_its_step(void **state)
{
    uint64_t steps[TOP_STEPS] = {[96] = 98, [104] = 2};
    (void)state;
    assert_true(fabs(top_quantile(steps, 0.5) - 4096) < 1);
    assert_true(fabs(top_quantile(steps, 0.98) - 4096) < 1);
    assert_true(fabs(top_quantile(steps, 0.99) - 8192) < 1);
    memset(steps, 0, sizeof(steps));
    assert_true(top_quantile(steps, 0.5) == 0);
}

static void the_difference_of_two_pages_is_what_lies_between(void **state)
{
    struct top_sample a = {0}, b = {0}, change = {0};
    char *text = NULL;
    size_t len;
    (void)state;
    load(&a, PAGE("1000000000", "100", "[[96, 100]]"));
    load(&b, PAGE("3000000000", "300", "[[96, 100], [104, 200]]"));
    assert_true(top_sample_subtract(&change, &a, &b));
    assert_int_equal(change.age_ns, 2000000000);
    assert_int_equal(change.saved, 200);
    assert_int_equal(change.count, 1);
    assert_int_equal(change.row[0].count, 200);
    assert_int_equal(change.row[0].run[96], 0);
    assert_int_equal(change.row[0].run[104], 200);

    FILE *f = open_memstream(&text, &len);
    top_draw(f, "web", &b, &change);
    assert_int_equal(fclose(f), 0);
    assert_contains(text, "web, process 7, 3.0 s old, 1 vCPU: 100 exits/s, 100 saved/s, overhead 1.500\n");
    assert_contains(text, "port out                  100");
    assert_contains(text, "8.2");
    assert_null(strstr(text, "4.1")); /* what was before the interval is not in its quantiles */
    free(text);
    top_sample_fini(&a);
    top_sample_fini(&b);
    top_sample_fini(&change);
}

/* Whatever answers on the socket, the program goes on. */
static void pages_that_lie_do_no_harm(void **state)
{
    static const char *const refused[] = {"",
                                          "[]",
                                          "{}",
                                          "nothing",
                                          "{\"schema\": 7, \"rows\": []}",
                                          "{\"schema\": \"vireo-stats-2\", \"rows\": []}",
                                          "{\"schema\": \"vireo-stats-1\", \"vcpus\": 7, \"rows\": []}",
                                          "{\"schema\": \"vireo-stats-1\", \"vcpus\": [], \"rows\": []}"};
    struct top_sample s = {0}, change = {0}, none = {0};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(refused); i++) assert_false(top_sample_load(&s, refused[i], strlen(refused[i])));
    load(&s, PAGE("-5", "-7", "[[-1, 5], [289, 5], [96, -5], [\"x\"], 7, []]"));
    assert_int_equal(s.age_ns, 0);
    assert_int_equal(s.row[0].count, 0);
    for (unsigned i = 0; i < TOP_STEPS; i++) assert_int_equal(s.row[0].run[i], 0);
    load(&s, PAGE("1", "100", "7"));
    assert_true(top_sample_subtract(&change, &s, &s));
    assert_int_equal(change.row[0].count, 0);
    assert_true(top_sample_subtract(&change, &none, &s));
    assert_int_equal(change.row[0].count, 100);
    top_sample_fini(&s);
    top_sample_fini(&change);
}

UNIT_MAIN(UNIT(a_quantile_is_the_end_of_its_step), UNIT(the_difference_of_two_pages_is_what_lies_between),
          UNIT(pages_that_lie_do_no_harm))

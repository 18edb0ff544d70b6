/* What a run of fairness is asked for, what it plans, and that its properties are worded as in the documentation. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/fair/judge.h"
#include "tests/unit/unit.h"

#define MS 1000000ull

static struct fair_options o;
static struct fair_plan p;
static struct err e;

static int fresh(void **state)
{
    (void)state;
    memset(&e, 0, sizeof(e));
    o = (struct fair_options){0};
    fair_options_init(&o);
    assert_int_equal(fair_options_check(&o, &e), 0);
    return 0;
}

static int gone(void **state)
{
    (void)state;
    fair_options_fini(&o);
    return 0;
}

/* ---- the words ---- */

#define CELLS 5 /* of a row of the page's table: id, title, statistic, holds when, gated */

/* The cells of a line "| id | title | ...", without the blanks around them; in a cell "\\|" is a bar. The line is
 * changed. Returns how many there are. */
static unsigned split_row(char *line, char *cell[CELLS])
{
    unsigned n = 0;
    char *in = line, *out = line;
    while (n < CELLS && *in == '|') {
        for (in++; *in == ' '; in++) {
        }
        cell[n++] = out;
        for (; *in && *in != '|'; *out++ = *in++)
            if (in[0] == '\\' && in[1] == '|') in++;
        while (out > cell[n - 1] && out[-1] == ' ') out--;
        *out++ = '\0';
    }
    return n;
}

/* What a sentence like "<= 2 N Q" says in numbers. */
static void assert_says(const char *holds, enum relation relation, double limit)
{
    const char *number = strpbrk(holds, "0123456789");
    const enum relation said = strncmp(holds, "< ", 2) == 0    ? LESS
                               : strncmp(holds, "<= ", 3) == 0 ? AT_MOST
                               : strncmp(holds, ">= ", 3) == 0 ? AT_LEAST
                                                               : NOT_JUDGED;
    assert_int_equal(relation, said);
    assert_non_null(number);
    if (number > holds && number[-1] == '-') number--;
    assert_true(strtod(number, NULL) == limit);
}

static void every_property_is_worded_as_in_the_documentation(void **state)
{
    (void)state;
    FILE *page = fopen("docs/properties.md", "r");
    char line[1024], *cell[CELLS];
    unsigned n = 0;

    assert_non_null(page);
    while (fgets(line, sizeof(line), page)) {
        if (strncmp(line, "| F", 3) != 0 && strncmp(line, "| C", 3) != 0) continue;
        if (split_row(line, cell) != CELLS) continue;
        assert_true(n < FAIR_PROPERTY_COUNT);
        const struct fair_property_row *row = &fair_properties[n++];
        assert_string_equal(row->id, cell[0]);
        assert_string_equal(row->title, cell[1]);
        assert_string_equal(row->statistic, cell[2]);
        assert_string_equal(row->holds, cell[3]);
    }
    (void)fclose(page);
    assert_int_equal(n, FAIR_PROPERTY_COUNT);
}

static void every_property_is_held_to_what_it_says(void **state)
{
    (void)state;
    for (unsigned i = 0; i < FAIR_PROPERTY_COUNT; i++)
        if (i != FAIR_F12) assert_says(fair_properties[i].holds, fair_properties[i].relation, fair_properties[i].limit);
    assert_string_equal(fair_properties[FAIR_F12].holds, "as F2, where M = 1; else reported");
    assert_int_equal(fair_properties[FAIR_F12].relation, fair_properties[FAIR_F2].relation);
    assert_true(fair_properties[FAIR_F12].limit == fair_properties[FAIR_F2].limit);
}

/* The properties that a cell names from text to end: "F1 F3, C1 to C4". */
static uint32_t named(const char *text, const char *end)
{
    uint32_t bits = 0;
    unsigned last = 0;
    for (const char *at = text; at < end; at++)
        for (unsigned i = 0; i < FAIR_PROPERTY_COUNT; i++) {
            const size_t len = strlen(fair_properties[i].id);
            if (strncmp(at, fair_properties[i].id, len) != 0 || isdigit((unsigned char)at[len])) continue;
            if (at - text > 4 && strncmp(at - 4, " to ", 4) == 0)
                while (++last < i) bits |= 1u << last;
            bits |= 1u << i;
            last = i;
        }
    return bits;
}

static void every_experiment_judges_what_the_documentation_says(void **state)
{
    (void)state;
    FILE *page = fopen("docs/fairness.md", "r");
    char line[1024], *cell[CELLS];
    unsigned n = 0;

    assert_non_null(page);
    while (n < FAIR_ITEM_COUNT && fgets(line, sizeof(line), page)) {
        uint32_t judged = 0, reported = 0;
        if (strncmp(line, "| E", 3) != 0 || split_row(line, cell) < 4) continue;
        for (unsigned v = 0; fair_plan_make(&o, n, v, &p); v++) {
            judged |= p.judged;
            reported |= p.reported;
        }
        const char *end = strchr(cell[3], '\0'), *semicolon = strchr(cell[3], ';');
        assert_string_equal(cell[0], fair_item[n++].id);
        assert_int_equal(judged, named(cell[3], semicolon ? semicolon : end));
        if (semicolon) assert_int_equal(reported, named(semicolon, end));
    }
    (void)fclose(page);
    assert_int_equal(n, FAIR_ITEM_COUNT);
}

/* ---- what is asked for ---- */

static void ask(const char *name, const char *value)
{
    const struct setting *i = fair_option;
    while (i->name && strcmp(i->name, name) != 0) i++;
    assert_non_null(i->name);
    if (i->set(&o, value, &e)) fail_msg("%s=%s: %s", name, value, e.text);
}

static void refused(const char *name, const char *value)
{
    const struct setting *i = fair_option;
    while (strcmp(i->name, name) != 0) i++;
    assert_int_not_equal(i->set(&o, value, &e), 0);
    assert_contains(e.text, name);
    assert_contains(e.text, value);
}

static void refused_together(const char *part)
{
    assert_int_not_equal(fair_options_check(&o, &e), 0);
    assert_contains(e.text, part);
}

static void wrong_values_get_a_sentence(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"experiments", "E9"},
        {"experiments", "E1,"},
        {"experiments", ""},
        {"duration", "0s"},
        {"duration", "3"},
        {"duration", "601s"},
        {"windows", "60ms"},
        {"windows", "1s,1s"},
        {"windows", "1s,500ms"},
        {"windows", "0"},
        {"windows", ""},
        {"cpus", "two"},
        {"vcpus", "0"},
        {"vcpus", "17"},
        {"weights", "1:x"},
        {"weights", "1:0"},
        {"weights", "65"},
        {"weights", "1:2:"},
        {"cgroup", ""},
        {"quick", "yes"},
        {"hold-back", "1"},
        {"hold-back", "1:0"},
        {"hold-back", "16:10"},
        {"hold-back", "1:91"},
        {"windows", "50ms,100ms,150ms,200ms,250ms,300ms,350ms,400ms,450ms,500ms,550ms,600ms,650ms,700ms,750ms,800ms,"
                    "850ms"},
        {"weights", "1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1"},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) refused(rows[i][0], rows[i][1]);
}

static void what_does_not_fit_together_is_refused(void **state)
{
    (void)state;
    ask("windows", "50ms,9s");
    refused_together("one of 9 s does not fit into a run of 8 s");
    ask("windows", "50ms");
    ask("cpus", "1023");
    refused_together("CPU 1023 is offline");
    o.has_cpus = false;
    ask("vcpus", "3");
    ask("weights", "1:2");
    refused_together("2 of them do not match 3");
    ask("weights", "1:2:3");
    ask("cgroup", "/nowhere/at/all");
    refused_together("/nowhere/at/all");
    ask("cgroup", "/proc");
    assert_int_not_equal(fair_options_check(&o, &e), 0);
    ask("cgroup", "/tmp");
    refused_together("not a cgroup directory");
}

static void a_vcpu_held_back_is_one_that_spins(void **state)
{
    (void)state;
    ask("hold-back", "8:10");
    refused_together("no experiment that was asked for has a vCPU 8 that spins");
    ask("hold-back", "7:10");
    assert_int_equal(fair_options_check(&o, &e), 0);
    ask("vcpus", "2");
    ask("experiments", "E1,E14");
    refused_together("vCPU 7");
    ask("hold-back", "1:10");
    assert_int_equal(fair_options_check(&o, &e), 0);
    ask("experiments", "E5");
    ask("hold-back", "0:10");
    refused_together("vCPU 0");
}

static void defaults_fit_the_run(void **state)
{
    (void)state;
    ask("quick", "true");
    assert_int_equal(fair_options_check(&o, &e), 0);
    assert_int_equal(o.duration_ns, 2000 * MS);
    assert_int_equal(o.window_ns[o.window_count - 1], 2000 * MS);
    ask("duration", "30s");
    assert_int_equal(fair_options_check(&o, &e), 0);
    assert_int_equal(o.window_ns[o.window_count - 1], 30000 * MS);
}

/* ---- plans ---- */

static void every_plan_fits_its_limits(void **state)
{
    (void)state;
    unsigned variants = 0;
    CPU_SET(0, &o.cpus);
    CPU_SET(1, &o.cpus);
    for (unsigned i = 0; i < FAIR_ITEM_COUNT; i++) {
        for (unsigned v = 0; fair_plan_make(&o, i, v, &p); v++, variants++) {
            unsigned sum = 0;
            assert_string_equal(p.id, fair_item[i].id);
            assert_in_range(p.vm_count, 1, FAIR_VMS);
            assert_in_range(p.vcpu_count, 1, FAIR_THREADS);
            assert_in_range(p.cpu_count, 1, 2);
            assert_int_equal(p.judged & p.reported, 0);
            assert_true(strlen(p.variant) > 0);
            for (unsigned k = 0; k < p.vm_count; k++) sum += p.vm[k].vcpus;
            assert_int_equal(sum, p.vcpu_count);
            assert_string_equal(p.lacks, "");
        }
    }
    assert_int_equal(variants, 20);
    assert_null(fair_item[FAIR_ITEM_COUNT].id);
}

static void what_needs_two_cpus_says_so_on_one(void **state)
{
    (void)state;
    CPU_ZERO(&o.cpus);
    CPU_SET(0, &o.cpus);
    assert_true(fair_plan_make(&o, 2, 0, &p));
    assert_string_equal(p.id, "E3");
    assert_contains(p.lacks, "2 CPUs");
    assert_true(fair_plan_make(&o, 0, 0, &p));
    assert_string_equal(p.lacks, "");
}

static void weights_become_the_nearest_nice_values(void **state)
{
    (void)state;
    static const int nice[] = {9, 6, 3, 0};
    assert_true(fair_plan_make(&o, 1, 0, &p));
    for (unsigned i = 0; i < 4; i++) assert_int_equal(p.vcpu[i].nice, nice[i]);
    assert_true(p.vcpu[0].weight * 1024 == 137);
    assert_string_equal(p.variant, "weights 1:2:4:8");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fresh, gone)
        T(every_property_is_worded_as_in_the_documentation),
        T(every_property_is_held_to_what_it_says),
        T(every_experiment_judges_what_the_documentation_says),
        T(wrong_values_get_a_sentence),
        T(what_does_not_fit_together_is_refused),
        T(a_vcpu_held_back_is_one_that_spins),
        T(defaults_fit_the_run),
        T(every_plan_fits_its_limits),
        T(what_needs_two_cpus_says_so_on_one),
        T(weights_become_the_nearest_nice_values),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Results: what lines and files are taken, what is refused and how, and every format against a golden file.
 * GOLDEN_UPDATE=1 writes the golden files and the table in docs/result-format.md anew: read the difference before you
 * keep it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/result/shape.h"
#include "tests/unit/bench/result_rig.h"

#define GOLDEN_DIR "tests/unit/golden/"

/* ---- formats ---- */

#define GOLDEN_BYTES (1u << 16)

static char *file_text(const char *path)
{
    char *text = test_calloc(1, GOLDEN_BYTES); /* cmocka's: fails the test */
    FILE *f = fopen(path, "re");
    const size_t n = f ? fread(text, 1, GOLDEN_BYTES - 1, f) : 0;
    if (f) (void)fclose(f);
    if (n == 0) fail_msg("%s: %s", path, strerror(errno));
    return text;
}

static void check_text(const char *got, const char *path)
{
    if (getenv("GOLDEN_UPDATE")) {
        FILE *f = fopen(path, "we");
        assert_non_null(f);
        (void)fputs(got, f);
        (void)fclose(f);
    }
    char *want = file_text(path);
    if (strcmp(got, want) != 0) fail_msg("%s has changed; it is now:\n%s", path, got);
    test_free(want);
}

static void check_golden(const struct result *r, const char *format, const char *name)
{
    char *got = written(r, format), path[128];
    (void)snprintf(path, sizeof(path), GOLDEN_DIR "%s", name);
    check_text(got, path);
    free(got);
}

static void formats_are_as_the_golden_files(void **state)
{
    (void)state;
    static const char *const formats[][2] = {{"text", "result_exits.txt"},
                                             {"json", "result_exits.json"},
                                             {"csv", "result_exits.csv"},
                                             {"hgrm", "result_exits.hgrm"},
                                             {"kut", "result_exits.kut"}};
    struct result *r = exits(10, 1000, 0), *f = fairness();
    for (size_t i = 0; i < COUNT_OF(formats); i++) check_golden(r, formats[i][0], formats[i][1]);
    check_golden(f, "text", "result_fairness.txt");
    check_golden(f, "csv", "result_fairness.csv");
    result_destroy(r);
    result_destroy(f);
}

/* The table that docs/result-format.md ends with, as the code's table makes it. */
static void the_document_has_the_table_that_files_are_read_by(void **state)
{
    (void)state;
    static const char path[] = "docs/result-format.md", rule[] = "|---|---|---|---|---|---|\n";
    static const char *const needs[] = {[KEY_OPTIONAL] = "", [KEY_REQUIRED] = "required", [KEY_DERIVED] = "derived"};
    char *document = file_text(path), *table = strstr(document, rule);
    struct text want = {0};
    assert_non_null(table);
    text_add(&want, document, (size_t)(table - document) + strlen(rule));
    for (const struct key *k = result_keys; k->key; k++) {
        char line[512], words[KEY_WORDS_MAX];
        const int n = snprintf(line, sizeof(line), "| %s | `%s` | %s | %s | %s | %s |\n", k->object, k->key,
                               needs[k->need], key_words(k, words), key_unit_words(k->unit), key_merge_words(k->merge));
        text_add(&want, line, (size_t)n);
    }
    check_text(want.s, path);
    free(want.s);
    test_free(document);
}

static void what_json_says_is_what_load_reads(void **state)
{
    (void)state;
    struct result *made[] = {exits(10, 1000, 0), exits(1, 500, 0), fairness()};
    for (size_t i = 0; i < COUNT_OF(made); i++) {
        struct result *loaded = NULL;
        struct err e = {0};
        char *text = written(made[i], "json");
        if (result_load(&loaded, text, strlen(text), &e)) fail_msg("%s", e.text);
        static const char *const formats[] = {"json", "text", "csv"};
        for (size_t f = 0; f < COUNT_OF(formats); f++) {
            char *a = written(made[i], formats[f]), *b = written(loaded, formats[f]);
            assert_string_equal(a, b);
            free(a);
            free(b);
        }
        assert_string_equal(result_kind(made[i]), result_kind(loaded));
        free(text);
        result_destroy(loaded);
        result_destroy(made[i]);
    }
}

/* Keys that the table of shapes does not have, with anything in their names, and lists deeper than we write. */
static void what_others_put_into_an_environment_is_kept(void **state)
{
    (void)state;
    struct result *r = new_result("exits");
    char deep[101] = {0}, line[512];
    memset(deep, '[', 50);
    memset(deep + 50, ']', 50);
    (void)snprintf(line, sizeof(line),
                   "{\"type\":\"environment\",\"kind\":\"exits\",\"arch\":\"x86_64\",\"host\":{\"a\\\"\\u0001b\":1.5},"
                   "\"counter\":{\"name\":\"TSC\",\"hz\":2e9},\"deep\":%s,\"mine\":[true,null,-7]}",
                   deep);
    add(r, line);
    char *json = written(r, "json");
    assert_contains(json, "\"host\": {\"a\\\"\\u0001b\": 1.5}");
    assert_contains(json, "\"mine\": [true, null, -7]");
    assert_contains(json, "[[null]]");
    free(json);
    result_destroy(r);
}

static void unknown_formats_hear_which_there_are(void **state)
{
    (void)state;
    struct result *r = fairness();
    struct text t = {0};
    struct err e = {0};
    assert_int_equal(result_write(r, "hgrm", text_add, &t, &e), -EINVAL);
    assert_string_equal(e.text, "format \"hgrm\": a result of kind fairness has text, json, csv");
    assert_null(t.s);
    result_destroy(r);
}

/* The rules of the format: four numbers a line, all but the share's distance never falling, the last line without the
 * fourth and with all values. */
static void hgrm_lines_rise_to_the_total(void **state)
{
    (void)state;
    struct result *r = exits(10, 1000, 0);
    char *text = written(r, "hgrm"), *save = NULL;
    double last_value = 0, last_share = -1;
    uint64_t last_count = 0;
    unsigned blocks = 0, lines = 0;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        double value, share, distance;
        uint64_t count;
        const int n = sscanf(line, "%lf %lf %" SCNu64 " %lf", &value, &share, &count, &distance);
        if (strncmp(line, "#[Row", 5) == 0) last_value = last_share = 0, last_count = 0;
        if (n < 3) continue;
        lines++;
        assert_true(value >= last_value && share >= last_share && count >= last_count && count <= 10000);
        assert_true((n == 3) == (share >= 1));
        if (n == 4) assert_true(distance > 0.99 / (1 - share) - 0.01 && distance < 1.01 / (1 - share) + 0.01);
        if (n == 3) {
            assert_int_equal(count, blocks == 0 ? 10000 : 9000);
            blocks++;
        }
        last_value = value;
        last_share = share;
        last_count = count;
    }
    assert_int_equal(blocks, 2);
    assert_true(lines > 60);
    free(text);
    result_destroy(r);
}

static void text_moves_no_cursor(void **state)
{
    (void)state;
    struct result *r = new_result("exits");
    add_environment(r, 0);
    add(r, "{\"type\":\"row\",\"row\":\"x\",\"status\":\"unsupported\",\"detail\":\"a\\u001b[2Jb\\u009bc\\nd\"}");
    char *text = written(r, "text"), *csv = written(r, "csv");
    assert_null(strchr(text, 033));
    assert_contains(text, "a?[2Jb?c?d");
    assert_null(strchr(csv, 033));
    free(text);
    free(csv);
    result_destroy(r);
}

/* ---- what is merged ---- */

static void fewer_than_ten_processes_have_no_interval(void **state)
{
    (void)state;
    struct result *nine = exits(9, 1000, 0), *ten = exits(10, 1000, 0);
    char *a = written(nine, "json"), *b = written(ten, "json");
    assert_contains(a, "\"p50\": 1002, \"low\": null, \"high\": null, \"ns\": 501, \"all\": 1002}");
    assert_contains(b, "\"p50\": 1002, \"low\": 1000.5, \"high\": 1003.5, \"ns\": 501, \"all\": 1002}");
    free(a);
    free(b);
    result_destroy(nine);
    result_destroy(ten);
}

/* A worker that timed out half way has samples; they are not mixed with those of one that did not. */
static void figures_are_of_processes_that_could(void **state)
{
    (void)state;
    static const char late[] =
        "{\"type\":\"row\",\"row\":\"x\",\"status\":\"timeout\",\"detail\":\"late\",\"samples\":5,\"phases\":"
        "{\"rtt\":{\"count\":1,\"min\":9,\"max\":9,\"sum\":9,\"hist\":[[9,1]]}}}";
    static const char good[] = "{\"type\":\"row\",\"row\":\"x\",\"status\":\"ok\",\"samples\":1,\"phases\":"
                               "{\"rtt\":{\"count\":1,\"min\":7,\"max\":7,\"sum\":7,\"hist\":[[7,1]]}}}";
    const char *const orders[][3] = {{late, good, good}, {good, late, good}, {good, good, late}};
    for (size_t o = 0; o < COUNT_OF(orders); o++) {
        struct result *r = new_result("exits");
        for (unsigned i = 0; i < 3; i++) {
            add_environment(r, i);
            add(r, orders[o][i]);
        }
        char *json = written(r, "json"), *text = written(r, "text");
        assert_contains(json, "\"samples\": 2,");
        assert_contains(json, "\"hist\": [[7, 2]]");
        assert_contains(text, "ok      2 of 3");
        assert_contains(text, "timeout in 1 of 3: late");
        free(json);
        free(text);
        result_destroy(r);
    }
}

static void a_sandboxs_row_is_a_multiple_of_its_yardstick(void **state)
{
    (void)state;
    struct result *r = new_result("sandbox");
    assert_null(strstr(result_kind(r), "exits"));
    add(r,
        "{\"type\":\"environment\",\"kind\":\"sandbox\",\"arch\":\"x86_64\",\"host\":{},\"counter\":{\"name\":\"TSC\","
        "\"hz\":1000000000}}");
    add(r, "{\"type\":\"row\",\"row\":\"call\",\"group\":\"sandbox\",\"status\":\"ok\",\"samples\":10,\"baseline\":400,"
           "\"phases\":{\"rtt\":{\"count\":10,\"min\":500,\"max\":500,\"sum\":5000,\"hist\":[[500,10]]},"
           "\"yardstick\":{\"count\":10,\"min\":400,\"max\":400,\"sum\":4000,\"hist\":[[400,10]]}}}");
    char *text = written(r, "text"), *json = written(r, "json"), *csv = written(r, "csv");
    assert_contains(text, "vireo bench sandbox");
    assert_contains(text, "call  ok      1 of 1       10  500   n/a      500  n/a  500        400   1.25");
    assert_contains(json, "\"ratio\": 1.25");
    assert_contains(json, "\"yardstick\": {\"count\": 10");
    assert_contains(csv, "call,sandbox,ok,yardstick,");
    assert_contains(csv, ",400,1.25\n");
    free(text);
    free(json);
    free(csv);
    result_destroy(r);
}

/* A row of 200 samples: a tail of 2 samples says nothing about a hundredth. */
static void quantiles_of_too_few_samples_are_unknown_in_every_format(void **state)
{
    (void)state;
    struct result *r = new_result("exits");
    add_environment(r, 0);
    add(r,
        "{\"type\":\"row\",\"row\":\"few\",\"group\":\"user\",\"status\":\"ok\",\"samples\":200,\"phases\":{\"rtt\":{"
        "\"count\":200,\"min\":700,\"max\":900,\"sum\":140400,\"hist\":[[700,198],[900,2]]}}}");
    char *text = written(r, "text"), *json = written(r, "json"), *csv = written(r, "csv"), *hgrm = written(r, "hgrm");
    assert_contains(text, "few  user   ok      1 of 1      200  350   n/a      350  350  n/a    n/a  450       n/a");
    assert_contains(json, "\"p90\": {\"ticks\": 700, ");
    assert_contains(json, "\"p99\": {\"ticks\": null, \"low\": null, \"high\": null}, \"p999\": {\"ticks\": null, ");
    assert_contains(csv, "700,350,700,350,700,350,,,,,900,450,350,,,1,1,");
    assert_contains(hgrm, "#[Note: p99 is n/a: 200 values are too few for it]\n#[Note: p99.9 is n/a: 200 values");
    assert_null(strstr(hgrm, "p90 is n/a"));
    free(text);
    free(json);
    free(csv);
    free(hgrm);
    result_destroy(r);
}

/* Six of ten samples were disturbed and took three times as long. */
#define DISTURBED_ROW(usual, slow)                                                                                     \
    "{\"type\":\"row\",\"row\":\"busy\",\"group\":\"user\",\"status\":\"ok\",\"samples\":10,\"disturbed\":6,"          \
    "\"phases\":{\"rtt\":{"                                                                                            \
    "\"count\":100,\"min\":" usual ",\"max\":" slow ",\"hist\":[[" usual ",40],[" slow                                 \
    ",60]]},\"rtt_undisturbed\":{\"count\":40,\"min\":" usual ",\"max\":" usual ",\"hist\":[[" usual ",40]]}}}"

static struct result *disturbed(void)
{
    struct result *r = new_result("exits");
    add_environment(r, 0);
    add(r, DISTURBED_ROW("300", "900"));
    add_environment(r, 2);
    add(r, DISTURBED_ROW("302", "904"));
    return r;
}

static void headline_of_a_disturbed_host_is_the_undisturbed_median(void **state)
{
    (void)state;
    struct result *r = disturbed();
    char *text = written(r, "text"), *json = written(r, "json"), *csv = written(r, "csv"), *kut = written(r, "kut");
    assert_contains(text, "busy  user   ok      2 of 2       20  150   n/a      451  452");
    assert_contains(json, "\"headline\": {\"phase\": \"rtt_undisturbed\", \"p50\": 301, \"low\": null, \"high\": null, "
                          "\"ns\": 150.5, \"all\": 902}");
    assert_contains(csv, "busy,user,ok,rtt_undisturbed,1,80,");
    assert_contains(csv, ",150.5,,,2,2,");
    assert_string_equal(kut, "busy 301\n");
    char *same = compared(disturbed(), disturbed(), "json");
    assert_contains(same, "\"a_ns\": 150.5, \"b_ns\": 150.5");
    free(text);
    free(json);
    free(csv);
    free(kut);
    free(same);
    result_destroy(r);
}

/* A process without enough undisturbed samples has no part in the headline; when none has them, it is of all samples.
 */
static void processes_disturbed_throughout_do_not_move_the_headline(void **state)
{
    (void)state;
    static const char throughout[] = "{\"type\":\"row\",\"row\":\"busy\",\"group\":\"user\",\"status\":\"ok\","
                                     "\"samples\":10,\"disturbed\":10,\"phases\":"
                                     "{\"rtt\":{\"count\":10,\"min\":960,\"max\":960,\"hist\":[[960,10]]},\"rtt_"
                                     "undisturbed\":{\"count\":2,\"min\":5,"
                                     "\"max\":5,\"hist\":[[5,2]]}}}";
    struct result *r = new_result("exits");
    add_environment(r, 0);
    add(r, throughout);
    char *alone = written(r, "json");
    assert_contains(alone, "\"phase\": \"rtt\", \"p50\": 960,");
    add_environment(r, 2);
    add(r, DISTURBED_ROW("300", "900"));
    char *both = written(r, "json");
    assert_contains(both, "\"phase\": \"rtt_undisturbed\", \"p50\": 300,");
    assert_contains(both, "\"p50s\": [300]");
    free(alone);
    free(both);
    result_destroy(r);
}

/* 878 exits of a control are the host's interrupts: explained, which is neither agreeing nor differing. */
static void counts_that_the_host_explains_are_shown_with_the_reason(void **state)
{
    (void)state;
    struct result *r = new_result("exits");
    add_environment(r, 0);
    add(r, "{\"type\":\"row\",\"row\":\"nop\",\"group\":\"control\",\"status\":\"ok\",\"exits\":{\"expected\":0,"
           "\"counted\":878,"
           "\"source\":\"exits\",\"verdict\":\"explained\",\"because\":\"878 more: interrupts of the host\"}}");
    add(r, "{\"type\":\"row\",\"row\":\"older\",\"status\":\"ok\",\"exits\":{\"expected\":9,\"counted\":8,\"agrees\":"
           "false}}");
    char *text = written(r, "text");
    assert_contains(text, "        0      878  explained\n");
    assert_contains(text, "        9        8  fewer\n");
    assert_contains(text, "  nop: counts: 878 more: interrupts of the host\n");
    free(text);
    result_destroy(r);
}

static void an_experiment_in_which_something_fails_is_not_headed_ok(void **state)
{
    (void)state;
    static const char form[] = "{\"type\":\"experiment\",\"id\":\"E1\",\"variant\":\"x\",\"status\":\"ok\","
                               "\"identities\":[{\"id\":\"C1\",\"holds\":"
                               "true}],\"properties\":[{\"id\":\"F1\",\"verdict\":\"%s\"},{\"id\":\"F4\",\"verdict\":"
                               "\"reported\"},{\"id\":\"F13\","
                               "\"verdict\":\"%s\"}]}";
    static const struct {
        const char *f1, *f13, *heading;
        unsigned failed, open;
    } cases[] = {
        {"pass", "pass", "\nE1 x: ok\n", 0, 0},
        {"fail", "pass", "\nE1 x: violated: F1\n", 1, 0},
        {"fail", "fail", "\nE1 x: violated: F1, F13\n", 2, 0},
        {"inconclusive", "fail", "\nE1 x: violated: F13\n", 1, 1},
        {"inconclusive", "pass", "\nE1 x: ok\n", 0, 1},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct result *r = new_result("fairness");
        char line[1024];
        add(r, "{\"type\":\"environment\",\"kind\":\"fairness\"," ENVIRONMENT "\"options\":{}}");
        (void)snprintf(line, sizeof(line), form, cases[i].f1, cases[i].f13);
        add(r, line);
        char *text = written(r, "text");
        assert_contains(text, cases[i].heading);
        assert_int_equal(result_failures(r, false), cases[i].failed);
        assert_int_equal(result_failures(r, true), cases[i].failed + cases[i].open);
        free(text);
        result_destroy(r);
    }
}

/* What was begun and found nothing, and an identity that does not hold, leave the question open. What this host can't
 * do is no question. */
static void what_found_nothing_is_open(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "{\"type\":\"experiment\",\"id\":\"E1\",\"status\":\"unsupported\",\"detail\":\"no cgroup\"}",
        "{\"type\":\"experiment\",\"id\":\"E2\",\"status\":\"timeout\"}",
        "{\"type\":\"experiment\",\"id\":\"E3\",\"status\":\"ok\",\"identities\":[{\"id\":\"C1\",\"holds\":false}]}"};
    struct result *r = new_result("fairness");
    add(r, "{\"type\":\"environment\",\"kind\":\"fairness\"," ENVIRONMENT "\"options\":{}}");
    for (unsigned i = 0; i < COUNT_OF(lines); i++) {
        add(r, lines[i]);
        assert_int_equal(result_failures(r, true), i);
        assert_int_equal(result_failures(r, false), 0);
    }
    result_destroy(r);
}

/* A batch of 64: what is printed is of one operation. */
static void batches_are_divided(void **state)
{
    (void)state;
    struct result *r = new_result("exits");
    add_environment(r, 0);
    add(r, "{\"type\":\"row\",\"row\":\"eoi\",\"group\":\"control\",\"status\":\"ok\",\"batch\":64,\"samples\":3,"
           "\"phases\":"
           "{\"rtt\":{\"count\":3,\"min\":640,\"max\":1280,\"sum\":2560,\"hist\":[[640,2],[1280,1]]}}}");
    char *kut = written(r, "kut"), *json = written(r, "json");
    assert_string_equal(kut, "eoi 10\n");
    assert_contains(json, "\"p50s\": [10]");
    free(kut);
    free(json);
    result_destroy(r);
}

static void what_is_given_up_is_said_and_the_next_worker_goes_on(void **state)
{
    (void)state;
    struct result *r = new_result("exits");
    struct err e = {0};
    unsigned ms = 0;
    assert_int_equal(result_give_up(r, "timeout", "why", &e), -ENOENT);
    add_environment(r, 0);
    assert_null(result_pending(r, &ms));
    add(r, "{\"type\":\"begin\",\"item\":\"hypercall_null\",\"timeout_ms\":7000}");
    assert_string_equal(result_pending(r, &ms), "hypercall_null");
    assert_int_equal(ms, 7000);
    assert_int_equal(result_give_up(r, "timeout", "no result within 7 s", &e), 0);
    assert_null(result_pending(r, &ms));
    add_environment(r, 1);
    add_row(r, "cpuid", "kernel", 700);
    assert_null(result_pending(r, &ms));
    char *text = written(r, "text");
    assert_contains(text, ", 1 process\n");
    assert_contains(text, "hypercall_null: timeout in 1 of 1: no result within 7 s");
    assert_contains(text, "cpuid");
    free(text);
    result_destroy(r);
}

/* ---- what is refused ---- */

static void lines_that_fit_nothing_are_refused_and_change_nothing(void **state)
{
    (void)state;
#define ROW     "{\"type\":\"row\",\"row\":\"pio_out_user\",\"status\":\"ok\""
#define HIST(h) ROW ",\"phases\":{\"rtt\":{\"count\":2,\"min\":5,\"max\":6,\"hist\":" h "}}}"
    static const char *const cases[][2] = {
        {"", "not JSON"},
        {"[]", "\"type\": \"\" is not one of environment, begin, row, experiment"},
        {"{\"type\":\"noise\"}", "\"type\": \"noise\" is not one of"},
        {"{\"type\":\"environment\",\"kind\":\"fairness\",\"arch\":\"x86_64\",\"host\":{}}",
         "is of kind fairness, not exits"},
        {"{\"type\":\"environment\",\"kind\":\"exits\",\"arch\":\"x86_64\"}", "has no \"host\""},
        {"{\"type\":\"environment\",\"kind\":\"exits\",\"arch\":\"aarch64\",\"host\":{},\"counter\":{\"name\":\"C\","
         "\"hz\":1e9}}",
         "of aarch64, after one of x86_64"},
        {"{\"type\":\"environment\",\"kind\":\"exits\",\"arch\":\"x86_64\",\"host\":{}}", "has no \"counter\""},
        {"{\"type\":\"environment\",\"kind\":\"exits\",\"arch\":\"x86_64\",\"host\":{},\"counter\":{\"name\":\"T\","
         "\"hz\":0}}",
         "environment: \"counter\": \"hz\": 0 is not a number from 1000 to 1000000000000"},
        {"{\"type\":\"experiment\",\"id\":\"E1\",\"status\":\"ok\"}", "an experiment, in a result of kind exits"},
        {"{\"type\":\"row\",\"status\":\"ok\"}", "has no \"row\""},
        {"{\"type\":\"row\",\"row\":\"../x\",\"status\":\"ok\"}",
         "row: \"row\": \"../x\" is not a name of 1 to 63 letters"},
        {"{\"type\":\"row\",\"row\":\"x\",\"status\":\"fine\"}",
         "row x: \"status\": \"fine\" is not one of ok, no-exit, timeout, unsupported, failed"},
        {ROW ",\"group\":\"<b>\"}", "\"group\": \"<b>\" is not one of control, kernel, user"},
        {ROW ",\"batch\":0}", "row pio_out_user: \"batch\": 0 is not a whole number from 1 to 1000000"},
        {ROW ",\"baseline\":1e300}", "\"baseline\": 1e+300 is not a number from 0 on"},
        {ROW ",\"batch\":-1}", "\"batch\": -1 is not a whole number"},
        {ROW ",\"samples\":9007199254740993}",
         "\"samples\": 9007199254740993 is not a whole number from 0 to 268435456"},
        {ROW ",\"processes\":[]}", "a worker's row with \"processes\""},
        {ROW ",\"exits\":[]}", "\"exits\": a list of 0 is not an object: exits"},
        {ROW ",\"identity\":{\"residual\":1}}", "has no \"holds\""},
        {HIST("[[5,1],[6,2]]"), "do not fit"},
        {HIST("[[6,1],[5,1]]"), "\"phases\": \"rtt\": \"hist\": 1: value 5 does not begin the next bucket"},
        {HIST("[[5,1],[2049,1]]"), "value 2049 does not begin"},
        {HIST("[[5,1],[6,0]]"), "was seen 0 times"},
        {HIST("[[5,1],[6,-1]]"), "was seen -1 times"},
        {HIST("[[5,2],7]"), "not a pair of whole numbers"},
        {HIST("[[5,1.5],[6,1]]"), "not a pair of whole numbers"},
        {HIST("[[4,1],[6,1]]"), "do not fit"},
        {"{\"type\":\"begin\",\"item\":\"x\"}", "has no \"timeout_ms\""},
    };
    struct result *r = exits(10, 1000, 0);
    char *before = written(r, "json");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err e = {0};
        if (result_add(r, cases[i][0], strlen(cases[i][0]), &e) == 0) fail_msg("%s: taken", cases[i][0]);
        assert_contains(e.text, cases[i][1]);
    }
    char *after = written(r, "json");
    assert_string_equal(before, after);
    free(before);
    free(after);
    result_destroy(r);
}

static void files_of_another_form_are_refused(void **state)
{
    (void)state;
#define FILE_OF(rest)                                                                                                  \
    "{\"schema\":\"vireo-result-1\",\"kind\":\"exits\",\"environments\":[{\"kind\":\"exits\",\"arch\":\"x86_64\","     \
    "\"host\":{},"                                                                                                     \
    "\"counter\":{\"name\":\"TSC\",\"hz\":1e9}}]," rest "}"
    static const char *const cases[][2] = {
        {"", "line 1, column 0: not JSON"},
        {"[1]", "not a result"},
        {"{\"schema\":\"vireo-stats-1\"}", "schema \"vireo-stats-1\"; this version reads \"vireo-result-1\""},
        {"{\"schema\":\"vireo-result-1\",\"kind\":\"boots\"}", "\"kind\": \"boots\" is not one of exits, fairness"},
        {"{\"schema\":\"vireo-result-1\",\"kind\":\"exits\",\"rows\":[]}", "has no \"environments\""},
        {FILE_OF("\"rows\":[{\"row\":\"a\",\"status\":\"ok\"},{\"row\":\"a\",\"status\":\"ok\"}]"),
         "row a stands there twice"},
        {FILE_OF("\"rows\":[{\"row\":\"a\",\"status\":\"ok\",\"processes\":[]}]"),
         "\"rows\": 0: row a: \"processes\": 0 of them; 1 to 200 are possible"},
        {FILE_OF("\"rows\":[{\"row\":\"a\",\"status\":\"ok\",\"processes\":[{\"status\":1}]}]"),
         "row a: \"processes\": 0: \"status\": 1 is not one of ok"},
        {"{\"schema\":\"vireo-result-1\",\"kind\":\"exits\",\"environments\":[]}", "has no environment"},
        {FILE_OF("\"rows\":{}"), "\"rows\": an object is not a list of at most 100000 objects: row"},
        {FILE_OF("\"rows\":[7]"), "\"rows\": 0: row: not an object"},
        {FILE_OF("\"experiments\":[{\"id\":\"E1\",\"status\":\"ok\"}]"), "an experiment, in a result of kind exits"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct result *r = NULL;
        struct err e = {0};
        if (result_load(&r, cases[i][0], strlen(cases[i][0]), &e) == 0) fail_msg("%s: taken", cases[i][0]);
        assert_contains(e.text, cases[i][1]);
        assert_null(r);
    }
}

/* One element more than a list may have. */
static void a_list_that_is_too_long_is_refused(void **state)
{
    (void)state;
    struct text line = {0};
    struct err e = {0};
    struct result *r = fairness();
    static const char start[] = "{\"type\":\"experiment\",\"id\":\"E1\",\"status\":\"ok\",\"windows_ns\":[0";
    text_add(&line, start, strlen(start));
    for (unsigned i = 0; i < SHAPE_LIST_MAX; i++) text_add(&line, ",0", 2);
    text_add(&line, "]}", 2);
    assert_int_equal(result_add(r, line.s, line.len, &e), -EINVAL);
    assert_string_equal(e.text, "experiment: \"windows_ns\": a list of 100001 is not a list of at most 100000 numbers");
    free(line.s);
    result_destroy(r);
}

UNIT_MAIN(UNIT(formats_are_as_the_golden_files), UNIT(the_document_has_the_table_that_files_are_read_by),
          UNIT(a_sandboxs_row_is_a_multiple_of_its_yardstick), UNIT(what_json_says_is_what_load_reads),
          UNIT(what_others_put_into_an_environment_is_kept), UNIT(unknown_formats_hear_which_there_are),
          UNIT(hgrm_lines_rise_to_the_total), UNIT(text_moves_no_cursor),
          UNIT(fewer_than_ten_processes_have_no_interval), UNIT(figures_are_of_processes_that_could),
          UNIT(quantiles_of_too_few_samples_are_unknown_in_every_format),
          UNIT(headline_of_a_disturbed_host_is_the_undisturbed_median),
          UNIT(processes_disturbed_throughout_do_not_move_the_headline),
          UNIT(counts_that_the_host_explains_are_shown_with_the_reason),
          UNIT(an_experiment_in_which_something_fails_is_not_headed_ok), UNIT(what_found_nothing_is_open),
          UNIT(batches_are_divided), UNIT(what_is_given_up_is_said_and_the_next_worker_goes_on),
          UNIT(lines_that_fit_nothing_are_refused_and_change_nothing), UNIT(files_of_another_form_are_refused),
          UNIT(a_list_that_is_too_long_is_refused))

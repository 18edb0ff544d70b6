/* The HTML page of results: what must be on it, what must never be. */
#include "tests/unit/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/report/published.h"
#include "bench/report/strips.h"
#include "bench/result/result.h"

#define THIN "\xe2\x80\xaf" /* the narrow space between groups of digits */
#define DASH "\xe2\x80\x93"

#define ENVIRONMENT(kind, arch, nature, cpu)                                                                           \
    "{\"type\":\"environment\",\"kind\":\"" kind "\",\"arch\":\"" arch "\",\"host\":{\"nature\":\"" nature             \
    "\",\"cpu\":\"" cpu "\"},\"time\":\"2026-01-31T12:00:00Z\",\"counter\":{\"name\":\"TSC\",\"hz\":2e9}}"
#define HIST(low, high)                                                                                                \
    "{\"count\":4000,\"min\":" low ",\"max\":" high ",\"sum\":1,\"hist\":[[" low ",3990],[" high ",10]]}"
#define ROW(id, group, batch, low, high)                                                                               \
    "{\"type\":\"row\",\"row\":\"" id "\",\"group\":\"" group "\",\"status\":\"ok\",\"batch\":" batch                  \
    ",\"samples\":4000,\"disturbed\":0,\"exits\":{\"expected\":4000,\"counted\":3999,\"source\":\"exits\","            \
    "\"agrees\":false},\"phases\":{\"rtt\":" HIST(low, high) ",\"kvm_run\":" HIST(low, high) "}}"

static struct result *make(const char *kind, const char *const *lines)
{
    struct result *r = result_create(kind);
    struct err e = {0};
    assert_non_null(r);
    for (; *lines; lines++)
        if (result_add(r, *lines, strlen(*lines), &e)) fail_msg("%s: %s", *lines, e.text);
    return r;
}

static struct result *make_exits(const char *arch_nature_line)
{
    const char *const lines[] = {arch_nature_line,
                                 "{\"type\":\"begin\",\"item\":\"cpuid\",\"timeout_ms\":1000}",
                                 ROW("cpuid", "kernel", "1", "1024", "40960"),
                                 "{\"type\":\"begin\",\"item\":\"mmio_wr_user\",\"timeout_ms\":1000}",
                                 ROW("mmio_wr_user", "user", "4", "16384", "81920"),
                                 "{\"type\":\"begin\",\"item\":\"wbinvd\",\"timeout_ms\":1000}",
                                 "{\"type\":\"row\",\"row\":\"wbinvd\",\"group\":\"kernel\",\"status\":\"timeout\","
                                 "\"detail\":\"<script>alert('1')</script> & \\\"more\\\"\\u0007\"}",
                                 NULL};
    return make("exits", lines);
}

static struct result *make_fairness(void)
{
    static const char *const lines[] = {
        ENVIRONMENT("fairness", "x86_64", "virtual", "any"), "{\"type\":\"begin\",\"item\":\"E1\",\"timeout_ms\":1000}",
        "{\"type\":\"experiment\",\"id\":\"E1\",\"variant\":\"4 <vCPUs> on 1 CPU\",\"status\":\"ok\",\"detail\":\"\","
        "\"identities\":[{\"id\":\"C1\",\"holds\":true,\"text\":\"0.9987 = 1 within 0.005\"},"
        "{\"id\":\"C2\",\"holds\":null,\"text\":\"too few samples\"}],"
        "\"properties\":[{\"id\":\"F1\",\"verdict\":\"pass\",\"statistic\":4.4e6,\"bound\":8e6,\"unit\":\"ns\","
        "\"text\":\"4.4 ms <= 8 ms\",\"reason\":\"\"},"
        "{\"id\":\"F6\",\"verdict\":\"inconclusive\",\"statistic\":0,\"bound\":1,\"unit\":\"ns\",\"text\":\"?\","
        "\"reason\":\"host steal 4 %\"}],"
        "\"plots\":{\"convergence\":[[5e7,0.4],[1e8,0.2],[1e10,0.002]],"
        "\"share\":[],\"gaps\":[[1e6,40],[2e6,3],[8e6,0],[1e9,1]]}}",
        NULL};
    return make("fairness", lines);
}

static struct text page_of(const struct result *const *results, unsigned count)
{
    struct text t = {0};
    struct err e = {0};
    if (report_write(results, NULL, count, text_add, &t, &e)) fail_msg("%s", e.text);
    return t;
}

/* Every element is closed in order, attributes are quoted, nothing else opens or closes one: what XML asks for. */
static void assert_well_formed(const char *page)
{
    char open[32][32];
    unsigned depth = 0;
    const char *p = strchr(page[1] == '!' ? page + 1 : page, '<'); /* after the document type */
    for (; p; p = strchr(p, '<')) {
        const bool is_end = p[1] == '/';
        char name[32] = {0};
        p += is_end ? 2 : 1;
        const size_t len = strcspn(p, " >/");
        assert_in_range(len, 1, sizeof(name) - 1);
        memcpy(name, p, len);
        for (p += len; *p && *p != '>' && *p != '/'; p++) {
            if (*p != '"') continue;
            p = strchr(p + 1, '"');
            assert_non_null(p);
        }
        if (is_end) {
            assert_true(depth > 0);
            assert_string_equal(open[--depth], name);
        } else if (*p != '/') {
            assert_true(depth < COUNT_OF(open));
            memcpy(open[depth++], name, sizeof(name));
        }
        assert_true(*p == '>' || p[1] == '>');
    }
    assert_int_equal(depth, 0);
}

static void page_shows_every_row_with_its_figures(void **state)
{
    (void)state;
    struct result *r = make_exits(ENVIRONMENT("exits", "x86_64", "virtual", "a CPU"));
    const struct text t = page_of((const struct result *const *)&r, 1);
    assert_well_formed(t.s);
    assert_contains(t.s, "<th scope=\"row\">cpuid</th>");
    assert_contains(t.s, "<th scope=\"row\">mmio_wr_user</th>");
    /* 16384 ticks of four at 2 GHz, as the bucket of three digits has it */
    assert_contains(t.s, "<td data-t=\"median\">2" THIN "050</td>");
    assert_contains(t.s, "1" THIN "018" DASH "1" THIN "110 cycles");
    assert_contains(t.s, "itself a virtual machine");
    assert_contains(t.s, "<td data-t=\"exits counted\">3999</td><td data-t=\"expected\">4000</td>");
    assert_contains(t.s, "bad\">fewer</span>"); /* the count check */
    assert_contains(t.s, "<figcaption>cpuid</figcaption>");
    free(t.s);
    result_destroy(r);
}

/* The first thing that is read: title, sentence. The last: where it was measured. */
static void page_opens_with_what_was_found(void **state)
{
    (void)state;
    struct result *r = make_exits(ENVIRONMENT("exits", "x86_64", "pvm", "a CPU"));
    const struct text t = page_of((const struct result *const *)&r, 1);
    assert_contains(t.s, "<title>What VM exits cost: a CPU (x86_64, software KVM, PVM), 2026-01-31</title>");
    assert_contains(t.s, "An exit to the monitor and back takes <b>2.05 \xc2\xb5s</b> (median of mmio_wr_user)");
    assert_contains(t.s, "handles alone takes <b>512 ns</b> (cpuid)");
    const char *found = strstr(t.s, "An exit to the monitor"), *picture = strstr(t.s, "class=\"strips\"");
    const char *table = strstr(t.s, "class=\"rows\""), *where = strstr(t.s, "Where it was measured");
    assert_true(found < picture && picture < table && table < where);
    free(t.s);
    result_destroy(r);
}

/* What no process could measure is told in one line, with its reason under it. A row that some processes measured says
 * in how many. */
static void page_names_rows_without_figures_at_its_end(void **state)
{
    static const char *const lines[] = {
        ENVIRONMENT("exits", "x86_64", "virtual", "any"),
        ROW("cpuid", "kernel", "1", "1024", "40960"),
        ROW("nop", "control", "1", "10", "20"),
        ENVIRONMENT("exits", "x86_64", "virtual", "any"),
        "{\"type\":\"row\",\"row\":\"cpuid\",\"group\":\"kernel\",\"status\":\"timeout\",\"detail\":\"too slow\"}",
        "{\"type\":\"row\",\"row\":\"wbinvd\",\"group\":\"kernel\",\"status\":\"unsupported\",\"detail\":\"no\"}",
        "{\"type\":\"row\",\"row\":\"cr8\",\"group\":\"kernel\",\"status\":\"unsupported\",\"detail\":\"no\"}",
        NULL};
    (void)state;
    struct result *r = make("exits", lines);
    const struct text t = page_of((const struct result *const *)&r, 1);
    assert_well_formed(t.s);
    assert_contains(t.s, "This host can&#39;t do: wbinvd, cr8</summary>");
    assert_contains(t.s, "<span class=\"bad\">1 of 2</span>");
    assert_contains(t.s, "timeout in 1 of 2 processes: too slow");
    assert_contains(t.s, "Not in the picture, as they cause no exit: nop.");
    assert_null(strstr(t.s, "<th scope=\"row\">wbinvd</th>"));
    free(t.s);
    result_destroy(r);
}

static void page_escapes_what_a_result_says(void **state)
{
    (void)state;
    struct result *r = make_exits(ENVIRONMENT("exits", "x86_64", "<script>x", "\\\" onload=\\\"y' <i>"));
    const struct text t = page_of((const struct result *const *)&r, 1);
    assert_well_formed(t.s);
    assert_null(strstr(t.s, "<script"));
    assert_null(strstr(t.s, "<i>"));
    assert_null(strstr(t.s, "\" onload"));
    assert_null(strchr(t.s, '\a'));
    assert_contains(t.s, "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;more&quot;\xef\xbf\xbd");
    free(t.s);
    result_destroy(r);
}

static void page_needs_nothing_from_elsewhere(void **state)
{
    (void)state;
    struct result *r[] = {make_exits(ENVIRONMENT("exits", "x86_64", "bare", "any")), make_fairness()};
    const struct text t = page_of((const struct result *const *)r, 2);
    assert_well_formed(t.s);
    assert_null(strstr(t.s, "http"));
    assert_null(strstr(t.s, "src="));
    assert_null(strstr(t.s, "href"));
    assert_null(strstr(t.s, "url("));
    assert_null(strstr(t.s, "@import"));
    free(t.s);
    result_destroy(r[0]);
    result_destroy(r[1]);
}

static void page_sets_architectures_side_by_side(void **state)
{
    (void)state;
    struct result *r[] = {make_exits(ENVIRONMENT("exits", "x86_64", "pvm", "any")),
                          make_exits(ENVIRONMENT("exits", "aarch64", "emulated", "other"))};
    const struct text t = page_of((const struct result *const *)r, 2);
    assert_well_formed(t.s);
    assert_contains(t.s, "<th>A: x86_64, pvm</th><th>B: aarch64, emulated</th>");
    assert_contains(t.s, "<td data-t=\"A\">512 <small>0.25</small></td><td data-t=\"B\">512 <small>0.25</small></td>");
    assert_contains(t.s, "takes <b>2.05 \xc2\xb5s</b> in A, <b>2.05 \xc2\xb5s</b> in B.");
    assert_contains(t.s, "not all of one host");
    const char *differs = strstr(t.s, "What differs"), *arch = strstr(t.s, "<th scope=\"row\">architecture</th>");
    assert_true(differs && arch && differs < arch && arch < strstr(t.s, "What is the same in all"));
    assert_contains(t.s, "KVM is software (PVM)");
    assert_contains(t.s, "this host is emulated");
    free(t.s);
    result_destroy(r[0]);
    result_destroy(r[1]);
}

static void page_says_what_is_unknown(void **state)
{
    static const char *const lines[] = {
        "{\"type\":\"environment\",\"kind\":\"fairness\",\"arch\":\"x86_64\",\"host\":{}}",
        "{\"type\":\"experiment\",\"id\":\"E1\",\"status\":\"unsupported\"}", NULL};
    (void)state;
    struct result *r[] = {make("fairness", lines), make_exits(ENVIRONMENT("exits", "x86_64", "bare", "any"))};
    const struct text t = page_of((const struct result *const *)r, 2);
    assert_contains(t.s, "<th scope=\"row\">host is</th><td data-t=\"A\">unknown</td><td data-t=\"B\">bare</td></tr>");
    assert_contains(t.s, "Not run: A E1 (unsupported)");
    free(t.s);
    result_destroy(r[0]);
    result_destroy(r[1]);
}

static void page_shows_verdicts_with_their_inequalities(void **state)
{
    (void)state;
    struct result *r = make_fairness();
    const struct text t = page_of((const struct result *const *)&r, 1);
    assert_well_formed(t.s);
    assert_contains(t.s, "<b>Undecided</b>: 2 of 4 properties could not be judged.");
    assert_contains(t.s, "good\" data-t=\"\">pass</td><td class=\"t\">4.4 ms &lt;= 8 ms");
    assert_contains(t.s, "open\" data-t=\"\">inconclusive</td>");
    assert_contains(t.s, "host steal 4 %");
    assert_contains(t.s, "0.9987 = 1 within 0.005");
    assert_contains(t.s, "unknown</td><td class=\"t\">too few samples"); /* not known is not failed */
    assert_contains(t.s, "How the error falls with the window</figcaption>");
    assert_contains(t.s, "How long vCPUs were away</figcaption>");
    assert_contains(t.s, "4 &lt;vCPUs&gt; on 1 CPU");
    free(t.s);
    result_destroy(r);
}

/* An experiment with lanes, in which F1 has this verdict. */
#define LANES(id, verdict)                                                                                             \
    "{\"type\":\"experiment\",\"id\":\"" id "\",\"variant\":\"2 on 1\",\"status\":\"ok\",\"vcpus\":["                  \
    "{\"vm\":0,\"vcpu\":0,\"share\":0.5,\"charged\":[30e6,30e6,30e6]},"                                                \
    "{\"vm\":0,\"vcpu\":1,\"share\":0.5,\"charged\":[20e6,20e6,20e6]}],"                                               \
    "\"properties\":[{\"id\":\"F1\",\"verdict\":\"" verdict "\",\"text\":\"90 >= 8\",\"reason\":\"at nice 1\"},"       \
    "{\"id\":\"F4\",\"verdict\":\"reported\",\"text\":\"0.99\"}]}"

static void page_tells_failures_first_and_draws_lanes(void **state)
{
    static const char *const lines[] = {ENVIRONMENT("fairness", "x86_64", "bare", "any"), LANES("E1", "pass"),
                                        LANES("E2", "fail"), NULL};
    (void)state;
    struct result *r = make("fairness", lines);
    const struct text t = page_of((const struct result *const *)&r, 1);
    assert_well_formed(t.s);
    assert_contains(t.s, "Not fair</b>: of 2 properties 1 fail.");
    assert_contains(t.s, "<b class=\"bad\">E2: 2 on 1</b>, F1 proportional share: 90 &gt;= 8; at nice 1.");
    assert_contains(t.s, "60.0 of 50.0 %");
    assert_contains(t.s, "Farthest below its share was <b>vCPU 1</b> in E2: 2 on 1: 40.0 of 50.0 %.");
    assert_contains(t.s, "1 more experiment, in which nothing failed");
    assert_true(strstr(t.s, "E2: 2 on 1: fail") < strstr(t.s, "E1: 2 on 1: pass"));
    assert_null(strstr(t.s, "bad\" data-t=\"\">reported")); /* what has no bound can't break it */
    assert_contains(t.s, "open\" data-t=\"\">reported");
    free(t.s);
    result_destroy(r);
}

/* A distribution of nothing but zeros, as of a NOP that a slow counter does not see. */
static void plot_of_times_below_a_tick_has_an_axis(void **state)
{
    static const char *const lines[] = {ENVIRONMENT("exits", "aarch64", "bare", "any"),
                                        "{\"type\":\"begin\",\"item\":\"nop\",\"timeout_ms\":1000}",
                                        ROW("nop", "control", "64", "0", "1"), NULL};
    (void)state;
    struct result *r = make("exits", lines);
    const struct text t = page_of((const struct result *const *)&r, 1);
    assert_well_formed(t.s);
    assert_null(strstr(t.s, "e-0"));
    free(t.s);
    result_destroy(r);
}

static void page_of_too_many_results_is_refused(void **state)
{
    (void)state;
    const struct result *r[17] = {NULL};
    struct err e = {0};
    assert_true(report_write(r, NULL, 17, text_add, NULL, &e) < 0);
    assert_contains(e.text, "17 results");
    assert_true(report_write(r, NULL, 0, text_add, NULL, &e) < 0);
}

/* A part of a page alone. */
struct page {
    FILE *f;
    char *text; /* when f is closed */
    size_t len;
};

static void page_open(struct page *p)
{
    *p = (struct page){0};
    p->f = open_memstream(&p->text, &p->len);
    assert_non_null(p->f);
}

static void put_escapes_text_and_broken_utf8(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"a<b>&\"'", "a&lt;b&gt;&amp;&quot;&#39;"},
        {"\xc2\xb5s \xf0\x9f\x98\x80", "\xc2\xb5s \xf0\x9f\x98\x80"},
        {"\xc3", "\xef\xbf\xbd"},                                 /* cut */
        {"\xc0\xbc", "\xef\xbf\xbd\xef\xbf\xbd"},                 /* '<' the long way */
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* half a surrogate pair */
        {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xc2\x9b\x1b[", "\xef\xbf\xbd\xef\xbf\xbd["}, /* terminal controls */
        {"a\nb\x7f", "a b\xef\xbf\xbd"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct page page;
        page_open(&page);
        html_put(page.f, "%s", cases[i].in);
        (void)fclose(page.f);
        assert_string_equal(page.text, cases[i].out);
        free(page.text);
    }
}

static void put_formats_numbers_and_long_texts(void **state)
{
    (void)state;
    char big[10000];
    struct page page;
    page_open(&page);
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    html_put(page.f, "<%d %.2f %u%% %c>%s", -3, 1e300, 7u, '&', big);
    (void)fclose(page.f);
    assert_contains(page.text, "<-3 1000");
    assert_contains(page.text, ".00 7% &amp;>x");
    assert_int_equal(strlen(strchr(page.text, 'x')), sizeof(big) - 1);
    free(page.text);
}

static void text_has_three_digits_and_a_unit(void **state)
{
    static const struct {
        double value;
        enum plot_unit unit;
        const char *out;
    } cases[] = {
        {0, PLOT_NS, "0 ns"},         {999.4, PLOT_NS, "999 ns"}, {999.6, PLOT_NS, "1 \xc2\xb5s"},
        {1.5e6, PLOT_NS, "1.5 ms"},   {2e12, PLOT_NS, "2000 s"},  {0.125, PLOT_PERCENT, "12.5 %"},
        {1000, PLOT_TAIL, "99.9"},    {2, PLOT_TAIL, "50"},       {NAN, PLOT_NS, "-"},
        {INFINITY, PLOT_NUMBER, "-"}, {-1, PLOT_NUMBER, "-"},     {10000, PLOT_NUMBER, "10000"},
    };
    char text[PLOT_TEXT_MAX];
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_string_equal(plot_text(cases[i].value, cases[i].unit, text), cases[i].out);
}

/* Whatever the ends and points are, a drawing has bounded length and no coordinate that is no number. */
static void plot_survives_absurd_axes(void **state)
{
    static const double ends[] = {0, -1, 1e-300, 1, 1e308, INFINITY, NAN};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(ends) * COUNT_OF(ends) * 2; i++) {
        const struct plot_axis a = {.low = ends[i % COUNT_OF(ends)],
                                    .high = ends[i / 2 / COUNT_OF(ends)],
                                    .is_log = i % 2,
                                    .unit = PLOT_NS,
                                    .label = "x"};
        const struct plot_frame f = {.title = "t", .x = a, .y = a};
        const struct plot_point at[] = {{ends[1], ends[4]}, {ends[5], ends[6]}, {1, 1}};
        struct page page;
        page_open(&page);
        struct plot p;
        plot_begin(&p, page.f, &f);
        plot_line(&p, 9, at, COUNT_OF(at));
        plot_bar(&p, 0, at[0], at[1]);
        plot_end(&p);
        struct strips s;
        strips_begin(&s, page.f, "t", &a, 20);
        strip_begin(&s, "row", 1);
        strip_area(&s, "f0", at, COUNT_OF(at));
        strip_mark(&s, "mark", ends[4], NULL);
        strip_bar(&s, "f0", ends[1], ends[6], "bar");
        strip_end(&s, &(const char *){"1"});
        strips_end(&s);
        (void)fclose(page.f);
        assert_true(page.len < 20000);
        assert_null(strstr(page.text, "nan"));
        assert_null(strstr(page.text, "inf"));
        assert_well_formed(page.text);
        free(page.text);
    }
}

static void published_figures_are_found_by_row(void **state)
{
    (void)state;
    assert_string_equal(published_find("aarch64", "mmio_vgic", 0)->unit, "ns");
    assert_non_null(published_find("x86_64", "pio_out_user", 1));
    assert_null(published_find("x86_64", "pio_out_user", 2));
    assert_null(published_find("x86_64", "mmio_vgic", 0));
}

UNIT_MAIN(UNIT(page_shows_every_row_with_its_figures), UNIT(page_opens_with_what_was_found),
          UNIT(page_names_rows_without_figures_at_its_end), UNIT(page_tells_failures_first_and_draws_lanes),
          UNIT(page_escapes_what_a_result_says), UNIT(page_needs_nothing_from_elsewhere),
          UNIT(page_sets_architectures_side_by_side), UNIT(page_shows_verdicts_with_their_inequalities),
          UNIT(page_says_what_is_unknown), UNIT(page_of_too_many_results_is_refused),
          UNIT(plot_of_times_below_a_tick_has_an_axis), UNIT(put_escapes_text_and_broken_utf8),
          UNIT(put_formats_numbers_and_long_texts), UNIT(text_has_three_digits_and_a_unit),
          UNIT(plot_survives_absurd_axes), UNIT(published_figures_are_found_by_row))

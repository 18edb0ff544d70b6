/* Where results were measured: in the title in a few words, and at the end of the page as a table, folded. */
#include <stdio.h>
#include <string.h>

#include "bench/report/view.h"

#define DATE_LEN  10 /* "2026-01-31" of a time in ISO 8601 */
#define NAMES_MAX 2  /* hosts that a title names; of more it gives the number */

static const struct {
    const char *title, *path;
} facts[] = {
    {"host is", "host.nature"},
    {"architecture", "arch"},
    {"CPU", "host.cpu"},
    {"CPUs", "host.cpus"},
    {"microcode", "host.microcode"},
    {"hypervisor above", "host.hypervisor"},
    {"kernel", "host.kernel"},
    {"KVM module", "host.module"},
    {"its parameters", "host.parameters"},
    {"halt polling, ns", "host.halt_poll_ns"},
    {"mitigations", "host.mitigations"},
    {"governor", "host.governor"},
    {"SMT", "host.smt"},
    {"scheduler", "scheduler"},
    {"counter", "counter"},
    {"costs, ticks (recorder: ns)", "cost"},
    {"options", "options"},
    {"Vireo", "vireo"},
    {"measured", "time"},
};
#define FACTS (sizeof(facts) / sizeof(facts[0]))

/* ---- the title ---- */

static const char *nature_words(const char *nature)
{
    static const char *const words[][2] = {{"bare", "bare metal"},
                                           {"pvm", "software KVM, PVM"},
                                           {"emulated", "emulated"},
                                           {"virtual", "a virtual machine"}};
    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(words[i][0], nature) == 0) return words[i][1];
    return nature;
}

static const char *text_of(const struct report_view *v, const char *path)
{
    const char *s = json_string_value(environment_at(v->result, path));
    return s ? s : "";
}

static void put_host(FILE *page, const struct report_view *v)
{
    const char *cpu = text_of(v, "host.cpu");
    html_put(page, "%s (%s%s%s)", cpu[0] ? cpu : "an unknown CPU", v->arch, v->nature[0] ? ", " : "",
             nature_words(v->nature));
}

static bool is_same_host(const struct report_view *a, const struct report_view *b)
{
    return strcmp(text_of(a, "host.cpu"), text_of(b, "host.cpu")) == 0 && strcmp(a->nature, b->nature) == 0 &&
           strcmp(a->arch, b->arch) == 0;
}

/* The results whose hosts are named: the first of each kind of host. */
static unsigned count_hosts(const struct report *r, const struct report_view *first[REPORT_RESULTS_MAX])
{
    unsigned n = 0;
    for (unsigned k = 0; k < r->count; k++) {
        unsigned i = 0;
        while (i < n && !is_same_host(first[i], &r->view[k])) i++;
        if (i == n) first[n++] = &r->view[k];
    }
    return n;
}

static void put_date(FILE *page, const char *before, const char *time)
{
    char date[DATE_LEN + 1];
    (void)snprintf(date, sizeof(date), "%s", time);
    html_put(page, "%s%s", before, date);
}

/* Dates sort as text. */
static void put_dates(const struct report *r)
{
    const char *low = text_of(&r->view[0], "time"), *high = low;
    for (unsigned k = 1; k < r->count; k++) {
        const char *time = text_of(&r->view[k], "time");
        if (strcmp(time, low) < 0) low = time;
        if (strcmp(time, high) > 0) high = time;
    }
    if (!high[0]) return;
    put_date(r->page, ", ", low);
    if (strncmp(low, high, DATE_LEN) != 0) put_date(r->page, " to ", high);
}

void report_put_hosts(const struct report *r)
{
    const struct report_view *host[REPORT_RESULTS_MAX];
    const unsigned n = count_hosts(r, host);
    if (n > NAMES_MAX) html_put(r->page, "%u hosts", n);
    for (unsigned i = 0; i < n && n <= NAMES_MAX; i++) {
        html_put(r->page, "%s", i ? " and " : "");
        put_host(r->page, host[i]);
    }
    put_dates(r);
}

/* ---- the table ---- */

static void put_value(FILE *page, const json_t *value)
{
    const char *key;
    json_t *member;
    bool is_first = true;
    if (json_is_string(value))
        html_put(page, "%s", json_string_value(value));
    else if (json_is_number(value))
        html_put(page, "%.10g", json_number_value(value));
    else if (json_is_boolean(value))
        html_put(page, "%s", json_is_true(value) ? "yes" : "no");
    else if (!json_is_object(value))
        html_put(page, "unknown");
    /* The macro asks for an object that may be changed, though it changes nothing. */
    json_object_foreach((json_t *)value, key, member)
    {
        report_put_item(page, &is_first, key);
        html_put(page, " ");
        if (json_is_null(member))
            html_put(page, "not given");
        else if (json_is_object(member))
            html_put(page, "{\xe2\x80\xa6}");
        else
            put_value(page, member);
    }
}

/* Does it differ between results? The time always does, which is no difference between hosts. */
static bool differs(const struct report *r, const char *path)
{
    const json_t *first = environment_at(r->view[0].result, path);
    for (unsigned k = 1; k < r->count; k++) {
        const json_t *other = environment_at(r->view[k].result, path);
        if (first != other && !json_equal(first, other)) return true;
    }
    return false;
}

static void put_facts(const struct report *r, bool is_different)
{
    for (unsigned i = 0; i < FACTS; i++) {
        if (differs(r, facts[i].path) != is_different) continue;
        html_put(r->page, "<tr><th scope=\"row\">%s</th>", facts[i].title);
        for (unsigned k = 0; k < r->count; k++) {
            html_put(r->page, "<td data-t=\"%s\">", r->view[k].letter);
            put_value(r->page, environment_at(r->view[k].result, facts[i].path));
            html_put(r->page, "</td>");
        }
        html_put(r->page, "</tr>\n");
    }
}

static void put_group(const struct report *r, const char *title)
{
    if (r->count > 1)
        html_put(r->page, "<tr class=\"group\"><th scope=\"rowgroup\" colspan=\"%u\">%s</th></tr>\n", r->count + 1,
                 title);
}

static void put_heads(const struct report *r)
{
    html_put(r->page, "<thead><tr><th></th>");
    for (unsigned k = 0; k < r->count; k++)
        html_put(r->page, "<th class=\"t\">%s %s</th>", r->view[k].letter, r->view[k].name);
    html_put(r->page, "</tr></thead>");
}

/* Did all of a result's processes see the same host? */
static bool is_one_host(const struct result *r)
{
    const json_t *first = json_object_get(json_array_get(r->environments, 0), "host");
    for (size_t i = 1; i < json_array_size(r->environments); i++)
        if (!json_equal(first, json_object_get(json_array_get(r->environments, i), "host"))) return false;
    return true;
}

void report_provenance(const struct report *r)
{
    report_fold(r->page, "Where it was measured");
    for (unsigned k = 0; k < r->count; k++)
        if (!is_one_host(r->view[k].result))
            html_put(r->page, "<p>%s %s: its processes did not all see the same host; shown is the first.</p>\n",
                     r->view[k].letter, r->view[k].name);
    html_put(r->page, "<div class=\"scroll\"><table class=\"rows facts\">");
    put_heads(r);
    html_put(r->page, "<tbody>\n");
    put_group(r, "What differs");
    put_facts(r, true);
    put_group(r, "What is the same in all");
    put_facts(r, false);
    html_put(r->page, "<tr><th scope=\"row\">processes</th>");
    for (unsigned k = 0; k < r->count; k++)
        html_put(r->page, "<td data-t=\"%s\">%u</td>", r->view[k].letter,
                 (unsigned)json_array_size(r->view[k].result->environments));
    html_put(r->page, "</tr></tbody></table></div>\n");
    report_unfold(r->page);
}

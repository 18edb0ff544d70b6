/* The part of the page about how vCPUs share processors: what was found in a sentence, a lane over time for each vCPU,
 * a line for each experiment, then every inequality with its numbers. */
#include "bench/report/fair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/fair/judge.h"

#define LANE_PX    30
#define LANES_OPEN 14 /* lanes that are shown at once where nothing failed: a screen of them */
#define FAILS_TOLD 4  /* failed properties that the opening tells whole; the others are in the table */

struct trials { /* of all results; those in which something fails come first */
    struct trial *at;
    unsigned count;
};

/* ---- trials ---- */

const char *trial_name(const struct trial *t, char buf[TRIAL_NAME_MAX])
{
    const char *variant = json_text(t->experiment, "variant");
    (void)snprintf(buf, TRIAL_NAME_MAX, "%s%s%s%s%s", t->view->letter, t->view->letter[0] ? " " : "",
                   json_text(t->experiment, "id"), variant[0] ? ": " : "", variant);
    return buf;
}

static bool was_run(const struct trial *t)
{
    struct finding f;
    return experiment_finding(t->experiment, 0, &f);
}

const char *trial_verdict(const struct trial *t)
{
    if (!was_run(t)) return json_text(t->experiment, "status");
    return verdicts[t->count[VERDICT_FAIL]           ? VERDICT_FAIL
                    : t->count[VERDICT_INCONCLUSIVE] ? VERDICT_INCONCLUSIVE
                                                     : VERDICT_PASS];
}

static struct trial make_trial(const struct report_view *v, const json_t *experiment)
{
    struct trial t = {.view = v, .experiment = experiment};
    struct finding f;
    for (size_t i = 0; experiment_finding(experiment, i, &f); i++) {
        t.count[f.verdict]++;
        t.has_shares |=
            strcmp(f.id, "F1") == 0 || strcmp(f.id, "F2") == 0 || strcmp(f.id, "F10") == 0 || strcmp(f.id, "F12") == 0;
    }
    return t;
}

/* 0 or -1: no memory. */
static int collect(const struct report *r, struct trials *out)
{
    size_t n = 1;
    for (unsigned k = 0; k < r->count; k++) n += json_array_size(r->view[k].result->experiments);
    out->at = calloc(n, sizeof(*out->at));
    if (!out->at) return -1;
    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned k = 0; k < r->count; k++) {
            const json_t *list = r->view[k].result->experiments;
            for (size_t i = 0; i < json_array_size(list); i++) {
                const struct trial t = make_trial(&r->view[k], json_array_get(list, i));
                if ((t.count[VERDICT_FAIL] > 0) == (pass == 0)) out->at[out->count++] = t;
            }
        }
    }
    return 0;
}

static const char *property_title(const char *id)
{
    for (unsigned i = 0; i < FAIR_PROPERTY_COUNT; i++)
        if (strcmp(fair_properties[i].id, id) == 0) return fair_properties[i].title;
    return "";
}

/* ---- what was found ---- */

static unsigned count_all(const struct trials *all, enum verdict v)
{
    unsigned n = 0;
    for (unsigned i = 0; i < all->count; i++) n += all->at[i].count[v];
    return n;
}

static void put_text(FILE *page, const struct finding *f)
{
    html_put(page, "%s%s", f->text, f->text[0] && f->reason[0] && !f->is_identity ? "; " : "");
    if (!f->is_identity) html_put(page, "%s", f->reason);
}

/* The failures, each with its inequality and its cause. */
static void put_failures(FILE *page, const struct trials *all)
{
    unsigned told = 0;
    char name[TRIAL_NAME_MAX];
    struct finding f;
    html_put(page, "<ul>");
    for (unsigned i = 0; i < all->count; i++) {
        for (size_t k = 0; experiment_finding(all->at[i].experiment, k, &f); k++) {
            if (f.verdict != VERDICT_FAIL || told++ >= FAILS_TOLD) continue;
            html_put(page, "<li><b class=\"bad\">%s</b>, %s %s: ", trial_name(&all->at[i], name), f.id,
                     property_title(f.id));
            put_text(page, &f);
            html_put(page, ".</li>\n");
        }
    }
    if (told > FAILS_TOLD) html_put(page, "<li>%u more, in the table below.</li>\n", told - FAILS_TOLD);
    html_put(page, "</ul>\n");
}

/* Is a share of each vCPU held to a bound? Of weights that can't be given, or of more CPUs than one, it is reported. */
static bool has_bound(const struct trial *t)
{
    struct finding f;
    for (size_t k = 0; experiment_finding(t->experiment, k, &f); k++) {
        const bool is_share = strcmp(f.id, "F1") == 0 || strcmp(f.id, "F2") == 0;
        if (is_share && (f.verdict == VERDICT_PASS || f.verdict == VERDICT_FAIL)) return true;
    }
    return false;
}

/* The vCPU that lacked the largest part of such a share, whatever the verdict. */
static void put_farthest(FILE *page, const struct trials *all)
{
    struct trial_lack worst = {.lack = -1};
    for (unsigned i = 0; i < all->count; i++) {
        if (!has_bound(&all->at[i])) continue;
        const struct trial_lack one = trial_lack_of(&all->at[i]);
        if (one.lack > worst.lack) worst = one;
    }
    if (worst.lack < 0) return;
    html_put(page, " Farthest below its share was <b>%s</b> in %s: %.1f of %.1f %%.", worst.vcpu, worst.trial,
             100 * worst.got, 100 * worst.share);
}

static void put_finding(FILE *page, const struct trials *all)
{
    const unsigned pass = count_all(all, VERDICT_PASS), fail = count_all(all, VERDICT_FAIL),
                   undecided = count_all(all, VERDICT_INCONCLUSIVE);
    unsigned run = 0;
    for (unsigned i = 0; i < all->count; i++) run += was_run(&all->at[i]);
    html_put(page, "<p class=\"finding\">");
    if (fail > 0)
        html_put(page, "<b class=\"bad\">Not fair</b>: of %u properties %u fail.", fail + pass + undecided, fail);
    else if (undecided >= pass)
        html_put(page, "<b>Undecided</b>: %u of %u properties could not be judged.", undecided, pass + undecided);
    else if (undecided > 0)
        html_put(page, "<b>Nothing unfair was found</b>: %u properties hold, none fails, %u could not be judged.", pass,
                 undecided);
    else
        html_put(page, "<b class=\"good\">Fair</b>: all %u properties hold in %u experiments.", pass, run);
    put_farthest(page, all);
    html_put(page, "</p>\n");
    if (fail > 0) put_failures(page, all);
}

/* ---- lanes ---- */

static void put_lanes(FILE *page, const struct trial *t, unsigned n)
{
    const struct plot_axis x = trial_lanes_axis(t, n);
    struct strips s;
    strips_begin(&s, page, "What each vCPU got over time", &x, LANE_PX);
    for (unsigned i = 0; i < n; i++)
        if (trial_has_lanes(&t[i])) trial_put_lanes(&s, &t[i]);
    strips_end(&s);
}

/* All in which something failed; else as many as fit on a screen. */
static unsigned count_open(const struct trials *all)
{
    unsigned n = 0, lanes = 0;
    while (n < all->count && all->at[n].count[VERDICT_FAIL] > 0) n++;
    if (n > 0) return n;
    while (n < all->count) {
        lanes += (unsigned)json_array_size(json_object_get(all->at[n].experiment, "vcpus"));
        if (n > 0 && lanes > LANES_OPEN) break;
        n++;
    }
    return n;
}

static unsigned count_lanes(const struct trial *t, unsigned n)
{
    unsigned found = 0;
    for (unsigned i = 0; i < n; i++) found += trial_has_lanes(&t[i]);
    return found;
}

static void put_all_lanes(FILE *page, const struct trials *all)
{
    static const struct report_look looks[] = {
        {LOOK_PATCH, "got", "what it got"},
        {LOOK_LINE, "due", "what it should have had"},
        {LOOK_PATCH, "owed", "what it lacked"},
    };
    const unsigned open = count_open(all), rest = count_lanes(all->at + open, all->count - open);
    char title[80];
    if (count_lanes(all->at, open) + rest == 0) return;
    report_legend(page, looks, 3);
    put_lanes(page, all->at, open);
    html_put(page, "<p class=\"note\">Each lane is a vCPU over time: its part of the CPU time that all vCPUs of the "
                   "experiment got together. Where what it should have had is not a share of that, no line is "
                   "drawn.</p>\n");
    if (rest == 0) return;
    (void)snprintf(title, sizeof(title), "%u more experiment%s%s", rest, rest == 1 ? "" : "s",
                   count_all(all, VERDICT_FAIL) ? ", in which nothing failed" : "");
    report_fold(page, title);
    put_lanes(page, all->at + open, all->count - open);
    report_unfold(page);
}

/* ---- verdicts ---- */

/* "F1 F3", the findings of one verdict. */
static void put_ids(FILE *page, const char *title, const struct trial *t, enum verdict v)
{
    struct finding f;
    html_put(page, "<td class=\"t\" data-t=\"%s\">", title);
    if (t->count[v] == 0) html_put(page, "\xe2\x80\x93");
    for (size_t i = 0; experiment_finding(t->experiment, i, &f); i++)
        if (f.verdict == v) html_put(page, "<span class=\"%s\">%s</span> ", v == VERDICT_FAIL ? "bad" : "", f.id);
    html_put(page, "</td>");
}

static void put_verdicts(FILE *page, const struct trials *all)
{
    static const struct {
        const char *title;
        enum verdict verdict;
    } columns[] = {{"fails", VERDICT_FAIL},
                   {"undecided", VERDICT_INCONCLUSIVE},
                   {"holds", VERDICT_PASS},
                   {"reported", VERDICT_REPORTED}};
    char name[TRIAL_NAME_MAX];
    html_put(page,
             "<div class=\"scroll\"><table class=\"rows\"><thead><tr><th>experiment</th><th class=\"t\">verdict</th>");
    for (unsigned c = 0; c < 4; c++) html_put(page, "<th class=\"t\">%s</th>", columns[c].title);
    html_put(page, "</tr></thead><tbody>\n");
    for (unsigned i = 0; i < all->count; i++) {
        const struct trial *t = &all->at[i];
        if (!was_run(t)) continue;
        html_put(page, "<tr><th scope=\"row\">%s</th>", trial_name(t, name));
        report_put_word_cell(page, "", trial_verdict(t));
        for (unsigned c = 0; c < 4; c++) put_ids(page, columns[c].title, t, columns[c].verdict);
        html_put(page, "</tr>\n");
    }
    html_put(page, "</tbody></table></div>\n");
}

/* What the letters stand for: those that are on the page. */
static void put_words(FILE *page, const struct trials *all)
{
    html_put(page, "<p class=\"note\">");
    for (unsigned i = 0; i < FAIR_PROPERTY_COUNT; i++) {
        struct finding f;
        bool is_used = false;
        for (unsigned k = 0; k < all->count && !is_used; k++)
            for (size_t n = 0; experiment_finding(all->at[k].experiment, n, &f) && !is_used; n++)
                is_used = strcmp(f.id, fair_properties[i].id) == 0;
        if (is_used) html_put(page, "<b>%s</b> %s. ", fair_properties[i].id, fair_properties[i].title);
    }
    html_put(page, "C1 to C4 check the measurement itself. Reported is what has no bound.</p>\n");
}

static void put_inequalities(FILE *page, const struct trial *t)
{
    char name[TRIAL_NAME_MAX];
    struct finding f;
    if (!was_run(t)) return;
    html_put(page, "<tbody><tr class=\"group\"><th scope=\"rowgroup\" colspan=\"3\">%s%s%s</th></tr>\n",
             trial_name(t, name), json_text(t->experiment, "detail")[0] ? ". " : "",
             json_text(t->experiment, "detail"));
    for (size_t i = 0; experiment_finding(t->experiment, i, &f); i++) {
        html_put(page, "<tr><th scope=\"row\">%s</th>", f.id);
        report_put_word_cell(page, "", f.word);
        html_put(page, "<td class=\"t\">");
        put_text(page, &f);
        html_put(page, "</td></tr>\n");
    }
    html_put(page, "</tbody>");
}

/* What this host can't run, in one paragraph. */
static void put_missing(FILE *page, const struct trials *all)
{
    char name[TRIAL_NAME_MAX];
    bool is_first = true;
    for (unsigned i = 0; i < all->count; i++) {
        const struct trial *t = &all->at[i];
        if (was_run(t)) continue;
        html_put(page, is_first ? "<p class=\"note\">Not run: " : "; ");
        html_put(page, "%s (%s%s%s)", trial_name(t, name), trial_verdict(t),
                 json_text(t->experiment, "detail")[0] ? ": " : "", json_text(t->experiment, "detail"));
        is_first = false;
    }
    if (!is_first) html_put(page, ".</p>\n");
}

/* ---- the section ---- */

void report_fairness(const struct report *r)
{
    struct trials all = {.count = 0};
    if (collect(r, &all)) {
        html_put(r->page, "<p class=\"bad\">There was no memory for the experiments.</p>\n");
        return;
    }
    put_finding(r->page, &all);
    put_all_lanes(r->page, &all);
    put_verdicts(r->page, &all);
    put_words(r->page, &all);
    report_fold(r->page, "Every inequality with its numbers");
    html_put(r->page, "<div class=\"scroll\"><table>");
    for (unsigned i = 0; i < all.count; i++) put_inequalities(r->page, &all.at[i]);
    html_put(r->page, "</table></div>\n");
    report_unfold(r->page);
    report_fold(r->page, "How errors fall with time, and how long vCPUs were away");
    for (unsigned i = 0; i < all.count; i++) trial_put_plots(r->page, &all.at[i]);
    report_unfold(r->page);
    put_missing(r->page, &all);
    free(all.at);
}

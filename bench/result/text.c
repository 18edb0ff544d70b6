/* A result for people: where it was measured, then tables. Nothing is left out: a row that has no figures says why. */
#include <inttypes.h>
#include <string.h>

#include "bench/report/published.h"
#include "bench/result/model.h"
#include "bench/result/parse.h"
#include "bench/result/table.h"

/* ---- provenance ---- */

struct fact {
    const char *before, *path, *after;
};

#define WIDTH  120 /* of the head's lines, as of the tables */
#define INDENT 12

struct wrap {
    FILE *f;
    int column, blanks; /* blanks: seen, and printed when no line ends there */
};

/* Word by word, with a new line where the next one would not fit. */
static void print_wrapped(struct wrap *w, const char *s)
{
    for (;;) {
        w->blanks += (int)strspn(s, " ");
        s += strspn(s, " ");
        const int n = (int)strcspn(s, " ");
        char word[WIDTH];
        if (n == 0) return;
        if (w->blanks > 0 && w->column + w->blanks + n > WIDTH) {
            w->column = INDENT;
            w->blanks = 0;
            fprintf(w->f, "\n%*s", INDENT, "");
        }
        (void)snprintf(word, sizeof(word), "%*s%.*s", w->blanks, "", n, s);
        print_safe(w->f, word);
        w->column += w->blanks + n;
        w->blanks = 0;
        s += n;
    }
}

static void print_facts(FILE *f, const struct result *r, const char *label, const struct fact *fact)
{
    char buf[ENVIRONMENT_TEXT_MAX];
    struct wrap w = {f, INDENT, 0};
    fprintf(f, "  %-10s", label);
    for (; fact->path; fact++) {
        print_wrapped(&w, fact->before);
        print_wrapped(&w, environment_text(r, fact->path, buf));
        print_wrapped(&w, fact->after);
    }
    fputc('\n', f);
}

static void print_cost(FILE *f, const struct result *r, const char *what, const char *path, double ns)
{
    const json_t *v = environment_at(r, path);
    if (json_is_number(v))
        fprintf(f, "  %-10s%s %.0f ns\n", "", what, json_number_value(v) * ns);
    else
        fprintf(f, "  %-10s%s: not measured\n", "", what);
}

static void print_counter(FILE *f, const struct result *r)
{
    const double hz = environment_hz(r), ns = 1e9 / hz;
    const json_t *shared = environment_at(r, "counter.is_shared"), *error = environment_at(r, "counter.offset_error");
    char buf[ENVIRONMENT_TEXT_MAX];
    if (!environment_at(r, "counter")) return;
    fprintf(f, "  %-10s", "counter");
    print_safe(f, environment_text(r, "counter.name", buf));
    fprintf(f, " at %.3f MHz, a tick is %.3f ns; the guest's is %s", hz / 1e6, ns,
            json_is_true(shared)    ? "the same"
            : json_is_false(shared) ? "another"
                                    : "unknown");
    if (json_is_number(error) && json_number_value(error) > 0)
        fprintf(f, ", its offset known within %.0f ns", json_number_value(error) * ns);
    fputc('\n', f);
    if (!environment_at(r, "cost")) return;
    print_cost(f, r, "two reads of it", "cost.counter_read", ns);
    print_cost(f, r, "C, an ioctl on the VM", "cost.vm_ioctl", ns);
    print_cost(f, r, "B, KVM_RUN that returns at once", "cost.kvm_run_immediate", ns);
    print_cost(f, r, "recording an exit", "cost.recorder_ns", 1);
}

static void print_provenance(FILE *f, const struct result *r)
{
    static const struct fact host[] = {{"", "host.nature", ", "},
                                       {"", "host.cpu", ", microcode "},
                                       {"", "host.microcode", ", CPUs "},
                                       {"", "host.cpus", ", SMT "},
                                       {"", "host.smt", ""},
                                       {", hypervisor ", "host.hypervisor", ""},
                                       {0}};
    static const struct fact kernel[] = {
        {"", "host.kernel", ", "}, {"", "host.module", ": "}, {"", "host.parameters", ""}, {0}};
    static const struct fact power[] = {{"halt polling ", "host.halt_poll_ns", " ns, governor "},
                                        {"", "host.governor", ", mitigations "},
                                        {"", "host.mitigations", ""},
                                        {0}};
    static const struct fact options[] = {{"", "options", ""}, {0}};
    char arch[ENVIRONMENT_TEXT_MAX], version[ENVIRONMENT_TEXT_MAX], time[ENVIRONMENT_TEXT_MAX];
    const size_t processes = json_array_size(r->environments);
    fprintf(f, "vireo bench %s: ", r->kind);
    print_safe(f, environment_text(r, "arch", arch));
    fputs(", vireo ", f);
    print_safe(f, environment_text(r, "vireo", version));
    fputs(", ", f);
    print_safe(f, environment_text(r, "time", time));
    fprintf(f, ", %zu process%s\n", processes, processes == 1 ? "" : "es");
    print_facts(f, r, "host", host);
    print_facts(f, r, "kernel", kernel);
    print_facts(f, r, "settings", power);
    print_facts(f, r, "options", options);
    print_counter(f, r);
}

/* ---- exits ---- */

static void cell_figure(struct table *t, bool is_known, double v)
{
    if (!is_known)
        table_cell(t, "n/a");
    else
        table_cell(t, v < 100 ? "%.1f" : "%.0f", v);
}

static void cell_interval(struct table *t, const struct interval *i, double unit)
{
    if (!i->is_known)
        table_cell(t, "n/a");
    else
        table_cell(t, i->high * unit < 100 ? "%.1f-%.1f" : "%.0f-%.0f", i->low * unit, i->high * unit);
}

static void cell_status(struct table *t, const struct result_row *r)
{
    const unsigned n = row_count_status(r, r->status);
    if (n == r->processes)
        table_cell(t, "%s", row_status_name(r->status));
    else
        table_cell(t, "%s %u/%u", row_status_name(r->status), n, r->processes);
}

static const double shares[] = {0.9, 0.99, 0.999};

/* unit: of a tick, 1 for ticks. */
static void print_latency(FILE *f, const struct result *r, const char *title, double unit)
{
    struct table t;
    fprintf(f, "\n%s\n", title);
    table_init(&t, f, "row <|group <|status <|samples|p50|95 %|p90|p99|p99.9|max|baseline");
    for (unsigned i = 0; i < r->rows; i++) {
        const struct result_row *row = &r->row[i];
        const struct dist *d = &row->phase[row_headline_phase(row)];
        const double one = unit / row->batch;
        struct interval bounds;
        const double p50 = row_headline(row, &bounds), baseline = row_baseline(row);
        const bool has_figures = row->status == ROW_OK && d->count > 0;
        table_cell(&t, "%s", row->id);
        table_cell(&t, "%s", row->group);
        cell_status(&t, row);
        table_cell(&t, "%" PRIu64, row->samples);
        cell_figure(&t, p50 >= 0, p50 * unit);
        cell_interval(&t, &bounds, unit);
        for (unsigned q = 0; q < 3; q++) cell_figure(&t, has_figures, (double)dist_quantile(d, shares[q]) * one);
        cell_figure(&t, has_figures, (double)d->max * one);
        cell_figure(&t, baseline >= 0, baseline * one);
        table_end_row(&t);
    }
    table_fini(&t);
}

static void print_spread(FILE *f, const struct result *r, double ns)
{
    struct table t;
    fputs("\nns, quantiles over all samples with their 95 % interval by order statistics; undisturbed: without the "
          "samples in\n"
          "which the host was seen to do something else\n",
          f);
    table_init(&t, f, "row <|p50|p99|p99.9|disturbed|undisturbed p50|p99|p99.9|max");
    for (unsigned i = 0; i < r->rows; i++) {
        const struct result_row *row = &r->row[i];
        const struct dist *d = &row->phase[row_headline_phase(row)], *calm = &row->phase[PHASE_UNDISTURBED];
        static const double spread[] = {0.5, 0.99, 0.999};
        if (d->count == 0) continue;
        table_cell(&t, "%s", row->id);
        for (unsigned q = 0; q < 3; q++) {
            const struct interval bounds = dist_interval(d, spread[q]);
            cell_interval(&t, &bounds, ns / row->batch);
        }
        table_cell(&t, "%" PRIu64, row->disturbed);
        for (unsigned q = 0; q < 3; q++)
            cell_figure(&t, calm->count, (double)dist_quantile(calm, spread[q]) * ns / row->batch);
        cell_figure(&t, calm->count, (double)calm->max * ns / row->batch);
        table_end_row(&t);
    }
    table_fini(&t);
}

static void print_phases(FILE *f, const struct result *r, double ns)
{
    static const enum phase leg[] = {PHASE_EXIT_LEG, PHASE_USER, PHASE_ENTRY_LEG, PHASE_KVM_RUN};
    struct table t;
    fputs("\nns, p50 of each phase; exit_leg + user + entry_leg = rtt within the residual; exits as the kernel counted "
          "them\n",
          f);
    table_init(&t, f, "row <|exit_leg|user|entry_leg|kvm_run|identity <|residual|expected|counted|counts <");
    for (unsigned i = 0; i < r->rows; i++) {
        const struct result_row *row = &r->row[i];
        const double one = ns / row->batch;
        table_cell(&t, "%s", row->id);
        for (unsigned p = 0; p < 4; p++)
            cell_figure(&t, row->phase[leg[p]].count, (double)dist_quantile(&row->phase[leg[p]], 0.5) * one);
        table_cell(&t, "%s", !row->has_identity ? "n/a" : row->identity_holds ? "holds" : "fails");
        cell_figure(&t, row->has_identity, row->identity_residual * one);
        table_cell(&t, row->has_expected ? "%" PRIu64 : "n/a", row->exits_expected);
        table_cell(&t, row->has_exits ? "%" PRIu64 : "n/a", row->exits_counted);
        table_cell(&t, "%s", !row->has_expected ? "n/a" : row->exits_agree ? "agree" : "differ");
        table_end_row(&t);
    }
    table_fini(&t);
}

static void print_reasons(FILE *f, const struct result *r)
{
    bool has_title = false;
    for (unsigned i = 0; i < r->rows; i++) {
        const struct result_row *row = &r->row[i];
        if (!row->detail[0]) continue;
        if (!has_title) fputs("\nremarks\n", f);
        has_title = true;
        fprintf(f, "  %s: ", row->id);
        for (unsigned s = ROW_NO_EXIT; s < ROW_STATUS_COUNT; s++) {
            const unsigned n = row_count_status(row, s);
            if (n) fprintf(f, "%s in %u of %u: ", row_status_name(s), n, row->processes);
        }
        print_safe(f, row->detail);
        fputc('\n', f);
    }
}

static void print_published(FILE *f, const struct result *r, double ns)
{
    const char *arch = json_string_value(environment_at(r, "arch"));
    struct table t;
    table_init(&t, f, "row <|ours ns|ours ticks|published|unit <|hardware <|source <");
    for (unsigned i = 0; arch && i < r->rows; i++) {
        const struct result_row *row = &r->row[i];
        const struct published *p;
        const double ticks = row_headline(row, NULL);
        for (unsigned n = 0; ticks >= 0 && (p = published_find(arch, row->id, n)) != NULL; n++) {
            table_cell(&t, "%s", row->id);
            cell_figure(&t, true, ticks * ns);
            cell_figure(&t, true, ticks);
            table_cell(&t, p->high > p->low ? "%.0f-%.0f" : "%.0f", p->low, p->high);
            table_cell(&t, "%s", p->unit);
            table_cell(&t, "%s", p->hardware);
            table_cell(&t, "%s", p->source);
            table_end_row(&t);
        }
    }
    if (t.cells)
        fputs("\nbeside what others published, on their hardware; cycles are a core's, ticks the counter's\n", f);
    table_fini(&t);
}

static void print_exits(FILE *f, const struct result *r)
{
    const double ns = 1e9 / environment_hz(r);
    const char *nature = json_string_value(environment_at(r, "host.nature"));
    if (nature && strcmp(nature, "bare") != 0)
        fprintf(f, "This host is not bare metal: the durations are its own; counts, order and relations carry over.\n");
    print_latency(
        f, r, "ns: p50 is the median over processes of their p50, 95 % its interval; the rest over all samples", ns);
    print_latency(f, r, "ticks: the same", 1);
    print_spread(f, r, ns);
    print_phases(f, r, ns);
    print_reasons(f, r);
    print_published(f, r, ns);
}

/* ---- fairness ---- */

static double sum_of(const json_t *list)
{
    double sum = 0;
    for (size_t i = 0; i < json_array_size(list); i++) sum += json_number_value(json_array_get(list, i));
    return sum;
}

static void print_shares(FILE *f, const json_t *vcpus)
{
    struct table t;
    double all = 0;
    for (size_t i = 0; i < json_array_size(vcpus); i++)
        all += sum_of(json_object_get(json_array_get(vcpus, i), "charged"));
    table_init(&t, f, "   vm|vcpu|charged ms|share %|entitled %");
    for (size_t i = 0; i < json_array_size(vcpus) && all > 0; i++) {
        const json_t *v = json_array_get(vcpus, i), *share = json_object_get(v, "share");
        const double charged = sum_of(json_object_get(v, "charged"));
        table_cell(&t, "%.0f", json_number_value(json_object_get(v, "vm")));
        table_cell(&t, "%.0f", json_number_value(json_object_get(v, "vcpu")));
        table_cell(&t, "%.1f", charged / 1e6);
        table_cell(&t, "%.2f", 100 * charged / all);
        table_cell(&t, json_is_number(share) ? "%.2f" : "n/a", 100 * json_number_value(share));
        table_end_row(&t);
    }
    table_fini(&t);
}

static void print_finding(FILE *f, const json_t *x, const char *verdict)
{
    const char *reason = json_text(x, "reason", "");
    fprintf(f, "   %-4s %-12s ", json_text(x, "id", ""), verdict);
    print_safe(f, json_text(x, "text", ""));
    if (reason[0]) fputs(json_text(x, "text", "")[0] ? "; " : "", f);
    print_safe(f, reason);
    fputc('\n', f);
}

static void print_experiment(FILE *f, const json_t *x)
{
    const json_t *one;
    size_t i;
    fprintf(f, "\n%s ", json_text(x, "id", ""));
    print_safe(f, json_text(x, "variant", ""));
    fprintf(f, ": %s", json_text(x, "status", ""));
    if (json_text(x, "detail", "")[0]) fputs("; ", f);
    print_safe(f, json_text(x, "detail", ""));
    fputc('\n', f);
    print_shares(f, json_object_get(x, "vcpus"));
    json_array_foreach(json_object_get(x, "identities"), i, one)
    {
        const json_t *holds = json_object_get(one, "holds");
        print_finding(f, one, json_is_true(holds) ? "holds" : json_is_false(holds) ? "fails" : "unknown");
    }
    json_array_foreach(json_object_get(x, "properties"), i, one)
    {
        print_finding(f, one, json_text(one, "verdict", ""));
    }
}

static unsigned count_verdict(const json_t *x, const char *verdict)
{
    const json_t *properties = json_object_get(x, "properties");
    unsigned n = 0;
    for (size_t i = 0; i < json_array_size(properties); i++)
        n += strcmp(json_text(json_array_get(properties, i), "verdict", ""), verdict) == 0;
    return n;
}

static void print_experiments(FILE *f, const struct result *r)
{
    unsigned pass = 0, fail = 0, open = 0, told = 0;
    for (size_t i = 0; i < json_array_size(r->experiments); i++) {
        const json_t *x = json_array_get(r->experiments, i);
        print_experiment(f, x);
        pass += count_verdict(x, "pass");
        fail += count_verdict(x, "fail");
        open += count_verdict(x, "inconclusive");
        told += count_verdict(x, "reported");
    }
    fprintf(f, "\nproperties: %u pass, %u fail, %u inconclusive, %u reported without a bound\n", pass, fail, open,
            told);
}

void result_text(FILE *f, const struct result *r)
{
    print_provenance(f, r);
    if (strcmp(r->kind, "exits") == 0)
        print_exits(f, r);
    else
        print_experiments(f, r);
}

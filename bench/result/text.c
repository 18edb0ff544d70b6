/* A result for people: where it was measured, then tables. Nothing is left out: a row that has no figures says why. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/report/published.h"
#include "bench/result/column.h"
#include "bench/result/model.h"
#include "vmm/base/text.h"

/* ---- provenance ---- */

#define WIDTH     120 /* of the head's lines, as of the tables */
#define INDENT    12
#define PATH_ROOM 64 /* of a value in the environment: "host.mitigations" */

/* Print a line in which the environment's values take the place of their paths, as in "{host.cpu}, SMT {host.smt}". */
static void print_filled(FILE *f, const struct result *r, const char *line)
{
    while (*line) {
        char path[PATH_ROOM], value[ENVIRONMENT_TEXT_MAX];
        const int before = (int)strcspn(line, "{"), n = (int)strcspn(line + before, "}");
        fprintf(f, "%.*s", before, line);
        line += before;
        if (n == 0) return;
        (void)snprintf(path, sizeof(path), "%.*s", n - 1, line + 1);
        text_put_safe(f, environment_text(r, path, value));
        line += n + 1;
    }
}

/* Print s, with a new line in place of the blanks before a word that would not fit. */
static void print_wrapped(FILE *f, const char *s)
{
    int column = INDENT;
    while (*s) {
        const int blanks = (int)strspn(s, " "), word = (int)strcspn(s + blanks, " ");
        const bool is_new_line = column + blanks + word > WIDTH && blanks > 0;
        if (word == 0) return;
        if (is_new_line) fprintf(f, "\n%*s", INDENT, "");
        fprintf(f, "%*s%.*s", is_new_line ? 0 : blanks, "", word, s + blanks);
        column = is_new_line ? INDENT + word : column + blanks + word;
        s += blanks + word;
    }
}

static void print_facts(FILE *f, const struct result *r)
{
    static const struct {
        const char *label, *line;
    } facts[] = {
        {"host", "{host.nature}, {host.cpu}, microcode {host.microcode}, CPUs {host.cpus}, SMT {host.smt}, "
                 "hypervisor {host.hypervisor}"},
        {"kernel", "{host.kernel}, {host.module}: {host.parameters}"},
        {"settings", "halt polling {host.halt_poll_ns} ns, governor {host.governor}, mitigations {host.mitigations}"},
        {"options", "{options}"},
    };
    for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
        char *line = NULL;
        size_t len;
        FILE *memory = open_memstream(&line, &len);
        if (memory) print_filled(memory, r, facts[i].line);
        if (memory) (void)fclose(memory);
        fprintf(f, "  %-10s", facts[i].label);
        print_wrapped(f, line ? line : "");
        fputc('\n', f);
        free(line);
    }
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
    if (!environment_at(r, "counter")) return;
    print_filled(f, r, "  counter   {counter.name}");
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
    const size_t processes = json_array_size(r->environments);
    fprintf(f, "vireo bench %s: ", result_kind(r));
    print_filled(f, r, "{arch}, vireo {vireo}, {time}");
    fprintf(f, ", %zu process%s\n", processes, processes == 1 ? "" : "es");
    print_facts(f, r);
    print_counter(f, r);
}

/* ---- exits ---- */

static const struct column latency[] = {
    COLUMN("row <", "row"),
    COLUMN("group <", "group"),
    COLUMN("status <", "status"),
    COLUMN("in <", "processes_ok", .to = "processes", .between = " of "),
    COLUMN("samples", "samples"),
    COLUMN("p50", "headline.p50"),
    COLUMN("95 %", "headline.low", .to = "headline.high"),
    COLUMN("all p50", "headline.all"),
    COLUMN("p90", "phases.*.quantiles.p90.ticks"),
    COLUMN("p99", "phases.*.quantiles.p99.ticks"),
    COLUMN("p99.9", "phases.*.quantiles.p999.ticks"),
    COLUMN("max", "phases.*.max"),
    COLUMN("baseline", "baseline"),
    {0},
};
static const struct column spread[] = {
    COLUMN("row <", "row"),
    COLUMN("p50", "phases.*.quantiles.p50.low", .to = "phases.*.quantiles.p50.high"),
    COLUMN("p99", "phases.*.quantiles.p99.low", .to = "phases.*.quantiles.p99.high"),
    COLUMN("p99.9", "phases.*.quantiles.p999.low", .to = "phases.*.quantiles.p999.high"),
    COLUMN("disturbed", "disturbed"),
    COLUMN("undisturbed p50", "phases.rtt_undisturbed.quantiles.p50.ticks"),
    COLUMN("p99", "phases.rtt_undisturbed.quantiles.p99.ticks"),
    COLUMN("p99.9", "phases.rtt_undisturbed.quantiles.p999.ticks"),
    COLUMN("max", "phases.rtt_undisturbed.max"),
    {0},
};
static const struct column phases[] = {
    COLUMN("row <", "row"),
    COLUMN("exit_leg", "phases.exit_leg.quantiles.p50.ticks"),
    COLUMN("user", "phases.user.quantiles.p50.ticks"),
    COLUMN("entry_leg", "phases.entry_leg.quantiles.p50.ticks"),
    COLUMN("kvm_run", "phases.kvm_run.quantiles.p50.ticks"),
    COLUMN("identity <", "identity.holds"),
    COLUMN("residual", "identity.residual"),
    COLUMN("expected", "exits.expected"),
    COLUMN("counted", "exits.counted"),
    COLUMN("counts <", "exits.verdict"),
    {0},
};
static const struct layout {
    const char *title;
    const struct column *columns;
    bool is_in_ticks, is_of_measured; /* only of rows that have a distribution */
} layouts[] = {
    {.title =
         "ns: p50 is the median over processes of each one's p50 without disturbed samples, 95 % its interval; all p50 "
         "the\nsame with them; the rest over all samples, n/a where there are too few",
     .columns = latency},
    {.title = "ticks: the same", .columns = latency, .is_in_ticks = true},
    {.title = "ns, quantiles over all samples with their 95 % interval by order statistics; undisturbed: without the "
              "samples in\nwhich the host was seen to do something else",
     .columns = spread,
     .is_of_measured = true},
    {.title =
         "ns, p50 of each phase; in each sample exit_leg + user + entry_leg = rtt + baseline, and the residual is the "
         "median of\nwhat they miss. Not a part of that sum: kvm_run, from one exit's handler to the next exit, which "
         "is entry_leg, the\nguest's own code and exit_leg. Exits as the kernel counted them; explained: the host "
         "adds some",
     .columns = phases},
};

static const struct column sandbox[] = {
    COLUMN("row <", "row"),
    COLUMN("status <", "status"),
    COLUMN("in <", "processes_ok", .to = "processes", .between = " of "),
    COLUMN("samples", "samples"),
    COLUMN("p50", "headline.p50"),
    COLUMN("95 %", "headline.low", .to = "headline.high"),
    COLUMN("all p50", "headline.all"),
    COLUMN("p99", "phases.*.quantiles.p99.ticks"),
    COLUMN("max", "phases.*.max"),
    COLUMN("yardstick", "baseline"),
    COLUMN("ratio", "ratio", .decimals = 2),
    {0},
};
static const struct layout sandbox_layouts[] = {
    {.title =
         "ns: p50 is the median over processes of each one's p50 without disturbed samples, 95 % its interval; all p50 "
         "the\nsame with them; p99 and max over all samples. The yardstick is what KVM's bare calls and copies take "
         "for the "
         "same, or the\nprogram natively: its median, from the same process, in turns. Ratio: p50 over that",
     .columns = sandbox},
};

static void print_layout(FILE *f, const struct result *summed, const struct layout *l)
{
    const double tick_ns = l->is_in_ticks ? 1 : 1e9 / environment_hz(summed);
    struct table t;
    fprintf(f, "\n%s\n", l->title);
    columns_begin(&t, f, l->columns);
    for (unsigned i = 0; i < summed->rows; i++) {
        const struct result_row *row = &summed->row[i];
        const enum phase p = row_headline_phase(row);
        const char *phase = l->is_of_measured || row->status == ROW_OK ? phase_names[p] : NULL;
        if (l->is_of_measured && row->phase[p].count == 0) continue;
        columns_put(&t, l->columns,
                    &(struct column_source){SHAPE_row, row, phase, tick_ns, .batch = (double)row->batch});
    }
    table_fini(&t);
}

static void print_layouts(FILE *f, const struct result *r, const struct layout *list, size_t count)
{
    struct result summed = *r;
    summed.row = calloc(r->rows + 1, sizeof(*summed.row));
    if (!summed.row) return; /* errno is ENOMEM, which result_out_close sees */
    for (unsigned i = 0; i < r->rows; i++) summed.row[i] = row_sum_up(&r->row[i], environment_hz(r));
    for (size_t i = 0; i < count; i++) print_layout(f, &summed, &list[i]);
    free(summed.row);
}

static void print_remark(FILE *f, const struct result_row *row)
{
    if (row->detail[0]) {
        fprintf(f, "  %s: ", row->id);
        for (unsigned s = ROW_NO_EXIT; s < ROW_STATUS_COUNT; s++) {
            const unsigned n = row_count_status(row, s);
            if (n) fprintf(f, "%s in %u of %u: ", row_statuses[s], n, row->processes);
        }
        text_put_safe(f, row->detail);
        fputc('\n', f);
    }
    if (row->because[0]) {
        fprintf(f, "  %s: counts: ", row->id);
        text_put_safe(f, row->because);
        fputc('\n', f);
    }
}

static void print_remarks(FILE *f, const struct result *r)
{
    bool has_title = false;
    for (unsigned i = 0; i < r->rows; i++) {
        if (!r->row[i].detail[0] && !r->row[i].because[0]) continue;
        if (!has_title) fputs("\nremarks\n", f);
        has_title = true;
        print_remark(f, &r->row[i]);
    }
}

static void put_published(struct table *t, const char *row, double ticks, double ns, const struct published *p)
{
    table_cell(t, "%s", row);
    table_cell(t, ticks * ns < 100 ? "%.1f" : "%.0f", ticks * ns);
    table_cell(t, ticks < 100 ? "%.1f" : "%.0f", ticks);
    table_cell(t, p->high > p->low ? "%.0f-%.0f" : "%.0f", p->low, p->high);
    table_cell(t, "%s", p->unit);
    table_cell(t, "%s", p->hardware);
    table_cell(t, "%s", p->source);
}

static void print_published(FILE *f, const struct result *r, double ns)
{
    static const char *const titles[] = {"row <",  "ours ns",    "ours ticks", "published",
                                         "unit <", "hardware <", "source <",   NULL};
    const char *arch = json_string_value(environment_at(r, "arch"));
    struct table t;
    table_init(&t, f);
    table_columns(&t, titles);
    for (unsigned i = 0; arch && i < r->rows; i++) {
        const struct published *p;
        const double ticks = row_p50(&r->row[i]);
        for (unsigned n = 0; !isnan(ticks) && (p = published_find(arch, r->row[i].id, n)) != NULL; n++)
            put_published(&t, r->row[i].id, ticks, ns, p);
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
    print_layouts(f, r, layouts, sizeof(layouts) / sizeof(layouts[0]));
    print_remarks(f, r);
    print_published(f, r, ns);
}

static void print_sandbox(FILE *f, const struct result *r)
{
    print_layouts(f, r, sandbox_layouts, sizeof(sandbox_layouts) / sizeof(sandbox_layouts[0]));
    print_remarks(f, r);
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
    static const char *const titles[] = {"   vm", "vcpu", "charged ms", "share %", "entitled %", NULL};
    struct table t;
    double all = 0;
    for (size_t i = 0; i < json_array_size(vcpus); i++)
        all += sum_of(json_object_get(json_array_get(vcpus, i), "charged"));
    table_init(&t, f);
    table_columns(&t, titles);
    for (size_t i = 0; i < json_array_size(vcpus) && all > 0; i++) {
        const json_t *v = json_array_get(vcpus, i), *share = json_object_get(v, "share");
        const double charged = sum_of(json_object_get(v, "charged"));
        table_cell(&t, "%.0f", json_number_value(json_object_get(v, "vm")));
        table_cell(&t, "%.0f", json_number_value(json_object_get(v, "vcpu")));
        table_cell(&t, "%.1f", charged / 1e6);
        table_cell(&t, "%.2f", 100 * charged / all);
        table_cell(&t, json_is_number(share) ? "%.2f" : "n/a", 100 * json_number_value(share));
    }
    table_fini(&t);
}

static void print_finding(FILE *f, const struct finding *found)
{
    fprintf(f, "   %-4s %-12s ", found->id, found->word);
    text_put_safe(f, found->text);
    if (found->reason[0] && found->text[0]) fputs("; ", f);
    text_put_safe(f, found->reason);
    fputc('\n', f);
}

/* Its status; but an experiment in which something fails is not headed "ok", which only says that it was done. */
static void print_outcome(FILE *f, const json_t *x)
{
    struct finding found;
    const char *before = "violated: ";
    bool is_violated = false;
    for (size_t i = 0; experiment_finding(x, i, &found); i++) {
        if (found.verdict != VERDICT_FAIL) continue;
        fprintf(f, "%s%s", before, found.id);
        before = ", ";
        is_violated = true;
    }
    if (!is_violated) fputs(json_text(x, "status"), f);
}

static void print_experiment(FILE *f, const json_t *x)
{
    struct finding found;
    fprintf(f, "\n%s ", json_text(x, "id"));
    text_put_safe(f, json_text(x, "variant"));
    fputs(": ", f);
    print_outcome(f, x);
    if (json_text(x, "detail")[0]) fputs("; ", f);
    text_put_safe(f, json_text(x, "detail"));
    fputc('\n', f);
    print_shares(f, json_object_get(x, "vcpus"));
    for (size_t i = 0; experiment_finding(x, i, &found); i++) print_finding(f, &found);
}

static void print_experiments(FILE *f, const struct result *r)
{
    unsigned count[VERDICT_COUNT];
    for (size_t i = 0; i < json_array_size(r->experiments); i++) print_experiment(f, json_array_get(r->experiments, i));
    result_verdicts(r, count);
    fprintf(f, "\nproperties: %u pass, %u fail, %u inconclusive, %u reported without a bound\n", count[VERDICT_PASS],
            count[VERDICT_FAIL], count[VERDICT_INCONCLUSIVE], count[VERDICT_REPORTED]);
}

void result_text(FILE *f, const struct result *r)
{
    print_provenance(f, r);
    if (r->kind == RESULT_EXITS)
        print_exits(f, r);
    else if (r->kind == RESULT_SANDBOX)
        print_sandbox(f, r);
    else
        print_experiments(f, r);
}

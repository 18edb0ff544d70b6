#include "vmm/cli/stat_trace.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/json_out.h"
#include "vmm/cli/cli.h"
#include "vmm/cli/trace_join.h"
#include "vmm/cli/trace_perf.h"
#include "vmm/cli/trace_symbols.h"

#define WINDOW_S       1.0
#define WINDOW_MIN_S   0.01
#define WINDOW_MAX_S   3600
#define PLACES_SHOWN   20
#define PROGRESS_MIN_S 2 /* longer windows say on a terminal that they run */

/* What the VM's own page says. */
struct subject {
    int pid;
    unsigned vcpus;
    int tid[TRACE_VCPUS_MAX];
    uint64_t recorded[TRACE_VCPUS_MAX]; /* exits to the monitor, by its recorder */
    char *kernel;                       /* NULL: not told */
};

struct trace {
    const struct stat_trace *options;
    struct subject before, after;
    bool has_after;
    struct trace_session *session;
    struct trace_join join;
    struct trace_vcpu vcpu[TRACE_VCPUS_MAX];
    struct trace_symbols symbols;
    uint64_t window_ns, took_ns;
};

/* ---- the VM ---- */

static uint64_t number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    const json_int_t n = json_is_integer(value) ? json_integer_value(value) : 0;
    return n > 0 ? (uint64_t)n : 0;
}

static void read_subject(struct subject *s, const json_t *page)
{
    size_t i;
    const json_t *item;
    const char *kernel = json_string_value(json_object_get(page, "kernel"));
    *s = (struct subject){.pid = (int)number(page, "pid"), .kernel = kernel ? strdup(kernel) : NULL};
    json_array_foreach(json_object_get(page, "vcpus"), i, item)
    {
        const uint64_t tid = number(item, "tid");
        if (s->vcpus < TRACE_VCPUS_MAX) s->tid[s->vcpus++] = tid <= INT32_MAX ? (int)tid : 0;
    }
    json_array_foreach(json_object_get(page, "rows"), i, item)
    {
        const char *kind = json_string_value(json_object_get(item, "kind"));
        const json_t *vcpu = json_object_get(item, "vcpu");
        if (!kind || strcmp(kind, "vcpu") != 0 || !json_is_integer(vcpu)) continue;
        const json_int_t at = json_integer_value(vcpu);
        if (at >= 0 && at < TRACE_VCPUS_MAX) s->recorded[at] = number(item, "count");
    }
}

static int ask(const char *name, struct subject *out, struct vireo_error *e)
{
    struct page p;
    const int rc = client_fetch(name, "/stats", &p, e);
    if (rc) return rc;
    json_t *page = json_loads(p.text, 0, NULL);
    free(p.text);
    if (!page) return bad_command(e, "%s: what it says of itself can't be read", name);
    read_subject(out, page);
    json_decref(page);
    if (out->vcpus == 0)
        return bad_command(e, "%s: does not tell its vCPUs' threads; run it without --record off", name);
    for (unsigned i = 0; i < out->vcpus; i++)
        if (out->tid[i] == 0) return bad_command(e, "%s: vCPU %u has no thread (any more)", name, i);
    return 0;
}

/* ---- the trace ---- */

static void on_event(void *arg, unsigned vcpu, const struct trace_event *event)
{
    struct trace *t = arg;
    trace_join_event(&t->join, &t->vcpu[vcpu], event);
}

/* The VM's kernel need not have symbols; a file that was asked for must. */
static int read_symbols(struct trace *t, struct vireo_error *e)
{
    struct vireo_error quiet;
    if (!t->options->where) return 0;
    if (t->options->symbols) return trace_symbols_read(&t->symbols, t->options->symbols, e);
    if (t->before.kernel) (void)trace_symbols_read(&t->symbols, t->before.kernel, &quiet);
    return 0;
}

/* Some modules of KVM have the tracepoints and never come by them. */
static int check_fired(const struct trace *t, struct vireo_error *e)
{
    uint64_t recorded = 0;
    for (unsigned i = 0; t->has_after && i < t->before.vcpus; i++)
        recorded += t->after.recorded[i] - t->before.recorded[i];
    if (trace_exits(t->session) || (!trace_leaves(t->session) && !recorded)) return 0;
    bad_command(e, "KVM here does not say when a guest is left: its tracepoint kvm_exit is there and never fires");
    e->exit_status = STATUS_BAD_HOST;
    (void)snprintf(
        e->hint, sizeof(e->hint),
        "kvm_pvm is such a module; kvm_intel, kvm_amd and ARM's KVM tell. Exits to the monitor: vireo stat %.100s",
        t->options->name);
    return e->code;
}

static int gather(struct trace *t, struct vireo_error *e)
{
    int rc = ask(t->options->name, &t->before, e);
    if (!rc) rc = read_symbols(t, e);
    if (!rc && !trace_join_init(&t->join)) rc = bad_call(e, ENOMEM, "memory for a trace");
    if (!rc) rc = trace_open(&t->session, t->before.tid, t->before.vcpus, e);
    if (rc) return rc;
    if (t->window_ns > PROGRESS_MIN_S * UINT64_C(1000000000) && isatty(STDERR_FILENO))
        say("%s: its exits are traced for %.0f s", t->options->name, (double)t->window_ns / 1e9);
    struct vireo_error gone;
    const uint64_t began = now_ns();
    trace_run(t->session, t->window_ns, on_event, t);
    t->took_ns = now_ns() - began;
    t->has_after = ask(t->options->name, &t->after, &gone) == 0 && t->after.pid == t->before.pid;
    rc = check_fired(t, e);
    trace_join_sort(&t->join);
    return rc;
}

/* ---- told ---- */

static double us(uint64_t ns)
{
    return (double)ns / 1e3;
}

static uint64_t each(uint64_t total, uint64_t count)
{
    return count ? total / count : 0;
}

static const char *by_whom(const struct trace_row *r)
{
    return r->is_ours ? "monitor" : "KVM";
}

static uint64_t recorded(const struct trace *t, unsigned vcpu)
{
    const uint64_t before = t->before.recorded[vcpu], after = t->after.recorded[vcpu];
    return after > before ? after - before : 0;
}

static uint64_t unfinished(const struct trace *t)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < t->before.vcpus; i++) n += t->vcpu[i].broken;
    return n;
}

static void tell_rows(const struct trace *t)
{
    char room[TRACE_TEXT_MAX];
    const double seconds = (double)t->took_ns / 1e9, all = (double)t->took_ns * t->before.vcpus;
    printf("\n%-26s %-8s %10s %10s %9s %9s %9s %10s %9s %8s\n", "reason", "by", "count", "a second", "mean us", "p50",
           "p99", "max", "ours us", "of time");
    for (unsigned i = 0; i < t->join.rows; i++) {
        const struct trace_row *r = &t->join.row[i];
        printf("%-26.26s %-8s %10llu %10.0f %9.2f %9.2f %9.2f %10.2f ", trace_reason(t->session, r->reason, room),
               by_whom(r), (unsigned long long)r->count, (double)r->count / seconds, us(each(r->total, r->count)),
               us(trace_row_quantile(r, 0.5)), us(trace_row_quantile(r, 0.99)), us(r->most));
        if (r->is_ours)
            printf("%9.2f ", us(each(r->ours, r->count)));
        else
            printf("%9s ", "-");
        printf("%7.2f%%\n", (double)r->total / all * 100);
    }
    putchar('\n');
    for (unsigned i = 0; i < t->before.vcpus; i++) {
        const struct trace_vcpu *v = &t->vcpu[i];
        printf("vCPU %u: %llu exits, out of the guest for %.2f%% of the time", i, (unsigned long long)v->count,
               (double)v->total / (double)t->took_ns * 100);
        if (t->has_after) printf("; the monitor counted %llu in a little longer", (unsigned long long)recorded(t, i));
        putchar('\n');
    }
}

static uint64_t all_exits(const struct trace *t)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < t->before.vcpus; i++) n += t->vcpu[i].count;
    return n;
}

static void tell_places(const struct trace *t)
{
    char room[TRACE_TEXT_MAX];
    const uint64_t all = all_exits(t);
    printf("\n%-18s %10s %8s %9s %-26s %s\n", "guest address", "count", "share", "mean us", "reason", "function");
    for (unsigned i = 0; i < PLACES_SHOWN && t->join.place[i].count; i++) {
        const struct trace_place *p = &t->join.place[i];
        uint64_t offset = 0;
        const char *function = trace_symbol(&t->symbols, p->address, &offset);
        printf("0x%-16llx %10llu %7.2f%% %9.2f %-26.26s ", (unsigned long long)p->address, (unsigned long long)p->count,
               (double)p->count / (double)all * 100, us(each(p->total, p->count)),
               trace_reason(t->session, p->reason, room));
        if (function)
            printf("%s+0x%llx\n", function, (unsigned long long)offset);
        else
            puts("-");
    }
    if (!t->symbols.count) puts("no symbols: give --symbols a vmlinux, a System.map or the guest's /proc/kallsyms");
}

static void tell(const struct trace *t)
{
    printf("%s, process %d: all exits of %u vCPU%s in %.2f s, by KVM's tracepoints\n", t->options->name, t->before.pid,
           t->before.vcpus, t->before.vcpus == 1 ? "" : "s", (double)t->took_ns / 1e9);
    puts("Times are from the guest's exit until it is entered again, the cost of tracing included;\n"
         "ours: of that, outside of KVM.");
    if (t->options->exits) tell_rows(t);
    if (t->options->where) tell_places(t);
    if (trace_lost(t->session))
        printf("\n%llu records found no room and %llu exits have no end for it: counts are too low. Trace for a "
               "shorter time.\n",
               (unsigned long long)trace_lost(t->session), (unsigned long long)unfinished(t));
    if (t->join.unplaced) printf("\n%llu exits found no place in a table.\n", (unsigned long long)t->join.unplaced);
}

static void put_rows(struct json_out *j, const struct trace *t)
{
    char room[TRACE_TEXT_MAX];
    json_put_line(j);
    json_put_array(j, "rows");
    for (unsigned i = 0; i < t->join.rows; i++) {
        const struct trace_row *r = &t->join.row[i];
        json_put_line(j);
        json_put_object(j, NULL);
        json_put_string(j, "reason", trace_reason(t->session, r->reason, room));
        json_put_string(j, "by", r->is_ours ? "monitor" : "kvm");
        json_put_uint(j, "count", r->count);
        json_put_uint(j, "total_ns", r->total);
        json_put_uint(j, "p50_ns", trace_row_quantile(r, 0.5));
        json_put_uint(j, "p99_ns", trace_row_quantile(r, 0.99));
        json_put_uint(j, "max_ns", r->most);
        if (r->is_ours) json_put_uint(j, "ours_ns", r->ours);
        json_put_end(j);
    }
    json_put_end(j);
}

static void put_vcpus(struct json_out *j, const struct trace *t)
{
    json_put_line(j);
    json_put_array(j, "vcpus");
    for (unsigned i = 0; i < t->before.vcpus; i++) {
        json_put_object(j, NULL);
        json_put_uint(j, "vcpu", i);
        json_put_int(j, "tid", t->before.tid[i]);
        json_put_uint(j, "count", t->vcpu[i].count);
        json_put_uint(j, "total_ns", t->vcpu[i].total);
        if (t->has_after) json_put_uint(j, "recorded", recorded(t, i));
        json_put_end(j);
    }
    json_put_end(j);
}

static void put_places(struct json_out *j, const struct trace *t)
{
    char room[TRACE_TEXT_MAX], address[24];
    json_put_line(j);
    json_put_array(j, "where");
    for (unsigned i = 0; i < PLACES_SHOWN && t->join.place[i].count; i++) {
        const struct trace_place *p = &t->join.place[i];
        uint64_t offset = 0;
        const char *function = trace_symbol(&t->symbols, p->address, &offset);
        json_put_line(j);
        json_put_object(j, NULL);
        (void)snprintf(address, sizeof(address), "0x%llx", (unsigned long long)p->address);
        json_put_string(j, "address", address);
        json_put_uint(j, "count", p->count);
        json_put_uint(j, "total_ns", p->total);
        json_put_string(j, "reason", trace_reason(t->session, p->reason, room));
        if (function) json_put_string(j, "function", function);
        if (function) json_put_uint(j, "offset", offset);
        json_put_end(j);
    }
    json_put_end(j);
}

static void put(const struct trace *t)
{
    struct json_out j = {.write = json_to_file, .arg = stdout};
    json_put_object(&j, NULL);
    json_put_string(&j, "schema", "vireo-exits-1");
    json_put_string(&j, "name", t->options->name);
    json_put_int(&j, "pid", t->before.pid);
    json_put_uint(&j, "window_ns", t->took_ns);
    json_put_uint(&j, "lost", trace_lost(t->session));
    json_put_uint(&j, "without_end", unfinished(t));
    json_put_uint(&j, "unplaced", t->join.unplaced);
    put_vcpus(&j, t);
    put_rows(&j, t);
    if (t->options->where) put_places(&j, t);
    json_put_line(&j);
    json_put_end(&j);
    putchar('\n');
}

int stat_trace(const struct stat_trace *o)
{
    struct vireo_error e;
    double seconds = WINDOW_S;
    const char *option = o->where && *o->where ? "where" : "exits", *time = o->where && *o->where ? o->where : o->exits;
    struct trace *t = calloc(1, sizeof(*t));
    if (!t) {
        (void)bad_call(&e, ENOMEM, "memory for a trace");
        return say_error(&e);
    }
    t->options = o;
    int rc = 0;
    if (time && *time && !args_time(time, WINDOW_MIN_S, WINDOW_MAX_S, &seconds))
        rc = bad_command(&e, "%s %.100s: must be 0.01 to 3600 seconds, as 2 or 500ms", option, time);
    t->window_ns = (uint64_t)(seconds * 1e9);
    if (!rc) rc = gather(t, &e);
    if (!rc && o->has_json)
        put(t);
    else if (!rc)
        tell(t);
    trace_close(t->session);
    trace_join_fini(&t->join);
    trace_symbols_fini(&t->symbols);
    free(t->before.kernel);
    free(t->after.kernel);
    free(t);
    return rc ? say_error(&e) : 0;
}

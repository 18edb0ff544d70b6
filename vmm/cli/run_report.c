#include <inttypes.h>
#include <string.h>

#include "vmm/cli/run.h"

/* The i-th milestone, the program's own first; times since main was entered. */
static bool milestone(const struct run_report *r, unsigned i, struct vireo_milestone *out)
{
    bool is_there = true;
    if (i == 0)
        *out = (struct vireo_milestone){.name = "configured", .ns = r->run->configured_ns};
    else
        is_there = r->vm && vireo_vm_milestone(r->vm, i - 1, out);
    if (is_there) out->ns -= r->run->started_ns;
    return is_there;
}

void report_boot_times(const struct run_report *r)
{
    struct vireo_milestone m;
    uint64_t last = 0;
    fprintf(stderr, "vireo: boot times, ms since main and since the line above\n");
    for (unsigned i = 0; milestone(r, i, &m); i++) {
        fprintf(stderr, "%12.3f %10.3f  %s\n", (double)m.ns / 1e6, (double)(m.ns - last) / 1e6, m.name);
        last = m.ns;
    }
}

static void print_boot_times(FILE *f, const struct run_report *r)
{
    struct vireo_milestone m;
    fprintf(f, ", \"boot_times\": [");
    for (unsigned i = 0; milestone(r, i, &m); i++) {
        fprintf(f, "%s{\"name\": ", i ? ", " : "");
        print_json_string(f, m.name);
        fprintf(f, ", \"ns\": %" PRIu64 "}", m.ns);
    }
    fprintf(f, "]");
}

static void print_object(FILE *f, const struct run_report *r)
{
    const bool has_value = r->end.reason == VIREO_END_GUEST_STATUS || r->end.reason == VIREO_END_PANIC;
    fprintf(f, "{\"reason\": \"%s\", \"status\": %d", r->error ? "error" : r->end.name, r->status);
    if (r->vm && vireo_vm_name(r->vm)[0]) fprintf(f, ", \"name\": \"%s\"", vireo_vm_name(r->vm)); /* needs no escapes */
    if (has_value) fprintf(f, ", \"value\": %" PRIu32, r->end.value);
    if (r->signal) fprintf(f, ", \"signal\": %d", r->signal);
    if (r->vm && vireo_vm_console_dropped(r->vm))
        fprintf(f, ", \"console_dropped\": %" PRIu64, vireo_vm_console_dropped(r->vm));
    if (!r->error && r->end.vcpu >= 0) fprintf(f, ", \"vcpu\": %d", r->end.vcpu);
    fprintf(f, ", \"detail\": ");
    print_json_string(f, r->error ? r->error->text : r->end.detail);
    if (r->error && r->error->hint[0]) {
        fprintf(f, ", \"hint\": ");
        print_json_string(f, r->error->hint);
    }
    if (r->run->has_boot_times) print_boot_times(f, r);
    fprintf(f, "}\n");
}

/* On standard output the object comes after the guest's last character, wherever that left the line: a newline first.
 */
int report_json(const struct run_report *r)
{
    if (!r->run->json_path) {
        if (r->vm && vireo_vm_uses_stdio(r->vm)) fputc('\n', stdout);
        print_object(stdout, r);
        return finish_output(NULL, "standard output", r->status);
    }
    if (!r->json) return r->status; /* was refused for it, or for something before it */
    print_object(r->json, r);
    return finish_output(r->json, r->run->json_path, r->status);
}

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* Made in memory, so that it goes out at one go and no reader holds us up in the middle of it. */
static int put_made(const struct run_report *r, int fd, const char *name,
                    void (*make)(FILE *f, const struct run_report *r))
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    if (f) make(f, r);
    const bool is_made = f && fclose(f) == 0;
    const int rc = is_made ? put_text(fd, text, len) : -ENOMEM;
    free(text);
    return rc ? put_failed(name, rc) : r->status;
}

static void print_table(FILE *f, const struct run_report *r)
{
    struct vireo_milestone m;
    uint64_t last = 0;
    fprintf(f, "vireo: boot times, ms since main and since the line above\n");
    for (unsigned i = 0; milestone(r, i, &m); i++) {
        fprintf(f, "%12.3f %10.3f  %s\n", (double)m.ns / 1e6, (double)(m.ns - last) / 1e6, m.name);
        last = m.ns;
    }
}

int report_boot_times(const struct run_report *r)
{
    return put_made(r, STDERR_FILENO, "boot times", print_table);
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
    if (say_lost()) fprintf(f, ", \"lost_lines\": %u", say_lost());
    fprintf(f, "}\n");
}

/* On standard output the guest's last character may have left a line unfinished: a newline first. */
static void print_last_line(FILE *f, const struct run_report *r)
{
    if (r->vm && vireo_vm_uses_stdio(r->vm)) fputc('\n', f);
    print_object(f, r);
}

int report_json(const struct run_report *r)
{
    if (!r->run->json_path) return put_made(r, STDOUT_FILENO, "standard output", print_last_line);
    if (r->json_fd < 0) return r->status; /* was refused for it, or for something before it */
    const int status = put_made(r, r->json_fd, r->run->json_path, print_object);
    return output_close(r->json_fd, r->run->json_path, status);
}

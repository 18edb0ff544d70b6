#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/json_out.h"
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

static void put_boot_times(struct json_out *j, const struct run_report *r)
{
    struct vireo_milestone m;
    json_put_array(j, "boot_times");
    for (unsigned i = 0; milestone(r, i, &m); i++) {
        json_put_object(j, NULL);
        json_put_string(j, "name", m.name);
        json_put_uint(j, "ns", m.ns);
        json_put_end(j);
    }
    json_put_end(j);
}

static void print_object(FILE *f, const struct run_report *r)
{
    const bool has_value = r->end.reason == VIREO_END_GUEST_STATUS || r->end.reason == VIREO_END_PANIC;
    struct json_out j = {.write = json_to_file, .arg = f};
    json_put_object(&j, NULL);
    json_put_string(&j, "reason", r->error ? "error" : r->end.name);
    json_put_int(&j, "status", r->status);
    if (r->vm && vireo_vm_name(r->vm)[0]) json_put_string(&j, "name", vireo_vm_name(r->vm));
    if (has_value) json_put_uint(&j, "value", r->end.value);
    if (r->signal) json_put_int(&j, "signal", r->signal);
    if (r->vm && vireo_vm_console_dropped(r->vm)) json_put_uint(&j, "console_dropped", vireo_vm_console_dropped(r->vm));
    if (!r->error && r->end.vcpu >= 0) json_put_int(&j, "vcpu", r->end.vcpu);
    json_put_string(&j, "detail", r->error ? r->error->text : r->end.detail);
    if (r->error && r->error->hint[0]) json_put_string(&j, "hint", r->error->hint);
    if (r->run->has_boot_times) put_boot_times(&j, r);
    if (say_lost()) json_put_uint(&j, "lost_lines", say_lost());
    json_put_end(&j);
    fputc('\n', f);
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

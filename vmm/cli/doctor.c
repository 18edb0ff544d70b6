#include <errno.h>
#include <string.h>

#include "vmm/base/json_out.h"
#include "vmm/cli/cli.h"

/* The verdict on Linux guests, kept for the summary: the fact "linux" of the probe. */
struct doctor {
    bool is_json, has_linux;
    struct json_out json;
    char reason[256];
};

static void put_fact(struct json_out *j, const struct vireo_host_fact *f)
{
    static const char *const words[] = {
        [VIREO_OK] = "ok", [VIREO_MISSING_OPTIONAL] = "optional", [VIREO_MISSING] = "missing"};
    json_put_line(j);
    json_put_object(j, NULL);
    json_put_string(j, "id", f->id);
    json_put_string(j, "what", f->what);
    json_put_string(j, "verdict", words[f->verdict]);
    json_put_string(j, "value", f->value);
    json_put_string(j, "advice", f->advice);
    json_put_end(j);
}

static void print_fact(const struct vireo_host_fact *f)
{
    static const char *const words[] = {[VIREO_OK] = "ok", [VIREO_MISSING_OPTIONAL] = "-", [VIREO_MISSING] = "MISSING"};
    printf("%-8s %-27s %s\n", words[f->verdict], f->what, f->value);
    if (f->advice[0]) printf("%-36s -> %s\n", "", f->advice);
}

static void on_fact(void *arg, const struct vireo_host_fact *f)
{
    struct doctor *d = arg;
    if (strcmp(f->id, "linux") == 0) {
        d->has_linux = f->verdict == VIREO_OK;
        if (!d->has_linux) (void)snprintf(d->reason, sizeof(d->reason), "%s", f->value);
    }
    if (d->is_json)
        put_fact(&d->json, f);
    else
        print_fact(f);
}

static void begin_json(struct json_out *j)
{
    json_put_object(j, NULL);
    json_put_string(j, "version", vireo_version());
    json_put_array(j, "facts");
}

static void end_json(struct doctor *d, bool can_run)
{
    struct json_out *j = &d->json;
    json_put_end(j);
    json_put_line(j);
    json_put_bool(j, "vm", can_run);
    json_put_bool(j, "linux", d->has_linux);
    json_put_string(j, "reason", d->reason);
    json_put_end(j);
    putchar('\n');
}

static int run_doctor(const struct command *self, char **words, uint64_t started_ns)
{
    struct doctor d = {.json = {.write = json_to_file, .arg = stdout}};
    struct vireo_error e;
    (void)started_ns;
    if (args_parse(self, ARGS_OWN, words, &d, &e)) return say_error(&e);
    if (d.is_json) begin_json(&d.json);
    const bool can_run = vireo_host_probe(on_fact, &d) == 0;
    if (d.is_json) {
        end_json(&d, can_run);
    } else {
        printf("\nThis host %s run microVMs%s.\n", can_run ? "can" : "cannot",
               !can_run      ? "; what is MISSING stands above"
               : d.has_linux ? ", stock Linux too"
                             : ", but not stock Linux");
    }
    return finish_output(NULL, "standard output", can_run ? 0 : STATUS_BAD_HOST);
}

static const struct setting options[] = {
    {"json", NULL, "print an object with vm, linux, reason and facts, for scripts", CLI_SWITCH(struct doctor, is_json)},
    {0},
};

const struct command command_doctor = {
    .name = "doctor",
    .args = "[--json]",
    .help = "Say what this host offers for microVMs, and what to do about what is missing",
    .options = options,
    .run = run_doctor,
};

#include <errno.h>
#include <string.h>

#include "vmm/cli/cli.h"

/* The verdict on Linux guests, kept for the summary: the fact "linux" of the probe. */
struct doctor {
    bool is_json;
    unsigned count;
    bool has_linux;
    char reason[256];
};

ARGS_SWITCH(struct doctor, is_json)

static void print_fact_json(const struct vireo_host_fact *f, bool is_first)
{
    static const char *const words[] = {
        [VIREO_OK] = "ok", [VIREO_MISSING_OPTIONAL] = "optional", [VIREO_MISSING] = "missing"};
    printf("%s{\"id\": ", is_first ? "" : ",\n  ");
    print_json_string(stdout, f->id);
    printf(", \"what\": ");
    print_json_string(stdout, f->what);
    printf(", \"verdict\": \"%s\", \"value\": ", words[f->verdict]);
    print_json_string(stdout, f->value);
    printf(", \"advice\": ");
    print_json_string(stdout, f->advice);
    printf("}");
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
        print_fact_json(f, d->count == 0);
    else
        print_fact(f);
    d->count++;
}

static int run_doctor(const struct command *self, char **words, uint64_t started_ns)
{
    struct doctor d = {0};
    struct vireo_error e;
    (void)started_ns;
    if (args_parse(self, ARGS_OWN, words, &d, &e)) return say_error(&e);
    if (d.is_json) printf("{\"version\": \"%s\", \"facts\": [\n  ", vireo_version());
    const bool can_run = vireo_host_probe(on_fact, &d) == 0;
    if (d.is_json) {
        printf("],\n \"vm\": %s, \"linux\": %s, \"reason\": ", can_run ? "true" : "false",
               d.has_linux ? "true" : "false");
        print_json_string(stdout, d.reason);
        printf("}\n");
    } else {
        printf("\nThis host %s run microVMs%s.\n", can_run ? "can" : "cannot",
               !can_run      ? "; what is MISSING stands above"
               : d.has_linux ? ", stock Linux too"
                             : ", but not stock Linux");
    }
    return finish_output(NULL, "standard output", can_run ? 0 : STATUS_BAD_HOST);
}

static const struct cli_option options[] = {
    {"json", NULL, "print an object with vm, linux, reason and facts, for scripts", set_is_json},
    {0},
};

const struct command command_doctor = {
    .name = "doctor",
    .args = "[--json]",
    .help = "Say what this host offers for microVMs, and what to do about what is missing",
    .options = options,
    .run = run_doctor,
};

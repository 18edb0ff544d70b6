/* Help texts, all made from the tables: the library's keys, each command's options. */
#include <string.h>

#include "vmm/cli/cli.h"

#define COLUMN 26 /* where the explanations start; a longer option gets a line of its own */

static void print_row(FILE *f, const char *name, const char *arg, const char *help)
{
    const bool is_optional = arg && arg[0] == '[';
    const int n = is_optional ? fprintf(f, "  --%s[=%s", name, arg + 1)
                              : fprintf(f, "  --%s%s%s", name, arg ? " " : "", arg ? arg : "");
    if (n >= COLUMN - 1)
        fprintf(f, "\n%*s%s\n", COLUMN, "", help);
    else
        fprintf(f, "%*s%s\n", COLUMN - n, "", help);
}

static void print_kinds(FILE *f)
{
    const char *kind, *help;
    struct vireo_key k;
    for (unsigned n = 0; (kind = vireo_bench_kind(n, &help)) != NULL; n++) {
        fprintf(f, "\nvireo bench %s: %s.\n", kind, help);
        for (unsigned i = 0; vireo_bench_option(kind, i, &k); i++) print_row(f, k.name, k.arg, k.help);
    }
}

static void print_command(FILE *f, const struct command *c)
{
    struct vireo_key k;
    fprintf(f, "usage: vireo %s %s\n\n%s.\n", c->name, c->args, c->help);
    if (c->has_keys) fprintf(f, "\nThe machine (the same keys, without dashes, in a --config file):\n");
    for (unsigned i = 0; c->has_keys && vireo_config_key(i, &k); i++) print_row(f, k.name, k.arg, k.help);
    if (c == &command_bench) print_kinds(f);
    fprintf(f, "\nThis command:\n");
    for (const struct cli_option *o = c->options; o->name; o++) print_row(f, o->name, o->arg, o->help);
    print_row(f, "help", NULL, "this text");
    if (c == &command_run)
        fprintf(f,
                "\nExit status: 0 the guest powered off or rebooted, 1-119 the guest's own, 120 it crashed, 121 KVM\n"
                "could not run it, 122 a device failed, 124 time limit, 125 bad command line, 126 this host can't,\n"
                "127 kernel or initrd not loadable, 128+n ended by signal n. More: vireo-run(1).\n");
}

void help_print(FILE *f, const struct command *c)
{
    if (c) {
        print_command(f, c);
        return;
    }
    fprintf(f, "usage: vireo COMMAND [OPTION...]\n\nmicroVMs on Linux KVM.\n\n");
    for (unsigned i = 0; (c = command_at(i)) != NULL; i++) fprintf(f, "  %-10s %s\n", c->name, c->help);
    fprintf(f, "\n  vireo COMMAND --help   the options of a command\n"
               "  vireo --version        the version\n\n"
               "`vireo run` without options boots the built-in guest; `vireo doctor` says what this host offers.\n");
}

static int run_help(const struct command *self, char **words, uint64_t started_ns)
{
    (void)self;
    (void)started_ns;
    if (words[0] && words[1]) {
        say("\"%s\": one command at a time; write vireo help %s", words[1], words[0]);
        return STATUS_BAD_COMMAND;
    }
    const struct command *c = words[0] ? command_find(words[0]) : NULL;
    if (words[0] && !c) return STATUS_BAD_COMMAND;
    help_print(stdout, c);
    return finish_output(NULL, "standard output", 0);
}

static const struct cli_option options[] = {{0}};

const struct command command_help = {
    .name = "help",
    .args = "[COMMAND]",
    .help = "Explain a command",
    .options = options,
    .run = run_help,
};

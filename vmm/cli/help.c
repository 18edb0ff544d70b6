/* Help texts, all made from the tables: the library's keys, each command's options. */
#include <string.h>

#include "vmm/cli/cli.h"

#define COLUMN 26 /* where the explanations start; a longer option gets a line of its own */

void help_print_option(FILE *f, const char *name, const char *arg, const char *help)
{
    const bool is_optional = arg && arg[0] == '[';
    const int n = is_optional ? fprintf(f, "  --%s[=%s", name, arg + 1)
                              : fprintf(f, "  --%s%s%s", name, arg ? " " : "", arg ? arg : "");
    if (n >= COLUMN - 1)
        fprintf(f, "\n%*s%s\n", COLUMN, "", help);
    else
        fprintf(f, "%*s%s\n", COLUMN - n, "", help);
}

static void print_command(FILE *f, const struct command *c)
{
    struct vireo_key k;
    fprintf(f, "usage: vireo %s %s\n\n%s.\n", c->name, c->args, c->help);
    if (c->keys_title) fprintf(f, "\n%s:\n", c->keys_title);
    for (unsigned i = 0; c->keys_title && c->key(c, i, &k); i++) help_print_option(f, k.name, k.arg, k.help);
    fprintf(f, "\nThis command:\n");
    for (const struct cli_option *o = c->options; o->name; o++) help_print_option(f, o->name, o->arg, o->help);
    help_print_option(f, "help", NULL, "this text");
    if (c->more) c->more(f);
}

void help_print(FILE *f, const struct command *c)
{
    if (c) {
        print_command(f, c);
        return;
    }
    fprintf(f, "usage: vireo COMMAND [OPTION...]\n\n%s\n\n", program_about);
    for (unsigned i = 0; (c = program_commands[i]) != NULL; i++) fprintf(f, "  %-10s %s\n", c->name, c->help);
    fprintf(f,
            "\n  vireo COMMAND --help   the options of a command\n"
            "  vireo --version        the version\n\n%s\n",
            program_hint);
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
    if (c && c->elsewhere) return command_become(c, (char *[]){"vireo", "help", words[0], NULL});
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

/* Help texts, made from the tables: the library's keys, each command's options. */
#include <string.h>

#include "vmm/cli/cli.h"

#define WIDTH  80 /* columns of the narrowest terminal in use */
#define COLUMN 26 /* where the explanations of options start; a longer option gets a line of its own */
#define INDENT 13 /* and those of commands */

int help_print_text(FILE *f, unsigned column, unsigned indent, const char *text)
{
    unsigned at = column;
    while (*text) {
        const unsigned len = (unsigned)strcspn(text, " ");
        const bool is_first = at == column; /* a word that is longer than a line has one of its own all the same */
        if (!is_first && at + 1 + len >= WIDTH) {
            fprintf(f, "\n%*s", (int)indent, "");
            at = indent;
        } else if (!is_first) {
            fputc(' ', f);
            at++;
        }
        (void)fwrite(text, 1, len, f);
        at += len;
        text += len;
        while (*text == ' ') text++;
    }
    return fputc('\n', f);
}

/* A long one is broken before a "[", which begins a part that may be left out. How many columns its last line has. */
static unsigned print_syntax(FILE *f, const char *name, const char *arg)
{
    const bool is_optional = arg && arg[0] == '[';
    int at = fprintf(f, "  --%s%s", name, is_optional ? "[=" : arg ? " " : "");
    const int indent = at;
    for (const char *part = arg ? arg + is_optional : ""; *part;) {
        const int len = (int)(1 + strcspn(part + 1, "["));
        if (at > indent && at + len > WIDTH) at = fprintf(f, "\n%*s", indent, "") - 1;
        at += fprintf(f, "%.*s", len, part);
        part += len;
    }
    return (unsigned)at;
}

void help_print_option(FILE *f, const char *name, const char *arg, const char *help)
{
    const unsigned n = print_syntax(f, name, arg);
    if (n >= COLUMN - 1)
        fprintf(f, "\n%*s", COLUMN, "");
    else
        fprintf(f, "%*s", (int)(COLUMN - n), "");
    help_print_text(f, COLUMN, COLUMN, help);
}

void help_list_option(FILE *f, const char *name, const char *arg, const char *help)
{
    fprintf(f, "--%s\t%s\t%s\n", name, arg ? arg : "", help);
}

void help_each_option(FILE *f, const struct command *c, const char *title, help_option_fn *print)
{
    struct setting k;
    for (unsigned i = 0; c->keys_title && c->key(c, i, &k); i++) print(f, k.name, k.arg, k.help);
    if (title) fprintf(f, "%s", title);
    for (const struct setting *o = c->options; o->name; o++) print(f, o->name, o->arg, o->help);
    print(f, "help", NULL, "this text");
}

static void print_command(FILE *f, const struct command *c)
{
    fprintf(f, "usage: vireo %s %s\n\n%s.\n", c->name, c->args, c->help);
    if (c->keys_title) fprintf(f, "\n%s:\n", c->keys_title);
    help_each_option(f, c, "\nThis command:\n", help_print_option);
    if (c->more) c->more(f);
}

void help_print(FILE *f, const struct command *c)
{
    if (c) {
        print_command(f, c);
        return;
    }
    fprintf(f, "usage: vireo COMMAND [OPTION...]\n\n%s\n\n", program_about);
    for (unsigned i = 0; (c = program_commands[i]) != NULL; i++) {
        fprintf(f, "  %-*s ", INDENT - 3, c->name);
        help_print_text(f, INDENT, INDENT, c->help);
    }
    fprintf(f, "\n  vireo COMMAND --help   the options of a command\n"
               "  vireo --version        the version\n\n");
    help_print_text(f, 0, 0, program_hint);
}

/* `vireo help`: a help text, or the list that shells complete from. */
#include "vmm/cli/cli.h"

/* ---- lists ---- */

static void list_commands(FILE *f, const char *word)
{
    const struct command *c;
    for (unsigned i = 0; !word && (c = program_commands[i]) != NULL; i++) fprintf(f, "%s\t\t%s\n", c->name, c->help);
}

static void list_program(FILE *f)
{
    list_commands(f, NULL);
    help_list_option(f, "help", NULL, "the commands");
    help_list_option(f, "version", NULL, "the version");
}

static void list_command(FILE *f, const struct command *c, const char *word)
{
    help_each_option(f, c, NULL, help_list_option);
    if (c->list) c->list(f, word);
}

/* ---- the command ---- */

struct help {
    struct args_words words;
    bool has_list;
};

static void set_word(void *ctx, const char *word)
{
    args_add(&((struct help *)ctx)->words, word);
}

static int run_help(const struct command *self, char **words, uint64_t started_ns)
{
    struct help h = {0};
    struct vireo_error e;
    (void)started_ns;
    if (args_parse(self, ARGS_OWN, words, &h, &e)) return say_error(&e);
    const char *name = h.words.word[0], *word = h.words.word[1];
    if (h.words.count > (h.has_list ? 2 : 1)) {
        say("\"%s\": one command at a time; write vireo help %s", h.words.word[h.has_list ? 2 : 1], name);
        return STATUS_BAD_COMMAND;
    }
    const struct command *c = name ? command_find(name) : NULL;
    if (name && !c) return STATUS_BAD_COMMAND;
    if (c && c->program) {
        const char *const list[] = {"vireo", "help", "--list", name, word, NULL};
        const char *const text[] = {"vireo", "help", name, NULL};
        return command_become(c, (char **)(uintptr_t)(h.has_list ? list : text));
    }
    if (!h.has_list)
        help_print(stdout, c);
    else if (c)
        list_command(stdout, c, word);
    else
        list_program(stdout);
    return finish_output(NULL, "standard output", 0);
}

static const struct setting options[] = {
    {"list", NULL, "commands or options a line each, with tabs between name, value and text, for programs",
     CLI_SWITCH(struct help, has_list)},
    {0},
};

const struct command command_help = {
    .name = "help",
    .args = "[--list] [COMMAND [WORD]]",
    .help = "Explain a command",
    .options = options,
    .list = list_commands,
    .set_word = set_word,
    .run = run_help,
};

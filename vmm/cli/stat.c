/* `vireo stat`: where a running VM's time went. */
#include <stdlib.h>
#include <string.h>

#include "vmm/base/json_out.h"
#include "vmm/base/urgency.h"
#include "vmm/cli/cli.h"
#include "vmm/cli/stat_trace.h"

#define TARGET_MAX 512

struct stat_options {
    struct args_words words;
    const char *name; /* NULL: none */
    const char *weights, *exits, *where, *symbols;
    bool has_json;
};

static void set_name(void *ctx, const char *word)
{
    args_add(&((struct stat_options *)ctx)->words, word);
}

static const struct setting options[] = {
    {"json", NULL, "one JSON object instead of text", CLI_SWITCH(struct stat_options, has_json)},
    {"weights", "NAME=NUMBER,...", "of the six figures in their weighted sum (default 1 each)",
     CLI_TEXT(struct stat_options, weights)},
    {"exits", "[TIME]", "all exits for a second or TIME, KVM's own too, by reason, from the kernel's tracepoints",
     CLI_TEXT(struct stat_options, exits)},
    {"where", "[TIME]", "the 20 guest addresses that most of them come from", CLI_TEXT(struct stat_options, where)},
    {"symbols", "FILE", "names for these: a vmlinux, a System.map or the guest's /proc/kallsyms",
     CLI_TEXT(struct stat_options, symbols)},
    {0},
};

static void list_json(char **names)
{
    struct json_out j = {.write = json_to_file, .arg = stdout};
    json_put_array(&j, NULL);
    for (char **at = names; at && *at; at++) {
        json_put_object(&j, NULL);
        json_put_string(&j, "name", *at);
        json_put_int(&j, "pid", client_pid(*at));
        json_put_end(&j);
    }
    json_put_end(&j);
    putchar('\n');
}

static void list_text(char **names)
{
    for (char **at = names; at && *at; at++) printf("%s\tprocess %d\n", *at, client_pid(*at));
    if (!names) say("no VM that has a name runs; start one with vireo run --name NAME");
}

static int list(bool has_json)
{
    struct vireo_error e;
    char **names = NULL;
    if (client_names(&names, &e)) return say_error(&e);
    if (has_json)
        list_json(names);
    else
        list_text(names);
    client_names_free(names);
    return 0;
}

/* As it stands in a request, where a blank or a control would end it. */
static bool is_sendable(const char *weights)
{
    for (; *weights; weights++)
        if (*weights <= ' ' || *weights > '~' || *weights == '&') return false;
    return true;
}

static int show(const struct stat_options *o)
{
    struct vireo_error e;
    struct page p;
    char target[TARGET_MAX];
    const char *page = o->has_json ? "/stats" : "/stats.txt";
    if (o->weights && !is_sendable(o->weights)) {
        say("weights \"%.100s\": no blanks; write NAME=NUMBER,...", o->weights);
        return STATUS_BAD_COMMAND;
    }
    const int n =
        snprintf(target, sizeof(target), "%s%s%s", page, o->weights ? "?weights=" : "", o->weights ? o->weights : "");
    if ((size_t)n >= sizeof(target)) {
        say("weights \"%.40s...\": longer than six figures can be", o->weights);
        return STATUS_BAD_COMMAND;
    }
    struct urgency urgency = {0};
    urgency_renew(&urgency); /* to the end: there is a page to write, and no more */
    if (client_fetch(o->name, target, &p, &e)) return say_error(&e);
    (void)fwrite(p.text, 1, p.len, stdout);
    free(p.text);
    return 0;
}

static int check(const struct stat_options *o, struct vireo_error *e)
{
    const char *traced = o->exits ? "exits" : o->where ? "where" : NULL;
    if (o->weights && !o->name)
        return bad_command(e, "weights \"%.100s\": of which VM? write vireo stat NAME --weights ...", o->weights);
    if (traced && !o->name) return bad_command(e, "%s: of which VM? write vireo stat NAME --%s", traced, traced);
    if (traced && o->weights) return bad_command(e, "weights: %s shows no figures to weigh", traced);
    if (o->symbols && !o->where) return bad_command(e, "symbols: only --where shows addresses");
    return 0;
}

static int run_stat(const struct command *self, char **words, uint64_t started_ns)
{
    struct stat_options o = {0};
    struct vireo_error e;
    int status = 0;
    (void)started_ns;
    if (args_parse(self, ARGS_OWN, words, &o, &e) || client_name(&o.words, &o.name, &e) || check(&o, &e))
        return say_error(&e);
    const struct stat_trace trace = {
        .name = o.name, .exits = o.exits, .where = o.where, .symbols = o.symbols, .has_json = o.has_json};
    if (o.exits || o.where)
        status = stat_trace(&trace);
    else if (o.name)
        status = show(&o);
    else
        status = list(o.has_json);
    return finish_output(NULL, "standard output", status);
}

const struct command command_stat = {
    .name = "stat",
    .args = "[NAME] [OPTION...]",
    .help = "Say where a running VM's time went, or without a name which VMs run",
    .options = options,
    .list = client_list,
    .set_word = set_name,
    .run = run_stat,
};

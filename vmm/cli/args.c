#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/nearest.h"
#include "vmm/cli/cli.h"

#define NAME_MAX_BYTES 32 /* longer than any option; more is no name */
#define OPTIONS_MAX    48 /* the library's keys and a command's own, for the nearest known one */

/* One option as it stands on the command line. */
struct word {
    char name[NAME_MAX_BYTES];
    const char *value; /* after '=', or NULL */
};

/* What the tables say of a name. */
struct known {
    struct setting option;
    bool is_own; /* else the library's */
};

/* The command's own come first. */
static bool nth_option(const struct command *c, unsigned index, struct known *out)
{
    unsigned own = 0;
    while (own < index && c->options[own].name) own++;
    out->is_own = c->options[own].name != NULL;
    if (out->is_own) out->option = c->options[own];
    return out->is_own || (c->key && c->key(c, index - own, &out->option));
}

static bool find_name(const struct command *c, const char *name, struct known *out)
{
    for (unsigned i = 0; nth_option(c, i, out); i++)
        if (strcmp(out->option.name, name) == 0) return true;
    return false;
}

static int unknown_option(const struct command *c, const char *name, struct vireo_error *e)
{
    const char *names[OPTIONS_MAX + 1] = {NULL};
    struct known k;
    for (unsigned i = 0; i < OPTIONS_MAX && nth_option(c, i, &k); i++) names[i] = k.option.name;
    bad_command(e, "unknown option --%.200s", name);
    if (!nearest_hint(e->hint, sizeof(e->hint), "--", name, WORDS_IN(names)))
        (void)snprintf(e->hint, sizeof(e->hint), "`vireo %s --help` lists the options", c->name);
    return -EINVAL;
}

static int split(const struct command *c, const char *text, struct word *out, struct vireo_error *e)
{
    if (strcmp(text, "-o") == 0) text = "--output"; /* the one short form, as compilers have it */
    if (strncmp(text, "--", 2) != 0 || text[2] == '\0') {
        bad_command(e, "\"%.200s\" is not an option of vireo %s", text, c->name);
        (void)snprintf(e->hint, sizeof(e->hint), "`vireo %s --help` lists the options", c->name);
        return -EINVAL;
    }
    const char *name = text + 2, *equals = strchr(name, '=');
    const size_t len = equals ? (size_t)(equals - name) : strlen(name);
    if (len >= sizeof(out->name)) return unknown_option(c, name, e);
    memcpy(out->name, name, len);
    out->name[len] = '\0';
    out->value = equals ? equals + 1 : NULL;
    return 0;
}

/* Does the option want a value that is the next word? */
static bool wants_word(const struct word *w, const struct known *k)
{
    return k->option.arg && k->option.arg[0] != '[' && !w->value;
}

/* Is text one of the command's options, --help too, rather than the value of the one before it? */
static bool is_option(const struct command *c, const char *text)
{
    struct word w = {0};
    struct known k;
    struct vireo_error e;
    if (strncmp(text, "--", 2) != 0 || split(c, text, &w, &e)) return false;
    return strcmp(w.name, "help") == 0 || find_name(c, w.name, &k);
}

/* A value is any text, but an option of this command stands where one was forgotten far more often than it is meant. */
static int no_value(const struct word *w, const struct known *k, const char *next, struct vireo_error *e)
{
    bad_command(e, "--%s: no value given; write --%s %s", w->name, w->name, k->option.arg);
    if (next)
        (void)snprintf(e->hint, sizeof(e->hint), "a value that looks like an option is written --%s=%.100s", w->name,
                       next);
    return e->code;
}

static int set_key(const struct command *c, const struct word *w, void *ctx, struct vireo_error *e)
{
    const char *value = w->value ? w->value : "true"; /* only a switch has no value here */
    return c->set_key ? c->set_key(ctx, w->name, value, e) : vireo_config_set(ctx, w->name, value, e);
}

static void keep(void *ctx, const struct setting *o, const char *value)
{
    void *at = (char *)ctx + o->at;
    if (o->arg)
        *(const char **)at = value ? value : "";
    else
        *(bool *)at = true;
}

static bool ends_here(const struct command *c, const char *word)
{
    return c->ends_at_word && (word[0] != '-' || strcmp(word, "--") == 0);
}

char **args_rest(const struct command *c, char **words)
{
    for (; *words && !ends_here(c, *words); words++) {
        struct word w = {0};
        struct known k;
        struct vireo_error e;
        if (split(c, *words, &w, &e) || !find_name(c, w.name, &k)) continue;
        if (wants_word(&w, &k) && words[1]) words++;
    }
    return *words && strcmp(*words, "--") == 0 ? words + 1 : words;
}

int args_parse(const struct command *c, enum args_kind kind, char **words, void *ctx, struct vireo_error *e)
{
    for (char **at = words; *at; at++) {
        struct word w = {0};
        struct known k = {0};
        if (ends_here(c, *at)) return 0;
        if (c->set_word && (*at)[0] != '-') {
            if (kind == ARGS_OWN) c->set_word(ctx, *at);
            continue;
        }
        int rc = split(c, *at, &w, e);
        if (rc) return rc;
        if (!find_name(c, w.name, &k)) return unknown_option(c, w.name, e);
        if (wants_word(&w, &k)) {
            if (!at[1] || is_option(c, at[1])) return no_value(&w, &k, at[1], e);
            w.value = *++at;
        }
        if (k.is_own && !k.option.arg && w.value)
            return bad_command(e, "--%s=%.200s: it takes no value", w.name, w.value);
        if (k.is_own && k.option.arg && strstr(k.option.arg, "FILE") && w.value && !*w.value)
            return bad_command(e, "--%s=: the path is empty; name a file", w.name);
        if (kind == ARGS_OWN && k.is_own) keep(ctx, &k.option, w.value);
        if (kind == ARGS_KEYS && !k.is_own) rc = set_key(c, &w, ctx, e);
        if (rc) return rc;
    }
    return 0;
}

void args_add(struct args_words *w, const char *word)
{
    if (w->count < ARGS_WORDS_MAX) w->word[w->count] = word;
    w->count++;
}

int args_check_once(const struct args_words *w, struct vireo_error *e)
{
    for (unsigned i = 0; i < w->count; i++)
        for (unsigned k = 0; k < i; k++)
            if (strcmp(w->word[i], w->word[k]) == 0)
                return bad_command(e, "\"%.200s\" is named twice; once is enough", w->word[i]);
    return 0;
}

bool args_want_help(const struct command *c, char **words)
{
    for (; *words && !ends_here(c, *words); words++) {
        struct word w = {0};
        struct known k;
        struct vireo_error e;
        if (strcmp(*words, "--help") == 0 || strcmp(*words, "-h") == 0) return true;
        if (**words != '-' || split(c, *words, &w, &e) || !find_name(c, w.name, &k)) continue;
        if (wants_word(&w, &k) && words[1] && !is_option(c, words[1])) words++; /* its value, whatever it says */
    }
    return false;
}

bool args_time(const char *text, double low, double high, double *out)
{
    static const struct {
        const char *name;
        double s;
    } units[] = {{"", 1}, {"ms", 1e-3}, {"s", 1}, {"m", 60}};
    char *end;
    if (!text) return true;
    const double n = strtod(text, &end);
    for (size_t i = 0; end != text && i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(end, units[i].name) != 0) continue;
        *out = n * units[i].s;
        return *out >= low && *out <= high; /* not for a NaN */
    }
    return false;
}

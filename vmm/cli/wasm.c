/* `vireo wasm`: a static Linux program of a WebAssembly module. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "vmm/cli/cli.h"
#include "vmm/cli/wasm_build.h"

struct wasm_options {
    struct args_words words;
    const char *output, *cc;
    bool is_cached, clears;
};

static void set_module(void *ctx, const char *word)
{
    args_add(&((struct wasm_options *)ctx)->words, word);
}

static int check(const struct wasm_options *o, struct vireo_error *e)
{
    if (o->clears && (o->words.count || o->output || o->is_cached || o->cc))
        return bad_command(e, "--clear-cache stands alone: it makes no program");
    if (o->clears) return 0;
    if (o->words.count == 0) return bad_command(e, "no module named; write vireo wasm MODULE.wasm -o PROGRAM");
    if (o->words.count > 1)
        return bad_command(e, "\"%.200s\": one module at a time makes one program", o->words.word[1]);
    if (!o->output && !o->is_cached)
        return bad_command(e, "no output named; write vireo wasm %.200s -o PROGRAM", o->words.word[0]);
    if (o->output && o->is_cached) return bad_command(e, "--cached: the program stays in the cache; leave out -o");
    return 0;
}

static int clear_cache(struct vireo_error *e)
{
    struct wasm_removed removed;
    const int rc = wasm_clear_cache(&removed, e);
    if (rc) return rc;
    printf("%u program%s removed, %llu bytes\n", removed.programs, removed.programs == 1 ? "" : "s",
           (unsigned long long)removed.bytes);
    return 0;
}

static int make_program(const struct wasm_options *o, struct vireo_error *e)
{
    const struct wasm_params p = {.module = o->words.word[0], .cc = o->cc};
    char path[PATH_MAX];
    int used;
    if (!o->is_cached) return wasm_translate(&p, o->output, e);
    const int rc = wasm_program(&p, path, &used, e);
    if (rc) return rc;
    printf("%s\n", path);
    close(used);
    return 0;
}

static int run_wasm(const struct command *self, char **words, uint64_t started_ns)
{
    struct wasm_options o = {0};
    struct vireo_error e;
    (void)started_ns;
    if (args_parse(self, ARGS_OWN, words, &o, &e) || check(&o, &e)) return say_error(&e);
    if (o.clears ? clear_cache(&e) : make_program(&o, &e)) return say_error(&e);
    return finish_output(NULL, "standard output", 0);
}

static void list_files(FILE *f, const char *word)
{
    (void)word;
    fputs("FILE\t\ta module\n", f);
}

static const struct setting options[] = {
    {"output", "FILE", "the program, executable; -o is the same", CLI_TEXT(struct wasm_options, output)},
    {"cached", NULL, "keep it where vireo exec keeps programs of modules, and print its path",
     CLI_SWITCH(struct wasm_options, is_cached)},
    {"clear-cache", NULL, "remove the kept programs that are not in use", CLI_SWITCH(struct wasm_options, clears)},
    {"cc", "PROGRAM", "the C compiler (default gcc)", CLI_TEXT(struct wasm_options, cc)},
    {0},
};

const struct command command_wasm = {
    .name = "wasm",
    .args = "MODULE.wasm -o PROGRAM",
    .help = "Make a static Linux program of a WebAssembly module",
    .options = options,
    .list = list_files,
    .set_word = set_module,
    .run = run_wasm,
};

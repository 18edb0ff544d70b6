/* Words of the command line. The program's files are no part of the library, so they are compiled in here. */
#include <errno.h>
#include <stdlib.h>

#include "tests/unit/unit.h"
#include "vmm/cli/args.c"
#include "vmm/cli/text.c"

static struct own {
    bool is_loud;
    const char *file, *maybe;
} own;

static const struct setting options[] = {{"loud", NULL, "", CLI_SWITCH(struct own, is_loud)},
                                         {"file", "FILE", "", CLI_TEXT(struct own, file)},
                                         {"maybe", "[FILE]", "", CLI_TEXT(struct own, maybe)},
                                         {0}};
static bool nth_config_key(const struct command *c, unsigned index, struct setting *out)
{
    struct vireo_key k;
    (void)c;
    if (!vireo_config_key(index, &k)) return false;
    *out = (struct setting){.name = k.name, .arg = k.arg, .help = k.help};
    return true;
}

static const struct command with_keys = {.name = "run", .options = options, .key = nth_config_key};
static const struct command without_keys = {.name = "doctor", .options = options};
static struct vireo_error e;

static int parse_own(const struct command *c, char **words)
{
    memset(&own, 0, sizeof(own));
    memset(&e, 0, sizeof(e));
    return args_parse(c, ARGS_OWN, words, &own, &e);
}

static int parse_keys(char **words)
{
    struct vireo_config *c = vireo_config_create();
    memset(&e, 0, sizeof(e));
    const int rc = args_parse(&with_keys, ARGS_KEYS, words, c, &e);
    vireo_config_destroy(c);
    return rc;
}

#define WORDS(...) ((char *[]){__VA_ARGS__, NULL})

static void values_come_after_a_blank_or_an_equals_sign(void **state)
{
    (void)state;
    assert_int_equal(parse_own(&with_keys, WORDS("--file", "a", "--loud", "--maybe")), 0);
    assert_string_equal(own.file, "a");
    assert_true(own.is_loud);
    assert_string_equal(own.maybe, "");
    assert_int_equal(parse_own(&with_keys, WORDS("--maybe=b=c", "--file=--loud")), 0);
    assert_string_equal(own.maybe, "b=c");
    assert_string_equal(own.file, "--loud");
    assert_false(own.is_loud);
    assert_int_equal(parse_own(&with_keys, WORDS("--file=")), -EINVAL); /* no path is empty */
}

static void each_pass_takes_its_own_kind(void **state)
{
    (void)state;
    char **words = WORDS("--cpus", "0", "--loud", "--rng", "--disk", "path=a");
    assert_int_equal(parse_own(&with_keys, words), 0); /* the library's values are not looked at yet */
    assert_true(own.is_loud);
    assert_int_equal(parse_keys(words), -EINVAL);
    assert_contains(e.text, "cpus 0");
    assert_int_equal(parse_keys(WORDS("--cpus", "1", "--loud", "--rng", "--rng=false", "--disk=path=a")), 0);
    assert_int_equal(parse_keys(WORDS("--rng=maybe")), -EINVAL);
}

static void wrong_words_are_refused_with_a_way_out(void **state)
{
    (void)state;
    static const struct {
        const char *words[3], *text, *hint;
    } rows[] = {
        {{"--lound"}, "unknown option --lound", "\"--loud\"?"},
        {{"--memroy", "1G"}, "unknown option --memroy", "\"--memory\"?"},
        {{"--memroy=1G"}, "unknown option --memroy", "\"--memory\"?"},
        {{"--xyzzy"}, "unknown option --xyzzy", "`vireo run --help`"},
        {{"--an-option-longer-than-any-name-there-is"}, "unknown option", "`vireo run --help`"},
        {{"vmlinuz"}, "\"vmlinuz\" is not an option", "`vireo run --help`"},
        {{"-x"}, "\"-x\" is not an option", "`vireo run --help`"},
        {{"--"}, "\"--\" is not an option", "`vireo run --help`"},
        {{""}, "\"\" is not an option", "`vireo run --help`"},
        {{"--loud", "--kernel"}, "--kernel: no value given; write --kernel FILE", ""},
        {{"--file"}, "--file: no value given; write --file FILE", ""},
        {{"--loud=yes"}, "it takes no value", ""},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *words[] = {(char *)(uintptr_t)rows[i].words[0], (char *)(uintptr_t)rows[i].words[1], NULL};
        assert_int_equal(parse_own(&with_keys, words), -EINVAL);
        assert_int_equal(e.exit_status, STATUS_BAD_COMMAND);
        assert_contains(e.text, rows[i].text);
        assert_contains(e.hint, rows[i].hint);
    }
    assert_int_equal(parse_own(&without_keys, WORDS("--cpus", "1")), -EINVAL);
    assert_contains(e.text, "unknown option --cpus");
}

static void help_is_found_anywhere(void **state)
{
    (void)state;
    assert_true(args_want_help(&with_keys, WORDS("--loud", "--help")));
    assert_true(args_want_help(&with_keys, WORDS("-h")));
    assert_true(args_want_help(&with_keys, WORDS("--xyzzy", "-h")));
    assert_true(args_want_help(&with_keys, WORDS("--cmdline", "--help")));
    assert_true(args_want_help(&with_keys, WORDS("--cmdline=-h", "-h")));
    assert_true(args_want_help(&with_keys, WORDS("--maybe", "-h")));
    assert_false(args_want_help(&with_keys, WORDS("--loud", "help")));
    assert_false(args_want_help(&with_keys, WORDS("--cmdline", "-h")));
    assert_false(args_want_help(&with_keys, WORDS("--file", "-h", "--cmdline=--help")));
}

/* Who forgets a value has the option named that lacks it, not the one that came next. */
static void options_are_no_values(void **state)
{
    (void)state;
    static const char *const next[] = {"--memory", "--memory=1G", "--loud", "--maybe", "--help"};
    for (size_t i = 0; i < COUNT_OF(next); i++) {
        char *words[] = {(char *)"--cpus", (char *)(uintptr_t)next[i], NULL};
        assert_int_equal(parse_own(&with_keys, words), -EINVAL);
        assert_contains(e.text, "--cpus: no value given; write --cpus N");
        assert_contains(e.hint, "--cpus=--");
        assert_int_equal(parse_keys(words), -EINVAL);
    }
    assert_int_equal(parse_own(&with_keys, WORDS("--file", "--xyzzy")), 0); /* no option: a value like any other */
    assert_string_equal(own.file, "--xyzzy");
    assert_int_equal(parse_own(&with_keys, WORDS("--file", "-h")), 0);
    assert_string_equal(own.file, "-h");
    assert_int_equal(parse_own(&with_keys, WORDS("--file=--loud")), 0);
    assert_string_equal(own.file, "--loud");
    assert_false(own.is_loud);
}

UNIT_MAIN(UNIT(values_come_after_a_blank_or_an_equals_sign), UNIT(each_pass_takes_its_own_kind),
          UNIT(wrong_words_are_refused_with_a_way_out), UNIT(help_is_found_anywhere), UNIT(options_are_no_values))

/* What a program that was compiled with an older vireo.h relies on: structs keep their sizes and their members their
 * places, and what they have in reserve is zero on the way out and demanded to be so on the way in. */
#include <errno.h>
#include <stddef.h>
#include <vireo.h>

#include "tests/unit/unit.h"

/* Where the last member before the reserve ends may move, as members are added; sizes and what lies before may not. */
static void structs_keep_their_layout(void **state)
{
    static const struct {
        const char *what;
        size_t is, was;
    } rows[] = {
        {"vireo_error", sizeof(struct vireo_error), 1064},
        {"vireo_error.hint", offsetof(struct vireo_error, hint), 776},
        {"vireo_key", sizeof(struct vireo_key), 64},
        {"vireo_file", sizeof(struct vireo_file), 40},
        {"vireo_log", sizeof(struct vireo_log), 40},
        {"vireo_end", sizeof(struct vireo_end), 440},
        {"vireo_end.detail", offsetof(struct vireo_end, detail), 24},
        {"vireo_milestone", sizeof(struct vireo_milestone), 56},
        {"vireo_thread", sizeof(struct vireo_thread), 64},
        {"vireo_times", sizeof(struct vireo_times), 80},
        {"vireo_stat.handler", offsetof(struct vireo_stat, handler), 136},
        {"vireo_stats", sizeof(struct vireo_stats), 64},
        {"vireo_stats_view", sizeof(struct vireo_stats_view), 56},
        {"vireo_host_fact.advice", offsetof(struct vireo_host_fact, advice), 276},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].is != rows[i].was) fail_msg("%s: %zu, and was %zu", rows[i].what, rows[i].is, rows[i].was);
}

static bool is_zero(const uint64_t *reserved, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (reserved[i]) return false;
    return true;
}
#define HAS_ZERO_RESERVE(s) is_zero((s).reserved, sizeof((s).reserved) / sizeof((s).reserved[0]))

static void what_comes_out_has_zero_in_reserve(void **state)
{
    struct vireo_config *c = vireo_config_create();
    struct vireo_error e;
    struct vireo_key k;
    (void)state;
    memset(&e, 0xff, sizeof(e));
    memset(&k, 0xff, sizeof(k));
    assert_non_null(c);
    assert_int_equal(vireo_config_set(c, "cpus", "none", &e), -EINVAL);
    assert_true(HAS_ZERO_RESERVE(e));
    assert_true(vireo_config_key(0, &k));
    assert_true(HAS_ZERO_RESERVE(k));
    vireo_config_destroy(c);
}

static void no_log(void *arg, enum vireo_log_level level, const char *line)
{
    (void)arg;
    (void)level;
    (void)line;
}

/* A program that left it as it lay in memory would one day ask for what it doesn't know of. */
static void what_goes_in_is_refused_with_anything_in_reserve(void **state)
{
    struct vireo_config *c = vireo_config_create();
    struct vireo_log log = {.fn = no_log, .reserved = {0, 1}};
    struct vireo_stats_view view = {.reserved = {7}};
    struct vireo_vm *vm = NULL;
    struct vireo_error e;
    (void)state;
    assert_non_null(c);
    assert_int_equal(vireo_vm_create(&vm, c, &log, &e), -EINVAL);
    assert_contains(e.text, "struct vireo_log");
    assert_contains(e.hint, "initialise");
    assert_null(vm);
    assert_int_equal(vireo_vm_stats_write(NULL, &view, NULL, NULL, &e), -EINVAL);
    assert_contains(e.text, "struct vireo_stats_view");
    vireo_config_destroy(c);
}

UNIT_MAIN(UNIT(structs_keep_their_layout), UNIT(what_comes_out_has_zero_in_reserve),
          UNIT(what_goes_in_is_refused_with_anything_in_reserve))

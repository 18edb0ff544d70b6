/* The vCPU lines of `vireo top` and its last looks, from figures that are known. */
#include "tests/unit/unit.h"
#include "vmm/cli/top_vcpus.c"

#define MS UINT64_C(1000000)

static struct top_row rows[3];

/* An interval of a second with three vCPUs; of the last one the kernel tells nothing. */
static struct series made_up(void)
{
    struct series s = {.now = {.vcpus = 3}, .change = {.vcpus = 3, .age_ns = 1000 * MS, .row = rows, .count = 3}};
    for (int i = 0; i < 3; i++) rows[i] = (struct top_row){.vcpu = i, .count = 100, .run_ns = 3000, .handler_ns = 1000};
    memset(s.host_change.vcpu, 0xff, sizeof(s.host_change.vcpu));
    memset(s.host.cpu, 0xff, sizeof(s.host.cpu));
    for (unsigned i = 0; i < 2; i++) {
        uint64_t *v = s.host_change.vcpu[i];
        for (unsigned k = 0; k < SERIES_FIGURES; k++) v[k] = 0;
        v[FIGURE_CPU_NS] = 500 * MS;
        v[FIGURE_RUN_DELAY_NS] = i ? 250 * MS : 125 * MS;
        v[FIGURE_STEAL_NS] = i ? SERIES_UNTOLD : 120 * MS;
        v[FIGURE_VOLUNTARY] = 10;
        v[FIGURE_INVOLUNTARY] = 20;
        v[FIGURE_MIGRATIONS] = 3;
        s.host.cpu[i] = i;
    }
    return s;
}

static char *drawn(const struct series *s, const struct top_history *h)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    assert_non_null(f);
    if (s) top_vcpus_draw(f, s);
    if (h) top_history_draw(f, h);
    assert_int_equal(fclose(f), 0);
    return text;
}

static void vcpus_stand_by_how_long_they_waited(void **state)
{
    const struct series s = made_up();
    (void)state;
    char *text = drawn(&s, NULL);
    assert_string_equal(strchr(text, '\n') + 1,
                        "vCPU 1        100  25.0 %  50.0 %  25.0 %       -     30     3   1 ######===...\n"
                        "vCPU 0        100  25.0 %  50.0 %  12.5 %  12.0 %     30     3   0 ######==....\n"
                        "vCPU 2        100  25.0 %       -       -       -      0     0   - ............\n");
    for (const char *at = text; *at; at = strchr(at, '\n') + 1) assert_true(strcspn(at, "\n") <= 80);
    free(text);
}

/* A wait is counted when it ends, so an interval may hold more of it than it is long. */
static void a_bar_holds_no_more_than_its_columns(void **state)
{
    struct series s = made_up();
    (void)state;
    s.host_change.vcpu[1][FIGURE_RUN_DELAY_NS] = 1500 * MS;
    char *text = drawn(&s, NULL);
    assert_contains(text, " 150.0 %       -     30     3   1 ###=========\n");
    free(text);
}

static void the_last_looks_stand_beside_each_other(void **state)
{
    struct series s = made_up();
    struct top_history h = {0};
    (void)state;
    top_history_add(&h, &s);
    char *text = drawn(NULL, &h);
    assert_string_equal(text, ""); /* one is no history */
    free(text);
    for (unsigned i = 0; i < TOP_LOOKS; i++) top_history_add(&h, &s);
    for (int i = 0; i < 3; i++) rows[i].count = 0;
    for (unsigned i = 0; i < 2; i++) s.host_change.vcpu[i][FIGURE_CPU_NS] = 0;
    top_history_add(&h, &s);
    text = drawn(NULL, &h);
    char wanted[256], looks[TOP_LOOKS];
    memset(looks, '@', TOP_LOOKS - 1);
    looks[TOP_LOOKS - 1] = '\0';
    (void)snprintf(wanted, sizeof(wanted), "exits/s  |%s | @ is 300\n", looks);
    assert_contains(text, wanted);
    memset(looks, ':', TOP_LOOKS - 1); /* 375 of 1,375 ms */
    (void)snprintf(wanted, sizeof(wanted), "waiting  |%s@| ", looks);
    assert_contains(text, wanted);
    free(text);
}

UNIT_MAIN(UNIT(vcpus_stand_by_how_long_they_waited), UNIT(a_bar_holds_no_more_than_its_columns),
          UNIT(the_last_looks_stand_beside_each_other))

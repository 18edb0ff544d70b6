/* Samples of a made-up guest and exits of a made-up recorder, joined: every figure is known beforehand. */
#include "bench/exits/exits.h"
#include "tests/unit/unit.h"

#define SAMPLES 100
#define AT      0x5000
#define START   1000000
#define EVERY   1000
/* A sample: G0, 30 ticks to us, 5 in our handler, 40 back; 70 from the exit before. */
#define TO_US  30
#define OURS   5
#define BACK   40
#define IN_KVM 70

static const struct arch_bench_row user_row = {
    .row = BENCH_pio_out_user, .id = "made_up", .group = BENCH_USER, .exits = 1, .class = RECORD_PORT_OUT};
static const struct arch_bench_row twice_row = {
    .row = BENCH_mmio_lapic, .id = "made_up", .group = BENCH_KERNEL, .exits = 1, .more = 100, .adds = "a try"};
static const struct arch_bench_row control_row = {.row = BENCH_nop, .id = "made_up", .group = BENCH_CONTROL};
static const struct arch_bench_row open_row = {
    .row = BENCH_irqfd_running, .id = "made_up", .group = BENCH_KERNEL, .exits = -1};
static const struct arch_bench_row called_row = {
    .row = BENCH_ipi_rtt, .id = "made_up", .group = BENCH_KERNEL, .exits = 1, .more = 10, .adds = "a call"};

struct made_up {
    struct exits_run run;
    struct bench_sample sample[SAMPLES], baseline[3];
    struct record_exit exit[SAMPLES * 4 + 8];
    struct exits_window window[2];
};

static struct record_exit exit_at(uint64_t left, uint64_t addr)
{
    return (struct record_exit){.class = RECORD_PORT_OUT,
                                .has_addr = true,
                                .addr = addr,
                                .from = left - IN_KVM,
                                .left = left,
                                .done = left + OURS};
}

static void add_exit(struct made_up *m, struct record_exit x)
{
    m->exit[m->run.trace.count++] = x;
}

/* The guest's counter is behind the host's by `behind`. */
static void make(struct made_up *m, uint32_t batch, uint32_t warm_up, uint64_t behind)
{
    memset(m, 0, sizeof(*m));
    m->run = (struct exits_run){.what = &user_row,
                                .samples = SAMPLES,
                                .warm_up = warm_up,
                                .batch = batch,
                                .sample = m->sample,
                                .baseline = m->baseline,
                                .trace = {.exit = m->exit, .capacity = SAMPLES * 4 + 8},
                                .is_clock_shared = behind == 0,
                                .window = m->window};
    m->run.side.address = AT;
    add_exit(m, exit_at(START - 500, 0x3f8)); /* another port's */
    for (uint32_t i = 0; i < warm_up * batch; i++) add_exit(m, exit_at(START - 400 + i, AT));
    for (uint32_t i = 0; i < SAMPLES; i++) {
        const uint64_t g0 = START + i * EVERY;
        for (uint32_t n = 0; n < batch; n++) add_exit(m, exit_at(g0 + TO_US + n * (TO_US + OURS + BACK), AT));
        m->sample[i].g0 = g0 - behind;
        m->sample[i].g1 = g0 + batch * (TO_US + OURS + BACK) - behind;
    }
}

static uint64_t median(const struct exits_joined *j, enum phase p)
{
    assert_true(j->count[p] > 0);
    return j->phase[p][(j->count[p] - 1) / 2];
}

static void each_exit_is_joined_with_its_sample(void **state)
{
    static struct made_up m;
    struct exits_joined j;
    (void)state;
    make(&m, 1, 2, 0);
    assert_int_equal(exits_join(&j, &m.run), 0);
    assert_int_equal(j.count[PHASE_EXIT_LEG], SAMPLES);
    for (unsigned i = 0; i < SAMPLES; i++) {
        assert_int_equal(j.phase[PHASE_EXIT_LEG][i], TO_US);
        assert_int_equal(j.phase[PHASE_USER][i], OURS);
        assert_int_equal(j.phase[PHASE_ENTRY_LEG][i], BACK);
        assert_int_equal(j.phase[PHASE_KVM_RUN][i], IN_KVM);
        assert_int_equal(j.phase[PHASE_RTT][i], TO_US + OURS + BACK);
    }
    assert_true(j.identity_holds);
    assert_int_equal(j.residual, 0);
    exits_joined_fini(&j);
}

static void baseline_is_subtracted_from_the_round_trip_alone(void **state)
{
    static struct made_up m;
    struct exits_joined j;
    (void)state;
    make(&m, 1, 0, 0);
    m.run.baselines = 3;
    m.baseline[0] = (struct bench_sample){10, 20};
    m.baseline[1] = (struct bench_sample){10, 17};
    m.baseline[2] = (struct bench_sample){10, 900}; /* interrupted */
    assert_int_equal(exits_join(&j, &m.run), 0);
    assert_int_equal(j.baseline, 10);
    assert_int_equal(median(&j, PHASE_RTT), TO_US + OURS + BACK - 10);
    assert_int_equal(median(&j, PHASE_EXIT_LEG), TO_US);
    assert_true(j.identity_holds);
    exits_joined_fini(&j);
}

static void batch_has_its_median_repetition_and_no_legs(void **state)
{
    static struct made_up m;
    struct exits_joined j;
    (void)state;
    make(&m, 4, 0, 0);
    for (unsigned i = 1; i < m.run.trace.count; i += 4) m.exit[i].from -= 200; /* the guest, between two batches */
    m.exit[7].done += 900;                                                     /* something befell this one */
    assert_int_equal(exits_join(&j, &m.run), 0);
    assert_int_equal(j.phase[PHASE_USER][SAMPLES - 1], 4 * OURS);
    assert_int_equal(j.phase[PHASE_KVM_RUN][SAMPLES - 1], 4 * IN_KVM);
    assert_int_equal(median(&j, PHASE_USER), 4 * OURS);
    assert_int_equal(median(&j, PHASE_KVM_RUN), 4 * IN_KVM);
    assert_int_equal(median(&j, PHASE_RTT), 4 * (TO_US + OURS + BACK));
    assert_int_equal(j.count[PHASE_EXIT_LEG], 0);
    exits_joined_fini(&j);
}

/* The guest's counter is far behind: what lies between the bounds is what the estimate can be wrong by. */
static void unknown_offset_is_bracketed(void **state)
{
    static struct made_up m;
    struct exits_joined j;
    (void)state;
    make(&m, 1, 0, 777777);
    assert_int_equal(exits_join(&j, &m.run), 0);
    assert_true(j.has_legs);
    assert_int_equal(j.offset_error, (TO_US + BACK) / 2);
    assert_in_range(median(&j, PHASE_EXIT_LEG), 0, TO_US + j.offset_error);
    assert_in_range(median(&j, PHASE_ENTRY_LEG), 0, BACK + j.offset_error);
    assert_int_equal(median(&j, PHASE_RTT), TO_US + OURS + BACK);
    exits_joined_fini(&j);
}

static void clock_that_is_not_shared_though_said_to_be_fails_the_identity(void **state)
{
    static struct made_up m;
    struct exits_joined j;
    (void)state;
    make(&m, 1, 0, 777777);
    m.run.is_clock_shared = true;
    assert_int_equal(exits_join(&j, &m.run), 0);
    assert_false(j.identity_holds);
    assert_true(j.residual > 700000);
    exits_joined_fini(&j);
}

static void clock_that_jumps_has_no_legs(void **state)
{
    static struct made_up m;
    struct exits_joined j;
    (void)state;
    make(&m, 1, 0, 777777);
    for (unsigned i = SAMPLES / 2; i < SAMPLES; i++) {
        m.sample[i].g0 += 5000;
        m.sample[i].g1 += 5000;
    }
    assert_int_equal(exits_join(&j, &m.run), 0);
    assert_false(j.has_legs);
    assert_int_equal(j.count[PHASE_EXIT_LEG], 0);
    assert_int_equal(j.count[PHASE_USER], SAMPLES);
    exits_joined_fini(&j);
}

static void disturbed_samples_are_tagged_and_kept(void **state)
{
    static struct made_up m;
    struct exits_joined j;
    (void)state;
    make(&m, 1, 0, 0);
    m.window[0] = (struct exits_window){10, 20};
    m.run.windows = 1;
    m.sample[15].g1 += 500; /* long, and the host had a hand in */
    m.sample[50].g1 += 500; /* long, and nobody knows why */
    m.sample[12].g1 += 5;   /* no longer than others */
    assert_int_equal(exits_join(&j, &m.run), 0);
    assert_int_equal(j.disturbed, 1);
    assert_int_equal(j.count[PHASE_RTT], SAMPLES);
    assert_int_equal(j.count[PHASE_UNDISTURBED], SAMPLES - 1);
    assert_int_equal(j.phase[PHASE_UNDISTURBED][SAMPLES - 2], TO_US + OURS + BACK + 500);
    exits_joined_fini(&j);
}

/* Most samples are long, and the host interfered with nearly all: the fastest tenth still tells what is usual. */
static void samples_of_a_busy_host_are_tagged_though_most_are_long(void **state)
{
    static struct made_up m;
    struct exits_joined j;
    (void)state;
    make(&m, 1, 0, 0);
    m.window[0] = (struct exits_window){0, 95};
    m.run.windows = 1;
    for (unsigned i = 20; i < 95; i++) m.sample[i].g1 += 300;
    assert_int_equal(exits_join(&j, &m.run), 0);
    assert_int_equal(j.disturbed, 75);
    assert_int_equal(median(&j, PHASE_RTT), TO_US + OURS + BACK + 300);
    assert_int_equal(median(&j, PHASE_UNDISTURBED), TO_US + OURS + BACK);
    exits_joined_fini(&j);
}

/* In each batch the third repetition of four takes eleven times as long. */
static void undisturbed_batch_is_its_median_repetition(void **state)
{
    static struct made_up m;
    struct exits_joined j;
    const uint64_t one = TO_US + OURS + BACK, late = 10 * one;
    (void)state;
    make(&m, 4, 0, 0);
    for (unsigned i = 0; i < SAMPLES; i++) {
        for (unsigned n = 2; n < 4; n++) {
            struct record_exit *x = &m.exit[1 + 4 * i + n];
            x->left += late;
            x->done += late;
            if (n == 3) x->from += late;
        }
        m.sample[i].g1 += late;
    }
    assert_int_equal(exits_join(&j, &m.run), 0);
    assert_int_equal(median(&j, PHASE_RTT), 4 * one + late);
    assert_int_equal(median(&j, PHASE_UNDISTURBED), 4 * (IN_KVM + OURS));
    assert_int_equal(j.disturbed, SAMPLES);
    exits_joined_fini(&j);
}

/* What a guest writes may be anything: nothing overflows, nothing is read beyond. */
static void hostile_samples_are_cut_to_size(void **state)
{
    static struct made_up m;
    struct exits_joined j;
    (void)state;
    make(&m, 1, 0, 0);
    m.sample[0] = (struct bench_sample){UINT64_MAX, 0};
    m.sample[1] = (struct bench_sample){0, UINT64_MAX};
    m.sample[2] = (struct bench_sample){1, INT64_MAX};
    m.run.trace.count = 20; /* and most exits never happened */
    assert_int_equal(exits_join(&j, &m.run), 0);
    assert_int_equal(j.count[PHASE_RTT], SAMPLES);
    assert_true(j.phase[PHASE_RTT][SAMPLES - 1] < HIST_LIMIT);
    assert_int_equal(j.count[PHASE_USER], 19);
    exits_joined_fini(&j);
}

static void row_without_samples_has_no_phases(void **state)
{
    static struct made_up m;
    struct exits_joined j;
    (void)state;
    make(&m, 1, 0, 0);
    m.run.samples = 0;
    assert_int_equal(exits_join(&j, &m.run), 0);
    for (unsigned p = 0; p < PHASE_COUNT; p++) assert_int_equal(j.count[p], 0);
    exits_joined_fini(&j);
}

/* Of 1000 samples of a batch of 1. */
static const struct {
    const struct arch_bench_row *row;
    const char *source;
    uint64_t counted;
    enum count_verdict verdict;
} counts[] = {
    {&user_row, "mmio_exits", 1000, COUNT_AGREES},
    {&user_row, "mmio_exits", 1001, COUNT_MORE}, /* nobody else's are in that statistic */
    {&user_row, "mmio_exits", 999, COUNT_FEWER},
    {&user_row, "exits - irq_exits", 1001, COUNT_MORE},
    {&user_row, "exits - irq_exits", 999, COUNT_FEWER},
    {&user_row, EXITS_ALL, 1000, COUNT_AGREES},
    {&user_row, EXITS_ALL, 1999, COUNT_EXPLAINED},
    {&user_row, EXITS_ALL, 2000, COUNT_MORE}, /* one more in each repetition is the row's own */
    {&user_row, EXITS_ALL, 999, COUNT_FEWER},
    {&control_row, EXITS_ALL, 0, COUNT_AGREES},
    {&control_row, EXITS_ALL, 878, COUNT_EXPLAINED},
    {&control_row, EXITS_ALL, 1000, COUNT_MORE},
    {&control_row, "exits - irq_exits", 1, COUNT_MORE},
    {&twice_row, "exits - irq_exits", 1000, COUNT_AGREES},
    {&twice_row, "exits - irq_exits", 2000, COUNT_EXPLAINED},
    {&twice_row, "exits - irq_exits", 2001, COUNT_MORE},
    {&twice_row, EXITS_ALL, 105, COUNT_FEWER}, /* a tenth of them is no agreement, however wide the other side is */
    {&twice_row, EXITS_ALL, 2999, COUNT_EXPLAINED},
    {&called_row, "halt_exits", 1100, COUNT_EXPLAINED},
    {&called_row, "halt_exits", 1101, COUNT_MORE},
    {&called_row, "halt_exits", 999, COUNT_FEWER},
    {&called_row, "halt_exits", 0, COUNT_FEWER},
    {&open_row, EXITS_ALL, 5000, COUNT_NONE},
};

static void counts_may_have_more_where_the_row_says_so_and_fewer_never(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        const struct exits_run run = {.what = counts[i].row,
                                      .samples = 1000,
                                      .batch = 1,
                                      .has_count = true,
                                      .source = counts[i].source,
                                      .counted = counts[i].counted};
        const struct exits_count c = exits_count_judge(&run);
        if (c.verdict != counts[i].verdict) print_message("row %u of the table: %s\n", i, c.because);
        assert_int_equal(c.verdict, counts[i].verdict);
        assert_true((c.because[0] != '\0') == (c.verdict > COUNT_AGREES));
    }
}

static void every_row_that_may_have_more_exits_says_which(void **state)
{
    const struct arch_bench_row *row;
    (void)state;
    for (unsigned i = 0; (row = arch_bench_row(i)) != NULL; i++) assert_true((row->more > 0) == (row->adds != NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_exit_is_joined_with_its_sample),
        cmocka_unit_test(baseline_is_subtracted_from_the_round_trip_alone),
        cmocka_unit_test(batch_has_its_median_repetition_and_no_legs),
        cmocka_unit_test(unknown_offset_is_bracketed),
        cmocka_unit_test(clock_that_is_not_shared_though_said_to_be_fails_the_identity),
        cmocka_unit_test(clock_that_jumps_has_no_legs),
        cmocka_unit_test(disturbed_samples_are_tagged_and_kept),
        cmocka_unit_test(samples_of_a_busy_host_are_tagged_though_most_are_long),
        cmocka_unit_test(undisturbed_batch_is_its_median_repetition),
        cmocka_unit_test(hostile_samples_are_cut_to_size),
        cmocka_unit_test(row_without_samples_has_no_phases),
        cmocka_unit_test(counts_may_have_more_where_the_row_says_so_and_fewer_never),
        cmocka_unit_test(every_row_that_may_have_more_exits_says_which),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

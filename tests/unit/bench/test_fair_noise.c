/* What the judges make of noise: fair vCPUs are accused of nothing whatever others do, and one that is treated worse is
 * found and named wherever its loss is more than the noise could be. `make bench-trust` prints the whole table. */
#include "tests/unit/bench/noise_rig.h"
#include "tests/unit/unit.h"

#define RUNS 20u

static struct fair_options o;

static int prepare(void **state)
{
    struct err e = {0};
    (void)state;
    fair_options_init(&o);
    return fair_options_check(&o, &e);
}

/* In how many runs a property failed, and in how many one of those named the victim. */
struct tally {
    unsigned failed, named;
};

static struct tally runs(unsigned level, enum planted planted, double part, uint64_t first_seed)
{
    static struct fair_plan p;
    static struct fair_record r;
    static struct fair_report found;
    struct tally t = {0};

    for (unsigned i = 0; i < RUNS; i++) {
        struct noise_model m = {
            .level = &noise_levels[level], .planted = planted, .part = part, .seed = first_seed + i};
        bool is_named;
        assert_int_equal(noise_make(&m, &p, &r), 0);
        fair_judge(&o, &p, &r, &found);
        t.failed += noise_judge(&found, &is_named) == FAIR_FAIL;
        t.named += is_named;
        fair_record_free(&r);
    }
    return t;
}

static void fair_vcpus_are_accused_of_nothing_in_any_noise(void **state)
{
    (void)state;
    for (unsigned level = 0; level < NOISE_LEVELS; level++)
        for (uint64_t seed = 1; seed < 100; seed += RUNS)
            assert_int_equal(runs(level, PLANT_WEIGHT, 0, seed).failed, 0);
}

static void a_tenth_is_found_and_named_while_others_have_seven_tenths(void **state)
{
    (void)state;
    for (unsigned level = 0; level < NOISE_LEVELS - 2; level++)
        for (unsigned planted = 0; planted < PLANT_COUNT; planted++) {
            const struct tally t = runs(level, (enum planted)planted, 0.1, 1);
            if (t.named * 10 < RUNS * 9)
                fail_msg("%s, plant %u: %u of %u", noise_levels[level].name, planted, t.named, RUNS);
        }
}

static void a_half_is_found_and_named_in_any_noise(void **state)
{
    (void)state;
    for (unsigned level = 0; level < NOISE_LEVELS; level++)
        for (unsigned planted = 0; planted < PLANT_COUNT; planted++)
            if (planted != PLANT_SLOW || level < NOISE_LEVELS - 1) /* what stood still may have been all of the loss */
                assert_in_range(runs(level, (enum planted)planted, 0.5, 1).named, RUNS * 9 / 10, RUNS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fair_vcpus_are_accused_of_nothing_in_any_noise),
        cmocka_unit_test(a_tenth_is_found_and_named_while_others_have_seven_tenths),
        cmocka_unit_test(a_half_is_found_and_named_in_any_noise),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}

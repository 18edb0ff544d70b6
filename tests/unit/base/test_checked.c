#include "tests/unit/unit.h"

#include "vmm/base/checked.h"

/* Values where 64-bit arithmetic goes wrong, and plain ones. */
static const uint64_t EDGES[] = {
    0,
    1,
    2,
    3,
    4095,
    4096,
    4097,
    UINT32_MAX - 1,
    UINT32_MAX,
    UINT64_C(1) << 32,
    INT64_MAX,
    UINT64_C(1) << 63,
    UINT64_MAX - 4096,
    UINT64_MAX - 4095,
    UINT64_MAX - 1,
    UINT64_MAX,
};

__extension__ typedef unsigned __int128 wide; /* -std=gnu17 has no wider integer of its own */

static void add_and_mul_agree_with_wider_arithmetic(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(EDGES); i++) {
        for (size_t j = 0; j < COUNT_OF(EDGES); j++) {
            const wide sum = (wide)EDGES[i] + EDGES[j], product = (wide)EDGES[i] * EDGES[j];
            uint64_t out;
            assert_int_equal(checked_add(EDGES[i], EDGES[j], &out), sum <= UINT64_MAX);
            assert_true(out == (uint64_t)sum);
            assert_int_equal(checked_mul(EDGES[i], EDGES[j], &out), product <= UINT64_MAX);
            assert_true(out == (uint64_t)product);
        }
    }
}

static void range_fits_agrees_with_wider_arithmetic(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(EDGES); i++) {
        for (size_t j = 0; j < COUNT_OF(EDGES); j++) {
            for (size_t k = 0; k < COUNT_OF(EDGES); k++) {
                const bool fits = (wide)EDGES[i] + EDGES[j] <= EDGES[k];
                assert_int_equal(range_fits(EDGES[i], EDGES[j], EDGES[k]), fits);
            }
        }
    }
}

static void align_finds_the_nearest_multiple(void **state)
{
    (void)state;
    for (uint64_t align = 1; align <= 64; align *= 2) {
        for (uint64_t v = 0; v < 1000; v++) {
            assert_int_equal(align_down(v, align), v / align * align);
            assert_int_equal(align_up(v, align), (v + align - 1) / align * align);
        }
    }
    assert_true(align_up(UINT64_MAX - 4095, 4096) == UINT64_MAX - 4095);
    assert_true(align_up(UINT64_MAX - 4094, 4096) == 0); /* as the header says */
}

UNIT_MAIN(UNIT(add_and_mul_agree_with_wider_arithmetic), UNIT(range_fits_agrees_with_wider_arithmetic),
          UNIT(align_finds_the_nearest_multiple))

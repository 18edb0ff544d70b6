#include "tests/unit/unit.h"

#include "vmm/base/endian.h"

/* Byte i of a number is i+1: least significant first in memory. */
#define NUMBER16 UINT16_C(0x0201)
#define NUMBER32 UINT32_C(0x04030201)
#define NUMBER64 UINT64_C(0x0807060504030201)

static const uint8_t BYTES[8] = {1, 2, 3, 4, 5, 6, 7, 8};

static void types_are_as_small_as_in_the_guest(void **state)
{
    (void)state;
    struct mixed {
        struct le16 a;
        struct le64 b;
        struct le32 c;
    };
    assert_int_equal(sizeof(struct le16), 2);
    assert_int_equal(sizeof(struct le32), 4);
    assert_int_equal(sizeof(struct le64), 8);
    assert_int_equal(sizeof(struct mixed), 14);
    assert_int_equal(_Alignof(struct le64), 1);
}

static void least_significant_byte_comes_first(void **state)
{
    (void)state;
    const struct le16 a = le16_make(NUMBER16);
    const struct le32 b = le32_make(NUMBER32);
    const struct le64 c = le64_make(NUMBER64);
    assert_memory_equal(&a, BYTES, sizeof(a));
    assert_memory_equal(&b, BYTES, sizeof(b));
    assert_memory_equal(&c, BYTES, sizeof(c));
    assert_int_equal(le16_get(a), NUMBER16);
    assert_int_equal(le32_get(b), NUMBER32);
    assert_true(le64_get(c) == NUMBER64);
}

static void read_and_write_take_any_alignment(void **state)
{
    (void)state;
    for (size_t at = 0; at < 9; at++) {
        uint8_t room[18] = {0};
        le64_write(room + at, NUMBER64);
        assert_memory_equal(room + at, BYTES, 8);
        assert_true(le64_read(room + at) == NUMBER64);
        assert_int_equal(le32_read(room + at), NUMBER32);
        assert_int_equal(le16_read(room + at), NUMBER16);
        le32_write(room + at, 0);
        le16_write(room + at + 4, 0);
        assert_true(le64_read(room + at) == UINT64_C(0x0807) << 48);
    }
}

static void shared_loads_and_stores_agree(void **state)
{
    (void)state;
    _Alignas(8) uint8_t room[8];
    struct le16 *a = (void *)room;
    struct le32 *b = (void *)room;
    struct le64 *c = (void *)room;
    le64_store(c, NUMBER64);
    assert_memory_equal(room, BYTES, 8);
    assert_true(le64_load(c) == NUMBER64 && le64_load_acquire(c) == NUMBER64);
    le32_store_release(b, ~NUMBER32);
    assert_true(le32_load(b) == ~NUMBER32 && le32_load_acquire(b) == ~NUMBER32);
    le16_store(a, NUMBER16);
    assert_true(le16_load(a) == NUMBER16 && le16_load_acquire(a) == NUMBER16);
    le64_store_release(c, 0);
    le32_store(b, NUMBER32);
    le16_store_release(a, 7);
    assert_true(le64_load(c) == UINT64_C(0x04030007));
}

UNIT_MAIN(UNIT(types_are_as_small_as_in_the_guest), UNIT(least_significant_byte_comes_first),
          UNIT(read_and_write_take_any_alignment), UNIT(shared_loads_and_stores_agree))

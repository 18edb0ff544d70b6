/* Calls with bytes, over an allocator that a hostile module has: whatever it and the function answer, nothing outside
 * of the module's memory and of the caller's buffers is touched. The memory is a heap block, for a sanitizer's sake. */
#include <stdio.h>
#include <stdlib.h>

#include "guest/wasi/module.h"
#include "tests/unit/unit.h"

#define MEMORY_BYTES 1024u

static struct {
    wasm_rt_memory_t memory;
    uint32_t block, asked, freed, answer; /* what malloc gives, and was asked for; what free got; the answer's size */
    jmp_buf trapped;
} test;

wasm_rt_memory_t *vireo_module_memory(void)
{
    return &test.memory;
}
uint32_t vireo_module_alloc(uint32_t size)
{
    test.asked = size;
    return test.block;
}
void vireo_module_free(uint32_t at)
{
    test.freed = at;
}
void wasm_rt_trap(wasm_rt_trap_t why)
{
    longjmp(test.trapped, (int)why);
}

/* The answer's first bytes are those that came in, and its size is what the test says. */
static uint64_t echo(uint32_t in, uint32_t in_size, uint32_t out, uint32_t out_size)
{
    uint8_t *m = test.memory.data;
    uint32_t room;
    memcpy(&room, m + out_size, sizeof(room));
    memcpy(m + out, m + in, in_size < room ? in_size : room);
    memcpy(m + out_size, &test.answer, sizeof(test.answer));
    return UINT64_MAX;
}

/* The trap it ended with, or 0. */
static int call(size_t in_size, uint8_t *out, size_t *out_size)
{
    static const uint8_t in[MEMORY_BYTES] = "abcdefgh";
    const int why = setjmp(test.trapped);
    if (why == 0) assert_int_equal(vireo_module_call(echo, in, in_size, out, out_size), -1);
    return why;
}

static int set_up(void **state)
{
    (void)state;
    memset(&test, 0, sizeof(test));
    test.memory = (wasm_rt_memory_t){.data = calloc(1, MEMORY_BYTES), .size = MEMORY_BYTES};
    test.block = 16;
    return test.memory.data ? 0 : -1;
}
static int tear_down(void **state)
{
    (void)state;
    free(test.memory.data);
    return 0;
}

static void bytes_go_in_and_out(void **state)
{
    (void)state;
    uint8_t out[8] = "";
    size_t size = sizeof(out);
    test.answer = 5;
    assert_int_equal(call(5, out, &size), 0);
    assert_int_equal(size, 5);
    assert_memory_equal(out, "abcde\0\0", 8);
    assert_int_equal(test.freed, 16);
}

static void a_call_may_have_no_bytes_at_all(void **state)
{
    (void)state;
    size_t size = 0;
    assert_int_equal(call(0, NULL, &size), 0);
    assert_int_equal(size, 0);
}

static void an_answer_larger_than_its_room_is_told_and_not_copied(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {9, MEMORY_BYTES, UINT32_MAX};
    for (unsigned i = 0; i < COUNT_OF(sizes); i++) {
        uint8_t out[8] = "", none[8] = "";
        size_t size = sizeof(out);
        test.answer = sizes[i];
        assert_int_equal(call(3, out, &size), 0);
        assert_int_equal(size, sizes[i]);
        assert_memory_equal(out, none, sizeof(out));
    }
}

static void a_block_outside_of_memory_is_a_trap(void **state)
{
    (void)state;
    uint8_t out[8];
    size_t size = sizeof(out);
    assert_int_equal(call(8, out, &size), 0);
    const uint32_t whole = test.asked, last = MEMORY_BYTES - whole;
    const uint32_t blocks[] = {last + 1, MEMORY_BYTES, UINT32_MAX, UINT32_MAX - whole + 1};
    for (unsigned i = 0; i < COUNT_OF(blocks); i++) {
        test.block = blocks[i];
        size = sizeof(out);
        assert_int_equal(call(8, out, &size), WASM_RT_TRAP_OOB);
    }
    test.block = last;
    size = sizeof(out);
    assert_int_equal(call(8, out, &size), 0);
}

static void no_room_is_a_trap(void **state)
{
    (void)state;
    size_t size = 8;
    uint8_t out[8];
    test.block = 0;
    assert_int_equal(call(8, out, &size), WASM_RT_TRAP_NO_ROOM);
    /* What no allocator of 32 bits can be asked for is not asked. */
    test.block = 16;
    test.asked = 0;
    size = SIZE_MAX;
    assert_int_equal(call(8, out, &size), WASM_RT_TRAP_NO_ROOM);
    size = 8;
    assert_int_equal(call(UINT32_MAX, out, &size), WASM_RT_TRAP_NO_ROOM);
    assert_int_equal(test.asked, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bytes_go_in_and_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_call_may_have_no_bytes_at_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_answer_larger_than_its_room_is_told_and_not_copied, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_block_outside_of_memory_is_a_trap, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_room_is_a_trap, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

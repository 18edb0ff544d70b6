/* A space without a VM, and its rules looked at after every step. */
#ifndef VIREO_TESTS_SANDBOX_SPACE_RIG_H
#define VIREO_TESTS_SANDBOX_SPACE_RIG_H

#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/sandbox/struct_space.h"

#define RW  (USER_READ | USER_WRITE)
#define MiB (1ull << 20)

#define assert_whole(s)                                                                                                \
    do {                                                                                                               \
        const char *broken = space_is_broken(s);                                                                       \
        if (broken) fail_msg("%s", broken);                                                                            \
    } while (0)

static inline struct space *space_of(uint64_t memory)
{
    struct space *s = NULL;
    assert_int_equal(space_create(&s, memory, NULL), 0);
    assert_whole(s);
    return s;
}

/* The same numbers on every machine. */
static inline uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(*state >> 33);
}

static inline uint8_t byte_at(const struct space *s, uint64_t va)
{
    uint8_t byte = 0;
    assert_int_equal(space_read(s, va, &byte, 1), 0);
    return byte;
}

static inline uint64_t mapped(const struct space *s)
{
    struct space_use use;
    space_use(s, &use);
    return use.mapped;
}

#endif

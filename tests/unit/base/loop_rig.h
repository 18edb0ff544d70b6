/* A loop that a thread of the test runs. */
#ifndef TESTS_UNIT_BASE_LOOP_RIG_H
#define TESTS_UNIT_BASE_LOOP_RIG_H

#include "tests/unit/unit.h"
#include "vmm/base/loop.h"

static inline void loop_thread_stop(struct loop *l, pthread_t t)
{
    loop_stop(l);
    assert_int_equal(pthread_join(t, NULL), 0);
}

static inline void *loop_thread(void *arg)
{
    loop_run(arg);
    return NULL;
}

static inline pthread_t loop_thread_start(struct loop *l)
{
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, loop_thread, l), 0);
    return t;
}

#endif

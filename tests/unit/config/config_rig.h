/* A configuration that starts anew with each test, and what must become of keys that are set in it. */
#ifndef VIREO_TESTS_CONFIG_RIG_H
#define VIREO_TESTS_CONFIG_RIG_H

#include "tests/unit/unit.h"
#include "vmm/machine/machine.h"

static struct config c;
static struct err e;

static inline int fresh(void **state)
{
    (void)state;
    config_init(&c, machine_devices);
    memset(&e, 0, sizeof(e));
    return 0;
}

static inline int gone(void **state)
{
    (void)state;
    config_fini(&c);
    return 0;
}

static inline void set(const char *key, const char *value)
{
    if (config_set(&c, key, value, &e) != 0) fail_msg("%s %s: %s", key, value, e.text);
}

/* With a sentence that holds `part`; without an error object just as well. */
static inline void refuse(const char *key, const char *value, const char *part)
{
    assert_int_not_equal(config_set(&c, key, value, &e), 0);
    assert_int_equal(e.kind, ERR_CONFIG);
    assert_contains(e.text, part);
    assert_int_not_equal(config_set(&c, key, value, NULL), 0);
}

static inline void refuse_whole(const char *part)
{
    assert_int_not_equal(config_check(&c, &e), 0);
    assert_int_equal(e.kind, ERR_CONFIG);
    assert_contains(e.text, part);
}

#endif

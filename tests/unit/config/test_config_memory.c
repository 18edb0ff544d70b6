/* Configuration when memory runs out: each allocation in turn fails, and what comes back is an error and a
 * configuration that can still be used and freed. strdup and calloc are wrapped by the linker; jansson allocates
 * here. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/unit.h"
#include "vmm/machine/machine.h"

#define CALLS_MAX 1000 /* far more than the text below needs: then the loop does not end */

static unsigned calls, fail_at; /* fail_at 0: never */

static bool must_fail(void)
{
    return ++calls == fail_at;
}

char *__real_strdup(const char *s);
char *__wrap_strdup(const char *s);
char *__wrap_strdup(const char *s)
{
    return must_fail() ? NULL : __real_strdup(s);
}

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
    return must_fail() ? NULL : __real_calloc(count, size);
}

static void *json_malloc(size_t size)
{
    return must_fail() ? NULL : malloc(size);
}

static int load(struct config *c, struct err *e)
{
    static const char json[] = "{\"kernel\": \"k\", \"initrd\": \"i\", \"cmdline\": \"c\", \"console\": \"file=f\",\n"
                               "\"disk\": [\"path=a,id=x\", {\"path\": \"b\"}], \"net\": \"tap=t\", \"cpus\": 2}";
    return config_load_json(c, json, sizeof(json) - 1, e);
}

static int set_all(struct config *c, struct err *e)
{
    int rc = config_set(c, "kernel", "k", e);
    if (!rc) rc = config_set(c, "kernel", "other", e);
    if (!rc) rc = config_set(c, "initrd", "i", e);
    if (!rc) rc = config_set(c, "cmdline", "c", e);
    if (!rc) rc = config_set(c, "console", "file=f", e);
    if (!rc) rc = config_set(c, "disk", "path=a,id=x", e);
    return rc ? rc : config_set(c, "net", "tap=t", e);
}

static void each_allocation_may_fail(int (*scenario)(struct config *c, struct err *e))
{
    int rc = -1;
    for (fail_at = 1; rc != 0 && fail_at < CALLS_MAX; fail_at++) {
        struct config c;
        struct err e = {0};
        calls = 0;
        config_init(&c, machine_devices);
        rc = scenario(&c, &e);
        if (rc) assert_true(rc == e.code && e.text[0] != '\0' && calls >= fail_at);
        assert_int_equal(config_check(&c, &e), c.initrd && !c.kernel ? -EINVAL : 0);
        config_fini(&c);
    }
    assert_int_equal(rc, 0); /* the last round had memory enough */
    assert_true(fail_at > 5);
    fail_at = 0;
}

static void setting_keys_survives_each_failing_allocation(void **state)
{
    (void)state;
    each_allocation_may_fail(set_all);
}

static void loading_json_survives_each_failing_allocation(void **state)
{
    (void)state;
    json_set_alloc_funcs(json_malloc, free);
    each_allocation_may_fail(load);
}

UNIT_MAIN(UNIT(setting_keys_survives_each_failing_allocation), UNIT(loading_json_survives_each_failing_allocation))

/* What a write function was given, as one text. */
#ifndef VIREO_TESTS_TEXT_H
#define VIREO_TESTS_TEXT_H

#include <stdlib.h>

#include "tests/unit/unit.h"

struct text {
    char *s; /* terminated; the test's to free */
    size_t len;
};

/* For result_write and the like, with a struct text that begins zeroed. */
static inline void text_add(void *arg, const char *s, size_t len)
{
    struct text *t = arg;
    t->s = realloc(t->s, t->len + len + 1);
    assert_non_null(t->s);
    memcpy(t->s + t->len, s, len);
    t->len += len;
    t->s[t->len] = '\0';
}

#endif

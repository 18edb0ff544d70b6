/* What every fuzz target needs: a fact that must hold whatever the input, and the input as numbers or as a text. */
#ifndef VIREO_TESTS_FUZZ_H
#define VIREO_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MUST(fact)                                                                                                     \
    do {                                                                                                               \
        if (!(fact)) abort();                                                                                          \
    } while (0)

/* Numbers, big-endian, from the front; past the end there are zeros. */
struct script {
    const uint8_t *p;
    size_t left;
};
static inline uint32_t take(struct script *in, unsigned bytes)
{
    uint32_t v = 0;
    for (; bytes > 0 && in->left > 0; bytes--, in->left--) v = v << 8 | *in->p++;
    return v;
}

/* A terminated copy, exactly as long, so that a read past its end is seen. The caller's to free; NULL: no memory. */
static inline char *text_of(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text) return NULL;
    memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

#endif

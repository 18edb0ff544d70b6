/* Arithmetic on outside numbers that says when it does not fit. */
#ifndef VIREO_BASE_CHECKED_H
#define VIREO_BASE_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

/* true when *out holds the exact result. */
static inline bool checked_add(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}
static inline bool checked_mul(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}
/* Is [off, off+len) inside [0, size)? Never wraps. */
static inline bool range_fits(uint64_t off, uint64_t len, uint64_t size)
{
    return off <= size && len <= size - off;
}
/* align is a power of two; wraps to 0 only where v is within align of 2^64. */
static inline uint64_t align_up(uint64_t v, uint64_t align)
{
    return (v + align - 1) & ~(align - 1);
}
static inline uint64_t align_down(uint64_t v, uint64_t align)
{
    return v & ~(align - 1);
}

#endif

/* Functions that a host calls: with bytes, with numbers, and some that do what they must not. A reactor: there is no
 * main, and _initialize makes it ready. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT(name) __attribute__((export_name(name)))

static uint32_t calls;
static void *volatile kept; /* or the compiler knows that nobody looks at what malloc gave */

EXPORT("reverse") int64_t reverse(const void *in, size_t in_size, void *out, size_t *out_size)
{
    if (*out_size < in_size) return -1;
    for (size_t i = 0; i < in_size; i++) ((char *)out)[i] = ((const char *)in)[in_size - 1 - i];
    *out_size = in_size;
    return (int64_t)in_size;
}

EXPORT("boast") int64_t boast(const void *in, size_t in_size, void *out, size_t *out_size)
{
    (void)in, (void)in_size, (void)out;
    *out_size = 1u << 30;
    return 0;
}

EXPORT("silent") int64_t silent(const void *in, size_t in_size, void *out, size_t *out_size)
{
    (void)in, (void)in_size, (void)out;
    *out_size = 0;
    return INT64_MIN;
}

/* A load beyond all memory. */
EXPORT("stray") int64_t stray(const void *in, size_t in_size, void *out, size_t *out_size)
{
    (void)in, (void)in_size, (void)out, (void)out_size;
    return *(volatile int64_t *)(uintptr_t)0xfffffff0u;
}

/* Memory is used up, so that there is no room for the bytes of the next call. */
EXPORT("hoard") int64_t hoard(void)
{
    int64_t taken = 0;
    for (size_t size = 1u << 20; size >= 16; size /= 2)
        while ((kept = malloc(size)) != NULL) taken += (int64_t)size;
    return taken;
}

EXPORT("spin") int64_t spin(const void *in, size_t in_size, void *out, size_t *out_size)
{
    (void)in, (void)in_size, (void)out, (void)out_size;
    for (volatile unsigned i = 0;; i++) continue;
}

EXPORT("count") uint32_t count(void)
{
    return ++calls;
}

EXPORT("scale") double scale(float by, double v)
{
    return by * v;
}

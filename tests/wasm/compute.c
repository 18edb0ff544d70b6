/* Integers of all sizes, reals, conversions, calls by pointer, memory that grows: the same sums natively and
 * translated. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t rotate(uint32_t v, unsigned n)
{
    return v << n | v >> (32 - n);
}
static uint32_t mix(uint32_t h, uint32_t v)
{
    return rotate(h ^ v, 13) * 5 + 0xe6546b64u;
}
static uint32_t turn(uint32_t h, uint32_t v)
{
    return rotate(h + v, 7) ^ 0x9e3779b9u;
}
static uint32_t (*const step[2])(uint32_t, uint32_t) = {mix, turn};

static int by_value(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    const unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 1;
    enum { COUNT = 400000 };
    int32_t *all = malloc(COUNT * sizeof(*all)); /* 1.6 MB: the memory grows */
    uint32_t h = 1;
    uint64_t wide = 88172645463325252ull;
    double real = 1;
    if (!all) return 1;
    for (unsigned r = 0; r < rounds; r++) {
        for (unsigned i = 0; i < COUNT; i++) {
            h = step[h & 1](h, i);
            wide ^= wide << 13, wide ^= wide >> 7, wide ^= wide << 17;
            all[i] = (int32_t)(h ^ (uint32_t)(wide >> 32));
            real = real * 0.999 + (double)(int64_t)wide / 1e18 + sqrt((double)(h & 0xffff)) * 1e-3;
        }
        qsort(all, COUNT, sizeof(*all), by_value);
        for (unsigned i = 0; i < COUNT; i += 1000) h = mix(h, (uint32_t)all[i]);
    }
    printf("%08x %016llx %.17g %d\n", h, (unsigned long long)wide, real, (int)(real * 1000) % 97);
    free(all);
    return 0;
}

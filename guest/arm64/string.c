/* Words where both sides are aligned, else bytes: correct for device memory too. */
#include "../common/guest.h"

static bool is_aligned(const void *a, const void *b)
{
    return (((uintptr_t)a | (uintptr_t)b) & 7) == 0;
}

void *memcpy(void *to, const void *from, size_t len)
{
    uint8_t *at = to;
    const uint8_t *source = from;

    if (is_aligned(to, from)) {
        for (; len >= 8; len -= 8, at += 8, source += 8)
            *(uint64_t *)(void *)at = *(const uint64_t *)(const void *)source;
    }
    while (len--) *at++ = *source++;
    return to;
}

void *memmove(void *to, const void *from, size_t len)
{
    if ((uintptr_t)to - (uintptr_t)from >= len) return memcpy(to, from, len);
    while (len--) ((uint8_t *)to)[len] = ((const uint8_t *)from)[len];
    return to;
}

void *memset(void *to, int byte, size_t len)
{
    uint8_t *at = to;
    const uint64_t word = 0x0101010101010101ull * (uint8_t)byte;

    if (is_aligned(to, NULL)) {
        for (; len >= 8; len -= 8, at += 8) *(uint64_t *)(void *)at = word;
    }
    while (len--) *at++ = (uint8_t)byte;
    return to;
}

int memcmp(const void *a, const void *b, size_t len)
{
    const uint8_t *left = a, *right = b;

    if (is_aligned(a, b)) {
        for (; len >= 8; len -= 8, left += 8, right += 8) {
            if (*(const uint64_t *)(const void *)left != *(const uint64_t *)(const void *)right) break;
        }
    }
    for (; len; len--, left++, right++) {
        if (*left != *right) return *left - *right;
    }
    return 0;
}

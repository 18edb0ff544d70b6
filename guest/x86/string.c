/* Bulk work by string instructions: where privileged code is emulated, one costs less than one pass of a loop. */
#include "../common/guest.h"

void *memcpy(void *to, const void *from, size_t len)
{
    void *at = to;
    size_t words = len / 8, bytes = len % 8;

    __asm__ volatile("rep movsq" : "+D"(at), "+S"(from), "+c"(words) : : "memory");
    __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(bytes) : : "memory");
    return to;
}

void *memmove(void *to, const void *from, size_t len)
{
    if ((uintptr_t)to - (uintptr_t)from >= len) return memcpy(to, from, len);
    char *at = (char *)to + len - 1;
    const char *source = (const char *)from + len - 1;
    __asm__ volatile("std\n\trep movsb\n\tcld" : "+D"(at), "+S"(source), "+c"(len) : : "memory");
    return to;
}

void *memset(void *to, int byte, size_t len)
{
    void *at = to;
    size_t words = len / 8, bytes = len % 8;
    const uint64_t value = 0x0101010101010101ull * (uint8_t)byte;

    __asm__ volatile("rep stosq" : "+D"(at), "+c"(words) : "a"(value) : "memory");
    __asm__ volatile("rep stosb" : "+D"(at), "+c"(bytes) : "a"(value) : "memory");
    return to;
}

int memcmp(const void *a, const void *b, size_t len)
{
    const uint8_t *left = a, *right = b;
    size_t words = len / 8, bytes = len % 8;
    bool is_equal = true;

    if (words) {
        __asm__ volatile("repe cmpsq" : "+D"(right), "+S"(left), "+c"(words), "=@cce"(is_equal) : : "memory");
        if (!is_equal) { /* the difference is in the words just passed */
            left -= 8;
            right -= 8;
            bytes = 8;
        }
    }
    for (size_t i = 0; i < bytes; i++) {
        if (left[i] != right[i]) return left[i] - right[i];
    }
    return 0;
}

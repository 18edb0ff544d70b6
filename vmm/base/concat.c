#include "vmm/base/concat.h"

#include <string.h>

bool concat_most(char *out, size_t size, const char *s, size_t most)
{
    const size_t len = strlen(out), room = size - len - 1;
    const size_t wanted = strnlen(s, most), n = wanted < room ? wanted : room;
    memcpy(out + len, s, n);
    out[len + n] = '\0';
    return n == wanted;
}

bool concat(char *out, size_t size, const char *s)
{
    return concat_most(out, size, s, size);
}

bool concat_number(char *out, size_t size, unsigned n)
{
    char digits[12], *at = digits + sizeof(digits) - 1;
    *at = '\0';
    do *--at = (char)('0' + n % 10);
    while ((n /= 10) != 0);
    return concat(out, size, at);
}

#include "vmm/base/concat.h"

#include <string.h>

#include "vmm/base/text.h"

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
    char digits[TEXT_DIGITS_MAX];
    return concat(out, size, text_digits(digits, n));
}

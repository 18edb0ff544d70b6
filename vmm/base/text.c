#include "vmm/base/text.h"

#include <string.h>

/* RFC 3629, 4: by its first byte how many a character has, and within which bounds its second byte lies, which leave
 * out overlong forms, surrogates and what is above U+10FFFF. The rest are 80 to bf. */
static const struct form {
    unsigned char first, last, low, high;
    unsigned bytes;
} forms[] = {
    {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
    {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
    {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
};

static bool fits(const struct form *f, const unsigned char *p, size_t len)
{
    if (len < f->bytes) return false;
    if (f->bytes > 1 && (p[1] < f->low || p[1] > f->high)) return false;
    for (unsigned n = 2; n < f->bytes; n++)
        if (p[n] < 0x80 || p[n] > 0xbf) return false;
    return true;
}

enum text_kind text_next(const char *s, size_t len, unsigned *bytes)
{
    const unsigned char *p = (const unsigned char *)s;
    const struct form *f = forms;
    *bytes = 1;
    while (f < forms + sizeof(forms) / sizeof(forms[0]) && (*p < f->first || *p > f->last)) f++;
    if (f == forms + sizeof(forms) / sizeof(forms[0]) || !fits(f, p, len)) return TEXT_BROKEN;
    *bytes = f->bytes;
    const bool is_control = *p < ' ' || *p == 0x7f || (*p == 0xc2 && p[1] < 0xa0);
    return is_control ? TEXT_CONTROL : TEXT_PLAIN;
}

void text_blunt(char *s, size_t len, const char *keep)
{
    unsigned bytes = 1;
    for (size_t at = 0; at < len; at += bytes) {
        if (s[at] >= ' ' && s[at] <= '~') { /* nearly all */
            bytes = 1;
            continue;
        }
        const bool is_plain = text_next(s + at, len - at, &bytes) == TEXT_PLAIN;
        const bool is_kept = s[at] != '\0' && strchr(keep, s[at]);
        if (!is_plain && !is_kept) memset(s + at, '?', bytes);
    }
}

void text_put_safe(FILE *f, const char *s)
{
    unsigned bytes;
    for (size_t left = strlen(s); left > 0; s += bytes, left -= bytes) {
        if (text_next(s, left, &bytes) == TEXT_PLAIN)
            (void)fwrite(s, 1, bytes, f);
        else
            fputc('?', f);
    }
}

const char *text_digits(char buf[TEXT_DIGITS_MAX], uint64_t n)
{
    char *at = buf + TEXT_DIGITS_MAX - 1;
    *at = '\0';
    do *--at = (char)('0' + n % 10);
    while ((n /= 10) != 0);
    return at;
}

void text_to_buffer(void *buffer, const char *text, size_t len)
{
    struct text_buffer *b = buffer;
    const size_t room = b->size - 1 - b->len;
    if (len > room) {
        b->is_cut = true;
        len = room;
    }
    memcpy(b->text + b->len, text, len);
    b->len += len;
    b->text[b->len] = '\0';
}

static void put_blanks(struct text_buffer *b, size_t used, unsigned width)
{
    for (; used < width; used++) text_to_buffer(b, " ", 1);
}

void text_put_left(struct text_buffer *b, const char *s, unsigned width)
{
    const size_t len = strlen(s);
    text_to_buffer(b, s, len);
    put_blanks(b, len, width);
}

void text_put_right(struct text_buffer *b, const char *s, unsigned width)
{
    const size_t len = strlen(s);
    put_blanks(b, len, width);
    text_to_buffer(b, s, len);
}

void text_put_decimal(struct text_buffer *b, uint64_t n, unsigned places, unsigned width)
{
    char digits[2 * TEXT_DIGITS_MAX], *at = digits + sizeof(digits) - 1;
    *at = '\0';
    for (unsigned i = 0; i <= places || n != 0; i++, n /= 10) {
        if (i == places && places > 0) *--at = '.';
        *--at = (char)('0' + n % 10);
    }
    text_put_right(b, at, width);
}

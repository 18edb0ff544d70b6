#include "bench/report/html.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define SPEC_MAX   16  /* "%-12.3f" and room */
#define NUMBER_MAX 400 /* %f of DBL_MAX has 309 digits before the point */

/* Bytes of the character at p, a string's (RFC 3629, 4: no overlong forms, no surrogates, nothing above U+10FFFF);
 * 0: it is none. */
static unsigned utf8_length(const unsigned char *p)
{
    const unsigned n = *p < 0x80                 ? 1
                       : *p >= 0xc2 && *p < 0xe0 ? 2
                       : (*p & 0xf0) == 0xe0     ? 3
                       : *p >= 0xf0 && *p < 0xf5 ? 4
                                                 : 0;
    for (unsigned i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0; /* the string's end too */
    if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] >= 0xa0)) return 0;
    if ((*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] >= 0x90)) return 0;
    return n;
}

static const char *escape_of(unsigned char c)
{
    switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    case '\n':
    case '\t': return " ";
    default: return c < ' ' || c == 0x7f ? "\xef\xbf\xbd" : NULL;
    }
}

static void put_escaped(FILE *page, const char *s)
{
    while (*s) {
        const unsigned char *p = (const unsigned char *)s;
        const unsigned n = utf8_length(p);
        const bool is_c1 = *p == 0xc2 && p[1] < 0xa0;
        const char *escape = n == 0 || is_c1 ? "\xef\xbf\xbd" : escape_of(*p);
        if (escape)
            fputs(escape, page);
        else
            fwrite(s, 1, n, page);
        s += n ? n : 1;
    }
}

/* One conversion, which starts at spec with '%'. Returns what follows it. */
static const char *put_value(FILE *page, const char *spec, va_list *ap)
{
    char one[SPEC_MAX], text[NUMBER_MAX];
    const size_t len = strcspn(spec + 1, "scdufg%") + 2;
    const char kind = spec[len - 1];
    if (len >= sizeof(one)) return spec + strlen(spec); /* no format of ours */
    memcpy(one, spec, len);
    one[len] = '\0';
    text[0] = '\0';
    switch (kind) {
    case 's': {
        const char *s = va_arg(*ap, const char *);
        put_escaped(page, s ? s : "");
        break;
    }
    case 'd': (void)snprintf(text, sizeof(text), one, va_arg(*ap, int)); break;
    case '%': text[0] = '%', text[1] = '\0'; break;
    case 'u': (void)snprintf(text, sizeof(text), one, va_arg(*ap, unsigned)); break;
    case 'c': text[0] = (char)va_arg(*ap, int), text[1] = '\0'; break;
    default: (void)snprintf(text, sizeof(text), one, va_arg(*ap, double)); break;
    }
    put_escaped(page, text);
    return spec + len;
}

void html_put(FILE *page, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    while (*fmt) {
        const size_t literal = strcspn(fmt, "%");
        fwrite(fmt, 1, literal, page);
        fmt += literal;
        if (*fmt) fmt = put_value(page, fmt, &ap);
    }
    va_end(ap);
}

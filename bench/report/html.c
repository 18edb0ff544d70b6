#include "bench/report/html.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/text.h"

#define SPEC_MAX   16  /* "%-12.3f" and room */
#define NUMBER_MAX 400 /* %f of DBL_MAX has 309 digits before the point */

static const char *escape_of(char c)
{
    switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    case '\n':
    case '\t': return " ";
    default: return NULL;
    }
}

static void put_escaped(FILE *page, const char *s)
{
    unsigned bytes;
    for (size_t left = strlen(s); left > 0; s += bytes, left -= bytes) {
        const bool is_plain = text_next(s, left, &bytes) == TEXT_PLAIN;
        const char *escape = escape_of(*s);
        if (escape || !is_plain)
            fputs(escape ? escape : "\xef\xbf\xbd", page);
        else
            fwrite(s, 1, bytes, page);
    }
}

/* One conversion, which starts at spec with '%'. Returns what follows it. */
static const char *put_value(FILE *page, const char *spec, va_list *ap)
{
    char one[SPEC_MAX], text[NUMBER_MAX];
    const size_t len = strcspn(spec + 1, "scdufg%") + 2;
    const char kind = spec[len - 1];
    if (len >= sizeof(one)) return spec + strlen(spec); /* too long: no call here has such a format */
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

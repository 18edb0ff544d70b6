/* Text out: a few conversions, no buffers to overflow. */
#include "guest.h"

#include <stdarg.h>

#define DIGITS_MAX 20 /* 2^64 in decimal */

static size_t text_length(const char *s)
{
    size_t n = 0;
    while (s[n]) n++;
    return n;
}

const char *skip_prefix(const char *text, const char *prefix)
{
    for (; *prefix; text++, prefix++) {
        if (*text != *prefix) return NULL;
    }
    return text;
}

static void write_number(uint64_t value, unsigned base)
{
    char digits[DIGITS_MAX];
    size_t at = DIGITS_MAX;

    do {
        digits[--at] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    console_write(digits + at, DIGITS_MAX - at);
}

/* One conversion, after its '%'. Returns the format's next character. */
static const char *write_argument(const char *fmt, va_list *args)
{
    const bool is_long = *fmt == 'l';
    const char kind = *(fmt += is_long);

    if (kind == 's') {
        const char *s = va_arg(*args, const char *);
        console_write(s, text_length(s));
    } else if (kind == 'c') {
        const char c = (char)va_arg(*args, int);
        console_write(&c, 1);
    } else {
        const uint64_t value = is_long ? va_arg(*args, unsigned long) : va_arg(*args, unsigned);
        write_number(value, kind == 'x' ? 16 : 10);
    }
    return fmt + 1;
}

static void write_formatted(const char *fmt, va_list *args)
{
    while (*fmt) {
        size_t plain = 0;
        while (fmt[plain] && fmt[plain] != '%') plain++;
        console_write(fmt, plain);
        fmt += plain;
        if (*fmt) fmt = write_argument(fmt + 1, args);
    }
    console_write("\r\n", 2);
}

void say(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    write_formatted(fmt, &args);
    va_end(args);
}

_Noreturn void fail(enum guest_status status, const char *fmt, ...)
{
    static const char who[] = "guest: ";
    va_list args;

    console_write(who, sizeof(who) - 1);
    va_start(args, fmt);
    write_formatted(fmt, &args);
    va_end(args);
    machine_exit(status);
}

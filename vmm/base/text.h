/* Text that others wrote, a guest, a file's name, another process, made safe for whoever reads it: characters as UTF-8
 * has them (RFC 3629), and which of them move a terminal's cursor or worse. Any thread, and signal handlers but for
 * text_put_safe. */
#ifndef VIREO_BASE_TEXT_H
#define VIREO_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum text_kind {
    TEXT_PLAIN,
    TEXT_CONTROL, /* a control of ISO 6429: below ' ', DEL, or U+0080 to U+009F */
    TEXT_BROKEN,  /* a byte that begins no character: some other encoding's, or what was cut */
};

/* The character that the len bytes at s, one or more, begin with: its kind, and its bytes, one if broken. */
enum text_kind text_next(const char *s, size_t len, unsigned *bytes);

/* Replace each byte of a control, and each that is broken, by '?'. The ASCII controls in keep ("": none) stay. */
void text_blunt(char *s, size_t len, const char *keep);
/* Write a string with a '?' for each of these. */
void text_put_safe(FILE *f, const char *s);

/* A number in decimal digits, at the end of buf. */
#define TEXT_DIGITS_MAX 21 /* of 2^64, and a NUL */
const char *text_digits(char buf[TEXT_DIGITS_MAX], uint64_t n);

/* The caller's storage as a sink: text[0] is '\0' to begin with, and there is always one at the end. What does not fit
 * is left out, and is_cut tells. */
struct text_buffer {
    char *text;
    size_t size, len;
    bool is_cut;
};
void text_to_buffer(void *buffer, const char *text, size_t len);

/* Columns of it, at least so wide: a text at their left or right end; and at their right end a number, which has a
 * point before its last `places` digits. printf takes ten times as long for that. */
void text_put_left(struct text_buffer *b, const char *s, unsigned width);
void text_put_right(struct text_buffer *b, const char *s, unsigned width);
void text_put_decimal(struct text_buffer *b, uint64_t n, unsigned places, unsigned width);

#endif

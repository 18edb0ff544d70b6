/* JSON as it is written (RFC 8259), piece by piece into a caller's sink: no memory is taken, and what is there is not
 * kept. Commas, quotes and escapes come by themselves. One thread; signal handlers too, but for json_put_real.
 *
 *     struct json_out j = {.write = json_to_file, .arg = stdout};
 *     json_put_object(&j, NULL);
 *     json_put_string(&j, "name", "web");
 *     json_put_end(&j);                            {"name": "web"}
 */
#ifndef VIREO_BASE_JSON_OUT_H
#define VIREO_BASE_JSON_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define JSON_OUT_DEPTH 32 /* objects and arrays in each other: a bit each; ours are four deep */

struct json_out {
    void (*write)(void *arg, const char *text, size_t len); /* text is valid during the call, and no string */
    void *arg;
    /* Zero to begin with, and again when the outermost value has ended. */
    unsigned depth;
    uint32_t is_array, has_items; /* a bit for each level */
    bool is_line;
};

/* key: of a value in an object, any text, as of json_put_string; NULL in an array, and of the outermost value. */
void json_put_object(struct json_out *j, const char *key);
void json_put_array(struct json_out *j, const char *key);
void json_put_end(struct json_out *j);  /* of the innermost of these */
void json_put_line(struct json_out *j); /* what comes next, a value or an end, begins a line */

/* Any text: controls are escaped, also those above ASCII, as the reader may be a terminal; what is no UTF-8, as a
 * file's name may be, becomes U+FFFD. NULL becomes null. */
void json_put_string(struct json_out *j, const char *key, const char *s);
void json_put_uint(struct json_out *j, const char *key, uint64_t n);
void json_put_int(struct json_out *j, const char *key, int64_t n);
void json_put_bool(struct json_out *j, const char *key, bool is_true);
void json_put_null(struct json_out *j, const char *key);
/* With so many significant digits, in a locale with a decimal point. JSON has no infinities and no NaN: null. */
void json_put_real(struct json_out *j, const char *key, double v, unsigned digits);

/* The sink that is a FILE; errors: ferror. text_to_buffer is another one. */
void json_to_file(void *file, const char *text, size_t len);

/* The same for what has thousands of pieces: a FILE takes longer for each than it takes to make one. */
struct json_block {
    FILE *file;
    size_t used;
    char text[4096];
};
void json_to_block(void *block, const char *text, size_t len);
void json_block_flush(struct json_block *b); /* in the end */

#endif

/* Any bytes as a text of somebody else's: it is walked to its end, blunted text holds nothing but plain characters, and
 * what JSON is made of it is read by another reader as the same text. */
#include <jansson.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/base/json_out.h"
#include "vmm/base/text.h"

#define ESCAPED 6 /* "\u001b", of a byte, at most */

/* Are all its characters plain? */
static bool walk(const char *s, size_t len)
{
    bool is_plain = true;
    unsigned bytes = 0;
    for (size_t at = 0; at < len; at += bytes) {
        const enum text_kind kind = text_next(s + at, len - at, &bytes);
        MUST(bytes >= 1 && bytes <= 4 && bytes <= len - at);
        MUST(kind != TEXT_BROKEN || bytes == 1);
        is_plain = is_plain && kind == TEXT_PLAIN;
    }
    return is_plain;
}

static void read_back(const char *json, size_t len, const char *text)
{
    json_t *value = json_loadb(json, len, JSON_DECODE_ANY, NULL);
    unsigned bytes = 0;
    bool is_utf8 = true;
    MUST(value && json_is_string(value));
    MUST(walk(json, len)); /* a terminal may show it */
    for (size_t at = 0, size = strlen(text); at < size; at += bytes)
        is_utf8 = is_utf8 && text_next(text + at, size - at, &bytes) != TEXT_BROKEN;
    if (is_utf8) MUST(strcmp(json_string_value(value), text) == 0);
    json_decref(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = text_of(data, size), *json = malloc(ESCAPED * size + sizeof("\"\""));
    if (text && json) {
        struct text_buffer b = {.text = json, .size = ESCAPED * size + sizeof("\"\"")};
        struct json_out j = {.write = text_to_buffer, .arg = &b};
        (void)walk(text, size);
        json[0] = '\0';
        json_put_string(&j, NULL, text);
        MUST(!b.is_cut);
        read_back(json, b.len, text);
        text_blunt(text, size, "");
        MUST(walk(text, size) && strlen(text) == size);
    }
    free(text);
    free(json);
    return 0;
}

#include "vmm/cli/trace_format.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static void copy(char *to, size_t room, const char *from, size_t len)
{
    if (len >= room) len = room - 1;
    memcpy(to, from, len);
    to[len] = '\0';
}

static size_t word_length(const char *text)
{
    size_t n = 0;
    while (isalnum((unsigned char)text[n]) || text[n] == '_') n++;
    return n;
}

/* "offset:8;" within a line. */
static bool number_after(const char *line, size_t len, const char *key, unsigned *out)
{
    const char *at = memmem(line, len, key, strlen(key));
    if (!at) return false;
    char *end;
    const unsigned long n = strtoul(at + strlen(key), &end, 10);
    if (end == at + strlen(key) || *end != ';' || n > 65536) return false;
    *out = (unsigned)n;
    return true;
}

/* "field:unsigned int exit_reason;	offset:8;	size:4;	signed:0;". An array's name has its length behind it. */
static bool read_field(struct trace_field *f, const char *line, size_t len)
{
    const char *end = memchr(line, ';', len);
    if (!end) return false;
    size_t name = (size_t)(end - line);
    const char *bracket = memchr(line, '[', name);
    if (bracket) name = (size_t)(bracket - line);
    size_t first = name;
    while (first > 0 && (isalnum((unsigned char)line[first - 1]) || line[first - 1] == '_')) first--;
    if (first == name) return false;
    copy(f->name, sizeof(f->name), line + first, name - first);
    return number_after(line, len, "offset:", &f->offset) && number_after(line, len, "size:", &f->size);
}

/* "0x040 + 14", "-1", "(0x15)": what the lists have for values. NULL: none of these. */
static const char *read_sum(const char *at, uint64_t *out)
{
    *out = 0;
    for (;;) {
        char *end;
        at += strspn(at, " (");
        const uint64_t n = strtoull(at, &end, 0); /* of "-1" the complement, as the field would have it */
        if (end == at) return NULL;
        *out += n;
        at = end;
        at += strspn(at, "UL )");
        if (*at != '+') return at;
        at++;
    }
}

/* A text in quotes, or several of them side by side, which are one in C. NULL: not so. */
static const char *read_text(const char *at, char out[TRACE_TEXT_MAX])
{
    size_t have = 0;
    if (*at != '"') return NULL;
    while (*at == '"') {
        const char *end = strchr(at + 1, '"');
        if (!end) return NULL;
        copy(out + have, TRACE_TEXT_MAX - have, at + 1, (size_t)(end - at - 1));
        have += strlen(out + have);
        at = end + 1 + strspn(end + 1, " ");
    }
    return at;
}

/* { VALUE, "NAME" }, ... up to the closing bracket. NULL: not so. */
static const char *read_list(struct trace_format *f, const char *at)
{
    for (;;) {
        at += strspn(at, " ,");
        if (*at != '{') return at;
        if (f->names == TRACE_NAMES_MAX) return NULL;
        struct trace_name *n = &f->name[f->names];
        at = read_sum(at + 1, &n->value);
        if (!at || *at != ',') return NULL;
        at = read_text(at + 1 + strspn(at + 1, " "), n->text);
        if (!at) return NULL;
        n->list = f->lists;
        f->names++;
        if (*at++ != '}') return NULL;
    }
}

static bool read_names(struct trace_format *f, const char *text)
{
    static const char call[] = "__print_symbolic(REC->";
    while ((text = strstr(text, call)) != NULL && f->lists < TRACE_LISTS_MAX) {
        text += sizeof(call) - 1;
        const size_t word = word_length(text);
        copy(f->list_field[f->lists], TRACE_TEXT_MAX, text, word);
        const char *comma = strchr(text, ',');
        if (!comma) return false;
        text = read_list(f, comma);
        if (!text) return false;
        f->lists++;
    }
    return true;
}

bool trace_format_read(struct trace_format *out, const char *text)
{
    static const char id[] = "ID: ", field[] = "field:", print[] = "print fmt:";
    memset(out, 0, sizeof(*out));
    bool has_id = false;
    for (const char *line = text, *next; line; line = next) {
        const char *end = strchr(line, '\n');
        next = end ? end + 1 : NULL;
        const size_t len = end ? (size_t)(end - line) : strlen(line);
        const char *at = line + strspn(line, " \t");
        if (strncmp(at, id, sizeof(id) - 1) == 0) {
            out->id = (unsigned)strtoul(at + sizeof(id) - 1, NULL, 10);
            has_id = true;
        } else if (strncmp(at, field, sizeof(field) - 1) == 0) {
            if (out->fields == TRACE_FIELDS_MAX) return false;
            const char *from = at + sizeof(field) - 1;
            if (!read_field(&out->field[out->fields++], from, len - (size_t)(from - line))) return false;
        } else if (strncmp(at, print, sizeof(print) - 1) == 0) {
            return has_id && out->fields > 0 && read_names(out, at);
        }
    }
    return has_id && out->fields > 0;
}

const struct trace_field *trace_field(const struct trace_format *f, const char *name)
{
    for (unsigned i = 0; i < f->fields; i++)
        if (strcmp(f->field[i].name, name) == 0) return &f->field[i];
    return NULL;
}

bool trace_value(const struct trace_field *field, const void *record, size_t size, uint64_t *out)
{
    const unsigned n = field->size;
    if ((n != 1 && n != 2 && n != 4 && n != 8) || field->offset > size || n > size - field->offset) return false;
    const uint8_t *at = (const uint8_t *)record + field->offset;
    uint16_t half;
    uint32_t word;
    *out = *at;
    if (n == 2) memcpy(&half, at, sizeof(half));
    if (n == 2) *out = half;
    if (n == 4) memcpy(&word, at, sizeof(word));
    if (n == 4) *out = word;
    if (n == 8) memcpy(out, at, sizeof(*out));
    return true;
}

const char *trace_name(const struct trace_format *f, const char *field, unsigned nth, uint64_t value)
{
    unsigned list = 0;
    for (; list < f->lists; list++)
        if (strcmp(f->list_field[list], field) == 0 && nth-- == 0) break;
    for (unsigned i = 0; i < f->names; i++)
        if (f->name[i].list == list && f->name[i].value == value) return f->name[i].text;
    return NULL;
}

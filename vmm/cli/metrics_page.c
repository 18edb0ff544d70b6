#include "vmm/cli/metrics_page.h"

#include <stdlib.h>
#include <string.h>

#include "vmm/base/text.h"

static const char own[] = "vireo_"; /* what every name begins with */

/* ---- the format ---- */

struct piece { /* of a page: no NUL behind it */
    const char *at;
    size_t len;
};

static bool is(struct piece t, const char *word)
{
    return t.len == strlen(word) && (t.len == 0 || memcmp(t.at, word, t.len) == 0);
}

static bool take_word(struct piece *t, const char *word)
{
    const size_t len = strlen(word);
    if (t->len < len || memcmp(t->at, word, len) != 0) return false;
    *t = (struct piece){t->at + len, t->len - len};
    return true;
}

/* What stands before the first `end`, which is taken away too; all of it when there is none. */
static struct piece take_until(struct piece *t, char end)
{
    const char *found = memchr(t->at, end, t->len);
    const struct piece part = {t->at, found ? (size_t)(found - t->at) : t->len};
    const size_t taken = part.len + (found != NULL);
    *t = (struct piece){t->at + taken, t->len - taken};
    return part;
}

/* [a-z_][a-z0-9_]*: narrower than what Prometheus takes, and all that ours have. Empty: there is none. */
static struct piece take_name(struct piece *t)
{
    struct piece name = {t->at, 0};
    while (name.len < t->len) {
        const char c = t->at[name.len];
        if (!((c >= 'a' && c <= 'z') || c == '_' || (name.len && c >= '0' && c <= '9'))) break;
        name.len++;
    }
    *t = (struct piece){t->at + name.len, t->len - name.len};
    return name;
}

/* "...": characters as UTF-8 has them, no control, and behind a backslash one of three. */
static bool take_quoted(struct piece *t)
{
    unsigned bytes;
    if (!take_word(t, "\"")) return false;
    while (t->len && t->at[0] != '"') {
        if (take_word(t, "\\") && (t->len == 0 || !memchr("\\\"n", t->at[0], 3))) return false;
        if (text_next(t->at, t->len, &bytes) != TEXT_PLAIN) return false;
        *t = (struct piece){t->at + bytes, t->len - bytes};
    }
    return take_word(t, "\"");
}

static bool is_number(struct piece t)
{
    char text[64], *end;
    if (t.len == 0 || t.len >= sizeof(text) || strspn(t.at, "+-0123456789.eINaninf") < t.len) return false;
    memcpy(text, t.at, t.len);
    text[t.len] = '\0';
    (void)strtod(text, &end);
    return *end == '\0';
}

/* {vm="NAME",label="value",...} VALUE, where NAME is the VM's own. */
static bool is_rest_of_sample(struct piece t, const char *vm)
{
    if (!take_word(&t, "{vm=\"") || !take_word(&t, vm) || !take_word(&t, "\"")) return false;
    while (take_word(&t, ","))
        if (take_name(&t).len == 0 || !take_word(&t, "=") || !take_quoted(&t)) return false;
    return take_word(&t, "} ") && is_number(t);
}

struct family { /* that is being read */
    struct piece help, name, type;
};

static bool is_type(struct piece t)
{
    return is(t, "counter") || is(t, "gauge") || is(t, "histogram") || is(t, "untyped");
}

/* The sample's own name is the family's, or of a histogram's parts. */
static bool is_sample(struct piece line, const struct family *f, const char *vm)
{
    struct piece name = take_name(&line);
    if (f->type.len == 0 || name.len < f->name.len || memcmp(name.at, f->name.at, f->name.len) != 0) return false;
    const struct piece end = {name.at + f->name.len, name.len - f->name.len};
    const bool is_part =
        is(f->type, "histogram") ? is(end, "_bucket") || is(end, "_sum") || is(end, "_count") : end.len == 0;
    return is_part && is_rest_of_sample(line, vm);
}

/* "# HELP NAME TEXT", then "# TYPE NAME TYPE". */
static bool read_head(struct piece line, struct family *f)
{
    struct piece rest = line;
    if (take_word(&rest, "# HELP ")) {
        const struct piece name = take_name(&rest);
        const bool is_good = name.len > strlen(own) && name.len < METRICS_NAME_MAX - sizeof("_bucket") &&
                             memcmp(name.at, own, strlen(own)) == 0 && take_word(&rest, " ");
        unsigned bytes;
        for (; is_good && rest.len; rest = (struct piece){rest.at + bytes, rest.len - bytes})
            if (text_next(rest.at, rest.len, &bytes) != TEXT_PLAIN || rest.at[0] == '\\') return false;
        *f = (struct family){.help = line, .name = name};
        return is_good;
    }
    if (!take_word(&rest, "# TYPE ") || !f->name.len || f->type.len) return false;
    const struct piece name = take_name(&rest);
    if (name.len != f->name.len || memcmp(name.at, f->name.at, name.len) != 0 || !take_word(&rest, " ")) return false;
    f->type = rest;
    return is_type(rest);
}

/* Calls fn for each sample; what it returns ends the walk unless it is true. */
static bool walk(struct piece page, const char *vm, bool (*fn)(void *arg, const struct family *f, struct piece line),
                 void *arg)
{
    struct family f = {0};
    while (page.len) {
        const struct piece line = take_until(&page, '\n');
        if (line.len && line.at[0] == '#') {
            if (!read_head(line, &f)) return false;
        } else if (!is_sample(line, &f, vm) || !fn(arg, &f, line)) {
            return false;
        }
    }
    return true;
}

/* ---- the families ---- */

/* NULL: there is no room or memory for one more. */
static struct metrics_family *family_of(struct metrics_page *p, const struct family *f)
{
    if (p->last < p->count && is(f->name, p->family[p->last].name)) return &p->family[p->last];
    for (p->last = 0; p->last < p->count; p->last++)
        if (is(f->name, p->family[p->last].name)) return &p->family[p->last];
    struct metrics_family *new = &p->family[p->count];
    if (p->count == METRICS_FAMILIES_MAX) return NULL;
    *new = (struct metrics_family){0};
    new->f = open_memstream(&new->text, &new->len);
    if (!new->f) return NULL;
    memcpy(new->name, f->name.at, f->name.len);
    memcpy(new->type, f->type.at, f->type.len);
    fprintf(new->f, "%.*s\n# TYPE %s %s\n", (int)f->help.len, f->help.at, new->name, new->type);
    p->count++;
    return new;
}

static bool look_at_sample(void *arg, const struct family *f, struct piece line)
{
    (void)line;
    return family_of(arg, f) != NULL;
}

static bool add_sample(void *arg, const struct family *f, struct piece line)
{
    struct metrics_family *to = family_of(arg, f);
    if (!to) return false;
    if (!is(f->type, to->type)) return true;
    return fprintf(to->f, "%.*s\n", (int)line.len, line.at) >= 0;
}

static bool count_sample(void *arg, const struct family *f, struct piece line)
{
    (void)arg;
    (void)f;
    (void)line;
    return true;
}

static bool take_page(struct metrics_page *p, const char *vm, const char *text, size_t len)
{
    const struct piece page = {text, len};
    /* Looked at whole before a family is made for it, and then before a sample is taken. */
    return walk(page, vm, count_sample, NULL) && walk(page, vm, look_at_sample, p) && walk(page, vm, add_sample, p);
}

#define UP "# HELP vireo_up "

/* Whether a VM is up is said by metrics_page_up alone: a sample that stands twice is dropped by Prometheus. */
bool metrics_page_add(struct metrics_page *p, const char *vm, const char *text, size_t len)
{
    return !memmem(text, len, UP, strlen(UP)) && take_page(p, vm, text, len);
}

bool metrics_page_up(struct metrics_page *p, const char *vm, bool is_up)
{
    static const char head[] = UP "Whether the VM gave its figures.\n# TYPE vireo_up gauge\n";
    char text[sizeof(head) + METRICS_NAME_MAX + 32];
    const int n = snprintf(text, sizeof(text), "%svireo_up{vm=\"%.*s\"} %d\n", head, METRICS_NAME_MAX, vm, is_up);
    return take_page(p, vm, text, (size_t)n);
}

char *metrics_page_end(struct metrics_page *p, size_t *len)
{
    char *text = NULL;
    FILE *f = open_memstream(&text, len);
    bool is_good = f != NULL;
    for (unsigned i = 0; i < p->count; i++) {
        struct metrics_family *from = &p->family[i];
        is_good = from->f && fclose(from->f) == 0 && is_good;
        from->f = NULL;
        if (is_good) is_good = fwrite(from->text, 1, from->len, f) == from->len;
    }
    if (f) is_good = fclose(f) == 0 && is_good;
    if (is_good) return text;
    free(text);
    return NULL;
}

void metrics_page_fini(struct metrics_page *p)
{
    for (unsigned i = 0; i < p->count; i++) {
        if (p->family[i].f) (void)fclose(p->family[i].f);
        free(p->family[i].text);
    }
    p->count = 0;
}

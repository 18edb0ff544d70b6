/* Any bytes as the page that a VM called "web" gives to `vireo metrics`. If it is taken, what comes out is a page that
 * is taken again, byte by byte; if it is refused, nothing of it comes out. */
#include "tests/fuzz/fuzz.h"
#include "vmm/cli/metrics_page.c"

static char *page_of(const char *text, size_t len, bool *is_taken, size_t *out_len)
{
    struct metrics_page *p = calloc(1, sizeof(*p));
    MUST(p);
    *is_taken = metrics_page_add(p, "web", text, len);
    char *out = metrics_page_end(p, out_len);
    MUST(out);
    metrics_page_fini(p);
    free(p);
    return out;
}

static bool has_sample(const char *text)
{
    for (; *text; text += strcspn(text, "\n"), text += *text == '\n')
        if (*text != '#') return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool is_taken, is_taken_again;
    size_t len, len_again;
    char *text = malloc(size + 1); /* exactly as long as promised: len bytes and a NUL */
    if (!text) return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    char *once = page_of(text, size, &is_taken, &len);
    if (is_taken) {
        char *twice = page_of(once, len, &is_taken_again, &len_again);
        MUST(is_taken_again && len == len_again && memcmp(once, twice, len) == 0);
        free(twice);
    } else {
        MUST(!has_sample(once));
    }
    free(once);
    free(text);
    return 0;
}

#include "vmm/base/nearest.h"

#include <stdio.h>
#include <string.h>

#define WORD_MAX 32 /* longer than any key; a longer word is no slip of one */

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    const unsigned m = a < b ? a : b;
    return m < c ? m : c;
}

/* Damerau-Levenshtein distance (adjacent letters swapped count once, and are not edited again): three rows of the usual
 * table are enough. */
static unsigned distance(const char *a, const char *b)
{
    const size_t la = strlen(a), lb = strlen(b);
    if (la > WORD_MAX || lb > WORD_MAX) return WORD_MAX;
    unsigned rows[3][WORD_MAX + 1];
    for (size_t j = 0; j <= lb; j++) rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= la; i++) {
        unsigned *row = rows[i % 3], *prev = rows[(i + 2) % 3], *prev2 = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= lb; j++) {
            row[j] = min3(prev[j] + 1, row[j - 1] + 1, prev[j - 1] + (a[i - 1] != b[j - 1]));
            const bool is_swap = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (is_swap && prev2[j - 2] + 1 < row[j]) row[j] = prev2[j - 2] + 1;
        }
    }
    return rows[la % 3][lb];
}

const char *nearest(const char *word, struct words known)
{
    const size_t len = strlen(word);
    unsigned best = len < 6 ? 2 : 3; /* exclusive: one slip in a short word, two in a long one; more is another word */
    const char *found = NULL;
    for (size_t i = 0; i < known.count; i++) {
        const char *name = *(const char *const *)((const char *)known.first + i * known.stride);
        if (!name) break;
        const bool is_start = len >= 2 && strncmp(word, name, len) == 0;
        const unsigned d = is_start ? 1 : distance(word, name);
        if (d >= best) continue;
        best = d;
        found = name;
    }
    return found;
}

bool nearest_hint(char *hint, size_t size, const char *lead, const char *word, struct words known)
{
    const char *name = nearest(word, known);
    if (name) (void)snprintf(hint, size, "did you mean \"%s%s\"?", lead, name);
    return name != NULL;
}

void nearest_err_hint(struct err *e, const char *word, struct words known)
{
    if (e) (void)nearest_hint(e->hint, sizeof(e->hint), "", word, known);
}

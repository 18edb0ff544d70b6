/* What a mistyped word was most likely meant to be. */
#ifndef VIREO_BASE_NEAREST_H
#define VIREO_BASE_NEAREST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/err.h"

/* Known words: the names in a table, each `stride` bytes after the one before it. There are `count`, or fewer when a
 * name is NULL. */
struct words {
    const char *const *first;
    size_t stride, count;
};
/* Those of an array of structs, or of a pointer to count of them, by their member. */
#define WORDS_OF(table, member, count) ((struct words){&(table)->member, sizeof(*(table)), count})
/* Those of an array of strings that ends with NULL. */
#define WORDS_IN(list) ((struct words){list, sizeof(*(list)), SIZE_MAX})

/* The known one that word begins, or that is a slip of the keyboard away: two in a long word. NULL: none is near. */
const char *nearest(const char *word, struct words known);
/* "did you mean "--cpus"?", where lead is "--". false: none is near, and hint is as it was. */
bool nearest_hint(char *hint, size_t size, const char *lead, const char *word, struct words known);
/* The same as e's hint; an err_hint after it then speaks only where none is near. */
void nearest_err_hint(struct err *e, const char *word, struct words known);

#endif

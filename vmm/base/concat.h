/* Short texts put together without printf, on the way that every start of a VM takes: printf's code is 190 KiB of the C
 * library, which the kernel would map for a thread's name. Any thread, and signal handlers. */
#ifndef VIREO_BASE_CONCAT_H
#define VIREO_BASE_CONCAT_H

#include <stdbool.h>
#include <stddef.h>

/* Put s, or at most the first `most` bytes of it, or n in decimal behind the string in out, which has room for size
 * bytes. What does not fit is cut, and false. */
bool concat(char *out, size_t size, const char *s);
bool concat_most(char *out, size_t size, const char *s, size_t most);
bool concat_number(char *out, size_t size, unsigned n);

#endif

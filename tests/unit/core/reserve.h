/* Huge pages that the host sets aside for one test, and what a mapping is made of. */
#ifndef VIREO_TESTS_RESERVE_H
#define VIREO_TESTS_RESERVE_H

#include <stddef.h>

/* Have the host set aside so many pages of 2 MiB more, until the program ends: other tests that ask for some wait.
 * Where this user may not, or the host finds none, the test is skipped, and does not return from here. */
void reserve_pages(unsigned count);
/* Those that nothing has mapped. */
unsigned reserve_free(void);

/* The line that begins with `name` ("VmFlags:") about the mapping that holds p, in /proc/self/smaps; "": none. */
void mapping_line(const void *p, const char *name, char *out, size_t size);

#endif

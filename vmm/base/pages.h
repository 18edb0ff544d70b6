/* Memory that a guest writes to, or that is about one: it is this process's alone and never code.
 *
 * A child made by fork(2) does not get it (MADV_DONTFORK): it would keep all of a guest's memory for as long as it
 * lives. And it is not executable, also where the process has the personality READ_IMPLIES_EXEC (personality(2)), in
 * which whatever can be read is. Any thread. */
#ifndef VIREO_BASE_PAGES_H
#define VIREO_BASE_PAGES_H

#include <stddef.h>

/* mmap(2) with PROT_READ | PROT_WRITE and these flags, of fd from its beginning. NULL with errno. The caller's to
 * munmap. */
void *pages_map(size_t size, int flags, int fd);

#endif

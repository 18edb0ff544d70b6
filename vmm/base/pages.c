#include "vmm/base/pages.h"

#include <stdbool.h>
#include <sys/mman.h>
#include <sys/personality.h>

#define ASK 0xffffffffu /* personality(2): changes nothing */

/* The personality is the calling thread's own, and whoever started it so has it again afterwards. */
static void *map_plain(size_t size, int flags, int fd)
{
    const int now = personality(ASK);
    const bool is_odd = now != -1 && (now & READ_IMPLIES_EXEC);
    if (is_odd) (void)personality((unsigned long)now & ~(unsigned long)READ_IMPLIES_EXEC);
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (is_odd) (void)personality((unsigned long)now); /* succeeds always, and leaves errno alone */
    return p;
}

void *pages_map(size_t size, int flags, int fd)
{
    void *p = map_plain(size, flags, fd);
    if (p == MAP_FAILED) return NULL;
    (void)madvise(p, size, MADV_DONTFORK); /* can't fail for what was just mapped, but for want of kernel memory */
    return p;
}

/* Another libc: its start, its memory, its output. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    char *all = NULL;
    size_t size = 0;
    for (int i = 0; i < 1000; i++) {
        char *more = realloc(all, size + 100);
        if (!more) return 1;
        all = more;
        memset(all + size, 'a' + i % 26, 100);
        size += 100;
    }
    printf("%zu %c %.6f\n", size, all[54321], strtod("2.718281", NULL));
    free(all);
    return 5;
}

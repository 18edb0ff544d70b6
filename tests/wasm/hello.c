/* Arguments, environment, the exit status; and functions that others call by name. */
#include <stdio.h>
#include <stdlib.h>

__attribute__((export_name("add"))) int add(int a, int b)
{
    return a + b;
}
__attribute__((export_name("half"))) double half(double v)
{
    return v / 2;
}
static char buffer[64];
__attribute__((export_name("buffer-address"))) void *buffer_address(void)
{
    return buffer;
}

int main(int argc, char **argv)
{
    const char *word = getenv("WORD");
    for (int i = 1; i < argc; i++) printf("argument %d: %s\n", i, argv[i]);
    printf("WORD=%s preopen=%s\n", word ? word : "", getenv("VIREO_PREOPEN") ? "seen" : "hidden");
    fprintf(stderr, "to standard error\n");
    return argc;
}

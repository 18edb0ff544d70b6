/* What a start costs when the program does nothing else: native, in a sandbox, as a module. */
#include <stdio.h>

int main(void)
{
    return puts("hello") < 0;
}

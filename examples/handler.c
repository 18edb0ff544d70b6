/* The untrusted part of examples/server.c: answers a line with the value of the sum in it ("1 + 2 + 39"). */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned answered; /* as a handler that keeps what it shouldn't */

__attribute__((used)) int64_t handle(const void *in, size_t in_size, void *out, size_t *out_size)
{
    char line[256], *at = line;
    long sum = 0;
    if (in_size >= sizeof(line)) in_size = sizeof(line) - 1;
    memcpy(line, in, in_size);
    line[in_size] = 0;
    if (strcmp(line, "crash") == 0) __builtin_trap();
    while (strcmp(line, "spin") == 0) continue;
    for (;;) {
        char *end;
        sum += strtol(at, &end, 10);
        if (end == at) break;
        at = end + strspn(end, " +");
    }
    const int n = snprintf(out, *out_size, "%ld (request %u of this clone)", sum, ++answered);
    *out_size = n < 0 ? 0 : (size_t)n < *out_size ? (size_t)n : *out_size;
    return 0;
}

int main(void)
{
    return 0;
}

/* Clocks, sleeping, random numbers. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MUST(fact)                                                                                                     \
    do {                                                                                                               \
        if (!(fact)) {                                                                                                 \
            printf("line %d: not %s\n", __LINE__, #fact);                                                              \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static long long now_ns(clockid_t id)
{
    struct timespec t;
    MUST(clock_gettime(id, &t) == 0);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

int main(int argc, char **argv)
{
    unsigned char a[64] = {0}, b[64] = {0};
    const struct timespec nap = {.tv_nsec = 30000000};
    const long long began = now_ns(CLOCK_MONOTONIC);
    MUST(nanosleep(&nap, NULL) == 0);
    MUST(now_ns(CLOCK_MONOTONIC) - began >= 30000000);
    MUST(argc == 2 && llabs(now_ns(CLOCK_REALTIME) / 1000000000 - atoll(argv[1])) < 600);
    struct pollfd p = {.fd = 0, .events = POLLIN};
    MUST(poll(&p, 1, 0) == 1 && (p.revents & POLLIN)); /* a file, or a pipe with something in it */
    MUST(getentropy(a, sizeof(a)) == 0 && getentropy(b, sizeof(b)) == 0 && memcmp(a, b, sizeof(a)) != 0);
    puts("time passes, chance is blind");
    return 0;
}

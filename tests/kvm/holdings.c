#include "tests/kvm/holdings.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define SETTLE_US 20000 /* a joined thread has gone from /proc by then */
#define TRY_US    1000
#define TRIES     10000 /* ten seconds; a grace period of the kernel's is some ten milliseconds */

static unsigned threads_at_rest;

static unsigned entries(const char *path)
{
    DIR *dir = opendir(path);
    unsigned count = 0;

    assert_non_null(dir);
    while (readdir(dir)) count++;
    closedir(dir);
    return count;
}

static unsigned count_threads(void)
{
    return entries("/proc/self/task");
}

static unsigned count_mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    unsigned count = 0;

    assert_non_null(maps);
    for (int c; (c = fgetc(maps)) != EOF;) count += c == '\n';
    (void)fclose(maps);
    return count;
}

static void *nothing(void *arg)
{
    return arg;
}

void holdings_begin(void)
{
    pthread_t first; /* ThreadSanitizer starts its own thread with it */
    assert_int_equal(pthread_create(&first, NULL, nothing, NULL), 0);
    pthread_join(first, NULL);
    usleep(SETTLE_US);
    threads_at_rest = count_threads();
}

struct holdings holdings_now(void)
{
    for (int i = 0; i < TRIES && count_threads() != threads_at_rest; i++) usleep(TRY_US);
    return (struct holdings){entries("/proc/self/fd"), count_threads(), count_mappings()};
}

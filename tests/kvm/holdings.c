#include "tests/kvm/holdings.h"

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define TRY_US 1000
#define TRIES  10000 /* ten seconds; a grace period of the kernel's is some ten milliseconds */

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

void holdings_begin(void)
{
    threads_at_rest = count_threads();
}

struct holdings holdings_now(void)
{
    for (int i = 0; i < TRIES && count_threads() != threads_at_rest; i++) usleep(TRY_US);
    return (struct holdings){entries("/proc/self/fd"), count_threads(), count_mappings()};
}

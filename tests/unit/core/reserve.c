#include "tests/unit/core/reserve.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define DIR "/sys/kernel/mm/hugepages/hugepages-2048kB"

static unsigned reserved;

static unsigned read_count(const char *path)
{
    unsigned n = 0;
    FILE *f = fopen(path, "re");
    if (!f) return 0;
    if (fscanf(f, "%u", &n) != 1) n = 0;
    fclose(f);
    return n;
}

static bool write_count(unsigned n)
{
    FILE *f = fopen(DIR "/nr_hugepages", "we");
    if (!f) return false;
    const bool is_written = fprintf(f, "%u\n", n) > 0;
    return fclose(f) == 0 && is_written;
}

static void give_back(void)
{
    if (reserved) (void)write_count(read_count(DIR "/nr_hugepages") - reserved);
}

unsigned reserve_free(void)
{
    return read_count(DIR "/free_hugepages") - read_count(DIR "/resv_hugepages");
}

void reserve_pages(unsigned count)
{
    static int lock = -1; /* what is read and written anew must not be another test's meanwhile; it goes with us */
    if (reserved >= count) return;
    lock = open(DIR "/nr_hugepages", O_RDONLY | O_CLOEXEC);
    if (lock >= 0) (void)flock(lock, LOCK_EX);
    const unsigned before = read_count(DIR "/nr_hugepages");
    const bool is_written = write_count(before + count);
    const unsigned got = read_count(DIR "/nr_hugepages") - before;
    if (is_written && got == count) {
        reserved = count;
        (void)atexit(give_back);
        return;
    }
    if (is_written) (void)write_count(before);
    if (lock >= 0) close(lock);
    print_message("%s\n",
                  is_written ? "the host finds no huge pages to set aside" : "this user may not set huge pages aside");
    skip();
}

void mapping_line(const void *p, const char *name, char *out, size_t size)
{
    char line[512];
    bool is_inside = false;
    FILE *f = fopen("/proc/self/smaps", "re");
    assert_non_null(f);
    out[0] = '\0';
    while (fgets(line, sizeof(line), f)) {
        unsigned long from, to;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2) is_inside = (uintptr_t)p >= from && (uintptr_t)p < to;
        if (is_inside && strncmp(line, name, strlen(name)) == 0) (void)snprintf(out, size, "%s", line);
    }
    fclose(f);
}

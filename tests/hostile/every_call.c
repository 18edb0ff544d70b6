/* A program that makes system calls at random, for the sandbox's door: numbers from 0 to 511 and beyond, arguments that
 * are often nearly right. It destroys itself sooner or later, as it unmaps its own code; whoever runs it gives it
 * another seed and looks at what became of the monitor.
 *
 *   every_call SEED COUNT
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define AREA (64u << 10)

static uint64_t state;
static char *area; /* with a hole behind it */

static uint64_t draw(void) /* xorshift64 */
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static uint64_t pointer(void)
{
    static const uint64_t strange[] = {
        0,
        1,
        0xfff,
        0x10000,
        0x7ffff0000000,
        0x7fffffff0000,
        0x7fffffffffff,
        0x800000000000,
        0xffff800000000000,
        UINT64_MAX - 7,
    };
    switch (draw() % 6) {
    case 0: return strange[draw() % (sizeof(strange) / sizeof(strange[0]))];
    case 1: return (uint64_t)(uintptr_t)area + AREA - draw() % 32;
    case 2: return (uint64_t)(uintptr_t)&state;
    default: return (uint64_t)(uintptr_t)area + draw() % AREA;
    }
}

static uint64_t number(void)
{
    static const uint64_t edges[] = {
        0,     1,         2,          3,          16,         1023,      1024,       4095,       4096,
        65536, INT32_MAX, 1ull << 31, UINT32_MAX, 1ull << 32, INT64_MAX, 1ull << 63, UINT64_MAX,
    };
    switch (draw() % 4) {
    case 0: return draw();
    case 1: return draw() % 16;
    case 2: return 1ull << (draw() % 64);
    default: return edges[draw() % (sizeof(edges) / sizeof(edges[0]))];
    }
}

static uint64_t argument(void)
{
    switch (draw() % 4) {
    case 0: return draw() % 8; /* a descriptor */
    case 1: return number();
    default: return pointer();
    }
}

/* Strings and pointers for calls to find: paths, vectors, times. */
static void fill(void)
{
    static const char *const paths[] = {
        "/", ".", "..", "/tmp/x", "../../../../etc/passwd", "/proc/self/mem", "/proc/1/root", "a/../../b", ""};
    for (unsigned at = 0; at < AREA; at += 64) {
        if (draw() % 2) {
            const char *path = paths[draw() % (sizeof(paths) / sizeof(paths[0]))];
            memcpy(area + at, path, strlen(path) + 1);
        } else {
            for (unsigned i = 0; i < 64; i += 8) {
                const uint64_t word = argument();
                memcpy(area + at + i, &word, sizeof(word));
            }
        }
    }
}

static uint64_t which(void)
{
    switch (draw() % 16) {
    case 0: return draw();
    case 1: return 0x40000000 + draw() % 600; /* x32 */
    case 2: return 0x76720000 + draw() % 4;   /* the sandbox's own */
    default: return draw() % 512;
    }
}

int main(int argc, char **argv)
{
    state = argc > 1 ? strtoull(argv[1], NULL, 0) * 0x9e3779b97f4a7c15 + 1 : 1;
    const unsigned long count = argc > 2 ? strtoul(argv[2], NULL, 0) : 10000;
    area = mmap(NULL, AREA + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED) return 1;
    (void)munmap(area + AREA, 4096);
    for (unsigned long i = 0; i < count; i++) {
        if (i % 64 == 0) fill();
        const uint64_t nr = which();
        if (nr == SYS_exit || nr == SYS_exit_group) continue;
        (void)syscall((long)nr, argument(), argument(), argument(), argument(), argument(), argument());
    }
    return 0;
}

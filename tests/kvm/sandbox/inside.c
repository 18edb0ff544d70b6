/* The program in the sandboxes of test_sandbox.c. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <vireo_sandbox_guest.h>

int counter; /* data, and no function */
static volatile int word;

VIREO_EXPORT int64_t reverse(const void *in, size_t in_size, void *out, size_t *out_size)
{
    if (*out_size < in_size) return -1;
    for (size_t i = 0; i < in_size; i++) ((char *)out)[i] = ((const char *)in)[in_size - 1 - i];
    *out_size = in_size;
    return (int64_t)in_size;
}

VIREO_EXPORT int64_t boast(const void *in, size_t in_size, void *out, size_t *out_size)
{
    (void)in;
    (void)in_size;
    (void)out;
    *out_size = 1 << 30;
    return 0;
}

VIREO_EXPORT int64_t quit(int64_t status)
{
    vireo_guest_why(status ? "so\n\x1b[2J it\xff was" : "no matter");
    if (status) exit((int)status);
    return 0;
}

VIREO_EXPORT int64_t sum(int64_t a, int64_t b)
{
    return a + b;
}

VIREO_EXPORT int64_t nothing(void)
{
    return 0;
}

VIREO_EXPORT int64_t take(const void *in, size_t in_size, void *out, size_t *out_size)
{
    (void)in;
    (void)out;
    (void)in_size;
    (void)out_size; /* as much as may be: what stands there */
    return 0;
}

static char many_pages[8 << 20];
VIREO_EXPORT int64_t write_pages(int64_t n)
{
    for (int64_t i = 0; i < n && i < (int64_t)sizeof(many_pages) / 4096; i++) ((volatile char *)many_pages)[i * 4096]++;
    return n;
}

/* More pages than KVM notes before it calls the monitor. How often this was begun, where each page was written once. */
VIREO_EXPORT int64_t write_all_pages(void)
{
    static int64_t begun;
    begun++;
    for (size_t i = 0; i < sizeof(many_pages); i += 4096) ((volatile char *)many_pages)[i]++;
    for (size_t i = 0; i < sizeof(many_pages); i += 4096)
        if (many_pages[i] != 1) return -1;
    return begun;
}

VIREO_EXPORT int64_t count(void)
{
    return ++counter;
}

VIREO_EXPORT int64_t peek(const volatile uint8_t *at)
{
    return *at;
}

VIREO_EXPORT int64_t poke(volatile uint8_t *at, int value)
{
    *at = (uint8_t)value;
    return 0;
}

VIREO_EXPORT int64_t ask_host(uint32_t n)
{
    uint32_t answer = 0;
    size_t size = sizeof(answer);
    const long rc = vireo_guest_host(vireo_guest_find("twice"), &n, sizeof(n), &answer, &size);
    return rc || size != sizeof(answer) ? -100 - rc : answer;
}

VIREO_EXPORT int64_t ask_nobody(void)
{
    return vireo_guest_find("nobody");
}

VIREO_EXPORT void crash(void)
{
    *(volatile int *)8 = 1;
}

VIREO_EXPORT void spin(void)
{
    for (;;) word++;
}

VIREO_EXPORT void flood(void)
{
    static const char line[64] = "again and again, and never a word that anybody asked for, ever\n";
    while (write(1, line, sizeof(line)) >= 0) continue;
}

VIREO_EXPORT int64_t recurse(int64_t n)
{
    volatile char room[1024];
    room[n % 1024] = (char)n;
    return n ? recurse(n + 1) + room[0] : 0;
}

VIREO_EXPORT void sleeps(void)
{
    sleep(1000);
}

VIREO_EXPORT void leave(void)
{
    exit(3);
}

VIREO_EXPORT int64_t random_number(void)
{
    int64_t n = 0;
    return getrandom(&n, sizeof(n), 0) == sizeof(n) ? n : 0;
}

VIREO_EXPORT int64_t generation(void)
{
    return (int64_t)vireo_guest_generation();
}

/* All memory that is to be had, filled: its bytes. */
VIREO_EXPORT int64_t fill_all(int value)
{
    int64_t all = 0;
    for (size_t size = 1 << 20; size >= 4096; size /= 2)
        for (;;) {
            void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (p == MAP_FAILED) break;
            memset(p, value, size);
            all += (int64_t)size;
        }
    return all;
}

/* How many bytes of all memory that is to be had are `value` before anybody wrote there. */
VIREO_EXPORT int64_t find_all(int value)
{
    int64_t found = 0;
    for (size_t size = 1 << 20; size >= 4096; size /= 2)
        for (;;) {
            const char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (p == MAP_FAILED) break;
            for (size_t i = 0; i < size; i++) found += p[i] == (char)value;
        }
    return found;
}

#if defined(__x86_64__)
VIREO_EXPORT int64_t set_registers(void)
{
    __asm__ volatile("movq %0, %%xmm7\n movq %0, %%xmm15\n movq %0, %%mm3\n"
                     :
                     : "r"(0x5a5a5a5a5a5a5a5aull)
                     : "xmm7", "xmm15", "memory");
    return 0;
}

VIREO_EXPORT int64_t find_in_registers(void)
{
    uint64_t a, b, c;
    __asm__ volatile("movq %%xmm7, %0\n movq %%xmm15, %1\n movq %%mm3, %2\n emms" : "=r"(a), "=r"(b), "=r"(c));
    return (a == 0x5a5a5a5a5a5a5a5aull) + (b == 0x5a5a5a5a5a5a5a5aull) + (c == 0x5a5a5a5a5a5a5a5aull);
}
#else
VIREO_EXPORT int64_t set_registers(void)
{
    __asm__ volatile("fmov d7, %0\n fmov d31, %0\n" : : "r"(0x5a5a5a5a5a5a5a5aull) : "v7", "v31");
    return 0;
}

VIREO_EXPORT int64_t find_in_registers(void)
{
    uint64_t a, b;
    __asm__ volatile("fmov %0, d7\n fmov %1, d31\n" : "=r"(a), "=r"(b));
    return (a == 0x5a5a5a5a5a5a5a5aull) + (b == 0x5a5a5a5a5a5a5a5aull);
}
#endif

int main(void)
{
    vireo_guest_ready();
    return 0;
}

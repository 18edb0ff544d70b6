/* The program in the sandboxes of test_sandbox.c. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
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

/* More pages than the log of written pages takes at once, each with its number: how many have theirs afterwards. */
VIREO_EXPORT int64_t write_and_read(int64_t pages)
{
    int64_t right = 0;
    volatile int64_t *p = mmap(NULL, (size_t)pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return -1;
    for (int64_t i = 0; i < pages; i++) p[i * 512] = i + 1;
    for (int64_t i = 0; i < pages; i++) right += p[i * 512] == i + 1;
    return right;
}

#define TABLE (2ul << 20) /* what one page table of the last level maps */

static volatile int *map_at(uintptr_t at)
{
    return mmap((void *)at, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

/* Page tables that come back are given to other places: 0, or which look saw another place's page. */
VIREO_EXPORT int64_t move_tables(void)
{
    const uintptr_t begin = 0x200000000000;
    for (uintptr_t i = 0; i < 8; i++) *map_at(begin + i * TABLE) = 1;
    for (uintptr_t i = 0; i < 8; i++) (void)munmap((void *)(begin + i * TABLE), 4096);
    for (uintptr_t i = 0; i < 8; i++) *map_at(begin + (8 + i) * TABLE) = 100 + (int)i;
    for (uintptr_t i = 0; i < 8; i++) *map_at(begin + i * TABLE) = 200 + (int)i;
    for (uintptr_t i = 0; i < 8; i++) {
        if (*(volatile int *)(begin + (8 + i) * TABLE) != 100 + (int)i) return 1 + (int64_t)i;
        if (*(volatile int *)(begin + i * TABLE) != 200 + (int)i) return 101 + (int64_t)i;
    }
    return 0;
}

/* One of so many places of a table each, in an order that depends on the seed. */
static uintptr_t place_of(int64_t i, int64_t seed, int64_t places)
{
    static const unsigned steps[] = {7, 11, 13, 17, 19, 23, 29};
    return 0x200000000000 + (uintptr_t)(i * steps[seed % 7] % places * 3) * TABLE;
}

/* A page in each of `tables` tables' addresses: how many are right. */
VIREO_EXPORT int64_t spread_over_tables(int64_t tables, int64_t seed, int64_t places)
{
    int64_t right = 0;
    for (int64_t i = 0; i < tables; i++) {
        volatile int *p = map_at(place_of(i, seed, places));
        if (p == MAP_FAILED) return -1 - i;
        *p = (int)(i + seed);
    }
    for (int64_t i = 0; i < tables; i++) {
        volatile int *p = (volatile int *)place_of(i, seed, places);
        right += *p == (int)(i + seed);
    }
    for (int64_t i = 0; i < tables; i++) (void)munmap((void *)place_of(i, seed, places), 4096);
    return right;
}

static volatile uintptr_t told_address;
static volatile int told_code, told_signals;

static void tell_signal(int signo, siginfo_t *info, void *context)
{
    (void)signo;
    (void)context;
    told_address = (uintptr_t)info->si_addr;
    told_code = info->si_code;
    told_signals++;
}

/* The address that a signal which it sends itself comes with. */
VIREO_EXPORT int64_t address_of_raised(void)
{
    const struct sigaction a = {.sa_sigaction = tell_signal, .sa_flags = SA_SIGINFO};
    if (sigaction(SIGSEGV, &a, NULL) || raise(SIGSEGV)) return -1;
    return told_code > 0 ? -2 : (int64_t)told_address;
}

VIREO_EXPORT int64_t leave_a_child(void)
{
    const int pid = fork();
    if (pid == 0) _exit(0);
    return pid > 0;
}

/* A signal of before a reset would cut it short. */
VIREO_EXPORT int64_t sleep_a_moment(void)
{
    const struct sigaction a = {.sa_sigaction = tell_signal, .sa_flags = SA_SIGINFO};
    const struct timespec moment = {0, 20000000};
    (void)sigaction(SIGCHLD, &a, NULL);
    return nanosleep(&moment, NULL) ? errno : told_signals;
}

VIREO_EXPORT int64_t flags_of(int fd)
{
    return fcntl(fd, F_GETFL);
}

VIREO_EXPORT int64_t set_flags_of(int fd, int flags)
{
    return fcntl(fd, F_SETFL, flags);
}

static int ends[2] = {-1, -1};
VIREO_EXPORT int64_t put_in_pipe(int n)
{
    const char byte = (char)n;
    return write(ends[1], &byte, 1);
}

VIREO_EXPORT int64_t take_from_pipe(void)
{
    char byte = 0;
    return read(ends[0], &byte, 1) == 1 ? byte : -errno;
}

VIREO_EXPORT int64_t cpu_of_process(void)
{
    struct timespec t;
    return clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) ? -1 : t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Asks about more pages than there is time for. */
VIREO_EXPORT int64_t look_at_all_pages(void)
{
    const size_t pages = 4 << 20;
    unsigned char *vec = mmap(NULL, pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *all = mmap(NULL, pages * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (vec == MAP_FAILED || all == MAP_FAILED) return -1;
    for (;;)
        if (mincore(all, pages * 4096, vec)) return -2;
}

/* Instructions that wait for an interrupt or an event, of which none ever comes. */
VIREO_EXPORT int64_t wait_for_nothing(void)
{
#if defined(__aarch64__)
    __asm__ volatile("wfi\n wfe\n wfe\n wfi" : : : "memory");
#else
    __asm__ volatile("pause" : : : "memory");
#endif
    return 7;
}

/* The signal that ends a child that waits for nothing in poll. */
VIREO_EXPORT int64_t end_a_child_in_poll(void)
{
    int status = 0, fd[2];
    if (pipe(fd)) return -1;
    struct pollfd p = {.fd = fd[0], .events = POLLIN};
    const int pid = fork();
    if (pid == 0) _exit(poll(&p, 1, -1));
    (void)nanosleep(&(struct timespec){0, 20000000}, NULL);
    return pid < 0 || kill(pid, SIGTERM) || waitpid(pid, &status, 0) != pid ? -2
           : WIFSIGNALED(status)                                            ? WTERMSIG(status)
                                                                            : -3;
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
    if (pipe2(ends, O_NONBLOCK)) return 1;
    (void)put_in_pipe(7);
    vireo_guest_ready();
    return 0;
}

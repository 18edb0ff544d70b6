/* What `vireo exec` is tried with, by the first argument: ends of every kind, and doors that should be shut. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int say_errno(const char *what, int failed)
{
    printf("%s: %s\n", what, failed ? strerrorname_np(errno) : "done");
    return 0;
}

__attribute__((noinline)) static void write_to_null(void)
{
    *(volatile int *)8 = 1;
}

static int recurse(int n)
{
    volatile char room[4096];
    room[0] = (char)n;
    return recurse(n + 1) + room[0];
}

static volatile sig_atomic_t faults;
static void on_fault(int signo, siginfo_t *info, void *context)
{
    (void)context;
    faults++;
    printf("signal %d at %p, code %d\n", signo, info->si_addr, info->si_code);
    fflush(stdout);
    _exit(faults == 1 && signo == SIGSEGV ? 0 : 1);
}

static int handle_fault(void)
{
    struct sigaction a = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &a, NULL);
    write_to_null();
    return 1;
}

static volatile sig_atomic_t came;
static void on_signal(int signo)
{
    came = signo;
}

/* A handler must find vector registers as they were, and leave them so. */
static int keep_registers(void)
{
    volatile double x = 1.5;
    signal(SIGUSR1, on_signal);
    double y = x * 3;
    raise(SIGUSR1);
    y = sqrt(y * 2);
    printf("%d %.3f\n", came == SIGUSR1, y);
    return 0;
}

static int eat_memory(void)
{
    size_t all = 0;
    for (;;) {
        char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) break;
        memset(p, 1, 1 << 20);
        all++;
    }
    printf("%s after %s MiB\n", strerrorname_np(errno), all > 8 && all < 16 ? "some" : "a wrong number of");
    return 0;
}

static int fork_tree(void)
{
    int sum = 0, status;
    for (int i = 1; i <= 5; i++)
        if (fork() == 0) _exit(i);
    while (wait(&status) > 0) sum += WEXITSTATUS(status);
    const pid_t child = fork();
    if (child == 0) pause();
    kill(child, SIGTERM);
    waitpid(child, &status, 0);
    printf("%d, signal %d\n", sum, WTERMSIG(status));
    return 0;
}

/* Each forks the next and ends. The pipe tells the first how far they came. */
static int fork_chain(void)
{
    int tell[2];
    char line[64];
    if (pipe(tell)) return 1;
    for (int n = 0; n < 1000; n++) {
        const pid_t pid = fork();
        if (pid < 0) {
            dprintf(tell[1], "fork: %s\n", strerrorname_np(errno));
            return 0;
        }
        if (pid && n == 0) break;
        if (pid) return 0;
    }
    close(tell[1]);
    const ssize_t got = read(tell[0], line, sizeof(line));
    return write(1, line, got > 0 ? (size_t)got : 0) < 0;
}

/* A write to a pipe that nobody reads, then a file longer than the host lets its own process make. */
static int broken_writes(void)
{
    int tell[2];
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    if (pipe(tell)) return 1;
    close(tell[0]);
    say_errno("pipe", write(tell[1], "x", 1) < 0);
    const int fd = open("/d/long", O_RDWR | O_CREAT, 0600);
    return say_errno("size", ftruncate(fd, 1 << 30));
}

/* Copying is done in pieces that a stop is looked at between. */
static int copy_sparse(void)
{
    const int from = open("/d/sparse", O_RDWR | O_CREAT, 0600), to = open("/d/copy", O_RDWR | O_CREAT, 0600);
    if (ftruncate(from, 1ll << 40)) return 1;
    const ssize_t n = sendfile(to, from, NULL, 1ull << 40);
    printf("%zd copied, from at %lld\n", n, (long long)lseek(from, 0, SEEK_CUR));
    return 0;
}

/* Many that read one pipe: each byte wakes all, and one has it. The first ends with all of them waiting. */
static int share_pipe(void)
{
    int share[2];
    char byte;
    if (pipe(share)) return 1;
    for (int i = 0; i < 16; i++)
        if (fork() == 0)
            while (read(share[0], &byte, 1) >= 0) continue;
    for (int i = 0; i < 4000; i++)
        if (write(share[1], "12345678", 1 + (size_t)i % 8) < 0) return 1;
    usleep(300000);
    puts("shared");
    return 0;
}

/* Each works for 100 ms, forks the next, and ends: with a limit of 300 ms, not often. */
static int fork_worker(void)
{
    int tell[2], came = 0;
    char byte;
    if (pipe(tell)) return 1;
    for (int n = 0; n < 40; n++) {
        const pid_t pid = fork();
        if (pid && n == 0) break;
        if (pid) _exit(0);
        struct timespec now, began;
        clock_gettime(CLOCK_MONOTONIC, &began);
        do clock_gettime(CLOCK_MONOTONIC, &now);
        while ((now.tv_sec - began.tv_sec) * 1000 + (now.tv_nsec - began.tv_nsec) / 1000000 < 100);
        if (write(tell[1], "x", 1) != 1) _exit(1);
    }
    close(tell[1]);
    while (read(tell[0], &byte, 1) == 1) came++;
    puts(came < 40 ? "cut" : "all came");
    return 0;
}

/* Children that hold memory: how many there are before fork fails, and again when they are gone. */
static int fork_memory(void)
{
    const size_t size = 4 << 20;
    char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int children[2] = {0, 0}, failed = 0, hold[2];
    if (p == MAP_FAILED) return 1;
    memset(p, 1, size);
    for (int round = 0; round < 2; round++) {
        char byte;
        if (pipe(hold)) return 1;
        for (; children[round] < 40; children[round]++) {
            const pid_t pid = fork();
            if (pid < 0) failed = errno;
            if (pid < 0) break;
            if (pid) continue;
            close(hold[1]);
            _exit(read(hold[0], &byte, 1) != 0);
        }
        close(hold[0]);
        close(hold[1]);
        while (wait(NULL) > 0) continue;
    }
    printf("%d and %d children, then %s\n", children[0], children[1], strerrorname_np(failed));
    return 0;
}

/* A parent that waits while its children compute. */
static int fork_spin(void)
{
    for (int i = 0; i < 3; i++)
        if (fork() == 0)
            for (volatile int n = 0;; n++) continue;
    while (wait(NULL) > 0) continue;
    puts("nobody was cut");
    return 0;
}

/* A parent that sleeps while its child writes too much. */
static int fork_flood(void)
{
    static char bytes[4096];
    if (fork() == 0)
        while (write(1, bytes, sizeof(bytes)) > 0) continue;
    sleep(1000);
    return 0;
}

/* Many read one stream of the host's, each byte once. */
static int drain_input(void)
{
    char byte;
    for (int i = 0; i < 15 && fork(); i++) continue;
    while (read(0, &byte, 1) > 0) continue;
    return 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    const char *path = argc > 2 ? argv[2] : "/";
    char buffer[64] = "";
    if (strcmp(what, "segv") == 0) write_to_null();
    if (strcmp(what, "abort") == 0) abort();
    if (strcmp(what, "trap") == 0) __builtin_trap();
    if (strcmp(what, "recurse") == 0) return recurse(0);
    if (strcmp(what, "handler") == 0) return handle_fault();
    if (strcmp(what, "registers") == 0) return keep_registers();
    if (strcmp(what, "spin") == 0)
        for (;;) continue;
    if (strcmp(what, "sleep") == 0) return (int)sleep(1000);
    if (strcmp(what, "flood") == 0)
        for (;;) puts("a line of output, and another one, and so on");
    if (strcmp(what, "memory") == 0) return eat_memory();
    if (strcmp(what, "fork") == 0) return fork_tree();
    if (strcmp(what, "drain") == 0) return drain_input();
    if (strcmp(what, "broken-writes") == 0) return broken_writes();
    if (strcmp(what, "copy-sparse") == 0) return copy_sparse();
    if (strcmp(what, "share-pipe") == 0) return share_pipe();
    if (strcmp(what, "fork-worker") == 0) return fork_worker();
    if (strcmp(what, "fork-memory") == 0) return fork_memory();
    if (strcmp(what, "fork-spin") == 0) return fork_spin();
    if (strcmp(what, "fork-flood") == 0) return fork_flood();
    if (strcmp(what, "fork-chain") == 0) return fork_chain();
    if (strcmp(what, "socket") == 0) return say_errno("socket", socket(AF_INET, SOCK_STREAM, 0) < 0);
    if (strcmp(what, "execve") == 0) return say_errno("execve", execl("/bin/sh", "sh", (char *)NULL) < 0);
    if (strcmp(what, "unknown") == 0) return say_errno("call 499", syscall(499) < 0);
    if (strcmp(what, "open") == 0) return say_errno(path, open(path, O_RDONLY) < 0);
    if (strcmp(what, "create") == 0) return say_errno(path, open(path, O_CREAT | O_WRONLY, 0644) < 0);
    if (strcmp(what, "wx") == 0)
        return say_errno("wx", mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                                    0) == MAP_FAILED);
    if (strcmp(what, "stdin") == 0) printf("%zd %s\n", read(0, buffer, sizeof(buffer) - 1), buffer);
    if (strcmp(what, "env") == 0) printf("%s\n", getenv("A") ? getenv("A") : "nothing");
    return 0;
}

/* A sandboxed program's system calls, argument by argument, over a space without a VM. The truth is this machine's
 * kernel: it is asked the same, with memory at the same addresses and a file that is the same, and the answers must be
 * alike. Where ours differs on purpose, `want` says what it is. */
#include "tests/unit/sandbox/space_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "vmm/sandbox/process.h"

#define BASE    0x10000000ull /* four pages: data, read only, data, none */
#define PAGES   4
#define DATA    BASE
#define READING (BASE + SPACE_PAGE)
#define LAST    (BASE + 3 * SPACE_PAGE - 8) /* eight bytes before the end */
#define NONE    (BASE + 3 * SPACE_PAGE)
#define NOWHERE 0x20000000ull
#define KERNEL  0xffff800000000000ull

/* In the page of data. */
#define NAME  (DATA + 0x100) /* of the file */
#define LOST  (DATA + 0x200) /* of none */
#define LONG  (DATA + 0x300) /* 300 bytes, for one name of a directory too many */
#define EMPTY (DATA + 0x2f0)
#define TIME  (DATA + 0x500) /* one of no second */
#define ODD   (DATA + 0x520) /* one of a second and 10^9 ns */
#define IOV   (DATA + 0x540) /* two pieces of eight bytes */
#define WIDE  (DATA + 0x580) /* a piece that is longer than anything */
#define POLL  (DATA + 0x5a0) /* the file, to be read */
#define ROOM  (DATA + 0x800)

#define FD     0xfd /* the file, opened for reading and writing */
#define CLOSED 77

#define CONTENT "the file's hundred bytes"

struct rig {
    char dir[40];
    struct policy policy;
    struct space *space;
    struct process *process;
    int native; /* the file, beside the program's */
    char trace[4096];
};
static struct rig r;

static void put(uint64_t at, const void *data, size_t size)
{
    assert_int_equal(space_write(r.space, at, data, size), 0);
    memcpy((void *)(uintptr_t)at, data, size);
}

static int64_t ask(struct user_call call)
{
    int64_t result = 0;
    const enum call_outcome outcome = process_call(r.process, &call, &result);
    if (outcome != CALL_ANSWERED && outcome != CALL_SIGNAL) fail_msg("call %d: outcome %d", (int)call.number, outcome);
    return result;
}

static void on_trace(void *arg, const char *line)
{
    struct rig *rig = arg;
    const size_t used = strlen(rig->trace);
    (void)snprintf(rig->trace + used, sizeof(rig->trace) - used, "%s\n", line);
}

static int begin(void **state)
{
    (void)state;
    const struct timespec odd = {1, 1000000000};
    const struct iovec two[2] = {{(void *)ROOM, 8}, {(void *)(ROOM + 64), 8}}, wide = {(void *)ROOM, SIZE_MAX / 2 + 1};
    const struct pollfd poll_native = {.events = POLLIN};
    char text[80], name[300];
    memset(&r, 0, sizeof(r));
    (void)snprintf(r.dir, sizeof(r.dir), "/tmp/vireo-calls-XXXXXX");
    assert_non_null(mkdtemp(r.dir));
    policy_init(&r.policy);
    (void)snprintf(text, sizeof(text), "%s=/w", r.dir);
    assert_int_equal(policy_add_dir(&r.policy, text, true, NULL), 0);
    r.space = space_of(8 * MiB);
    assert_true(space_map(r.space, BASE, 3 * SPACE_PAGE, RW, SPACE_FIXED) > 0);
    void *at = mmap((void *)BASE, 3 * SPACE_PAGE, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    assert_true(at == (void *)BASE);
    (void)snprintf(text, sizeof(text), "%s/file", r.dir);
    r.native = open(text, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(r.native >= 0 && write(r.native, CONTENT, sizeof(CONTENT) - 1) == sizeof(CONTENT) - 1);
    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    put(LONG, name, sizeof(name));
    put(EMPTY, "", 1);
    put(LOST, "/w/none", 8);
    memcpy((void *)LOST, "/nonex/", 8);
    assert_int_equal(space_write(r.space, NAME, "/w/file", 8), 0);
    memcpy((void *)NAME, text, strlen(text) + 1);
    put(TIME, &(struct timespec){0, 0}, sizeof(struct timespec));
    put(ODD, &odd, sizeof(odd));
    put(IOV, two, sizeof(two));
    put(WIDE, &wide, sizeof(wide));
    put(POLL, &poll_native, sizeof(poll_native));
    put(READING, CONTENT, sizeof(CONTENT));
    assert_int_equal(space_protect(r.space, READING, SPACE_PAGE, USER_READ), 0);
    assert_int_equal(mprotect((void *)READING, SPACE_PAGE, PROT_READ), 0);
    const struct process_params params = {.space = r.space, .policy = &r.policy, .stop_fd = -1, .exe = "/w/x"};
    assert_int_equal(process_create(&r.process, &params, NULL), 0);
    return 0;
}

static int end(void **state)
{
    (void)state;
    process_destroy(r.process);
    space_destroy(r.space);
    assert_int_equal(unlinkat(r.policy.dir[0].fd, "file", 0), 0);
    policy_fini(&r.policy);
    (void)close(r.native);
    (void)munmap((void *)BASE, 3 * SPACE_PAGE);
    assert_int_equal(rmdir(r.dir), 0); /* nothing else was made there */
    return 0;
}

#define ALIKE INT64_MIN
#define SAME(call, ...)                                                                                                \
    {                                                                                                                  \
#call, SYS_##call, {__VA_ARGS__ }, ALIKE                                                                       \
    }
#define OURS(want, call, ...)                                                                                          \
    {                                                                                                                  \
#call, SYS_##call, {__VA_ARGS__ }, want                                                                        \
    }
#define CWD (uint64_t)(int64_t) AT_FDCWD

static const struct test_case {
    const char *name;
    long number;
    uint64_t arg[6];
    int64_t want; /* ALIKE: what the kernel answers */
} cases[] = {
    /* bytes of a file: how many, where to, and where from */
    SAME(pread64, FD, ROOM, 16, 0),
    SAME(pread64, FD, ROOM, 0, 0),
    SAME(pread64, FD, ROOM, 1000, 0),
    SAME(pread64, FD, ROOM, 1000, 1000),
    SAME(pread64, FD, ROOM, 16, (uint64_t)-1),
    SAME(pread64, FD, NOWHERE, 16, 0),
    SAME(pread64, FD, NOWHERE, 0, 0),
    SAME(pread64, FD, READING, 16, 0),
    SAME(pread64, FD, KERNEL, 16, 0),
    SAME(pread64, FD, LAST, 16, 0),
    SAME(pread64, FD, 0, 16, 0),
    SAME(pread64, CLOSED, ROOM, 16, 0),
    SAME(pread64, (uint64_t)-1, ROOM, 16, 0),
    SAME(pwrite64, FD, ROOM, 4, 0),
    SAME(pwrite64, FD, READING, 4, 0),
    SAME(pwrite64, FD, NOWHERE, 4, 0),
    SAME(pwrite64, FD, KERNEL, 4, 0),
    SAME(pwrite64, FD, LAST, 4, 0),
    SAME(pwrite64, FD, ROOM, 4, (uint64_t)-1),
    SAME(preadv, FD, IOV, 2, 0, 0),
    SAME(preadv, FD, IOV, 0, 0, 0),
    SAME(preadv, FD, IOV, 2000, 0, 0),
    SAME(preadv, FD, IOV, (uint64_t)-1, 0, 0),
    SAME(preadv, FD, WIDE, 1, 0, 0),
    SAME(preadv, FD, NOWHERE, 1, 0, 0),
    SAME(lseek, FD, 5, SEEK_SET),
    SAME(lseek, FD, (uint64_t)-5, SEEK_SET),
    SAME(lseek, FD, 0, SEEK_END),
    SAME(lseek, FD, 0, 99),
    SAME(lseek, CLOSED, 0, SEEK_SET),
    SAME(close, CLOSED),
    SAME(close, (uint64_t)-1),
    SAME(dup, CLOSED),
    SAME(dup3, FD, FD, 0),
    SAME(dup3, FD, 9, 1),
    SAME(fcntl, FD, F_GETFD),
    SAME(fcntl, CLOSED, F_GETFD),
    SAME(fcntl, FD, 9999),
    SAME(ftruncate, FD, (uint64_t)-1),
    SAME(ftruncate, CLOSED, 0),
    SAME(fsync, CLOSED),
    SAME(pipe2, NOWHERE, 0),
    SAME(pipe2, ROOM, 0x12345),
    SAME(ioctl, FD, 0x5401, ROOM),
    SAME(ioctl, CLOSED, 0x5401, ROOM),
    SAME(ppoll, POLL, 1, TIME, 0, 8),
    SAME(ppoll, NOWHERE, 1, TIME, 0, 8),
    SAME(ppoll, POLL, 1, ODD, 0, 8),
    SAME(ppoll, POLL, 1, NOWHERE, 0, 8),
    /* names */
    SAME(openat, CWD, LOST, O_RDONLY, 0),
    SAME(openat, CWD, NOWHERE, O_RDONLY, 0),
    SAME(openat, CWD, EMPTY, O_RDONLY, 0),
    SAME(openat, CWD, LONG, O_RDONLY, 0),
    SAME(openat, CWD, NAME, O_RDONLY | O_DIRECTORY, 0),
    SAME(openat, CWD, NAME, O_CREAT | O_EXCL | O_WRONLY, 0600),
    SAME(openat, CLOSED, EMPTY, O_RDONLY, 0),
    SAME(newfstatat, CWD, NAME, ROOM, 0),
    SAME(newfstatat, CWD, NAME, NOWHERE, 0),
    SAME(newfstatat, CWD, NAME, READING, 0),
    SAME(newfstatat, CWD, LOST, ROOM, 0),
    SAME(newfstatat, FD, EMPTY, ROOM, AT_EMPTY_PATH),
    SAME(newfstatat, CLOSED, EMPTY, ROOM, AT_EMPTY_PATH),
    SAME(newfstatat, CWD, NAME, ROOM, 0x40000000),
    SAME(fstat, FD, ROOM),
    SAME(fstat, FD, NOWHERE),
    SAME(fstat, CLOSED, ROOM),
    SAME(faccessat, CWD, NAME, R_OK),
    SAME(faccessat, CWD, NAME, 0x80),
    SAME(faccessat, CWD, LOST, R_OK),
    SAME(readlinkat, CWD, NAME, ROOM, 100),
    SAME(readlinkat, CWD, LOST, ROOM, 100),
    SAME(readlinkat, CWD, NAME, ROOM, 0),
    SAME(getdents64, FD, ROOM, 100),
    SAME(getdents64, CLOSED, ROOM, 100),
    SAME(chdir, NAME),
    SAME(chdir, LOST),
    SAME(fchdir, FD),
    SAME(fchdir, CLOSED),
    SAME(getcwd, ROOM, 1),
    SAME(getcwd, NOWHERE, 1000),
    SAME(unlinkat, CWD, LOST, 0),
    SAME(unlinkat, CWD, NAME, AT_REMOVEDIR),
    SAME(unlinkat, CWD, NAME, 0x40000000),
    SAME(mkdirat, CWD, NAME, 0700),
    /* time */
    SAME(clock_gettime, 9999, ROOM),
    SAME(clock_gettime, CLOCK_MONOTONIC, NOWHERE),
    SAME(clock_gettime, CLOCK_MONOTONIC, ROOM),
    SAME(clock_getres, CLOCK_MONOTONIC, 0),
    SAME(clock_getres, 9999, 0),
    SAME(nanosleep, TIME, 0),
    SAME(nanosleep, ODD, 0),
    SAME(nanosleep, NOWHERE, 0),
    SAME(clock_nanosleep, CLOCK_MONOTONIC, 0, ODD, 0),
    SAME(clock_nanosleep, 9999, 0, TIME, 0),
    SAME(gettimeofday, ROOM, 0),
    SAME(gettimeofday, NOWHERE, 0),
    /* signals */
    SAME(rt_sigaction, SIGKILL, ROOM, 0, 8),
    SAME(rt_sigaction, 65, ROOM, 0, 8),
    SAME(rt_sigaction, 0, ROOM, 0, 8),
    SAME(rt_sigaction, SIGUSR1, 0, ROOM, 8),
    SAME(rt_sigaction, SIGUSR1, 0, NOWHERE, 8),
    SAME(rt_sigaction, SIGUSR1, NOWHERE, 0, 8),
    SAME(rt_sigaction, SIGUSR1, 0, ROOM, 4),
    SAME(rt_sigprocmask, 9, ROOM, 0, 8),
    SAME(rt_sigprocmask, SIG_BLOCK, NOWHERE, 0, 8),
    SAME(rt_sigprocmask, SIG_BLOCK, 0, ROOM, 4),
    SAME(rt_sigprocmask, SIG_BLOCK, 0, NOWHERE, 8),
    SAME(sigaltstack, NOWHERE, 0),
    SAME(sigaltstack, 0, NOWHERE),
    SAME(kill, 0x7fffffff, 0),
    SAME(tgkill, 0, 0, 0),
    /* itself */
    SAME(uname, NOWHERE),
    SAME(getrandom, NOWHERE, 8, 0),
    SAME(getrandom, ROOM, 8, 0x80),
    SAME(getrandom, ROOM, 8, 0),
    SAME(getrandom, ROOM, 0, 0),
    SAME(getrusage, 99, ROOM),
    SAME(getrusage, 0, NOWHERE),
    SAME(prlimit64, 0, 99, 0, ROOM),
    SAME(prlimit64, 0, 7, 0, NOWHERE),
    SAME(sysinfo, NOWHERE),
    SAME(wait4, (uint64_t)-1, 0, 0, 0),
    SAME(wait4, (uint64_t)-1, 0, 0x12345678, 0),
    SAME(futex, NOWHERE, 1, 1, 0),
    SAME(futex, DATA + 1, 1, 1, 0),
    /* ours on purpose */
    OURS(-EPERM, socket, 2, 1, 0),
    OURS(-EPERM, execve, NAME, 0, 0),
    OURS(-EPERM, ptrace, 0, 0, 0, 0),
    OURS(-EPERM, unshare, 0),
    OURS(-EPERM, mount, NAME, NAME, NAME, 0, 0),
    OURS(-ENOSYS, clone3, NOWHERE, 88),
};

static uint64_t with_file(uint64_t arg, uint64_t file)
{
    return arg == FD ? file : arg;
}

static void arguments_are_judged_as_the_kernel_does(void **state)
{
    (void)state;
    const int64_t fd = ask((struct user_call){SYS_openat, {CWD, NAME, O_RDWR | O_CLOEXEC, 0}});
    unsigned differ = 0;
    assert_true(fd >= 3);
    const int16_t native_fd = (int16_t)r.native;
    struct pollfd p = {.fd = (int)fd, .events = POLLIN};
    assert_int_equal(space_write(r.space, POLL, &p, sizeof(p)), 0);
    ((struct pollfd *)POLL)->fd = native_fd;
    for (unsigned i = 0; i < COUNT_OF(cases); i++) {
        const struct test_case *c = &cases[i];
        const uint64_t native = with_file(c->arg[0], (uint64_t)r.native);
        int64_t want = c->want;
        if (want == ALIKE) {
            want = syscall(c->number, native, with_file(c->arg[1], (uint64_t)r.native), c->arg[2], c->arg[3], c->arg[4],
                           c->arg[5]);
            if (want < 0) want = -errno;
        }
        struct user_call call = {.number = (uint64_t)c->number};
        for (unsigned k = 0; k < 6; k++) call.arg[k] = k < 2 ? with_file(c->arg[k], (uint64_t)fd) : c->arg[k];
        /* A new descriptor has another number here and there. */
        const int64_t got = ask(call);
        if (c->number == SYS_dup3 && want >= 0) want = got;
        if (got == want) continue;
        print_error("case %u, %s(0x%llx, 0x%llx, 0x%llx, 0x%llx): %lld, the kernel has %lld\n", i, c->name,
                    (unsigned long long)c->arg[0], (unsigned long long)c->arg[1], (unsigned long long)c->arg[2],
                    (unsigned long long)c->arg[3], (long long)got, (long long)want);
        differ++;
    }
    assert_int_equal(differ, 0);
}

static void calls_are_traced_as_strace_prints_them(void **state)
{
    (void)state;
    r.policy.trace = on_trace;
    r.policy.trace_arg = &r;
    const int64_t fd = ask((struct user_call){SYS_openat, {CWD, NAME, O_RDONLY, 0}});
    assert_int_equal(fd, 3);
    (void)ask((struct user_call){SYS_pread64, {3, ROOM, 8, 4}});
    (void)ask((struct user_call){SYS_openat, {CWD, LOST, O_RDONLY, 0}});
    (void)ask((struct user_call){SYS_close, {3}});
    (void)ask((struct user_call){SYS_socket, {2, 1, 0}});
    (void)ask((struct user_call){4000, {1, 2, 3}});
    r.policy.trace = NULL;
    static const char *const parts[] = {"openat(AT_FDCWD, \"/w/file\", ",
                                        ") = 3\n",
                                        "pread64(3, 0x10000800, 8, 4) = 8\n",
                                        "\"/w/none\"",
                                        "= -1 ENOENT",
                                        "close(3) = 0\n",
                                        "socket(2, 1, 0) = -1 EPERM",
                                        "= -1 ENOSYS"};
    const char *at = r.trace;
    for (unsigned i = 0; i < COUNT_OF(parts); i++) {
        const char *found = strstr(at, parts[i]);
        if (!found) fail_msg("no \"%s\" in\n%s", parts[i], r.trace);
        at = found + 1;
    }
}

static void no_more_files_are_open_than_the_policy_has(void **state)
{
    (void)state;
    unsigned opened = 0;
    int64_t fd;
    while ((fd = ask((struct user_call){SYS_openat, {CWD, NAME, O_RDONLY, 0}})) >= 0) opened++;
    assert_int_equal(fd, -EMFILE);
    assert_int_equal(opened, r.policy.files_max - 3);
    assert_int_equal(ask((struct user_call){SYS_dup, {1}}), -EMFILE);
    assert_int_equal(ask((struct user_call){SYS_pipe2, {ROOM, 0}}), -EMFILE);
    assert_int_equal(ask((struct user_call){SYS_close, {7}}), 0);
    assert_int_equal(ask((struct user_call){SYS_dup, {1}}), 7);
    assert_int_equal(ask((struct user_call){SYS_pipe2, {ROOM, 0}}), -EMFILE);
    assert_int_equal(ask((struct user_call){SYS_dup3, {1, 5000, 0}}), -EBADF);
}

static void output_ends_at_the_policys_limit(void **state)
{
    (void)state;
    int64_t result;
    r.policy.output_max = 20;
    const struct user_call write = {SYS_write, {1, READING, 12}};
    assert_int_equal(process_call(r.process, &write, &result), CALL_ANSWERED);
    assert_int_equal(result, 12);
    assert_int_equal(process_call(r.process, &write, &result), CALL_LIMIT);
    assert_string_equal(process_limit(r.process), "output-max");
}

static void what_is_asked_is_counted_by_name(void **state)
{
    (void)state;
    struct call_count c;
    unsigned seen = 0;
    (void)ask((struct user_call){SYS_getpid, {0}});
    (void)ask((struct user_call){SYS_getpid, {0}});
    (void)ask((struct user_call){SYS_close, {CLOSED}});
    (void)ask((struct user_call){SYS_socket, {2, 1, 0}});
    (void)ask((struct user_call){500, {0}});
    (void)ask((struct user_call){99999, {0}});
    (void)ask((struct user_call){0x7fffffff, {0}});
    for (unsigned i = 0; process_count(r.process, i, &c); i++) {
        seen++;
        if (c.number == SYS_getpid)
            assert_true(c.made == 2 && !c.refused && !c.failed && strcmp(c.name, "getpid") == 0);
        if (c.number == SYS_close) assert_true(c.made == 1 && c.failed == 1);
        if (c.number == SYS_socket) assert_true(c.made == 1 && c.refused == 1);
        if (c.number == 500) assert_true(c.made == 1 && c.refused == 1 && !c.name);
        if (c.number == -1) assert_int_equal(c.made, 2);
    }
    assert_int_equal(seen, 5);
}

#define WITH_RIG(promise) cmocka_unit_test_setup_teardown(promise, begin, end)
UNIT_MAIN(WITH_RIG(arguments_are_judged_as_the_kernel_does), WITH_RIG(calls_are_traced_as_strace_prints_them),
          WITH_RIG(no_more_files_are_open_than_the_policy_has), WITH_RIG(output_ends_at_the_policys_limit),
          WITH_RIG(what_is_asked_is_counted_by_name))

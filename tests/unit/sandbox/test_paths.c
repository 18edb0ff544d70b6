/* Paths of a sandboxed program, over a space without a VM: nothing outside the shown directory is opened. */
#include "tests/unit/sandbox/space_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/sandbox/process.h"

#define TEXT 0x400000ull

static void links_out_and_odd_files_are_not_opened(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int flags, want;
    } cases[] = {
        {"/w/out", O_RDONLY, -EXDEV},
        {"/w/absolute", O_RDONLY, -EXDEV},
        {"/w/loop", O_RDONLY, -ELOOP},
        {"/w/fifo", O_RDONLY, -EACCES},
        {"/w/fifo", O_RDONLY | O_NOFOLLOW, -EACCES},
        {"/w/loop", O_RDONLY | O_NOFOLLOW, -ELOOP},
        {"/w/../etc", O_RDONLY, -ENOENT},
        {"/r/new", O_CREAT | O_WRONLY, -EROFS},
        {"/w/new", O_TMPFILE | O_RDWR, -EOPNOTSUPP},
        {"/w/none", O_RDONLY, -ENOENT},
    };
    char dir[] = "/tmp/vireo-paths-XXXXXX", text[64];
    static struct policy policy;
    struct process *p = NULL;
    assert_non_null(mkdtemp(dir));
    policy_init(&policy);
    (void)snprintf(text, sizeof(text), "%s=/w", dir);
    assert_int_equal(policy_add_dir(&policy, text, true, NULL), 0);
    (void)snprintf(text, sizeof(text), "%s=/r", dir);
    assert_int_equal(policy_add_dir(&policy, text, false, NULL), 0);
    const int fd = policy.dir[0].fd;
    assert_int_equal(symlinkat("../..", fd, "out") | symlinkat("/etc", fd, "absolute") | symlinkat("loop", fd, "loop"),
                     0);
    assert_int_equal(mkfifoat(fd, "fifo", 0600), 0);
    struct space *s = space_of(8 * MiB);
    assert_true(space_map(s, TEXT, SPACE_PAGE, RW, SPACE_FIXED) > 0);
    const struct process_params params = {.space = s, .policy = &policy, .stop_fd = -1, .exe = "/w/x"};
    assert_int_equal(process_create(&p, &params, NULL), 0);
    for (unsigned i = 0; i < COUNT_OF(cases); i++) {
        int64_t result = 0;
        assert_int_equal(space_write(s, TEXT, cases[i].path, strlen(cases[i].path) + 1), 0);
        const struct user_call call = {SYS_openat,
                                       {(uint64_t)AT_FDCWD, TEXT, (uint64_t)(unsigned)cases[i].flags, 0600}};
        assert_int_equal(process_call(p, &call, &result), CALL_ANSWERED);
        if (result != cases[i].want) fail_msg("%s: %d, not %d", cases[i].path, (int)result, cases[i].want);
    }
    static const char *const made[] = {"out", "absolute", "loop", "fifo"};
    for (unsigned i = 0; i < COUNT_OF(made); i++) assert_int_equal(unlinkat(fd, made[i], 0), 0);
    assert_int_equal(rmdir(dir), 0); /* nothing else was made */
    process_destroy(p);
    space_destroy(s);
    policy_fini(&policy);
}

/* What Linux 6.18 answers for a tmpfs at /w and one mounted read-only at /r, each with a file f and a directory d. */
static const struct {
    long number;
    const char *path;
    int flags, want;
} answers[] = {
    {SYS_openat, "/w/f/", O_RDONLY, -ENOTDIR},
    {SYS_openat, "/w/f/.", O_RDONLY, -ENOTDIR},
    {SYS_openat, "/w/f/", O_WRONLY, -ENOTDIR},
    {SYS_openat, "/w/d/", O_RDONLY, 0},
    {SYS_openat, "/w/d/.", O_RDONLY, 0},
    {SYS_openat, "/w/d/", O_WRONLY, -EISDIR},
    {SYS_openat, "/w/none/", O_RDONLY, -ENOENT},
    {SYS_openat, "/w/none/", O_CREAT | O_WRONLY, -EISDIR},
    {SYS_openat, "/w/f/", O_CREAT | O_WRONLY, -EISDIR},
    {SYS_unlinkat, "/w/f/", 0, -ENOTDIR},
    {SYS_unlinkat, "/w/f/", AT_REMOVEDIR, -ENOTDIR},
    {SYS_mkdirat, "/w/n/", 0700, 0},
    {SYS_unlinkat, "/w/n/", AT_REMOVEDIR, 0},
    {SYS_openat, "/r/f/", O_RDONLY, -ENOTDIR},
    {SYS_openat, "/r/f", O_WRONLY, -EROFS},
    {SYS_openat, "/r/none", O_WRONLY, -ENOENT},
    {SYS_unlinkat, "/r/f", 0, -EROFS},
    {SYS_unlinkat, "/r/none", 0, -EROFS},
    {SYS_unlinkat, "/r/no/none", 0, -ENOENT},
    {SYS_unlinkat, "/r/no/none", AT_REMOVEDIR, -ENOENT},
    {SYS_mkdirat, "/r/n", 0700, -EROFS},
    {SYS_mkdirat, "/r/d", 0700, -EEXIST},
    {SYS_mkdirat, "/r/no/n", 0700, -ENOENT},
    {SYS_fchmodat, "/r/none", 0600, -ENOENT},
    {SYS_fchmodat, "/r/f", 0600, -EROFS},
};

static void odd_names_are_answered_as_linux_does(void **state)
{
    (void)state;
    char dir[] = "/tmp/vireo-paths-XXXXXX", text[64];
    static struct policy policy;
    struct process *p = NULL;
    assert_non_null(mkdtemp(dir));
    policy_init(&policy);
    (void)snprintf(text, sizeof(text), "%s=/w", dir);
    assert_int_equal(policy_add_dir(&policy, text, true, NULL), 0);
    (void)snprintf(text, sizeof(text), "%s=/r", dir);
    assert_int_equal(policy_add_dir(&policy, text, false, NULL), 0);
    const int fd = policy.dir[0].fd, file = openat(fd, "f", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(file >= 0 && mkdirat(fd, "d", 0700) == 0);
    (void)close(file);
    struct space *s = space_of(8 * MiB);
    assert_true(space_map(s, TEXT, SPACE_PAGE, RW, SPACE_FIXED) > 0);
    const struct process_params params = {.space = s, .policy = &policy, .stop_fd = -1, .exe = "/w/x"};
    assert_int_equal(process_create(&p, &params, NULL), 0);
    for (unsigned i = 0; i < COUNT_OF(answers); i++) {
        int64_t result = 0;
        assert_int_equal(space_write(s, TEXT, answers[i].path, strlen(answers[i].path) + 1), 0);
        const struct user_call call = {(uint64_t)answers[i].number,
                                       {(uint64_t)AT_FDCWD, TEXT, (uint64_t)(unsigned)answers[i].flags, 0600}};
        assert_int_equal(process_call(p, &call, &result), CALL_ANSWERED);
        if (result > 0) result = 0;
        if (result != answers[i].want)
            fail_msg("%ld %s %o: %d, not %d", answers[i].number, answers[i].path, (unsigned)answers[i].flags,
                     (int)result, answers[i].want);
    }
    assert_int_equal(unlinkat(fd, "f", 0) | unlinkat(fd, "d", AT_REMOVEDIR), 0);
    assert_int_equal(rmdir(dir), 0);
    process_destroy(p);
    space_destroy(s);
    policy_fini(&policy);
}

UNIT_MAIN(UNIT(links_out_and_odd_files_are_not_opened), UNIT(odd_names_are_answered_as_linux_does))

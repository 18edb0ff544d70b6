/* A program opens a file below a shown directory again and again, while somebody else puts a link to a secret, and the
 * directory, into each other's place (renameat2, RENAME_EXCHANGE): whatever it gets is of the shown tree. */
#include "tests/unit/sandbox/space_rig.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/sandbox/process.h"

#define TEXT   0x400000ull
#define BUFFER (TEXT + 0x100)
#define ROUNDS 10000

struct attacker {
    int dir;
    atomic_bool is_over;
    unsigned swaps;
};

static void *swap(void *arg)
{
    struct attacker *a = arg;
    while (!atomic_load(&a->is_over)) a->swaps += renameat2(a->dir, "sub", a->dir, "link", RENAME_EXCHANGE) == 0;
    return NULL;
}

static void write_file(int dir, const char *name, const char *text)
{
    const int fd = openat(dir, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    (void)close(fd);
}

static int64_t ask(struct process *p, struct user_call call)
{
    int64_t result = 0;
    assert_int_equal(process_call(p, &call, &result), CALL_ANSWERED);
    return result;
}

static void a_link_that_takes_a_directorys_place_opens_nothing(void **state)
{
    (void)state;
    char place[] = "/tmp/vireo-race-XXXXXX", text[80], content[8];
    static struct policy policy;
    struct process *p = NULL;
    struct attacker a = {.swaps = 0};
    pthread_t thread;
    unsigned opened = 0, refused = 0;
    assert_non_null(mkdtemp(place));
    const int outside = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(outside >= 0 && mkdirat(outside, "shown", 0700) == 0 && mkdirat(outside, "secret", 0700) == 0);
    const int secret = openat(outside, "secret", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    write_file(secret, "file", "secret");
    policy_init(&policy);
    (void)snprintf(text, sizeof(text), "%s/shown=/w", place);
    assert_int_equal(policy_add_dir(&policy, text, true, NULL), 0);
    a.dir = policy.dir[0].fd;
    assert_int_equal(mkdirat(a.dir, "sub", 0700) | symlinkat("../secret", a.dir, "link"), 0);
    const int sub = openat(a.dir, "sub", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    write_file(sub, "file", "public");
    struct space *s = space_of(8 * MiB);
    assert_true(space_map(s, TEXT, SPACE_PAGE, RW, SPACE_FIXED) > 0);
    assert_int_equal(space_write(s, TEXT, "/w/sub/file", 12), 0);
    const struct process_params params = {.space = s, .policy = &policy, .stop_fd = -1, .exe = "/w/x"};
    assert_int_equal(process_create(&p, &params, NULL), 0);
    assert_int_equal(pthread_create(&thread, NULL, swap, &a), 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        const int64_t fd =
            ask(p, (struct user_call){SYS_openat, {(uint64_t)(int64_t)AT_FDCWD, TEXT, O_RDWR | O_CREAT, 0600}});
        if (fd < 0) {
            /* A path that changed meanwhile is EAGAIN for openat2(2), a link out EXDEV. */
            assert_true(fd == -EXDEV || fd == -EAGAIN || fd == -ENOENT);
            refused++;
            continue;
        }
        assert_int_equal(ask(p, (struct user_call){SYS_read, {(uint64_t)fd, BUFFER, 6}}), 6);
        assert_int_equal(space_read(s, BUFFER, content, 6), 0);
        assert_memory_equal(content, "public", 6);
        assert_int_equal(ask(p, (struct user_call){SYS_close, {(uint64_t)fd}}), 0);
        opened++;
    }
    atomic_store(&a.is_over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    print_message("%u opened, %u refused, %u swaps\n", opened, refused, a.swaps);
    assert_true(opened > 0 && refused > 0 && a.swaps > 0);
    struct stat st;
    assert_int_equal(fstatat(secret, "file", &st, 0), 0);
    assert_int_equal(st.st_size, 6);
    process_destroy(p);
    space_destroy(s);
    /* Whichever is which now. */
    assert_int_equal(unlinkat(sub, "file", 0) | unlinkat(secret, "file", 0), 0);
    (void)unlinkat(a.dir, "link", unlinkat(a.dir, "sub", 0) ? 0 : AT_REMOVEDIR);
    (void)unlinkat(a.dir, "sub", AT_REMOVEDIR);
    policy_fini(&policy);
    assert_int_equal(unlinkat(outside, "shown", AT_REMOVEDIR) | unlinkat(outside, "secret", AT_REMOVEDIR), 0);
    (void)close(secret);
    (void)close(sub);
    (void)close(outside);
    assert_int_equal(rmdir(place), 0);
}

UNIT_MAIN(UNIT(a_link_that_takes_a_directorys_place_opens_nothing))

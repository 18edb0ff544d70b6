/* Limits and waits of a sandboxed program's files, over a space without a VM. */
#include "tests/unit/sandbox/space_rig.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "vmm/sandbox/process.h"

#define TEXT  0x400000ull
#define BYTES 0x500000ull

struct rig {
    char dir[32];
    struct policy policy;
    struct space *space;
    struct process *p;
};

/* std: what the program has as its input; -1: nothing. */
static void rig_open(struct rig *r, uint64_t write_max, int std)
{
    char text[64];
    *r = (struct rig){.dir = "/tmp/vireo-files-XXXXXX"};
    assert_non_null(mkdtemp(r->dir));
    policy_init(&r->policy);
    (void)snprintf(text, sizeof(text), "%s=/w", r->dir);
    assert_int_equal(policy_add_dir(&r->policy, text, true, NULL), 0);
    r->policy.write_max = write_max;
    r->policy.std[0] = std;
    r->space = space_of(8 * MiB);
    assert_true(space_map(r->space, TEXT, SPACE_PAGE, RW, SPACE_FIXED) > 0);
    assert_true(space_map(r->space, BYTES, 4 * MiB, RW, SPACE_FIXED) > 0);
    const int stop = eventfd(0, EFD_CLOEXEC);
    const struct process_params params = {.space = r->space, .policy = &r->policy, .stop_fd = stop, .exe = "/w/x"};
    assert_int_equal(process_create(&r->p, &params, NULL), 0);
}

static void rig_close(struct rig *r)
{
    char command[64];
    (void)close(r->p->stop_fd);
    process_destroy(r->p);
    space_destroy(r->space);
    policy_fini(&r->policy);
    (void)snprintf(command, sizeof(command), "rm -rf %s", r->dir);
    assert_int_equal(system(command), 0);
}

static int64_t ask(struct rig *r, enum call_outcome want, long number, const uint64_t arg[6])
{
    int64_t result = 0;
    struct user_call call = {.number = (uint64_t)number};
    memcpy(call.arg, arg, sizeof(call.arg));
    assert_int_equal(process_call(r->p, &call, &result), want);
    return result;
}

#define CALL(number, ...) ask(&r, CALL_ANSWERED, number, (const uint64_t[6]){__VA_ARGS__})

static uint64_t text(struct rig *r, const char *path)
{
    assert_int_equal(space_write(r->space, TEXT, path, strlen(path) + 1), 0);
    return TEXT;
}

static int64_t create(struct rig *r, const char *path)
{
    const uint64_t arg[6] = {(uint64_t)AT_FDCWD, text(r, path), O_CREAT | O_RDWR, 0600};
    return ask(r, CALL_ANSWERED, SYS_openat, arg);
}

/* 64 KiB: names count a page, and bytes as they are, whoever writes them and by whichever call. */
static void bytes_below_write_have_a_limit(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, 64 << 10, -1);
    const int64_t a = create(&r, "/w/a"), b = create(&r, "/w/b");
    assert_true(a >= 3 && b > a);
    assert_int_equal(create(&r, "/w/a") >= 3, 1); /* that was there costs nothing */
    assert_int_equal(CALL(SYS_write, (uint64_t)a, BYTES, 16 << 10), 16 << 10);
    assert_int_equal(CALL(SYS_pwrite64, (uint64_t)a, BYTES, 16 << 10, 0), 16 << 10);
    assert_int_equal(CALL(SYS_fallocate, (uint64_t)b, 0, 0, 1 << 20), -EDQUOT);
    assert_int_equal(CALL(SYS_fallocate, (uint64_t)b, 0, 0, 4 << 10), 0);
    assert_int_equal(CALL(SYS_mkdirat, (uint64_t)AT_FDCWD, text(&r, "/w/d"), 0700), 0);
    assert_int_equal(CALL(SYS_mkdirat, (uint64_t)AT_FDCWD, text(&r, "/w/d/e/f"), 0700), -ENOENT); /* costs nothing */
    assert_int_equal(CALL(SYS_lseek, (uint64_t)a, 0, SEEK_SET), 0);
    assert_int_equal(CALL(SYS_sendfile, (uint64_t)b, (uint64_t)a, 0, 8 << 10), 8 << 10);
    assert_int_equal(CALL(SYS_write, (uint64_t)a, BYTES, 16 << 10), 8 << 10); /* what is left */
    assert_int_equal(CALL(SYS_write, (uint64_t)a, BYTES, 1), -EDQUOT);
    assert_int_equal(CALL(SYS_unlinkat, (uint64_t)AT_FDCWD, text(&r, "/w/b"), 0), 0);
    assert_int_equal(CALL(SYS_lseek, (uint64_t)a, 0, SEEK_SET), 0);
    assert_int_equal(CALL(SYS_sendfile, (uint64_t)b, (uint64_t)a, 0, 1), -EDQUOT);
    assert_int_equal(create(&r, "/w/c"), -EDQUOT);
    assert_int_equal(CALL(SYS_symlinkat, text(&r, "x"), (uint64_t)AT_FDCWD, TEXT), -EROFS); /* "/x" is nowhere */
    assert_int_equal(CALL(SYS_mkdirat, (uint64_t)AT_FDCWD, text(&r, "/w/g"), 0700), -EDQUOT);
    assert_int_equal(CALL(SYS_linkat, (uint64_t)AT_FDCWD, text(&r, "/w/a"), (uint64_t)AT_FDCWD, TEXT), -EDQUOT);
    struct stat st;
    assert_int_equal(fstatat(r.policy.dir[0].fd, "a", &st, 0), 0);
    assert_int_equal(st.st_size, 16 << 10);
    rig_close(&r);
}

static void *fill_terminal(void *arg)
{
    static char bytes[1 << 20];
    (void)!write(*(int *)arg, bytes, sizeof(bytes)); /* until the other end is closed */
    return NULL;
}

/* Another writer holds the terminal, which nobody reads. The kernel's TCSETSW would wait for it, for ever. */
static void settings_do_not_wait_for_a_terminal_that_is_stopped(void **state)
{
    (void)state;
    struct rig r;
    pthread_t thread;
    char name[64];
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    assert_int_equal(ptsname_r(master, name, sizeof(name)), 0);
    int slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(slave >= 0);
    assert_int_equal(pthread_create(&thread, NULL, fill_terminal, &slave), 0);
    (void)usleep(100000);
    rig_open(&r, 0, slave);
    (void)alarm(20);
    assert_int_equal(CALL(SYS_ioctl, 0, TCGETS, BYTES), 0);
    assert_int_equal(CALL(SYS_ioctl, 0, TCSETSW, BYTES), 0);
    assert_int_equal(CALL(SYS_ioctl, 0, TCSETSF, BYTES), 0);
    (void)alarm(0);
    (void)close(master);
    (void)pthread_join(thread, NULL);
    rig_close(&r);
    (void)close(slave);
}

UNIT_MAIN(UNIT(bytes_below_write_have_a_limit), UNIT(settings_do_not_wait_for_a_terminal_that_is_stopped))

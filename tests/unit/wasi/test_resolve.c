/* Paths of a translated module, by openat2 and part by part: both find the same, and neither leaves the directory. */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/wasi/wasi.h"
#include "tests/unit/unit.h"

static char top[] = "/tmp/test_resolve.XXXXXX";
static int top_fd, in_fd;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

static void put_file(const char *path)
{
    const int fd = openat(top_fd, path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0 && close(fd) == 0);
}

static int set_up(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(top));
    top_fd = open(top, O_RDONLY | O_DIRECTORY);
    static const char *const dirs[] = {"in", "in/a", "in/a/b", "out"};
    for (unsigned i = 0; i < COUNT_OF(dirs); i++) assert_int_equal(mkdirat(top_fd, dirs[i], 0700), 0);
    put_file("in/f");
    put_file("in/a/b/f");
    put_file("out/f");
    static const char *const links[][2] = {{"a/b", "in/s"},         {"../f", "in/a/g"},     {"../out/f", "in/l"},
                                           {"../out", "in/o"},      {"/etc", "in/e"},       {"k", "in/k"},
                                           {"a/../s/f", "in/long"}, {"none", "in/dangling"}};
    for (unsigned i = 0; i < COUNT_OF(links); i++) assert_int_equal(symlinkat(links[i][0], top_fd, links[i][1]), 0);
    in_fd = openat(top_fd, "in", O_RDONLY | O_DIRECTORY);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close(in_fd);
    close(top_fd);
    return nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* What each path comes to: an errno of WASI's, or the file, seen from `in`, that it names. */
static const struct {
    const char *path;
    bool follow;
    uint32_t rc;
    const char *same; /* NULL: nothing is there yet */
} cases[] = {
    {"f", false, WASI_OK, "f"},
    {"a/b/f", false, WASI_OK, "a/b/f"},
    {"./a/./b//f", false, WASI_OK, "a/b/f"},
    {"a/../f", false, WASI_OK, "f"},
    {"a/b/../../f", false, WASI_OK, "f"},
    {"s/f", false, WASI_OK, "a/b/f"},
    {"s/../b/f", false, WASI_OK, "a/b/f"},
    {"a/g", true, WASI_OK, "f"},
    {"a/g", false, WASI_OK, "a/g"},
    {"long", true, WASI_OK, "a/b/f"},
    {"a", false, WASI_OK, "a"},
    {"a/", false, WASI_OK, "a"},
    {".", false, WASI_OK, "."},
    {"a/..", false, WASI_OK, "."},
    {"l", false, WASI_OK, "l"},
    {"new", true, WASI_OK, NULL},
    {"s/new", false, WASI_OK, NULL},
    {"dangling", true, WASI_OK, NULL},
    {"", false, WASI_NOENT, NULL},
    {"none/f", false, WASI_NOENT, NULL},
    {"f/f", false, WASI_NOTDIR, NULL},
    {"k/f", false, WASI_LOOP, NULL},
    {"k", true, WASI_LOOP, NULL},
    {"/", false, WASI_NOTCAPABLE, NULL},
    {"/etc/passwd", false, WASI_NOTCAPABLE, NULL},
    {"..", false, WASI_NOTCAPABLE, NULL},
    {"../out/f", false, WASI_NOTCAPABLE, NULL},
    {"a/../../out/f", false, WASI_NOTCAPABLE, NULL},
    {"s/../../../out/f", false, WASI_NOTCAPABLE, NULL},
    {"l", true, WASI_NOTCAPABLE, NULL},
    {"o/f", false, WASI_NOTCAPABLE, NULL},
    {"e/passwd", false, WASI_NOTCAPABLE, NULL},
    {"e", true, WASI_NOTCAPABLE, NULL},
    {"../in/f", false, WASI_NOTCAPABLE, NULL},
};

static void check_all(bool lacks_openat2)
{
    static struct wasi w;
    struct stat found, wanted;
    for (unsigned i = 0; i < COUNT_OF(cases); i++) {
        struct wasi_place p;
        w.lacks_openat2 = lacks_openat2;
        const uint32_t rc = wasi_resolve(&w, in_fd, cases[i].path, cases[i].follow, &p);
        if (rc != cases[i].rc) fail_msg("\"%s\": %u, not %u", cases[i].path, rc, cases[i].rc);
        if (rc) continue;
        const bool is_there = fstatat(p.fd, p.name, &found, AT_SYMLINK_NOFOLLOW) == 0;
        assert_string_not_equal(p.name, "..");
        wasi_place_end(&p);
        if (is_there != (cases[i].same != NULL)) fail_msg("\"%s\" is there or not", cases[i].path);
        if (!is_there) continue;
        assert_int_equal(fstatat(in_fd, cases[i].same, &wanted, AT_SYMLINK_NOFOLLOW), 0);
        if (found.st_ino != wanted.st_ino) fail_msg("\"%s\" is not \"%s\"", cases[i].path, cases[i].same);
    }
}

static void openat2_stays_below_the_directory(void **state)
{
    (void)state;
    check_all(false);
}
static void the_walk_finds_what_openat2_finds(void **state)
{
    (void)state;
    check_all(true);
}

/* No path costs a descriptor, whatever it comes to. */
static void no_path_keeps_a_descriptor(void **state)
{
    (void)state;
    const int before = dup(in_fd);
    close(before);
    check_all(true);
    check_all(false);
    const int after = dup(in_fd);
    close(after);
    assert_int_equal(after, before);
}

static void pointers_at_the_edge_are_refused(void **state)
{
    uint8_t bytes[16];
    wasm_rt_memory_t memory = {.data = bytes, .size = sizeof(bytes)};
    const struct wasi w = {.memory = &memory}, none = {0};
    (void)state;
    assert_ptr_equal(wasi_slice(&w, 0, 16), bytes);
    assert_ptr_equal(wasi_slice(&w, 16, 0), bytes + 16);
    assert_null(wasi_slice(&w, 1, 16));
    assert_null(wasi_slice(&w, 17, 0));
    assert_null(wasi_slice(&w, UINT32_MAX, 1));
    assert_null(wasi_slice(&w, 8, UINT64_MAX));
    assert_null(wasi_slice(&none, 0, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {UNIT(openat2_stays_below_the_directory), UNIT(the_walk_finds_what_openat2_finds),
                                       UNIT(no_path_keeps_a_descriptor), UNIT(pointers_at_the_edge_are_refused)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

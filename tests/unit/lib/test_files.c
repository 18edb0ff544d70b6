/* Files that an embedder names, through the public header: what is read, what is written, and what is left alone. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include <vireo.h>

static char dir[] = "/tmp/vireo-files-XXXXXX";
static struct vireo_config *c;
static struct vireo_error e;

static void make(const char *name, const char *text)
{
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    assert_int_equal(fputs(text, f) < 0, 0);
    assert_int_equal(fclose(f), 0);
}

static void holds(const char *name, const char *text)
{
    char got[64] = "";
    FILE *f = fopen(name, "r");
    assert_non_null(f);
    got[fread(got, 1, sizeof(got) - 1, f)] = '\0';
    fclose(f);
    assert_string_equal(got, text);
}

static int begin(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof(dir), "/tmp/vireo-files-XXXXXX");
    if (!mkdtemp(dir) || chdir(dir) < 0) return -1;
    c = vireo_config_create();
    memset(&e, 0, sizeof(e));
    return c ? 0 : -1;
}

static int end(void **state)
{
    char command[64];
    (void)state;
    vireo_config_destroy(c);
    (void)snprintf(command, sizeof(command), "rm -rf %s", dir);
    return chdir("/") < 0 ? -1 : system(command);
}

static void set(const char *key, const char *value)
{
    if (vireo_config_set(c, key, value, &e)) fail_msg("%s: %s", key, e.text);
}

static void refuse_vm(const char *part)
{
    struct vireo_vm *vm = NULL;
    assert_int_not_equal(vireo_vm_create(&vm, c, NULL, &e), 0);
    assert_null(vm);
    assert_int_equal(e.exit_status, 125);
    assert_contains(e.text, part);
}

static void configuration_comes_from_a_file(void **state)
{
    (void)state;
    struct vireo_file f;
    make("a.json", "{\"kernel\": \"k\", \"console\": \"file=log\", \"disk\": [\"path=d0\", \"path=d1\"]}");
    assert_int_equal(vireo_config_load_file(c, "a.json", &e), 0);
    static const struct vireo_file want[] = {{.what = "config", .path = "a.json", .is_output = false},
                                             {.what = "kernel", .path = "k", .is_output = false},
                                             {.what = "console", .path = "log", .is_output = true},
                                             {.what = "disk 0", .path = "d0", .is_output = false},
                                             {.what = "disk 1", .path = "d1", .is_output = false}};
    for (unsigned i = 0; i < COUNT_OF(want); i++) {
        assert_true(vireo_config_file(c, i, &f));
        assert_string_equal(f.what, want[i].what);
        assert_string_equal(f.path, want[i].path);
        assert_int_equal(f.is_output, want[i].is_output);
    }
    assert_false(vireo_config_file(c, COUNT_OF(want), &f));
    make("b.json", "{\n\"cpus\": 0}");
    assert_int_equal(vireo_config_load_file(c, "b.json", &e), -EINVAL);
    assert_contains(e.text, "config b.json: line 2: cpus 0");
    assert_int_equal(vireo_config_load_file(c, "none.json", &e), -ENOENT);
    assert_string_equal(e.text, "config none.json: No such file or directory");
    assert_int_equal(vireo_config_load_file(c, ".", &e), -EISDIR);
}

/* The console's file, which starting the VM would have emptied. */
static void console_is_no_file_of_the_vm(void **state)
{
    (void)state;
    make("disk", "data");
    make("run.json", "{}");
    assert_int_equal(link("disk", "hard"), 0);
    assert_int_equal(symlink("disk", "soft"), 0);
    static const char *const names[] = {"file=disk", "file=./disk", "file=hard", "file=soft"};
    set("disk", "path=disk");
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        set("console", names[i]);
        refuse_vm("that is the file of disk 0, which would be lost");
    }
    set("kernel", "hard");
    set("console", "file=soft");
    refuse_vm("that is the file of kernel");
    assert_int_equal(vireo_config_load_file(c, "run.json", &e), 0);
    set("console", "file=run.json");
    refuse_vm("that is the file of config");
    set("console", "file=new");
    set("dump-dtb", ".//new");
    refuse_vm("that is the file of dump-dtb too");
    assert_int_equal(access("new", F_OK), -1);
    holds("disk", "data");
    holds("run.json", "{}");
}

static void console_is_no_file_that_somebody_has_locked(void **state)
{
    (void)state;
    make("theirs", "data");
    const int fd = open("theirs", O_RDWR | O_CLOEXEC);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
    set("console", "file=theirs");
    refuse_vm("has locked that file");
    lock.l_type = F_RDLCK; /* a disk that is only read is somebody's too */
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
    refuse_vm("has locked that file");
    assert_int_equal(vireo_output_open("log", "theirs", NULL, 0, &e), -EBUSY);
    holds("theirs", "data");
    close(fd);
    const int out = vireo_output_open("log", "theirs", NULL, 0, &e);
    assert_true(out >= 0);
    close(out);
    holds("theirs", "data"); /* nothing is emptied by being opened */
}

static void output_is_none_of_the_others(void **state)
{
    (void)state;
    const struct vireo_file others[] = {{.what = "kernel", .path = "k", .is_output = false},
                                        {.what = "stats", .path = NULL, .is_output = true},
                                        {.what = "json", .path = "j", .is_output = true}};
    make("k", "kernel");
    assert_int_equal(vireo_output_open("log", "k", others, 3, &e), -EEXIST);
    assert_string_equal(e.text, "log k: that is the file of kernel, which would be lost; name another file");
    int fd = vireo_output_open("log", "new", others, 3, &e);
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK && fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
    assert_int_equal(symlink("later", "dangling"), 0);
    fd = vireo_output_open("log", "dangling", others, 3, &e);
    assert_true(fd >= 0 && access("later", F_OK) == 0);
    close(fd);
    fd = vireo_output_open("log", "/dev/null",
                           (const struct vireo_file[]){{.what = "stats", .path = "/dev/null", .is_output = true}}, 1,
                           &e);
    assert_true(fd >= 0); /* what keeps nothing may be named twice */
    close(fd);
    assert_int_equal(vireo_output_open("log", ".", others, 3, &e), -EISDIR);
    assert_int_equal(vireo_output_open("log", "no/such", others, 3, &e), -ENOENT);
    assert_int_equal(vireo_output_open("log", "new", others, 65, &e), -E2BIG);
    holds("k", "kernel");
}

#define T(promise) cmocka_unit_test_setup_teardown(promise, begin, end)
UNIT_MAIN(T(configuration_comes_from_a_file), T(console_is_no_file_of_the_vm),
          T(console_is_no_file_that_somebody_has_locked), T(output_is_none_of_the_others))

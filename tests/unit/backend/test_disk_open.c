/* Opening a disk: what is refused, and how; locks; the choice of an engine. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/unit/backend/disk_rig.h"
#include "tests/unit/virtio/ring.h"

#define NOBODY         65534 /* who owns nothing */
#define LINE_MAX_BYTES 512

static void assert_open_fails(const char *path, bool is_readonly, int code, const char *text)
{
    struct disk *d = (struct disk *)0x1;
    struct err e;
    const struct disk_params p = {.path = path, .is_readonly = is_readonly};
    assert_int_equal(disk_open(&d, &p, &e), code);
    assert_ptr_equal(d, (struct disk *)0x1); /* untouched */
    assert_non_null(strstr(e.text, text));
    assert_non_null(strstr(e.text, path));
    assert_string_not_equal(e.hint, "");
}

static void open_refuses_what_is_not_there(void **state)
{
    (void)state;
    assert_open_fails("/tmp/vireo-no-such-image", false, -ENOENT, "No such file");
    assert_open_fails("/tmp/vireo-no-such-image", true, -ENOENT, "No such file");
    assert_int_equal(access("/tmp/vireo-no-such-image", F_OK), -1);
}

static void open_refuses_a_directory(void **state)
{
    (void)state;
    assert_open_fails("/tmp", false, -EISDIR, "is a directory");
    assert_open_fails("/tmp", true, -EISDIR, "is a directory");
}

static void open_refuses_empty_and_tiny_files_and_changes_nothing(void **state)
{
    const struct {
        off_t bytes;
        const char *text;
    } bad[] = {{0, "is empty"}, {1, "has 1 bytes, and a disk needs at least 512"}, {511, "has 511 bytes"}};
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct stat before, after;
        const struct image im = make_image(bad[i].bytes);
        assert_int_equal(stat(im.path, &before), 0);
        assert_open_fails(im.path, false, -EINVAL, bad[i].text);
        assert_int_equal(stat(im.path, &after), 0);
        assert_int_equal(after.st_size, bad[i].bytes);
        assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
        remove_image(&im);
    }
}

/* The last line that was logged. */
static void keep_line(void *arg, enum log_level level, const char *line)
{
    assert_int_equal(level, LOG_WARN);
    (void)snprintf(arg, LINE_MAX_BYTES, "%s", line);
}

static void what_is_beyond_the_last_whole_block_is_left_out_with_a_warning(void **state)
{
    static const struct {
        off_t bytes;
        uint32_t block_size;
        uint64_t sectors;
        const char *text; /* "": no warning */
    } row[] = {
        {IMAGE_BYTES, 0, IMAGE_BYTES / 512, ""},
        {IMAGE_BYTES + 511, 0, IMAGE_BYTES / 512, "its last 511 bytes"},
        {513, 512, 1, "its last 1 bytes; round it up with: truncate -s %512 "},
        {IMAGE_BYTES + 512, 4096, IMAGE_BYTES / 512, "its last 512 bytes; round it up with: truncate -s %4096 "},
        {IMAGE_BYTES, 4096, IMAGE_BYTES / 512, ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        char line[LINE_MAX_BYTES] = "";
        struct disk *d;
        struct stat st;
        const struct image im = make_image(row[i].bytes);
        const struct log log = {.fn = keep_line, .arg = line, .level = LOG_WARN};
        const struct disk_params p = {.path = im.path, .block_size = row[i].block_size, .log = &log};
        assert_int_equal(disk_open(&d, &p, NULL), 0);
        assert_int_equal(disk_sectors(d), row[i].sectors);
        assert_int_equal(disk_block_size(d), row[i].block_size == 4096 ? 4096 : 512);
        assert_int_equal(line[0] == '\0', row[i].text[0] == '\0');
        assert_non_null(strstr(line, row[i].text));
        disk_close(d);
        assert_int_equal(stat(im.path, &st), 0);
        assert_int_equal(st.st_size, row[i].bytes); /* nothing was changed */
        remove_image(&im);
    }
}

static void a_disk_needs_a_whole_block(void **state)
{
    struct disk *d;
    struct err e;
    const struct image im = make_image(512);
    (void)state;
    const struct disk_params p = {.path = im.path, .block_size = 4096};
    assert_int_equal(disk_open(&d, &p, &e), -EINVAL);
    assert_non_null(strstr(e.text, "has 512 bytes, and a disk needs at least 4096"));
    remove_image(&im);
}

static void put(const struct image *im, off_t at, const char *bytes, size_t len)
{
    const int fd = open(im->path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, bytes, len, at), (ssize_t)len);
    close(fd);
}

static void images_of_other_formats_are_refused_unless_called_raw(void **state)
{
    static const struct {
        const char *name;
        off_t at;
        const char *bytes;
        size_t len;
    } row[] = {
        {"qcow2", 0, "QFI\xfb\0\0\0\3", 8},
        {"QED", 0, "QED\0", 4},
        {"VMDK", 0, "KDMV", 4},
        {"VMDK", 0, "COWD", 4},
        {"VMDK", 0, "# Disk DescriptorFile\nversion=1\n", 33},
        {"VHDX", 0, "vhdxfile", 8},
        {"VHD", 0, "conectix", 8},
        {"VHD", IMAGE_BYTES - 512, "conectix", 8},
        {"VDI", 0x40, "\x7f\x10\xda\xbe", 4},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        struct disk *d;
        struct err e;
        const struct image im = make_image(IMAGE_BYTES);
        put(&im, row[i].at, row[i].bytes, row[i].len);
        struct disk_params p = {.path = im.path};
        for (unsigned is_readonly = 0; is_readonly < 2; is_readonly++) {
            p.is_readonly = is_readonly;
            assert_int_equal(disk_open(&d, &p, &e), -EINVAL);
            assert_non_null(strstr(e.text, row[i].name));
            assert_non_null(strstr(e.hint, "qemu-img convert -O raw"));
            assert_non_null(strstr(e.hint, "format=raw"));
        }
        p.is_raw = true;
        assert_int_equal(disk_open(&d, &p, &e), 0);
        disk_close(d);
        remove_image(&im);
    }
    const struct image im = make_image(IMAGE_BYTES); /* near misses */
    put(&im, 0, "QEDx", 4);
    put(&im, 0x80, "QFI\xfb", 4);
    disk_close(open_image(&im, false, DISK_ENGINE_AUTO));
    remove_image(&im);
}

/* In a process of its own: fcntl says what NFS says without its lock service. */
static int child_without_locks(const struct image *im, int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fcntl, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, F_OFD_SETLK, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog filter = {6, code};
    struct disk *d;
    struct err e;
    struct disk_params p = {.path = im->path};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
        return 1;
    if (disk_open(&d, &p, &e) != -error || !strstr(e.text, "lock ") || !strstr(e.hint, "lock=off")) return 2;
    p.is_unlocked = true;
    if (disk_open(&d, &p, &e) != 0) return 3;
    disk_close(d);
    return 0;
}

static void where_there_are_no_locks_the_user_may_do_without(void **state)
{
    const int errors[] = {ENOLCK, EOPNOTSUPP};
    const struct image im = make_image(IMAGE_BYTES);
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        int status;
        const pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) _exit(child_without_locks(&im, errors[i]));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
    remove_image(&im);
}

/* A child that outlives the disk has a copy of its descriptor, and must not keep its lock. */
static void a_forked_child_does_not_keep_the_lock(void **state)
{
    const struct image im = make_image(IMAGE_BYTES);
    int wait_here[2], status;
    (void)state;
    struct disk *d = open_image(&im, false, DISK_ENGINE_AUTO);
    assert_int_equal(pipe2(wait_here, O_CLOEXEC), 0);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char c;
        close(wait_here[1]);
        _exit(read(wait_here[0], &c, 1) != 0);
    }
    disk_close(d);
    disk_close(open_image(&im, false, DISK_ENGINE_AUTO));
    close(wait_here[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(wait_here[0]);
    remove_image(&im);
}

static void open_refuses_a_fifo_without_waiting_for_its_other_end(void **state)
{
    (void)state;
    const struct image im = make_image(0);
    assert_int_equal(unlink(im.path), 0);
    assert_int_equal(mkfifo(im.path, 0600), 0);
    assert_open_fails(im.path, true, -EINVAL, "neither a file nor a block device");
    assert_open_fails(im.path, false, -EINVAL, "neither a file nor a block device");
    remove_image(&im);
    assert_open_fails("/dev/null", false, -EINVAL, "neither a file nor a block device");
}

/* In a process of its own, which may be root no longer. */
static int child_opens_for_writing(const struct image *im)
{
    struct disk *d = NULL;
    struct err e;
    struct disk_params p = {.path = im->path};
    if (geteuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0)) return 1;
    if (disk_open(&d, &p, &e) != -EACCES || !strstr(e.text, "Permission denied") || !strstr(e.hint, "use readonly"))
        return 2;
    p.is_readonly = true;
    if (disk_open(&d, &p, &e) != 0) return 3;
    disk_close(d);
    return 0;
}

static void an_image_that_may_not_be_written_is_refused_unless_readonly(void **state)
{
    const struct image im = make_image(IMAGE_BYTES);
    int status;
    (void)state;
    assert_int_equal(chmod(im.dir, 0755), 0);
    assert_int_equal(chmod(im.path, 0444), 0);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) _exit(child_opens_for_writing(&im));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    remove_image(&im);
}

static void two_writers_never_meet_on_one_image(void **state)
{
    (void)state;
    const struct image im = make_image(IMAGE_BYTES);
    struct disk *writer = open_image(&im, false, DISK_ENGINE_AUTO);
    assert_open_fails(im.path, false, -EBUSY, "in use by another VM or process");
    assert_open_fails(im.path, true, -EBUSY, "in use by another VM or process");
    disk_close(writer);
    disk_close(open_image(&im, false, DISK_ENGINE_AUTO)); /* the lock went with it */
    remove_image(&im);
}

static void readers_share_an_image_and_keep_writers_out(void **state)
{
    (void)state;
    const struct image im = make_image(IMAGE_BYTES);
    struct disk *one = open_image(&im, true, DISK_ENGINE_AUTO);
    struct disk *two = open_image(&im, true, DISK_ENGINE_AUTO);
    assert_open_fails(im.path, false, -EBUSY, "in use by another VM or process");
    assert_true(disk_is_readonly(one));
    assert_false(disk_can_discard(one)); /* nothing that changes it */
    disk_close(one);
    disk_close(two);
    disk_close(NULL);
    remove_image(&im);
}

static void size_is_counted_in_sectors(void **state)
{
    (void)state;
    const struct image im = make_image(IMAGE_BYTES + 512);
    struct disk *d = open_image(&im, false, DISK_ENGINE_AUTO);
    assert_int_equal(disk_sectors(d), IMAGE_BYTES / 512 + 1);
    assert_true(disk_can_discard(d));
    assert_int_equal(fcntl(d->fd, F_GETFL) & O_NONBLOCK, 0); /* io_uring would fail rather than wait */
    disk_close(d);
    remove_image(&im);
}

/* The choice of an engine. */

/* In a process of its own: io_uring_setup fails as it does where it is switched off. */
static int child_without_io_uring(int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog filter = {4, code};
    struct disk_rig b = {0};
    struct err e;
    uint8_t buf[512];
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
        return 1;
    b.image = make_image(IMAGE_BYTES);
    struct disk_params p = {.path = b.image.path, .engine = DISK_ENGINE_URING};
    if (disk_open(&b.disk, &p, &e) != -error) return 2;
    b.disk = open_image(&b.image, false, DISK_ENGINE_AUTO);
    b.disk->is_in_memory = false; /* wherever the test's folder is */
    if (disk_use_engine(b.disk, NULL) != 0 || strcmp(b.disk->engine->name, "worker") != 0) return 3;
    start(&b);
    if (transfer(&b, DISK_WRITE, 0, buf, sizeof(buf)) != 0) return 4;
    stop(&b);
    disk_close(b.disk);
    loop_fini(&b.loop);
    remove_image(&b.image);
    return 0;
}

static void without_io_uring_the_worker_serves(void **state)
{
    const int errors[] = {ENOSYS, EPERM};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        int status;
        const pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) _exit(child_without_io_uring(errors[i]));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
}

static void without_descriptors_nothing_is_opened_or_left_open(void **state)
{
    const struct image im = make_image(IMAGE_BYTES);
    const struct disk_params p = {.path = im.path};
    const unsigned before = fd_count();
    struct disk *d;
    struct err e;
    (void)state;
    const struct fd_limit l = fd_limit_set(0);
    assert_int_equal(disk_open(&d, &p, &e), -EMFILE);
    assert_int_equal(disk_open_ram(&d, IMAGE_BYTES, &e), -EMFILE);
    assert_int_equal(fd_limit_release(l), before);
    remove_image(&im);
}

/* All that a disk needs is there once it is open: no start fails later for want of a descriptor. */
static void an_open_disk_needs_no_more_descriptors(void **state)
{
    static const enum disk_engine_kind kind[] = {DISK_ENGINE_URING, DISK_ENGINE_WORKER, DISK_ENGINE_AUTO};
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct disk_rig b = {.image = make_image(IMAGE_BYTES)};
        uint8_t buf[512];
        b.disk = open_image(&b.image, false, kind[i]);
        struct err e;
        assert_int_equal(loop_init(&b.loop, &e), 0);
        disk_on_quiet(b.disk, note_quiet, &b);
        const unsigned before = fd_count();
        const struct fd_limit l = fd_limit_set(0);
        for (unsigned turn_no = 0; turn_no < 3; turn_no++) {
            assert_int_equal(disk_start(b.disk, &b.loop, &e), 0);
            assert_int_equal(transfer(&b, DISK_WRITE, 0, buf, sizeof(buf)), 0);
            assert_int_equal(command(&b, DISK_FLUSH, 0, 0, false), 0);
            stop(&b);
        }
        assert_int_equal(fd_limit_release(l), before);
        disk_close(b.disk);
        loop_fini(&b.loop);
        remove_image(&b.image);
    }
}

/* Whatever number of descriptors is left, opening succeeds with all it needs or fails with nothing kept. */
static void opening_with_too_few_descriptors_is_the_hosts_fault(void **state)
{
    static const enum disk_engine_kind kind[] = {DISK_ENGINE_URING, DISK_ENGINE_WORKER, DISK_ENGINE_AUTO};
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        const struct image im = make_image(IMAGE_BYTES);
        const struct disk_params p = {.path = im.path, .engine = kind[i]};
        struct disk *d = NULL;
        for (unsigned more = 0; !d; more++) {
            struct err e;
            const unsigned before = fd_count();
            const struct fd_limit l = fd_limit_set(more);
            const int rc = disk_open(&d, &p, &e);
            const unsigned after = fd_limit_release(l);
            if (rc == 0) break;
            assert_true(more < 5);
            assert_int_equal(rc, -EMFILE);
            assert_int_equal(e.kind, ERR_HOST);
            assert_non_null(strstr(e.text, "Too many open files"));
            assert_int_equal(after, before);
        }
        disk_close(d);
        remove_image(&im);
    }
}

static void a_file_in_memory_is_served_at_once(void **state)
{
    struct disk_rig b = {0};
    struct err e;
    char path[64];
    (void)state;
    const int fd = memfd_create("test", MFD_CLOEXEC);
    assert_int_equal(ftruncate(fd, IMAGE_BYTES), 0);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    const struct disk_params p = {.path = path};
    assert_int_equal(disk_open(&b.disk, &p, &e), 0);
    start(&b);
    assert_string_equal(b.disk->engine->name, "direct");
    stop(&b);
    disk_close(b.disk);
    loop_fini(&b.loop);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_refuses_what_is_not_there),
        cmocka_unit_test(open_refuses_a_directory),
        cmocka_unit_test(open_refuses_empty_and_tiny_files_and_changes_nothing),
        cmocka_unit_test(what_is_beyond_the_last_whole_block_is_left_out_with_a_warning),
        cmocka_unit_test(a_disk_needs_a_whole_block),
        cmocka_unit_test(images_of_other_formats_are_refused_unless_called_raw),
        cmocka_unit_test(where_there_are_no_locks_the_user_may_do_without),
        cmocka_unit_test(a_forked_child_does_not_keep_the_lock),
        cmocka_unit_test(open_refuses_a_fifo_without_waiting_for_its_other_end),
        cmocka_unit_test(an_image_that_may_not_be_written_is_refused_unless_readonly),
        cmocka_unit_test(two_writers_never_meet_on_one_image),
        cmocka_unit_test(readers_share_an_image_and_keep_writers_out),
        cmocka_unit_test(size_is_counted_in_sectors),
        cmocka_unit_test(without_io_uring_the_worker_serves),
        cmocka_unit_test(without_descriptors_nothing_is_opened_or_left_open),
        cmocka_unit_test(an_open_disk_needs_no_more_descriptors),
        cmocka_unit_test(opening_with_too_few_descriptors_is_the_hosts_fault),
        cmocka_unit_test(a_file_in_memory_is_served_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

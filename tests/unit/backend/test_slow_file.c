/* A file whose writes may never return: whoever hands something over is not held up, and nothing is lost untold. */
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vmm/base/clock.h"

static atomic_bool hangs;
static sem_t hanging, go_on;

static ssize_t write_or_hang(int fd, const void *p, size_t len)
{
    if (hangs) {
        sem_post(&hanging);
        while (sem_wait(&go_on) != 0) continue;
    }
    return write(fd, p, len);
}

static int truncate_or_hang(int fd, off_t len)
{
    if (hangs) {
        sem_post(&hanging);
        while (sem_wait(&go_on) != 0) continue;
    }
    return ftruncate(fd, len);
}

#define write     write_or_hang
#define ftruncate truncate_or_hang
#include "devices/backend/slow_file.c"
#undef write
#undef ftruncate

#define SECOND 1000000000ull

struct loss {
    _Atomic uint64_t bytes;
    atomic_int error;
};

static void on_lost(void *arg, uint64_t len, int error)
{
    struct loss *l = arg;
    l->bytes += len;
    l->error = error;
}

static struct slow_file *open_slow(int fd, uint64_t grow_max, struct loss *loss)
{
    struct slow_file *f = NULL;
    const struct slow_file_params p = {.fd = fd, .grow_max = grow_max, .lost = on_lost, .arg = loss};
    assert_int_equal(slow_file_create(&f, &p, NULL), 0);
    assert_int_equal(slow_file_start(f, NULL), 0);
    return f;
}

static int new_file(void)
{
    char path[] = "/tmp/vireo-slow-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);
    return fd;
}

static void everything_is_written_in_order(void **state)
{
    struct loss loss = {0};
    const int fd = new_file();
    struct slow_file *f = open_slow(fd, 0, &loss);
    uint32_t next = 0, got[1000];
    (void)state;
    hangs = false;
    while (next < 300000) { /* several times what is kept */
        uint32_t numbers[777];
        for (unsigned i = 0; i < 777; i++) numbers[i] = next + i;
        for (size_t done = 0; done < sizeof(numbers);) {
            done += slow_file_put(f, (const uint8_t *)numbers + done, sizeof(numbers) - done);
            if (done < sizeof(numbers)) assert_true(slow_file_wait(f, now_ns() + 60 * SECOND));
        }
        next += 777;
    }
    slow_file_close(f, now_ns() + 60 * SECOND);
    assert_int_equal(lseek(fd, 0, SEEK_END), next * sizeof(next));
    lseek(fd, 0, SEEK_SET);
    next = 0;
    for (ssize_t n; (n = read(fd, got, sizeof(got))) > 0;)
        for (unsigned i = 0; i < (size_t)n / sizeof(got[0]); i++) assert_int_equal(got[i], next++);
    assert_int_equal(loss.bytes, 0);
    close(fd);
}

static void a_write_that_hangs_holds_up_nobody(void **state)
{
    static const uint8_t bytes[SLOW_FILE_BYTES];
    struct loss loss = {0};
    const int fd = new_file();
    (void)state;
    sem_init(&hanging, 0, 0);
    sem_init(&go_on, 0, 0);
    hangs = true;
    struct slow_file *f = open_slow(fd, 0, &loss);
    assert_int_equal(slow_file_put(f, bytes, 100), 100);
    sem_wait(&hanging);
    assert_int_equal(slow_file_put(f, bytes, sizeof(bytes)), sizeof(bytes) - 100);
    assert_int_equal(slow_file_put(f, bytes, 1), 0);
    assert_false(slow_file_wait(f, now_ns() + SECOND / 100));
    slow_file_close(f, now_ns() + SECOND / 100); /* returns */
    assert_int_equal(loss.bytes, sizeof(bytes));
    assert_int_equal(loss.error, ETIMEDOUT);
    hangs = false;
    sem_post(&go_on); /* and now the thread frees what it has, as the sanitizers see */
    for (unsigned i = 0; i < 1000 && lseek(fd, 0, SEEK_END) < 100; i++) usleep(10000);
    usleep(100000);
    close(fd);
}

static void a_file_that_cannot_be_emptied_holds_up_nobody(void **state)
{
    struct loss loss = {0};
    struct slow_file *f = NULL;
    const int fd = new_file();
    const struct slow_file_params p = {.fd = fd, .truncates = true, .lost = on_lost, .arg = &loss};
    (void)state;
    assert_int_equal(write(fd, "old", 3), 3);
    sem_init(&hanging, 0, 0);
    sem_init(&go_on, 0, 0);
    hangs = true;
    assert_int_equal(slow_file_create(&f, &p, NULL), 0);
    assert_int_equal(slow_file_start(f, NULL), 0); /* returns */
    sem_wait(&hanging);
    assert_int_equal(slow_file_put(f, (const uint8_t *)"new", 3), 3);
    assert_int_equal(lseek(fd, 0, SEEK_END), 3);
    hangs = false;
    sem_post(&go_on);
    slow_file_close(f, now_ns() + 60 * SECOND);
    assert_int_equal(loss.bytes, 0);
    char got[8] = "";
    assert_int_equal(pread(fd, got, sizeof(got), 0), 6); /* where the descriptor was: the first three are a hole */
    assert_string_equal(got + 3, "new");
    assert_int_equal(got[0], 0);
    close(fd);
}

static void what_is_new_never_lands_behind_what_is_old(void **state)
{
    char path[] = "/tmp/vireo-slow-XXXXXX";
    struct loss loss = {0};
    struct slow_file *f = NULL;
    const int fd = mkstemp(path), reads = open(path, O_RDONLY); /* which can't be truncated */
    const struct slow_file_params p = {.fd = reads, .truncates = true, .lost = on_lost, .arg = &loss};
    (void)state;
    hangs = false;
    assert_int_equal(write(fd, "old", 3), 3);
    assert_int_equal(slow_file_create(&f, &p, NULL), 0);
    assert_int_equal(slow_file_start(f, NULL), 0);
    assert_int_equal(slow_file_put(f, (const uint8_t *)"new", 3), 3);
    slow_file_close(f, now_ns() + 60 * SECOND);
    assert_int_equal(loss.bytes, 3);
    assert_int_equal(loss.error, EINVAL);
    assert_int_equal(lseek(fd, 0, SEEK_END), 3);
    unlink(path);
    close(reads);
    close(fd);
}

static void a_file_grows_to_its_bound_and_on_once_it_was_cut(void **state)
{
    static const uint8_t bytes[1000];
    struct loss loss = {0};
    const int fd = new_file();
    (void)state;
    hangs = false;
    assert_int_equal(fcntl(fd, F_SETFL, O_APPEND), 0);
    struct slow_file *f = open_slow(fd, 1500, &loss);
    assert_int_equal(slow_file_put(f, bytes, 1000), 1000);
    assert_int_equal(slow_file_put(f, bytes, 1000), 1000);
    for (unsigned i = 0; i < 6000 && loss.bytes < 500; i++) usleep(10000);
    assert_int_equal(loss.bytes, 500);
    assert_int_equal(loss.error, 0);
    assert_int_equal(lseek(fd, 0, SEEK_END), 1500);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(slow_file_put(f, bytes, 1000), 1000);
    slow_file_close(f, now_ns() + 60 * SECOND);
    assert_int_equal(lseek(fd, 0, SEEK_END), 1000);
    assert_int_equal(loss.bytes, 500);
    close(fd);
}

static void a_write_that_fails_is_told_with_its_reason(void **state)
{
    static const uint8_t bytes[1000];
    struct loss loss = {0};
    const int fd = open("/dev/full", O_WRONLY);
    (void)state;
    hangs = false;
    struct slow_file *f = open_slow(fd, 0, &loss);
    assert_int_equal(slow_file_put(f, bytes, 1000), 1000);
    slow_file_close(f, now_ns() + 60 * SECOND);
    assert_int_equal(loss.bytes, 1000);
    assert_int_equal(loss.error, ENOSPC);
    slow_file_close(NULL, 0);
    close(fd);
}

UNIT_MAIN(UNIT(everything_is_written_in_order), UNIT(a_write_that_hangs_holds_up_nobody),
          UNIT(a_file_that_cannot_be_emptied_holds_up_nobody), UNIT(what_is_new_never_lands_behind_what_is_old),
          UNIT(a_file_grows_to_its_bound_and_on_once_it_was_cut), UNIT(a_write_that_fails_is_told_with_its_reason))

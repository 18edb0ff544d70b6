/* A file whose reads may never return. */
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static atomic_bool hangs;
static sem_t hanging, go_on;

static ssize_t read_or_hang(int fd, void *p, size_t len)
{
    if (hangs) {
        sem_post(&hanging);
        while (sem_wait(&go_on) != 0) continue;
    }
    return read(fd, p, len);
}

#define read read_or_hang
#include "devices/backend/slow_input.c"
#undef read

static void on_ready(void *arg)
{
    sem_post(arg);
}

static int file_of(const char *text)
{
    char path[] = "/tmp/vireo-slow-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    lseek(fd, 0, SEEK_SET);
    return fd;
}

static void a_read_takes_what_was_asked_for_and_no_more(void **state)
{
    static const struct {
        size_t len;
        ssize_t n;
        const char *got;
    } rows[] = {{3, 3, "abc"}, {100, 3, "def"}, {100, 0, ""}};
    const int fd = file_of("abcdef");
    struct slow_input *s = NULL;
    sem_t ready;
    (void)state;
    hangs = false;
    sem_init(&ready, 0, 0);
    assert_int_equal(slow_input_create(&s, fd, on_ready, &ready, NULL), 0);
    assert_int_equal(slow_input_start(s, NULL), 0);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint8_t got[100] = "";
        assert_int_equal(slow_input_read(s, got, rows[i].len), -EAGAIN);
        sem_wait(&ready);
        if (i == 0) assert_int_equal(lseek(fd, 0, SEEK_CUR), 3); /* the rest is for whoever reads it next */
        assert_int_equal(slow_input_read(s, got, rows[i].len), rows[i].n);
        assert_string_equal((const char *)got, rows[i].got);
    }
    slow_input_close(s);
    close(fd);
}

static void an_error_is_told(void **state)
{
    const int dir = open("/", O_RDONLY | O_DIRECTORY);
    struct slow_input *s = NULL;
    uint8_t got[1];
    sem_t ready;
    (void)state;
    hangs = false;
    sem_init(&ready, 0, 0);
    assert_int_equal(slow_input_create(&s, dir, on_ready, &ready, NULL), 0);
    assert_int_equal(slow_input_start(s, NULL), 0);
    assert_int_equal(slow_input_read(s, got, 1), -EAGAIN);
    sem_wait(&ready);
    assert_int_equal(slow_input_read(s, got, 1), -EISDIR);
    slow_input_close(s);
    slow_input_close(NULL);
    close(dir);
}

static void a_read_that_hangs_holds_up_nobody(void **state)
{
    const int fd = file_of("abc");
    struct slow_input *s = NULL;
    uint8_t got[3];
    sem_t ready;
    (void)state;
    sem_init(&ready, 0, 0);
    sem_init(&hanging, 0, 0);
    sem_init(&go_on, 0, 0);
    hangs = true;
    assert_int_equal(slow_input_create(&s, fd, on_ready, &ready, NULL), 0);
    assert_int_equal(slow_input_start(s, NULL), 0);
    assert_int_equal(slow_input_read(s, got, 3), -EAGAIN);
    sem_wait(&hanging);
    assert_int_equal(slow_input_read(s, got, 3), -EAGAIN);
    slow_input_close(s); /* returns */
    hangs = false;
    sem_post(&go_on); /* and now the thread frees what it has, as the sanitizers see */
    for (unsigned i = 0; i < 1000 && lseek(fd, 0, SEEK_CUR) < 3; i++) usleep(10000);
    usleep(100000);
    assert_int_equal(sem_trywait(&ready), -1); /* nobody is there to hear */
    close(fd);
}

UNIT_MAIN(UNIT(a_read_takes_what_was_asked_for_and_no_more), UNIT(an_error_is_told),
          UNIT(a_read_that_hangs_holds_up_nobody))

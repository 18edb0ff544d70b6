/* What the program writes reaches a reader that lives, and holds nobody up where one has stalled or is gone. */
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vmm/cli/put.c"
#include "vmm/cli/text.c"

#define LONG_NS 30000000000ull /* a machine may be busy */

static bool is_blocking(int fd)
{
    return !(fcntl(fd, F_GETFL) & O_NONBLOCK);
}

static void fill(int fd)
{
    static const char full[4096] = {0};
    const int flags = fcntl(fd, F_GETFL);
    assert_int_equal(fcntl(fd, F_SETFL, flags | O_NONBLOCK), 0);
    while (write(fd, full, sizeof(full)) > 0) {
    }
    while (write(fd, full, 1) > 0) {
    }
    assert_int_equal(fcntl(fd, F_SETFL, flags), 0);
}

enum way { PIPE_WAY, SOCKET_WAY, TERMINAL_WAY, WAYS };

static void make(enum way way, int *reader, int *writer)
{
    int pair[2];
    struct termios raw;
    switch (way) {
    case PIPE_WAY: assert_int_equal(pipe(pair), 0); break;
    case SOCKET_WAY: assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0); break;
    default:
        assert_int_equal(openpty(&pair[0], &pair[1], NULL, NULL, NULL), 0);
        assert_int_equal(tcgetattr(pair[1], &raw), 0);
        cfmakeraw(&raw);
        assert_int_equal(tcsetattr(pair[1], TCSANOW, &raw), 0);
    }
    *reader = pair[0];
    *writer = pair[1];
}

static void stall(enum way way, int writer)
{
    if (way == TERMINAL_WAY)
        assert_int_equal(tcflow(writer, TCOOFF), 0); /* Ctrl-S */
    else
        fill(writer);
}

static void text_reaches_its_reader(void **state)
{
    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        int reader, writer;
        char got[8] = "";
        make(way, &reader, &writer);
        assert_int_equal(put_text(writer, "hello", 5), 0);
        assert_int_equal(read(reader, got, sizeof(got)), 5);
        assert_string_equal(got, "hello");
        close(reader);
        close(writer);
    }
}

static void a_stalled_reader_holds_nobody_up(void **state)
{
    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        int reader, writer;
        make(way, &reader, &writer);
        stall(way, writer);
        const uint64_t begin = now_ns();
        assert_int_equal(put_text(writer, "hello", 5), -EAGAIN);
        assert_true(now_ns() - begin < LONG_NS);
        assert_true(is_blocking(writer)); /* it is the shell's too */
        close(reader);
        close(writer);
    }
}

/* Without a description of our own poll is asked. */
static void without_descriptors_it_does_not_block_either(void **state)
{
    (void)state;
    int reader, writer, last = -1;
    make(PIPE_WAY, &reader, &writer);
    fill(writer);
    for (int fd; (fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) last = fd;
    assert_int_equal(errno, EMFILE);
    assert_int_equal(put_text(writer, "hello", 5), -EAGAIN);
    for (int fd = writer + 1; fd <= last; fd++) close(fd);
    close(reader);
    close(writer);
}

static void a_reader_that_is_gone_is_an_error(void **state)
{
    (void)state;
    for (enum way way = 0; way < TERMINAL_WAY; way++) {
        int reader, writer;
        make(way, &reader, &writer);
        close(reader);
        assert_int_equal(put_text(writer, "hello", 5), -EPIPE);
        close(writer);
    }
    const int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_int_equal(put_text(full, "hello", 5), -ENOSPC);
    assert_int_equal(put_text(-1, "hello", 5), -EBADF);
    close(full);
}

/* Standard error is a pipe: lines that find it full are dropped at once after the first, and told of when it is not. */
static void lost_lines_are_counted_and_told(void **state)
{
    (void)state;
    static char got[1u << 20];
    int reader, writer;
    const int before = dup(STDERR_FILENO);
    make(PIPE_WAY, &reader, &writer);
    assert_int_equal(dup2(writer, STDERR_FILENO), STDERR_FILENO);
    fill(writer);
    const uint64_t begin = now_ns();
    for (unsigned i = 0; i < 100; i++) say("line %u", i);
    const uint64_t took = now_ns() - begin;
    const unsigned lost = say_lost();
    assert_true(read(reader, got, sizeof(got)) > 0);
    say("it \033 goes on");
    const ssize_t n = read(reader, got, sizeof(got) - 1);
    assert_int_equal(dup2(before, STDERR_FILENO), STDERR_FILENO);
    assert_true(took < LONG_NS);
    assert_int_equal(lost, 100);
    assert_true(n > 0);
    got[n] = '\0';
    assert_string_equal(got, "vireo: lines lost here, as nobody read them: 100\nvireo: it ? goes on\n");
    assert_int_equal(say_lost(), 0);
    close(before);
    close(reader);
    close(writer);
}

UNIT_MAIN(UNIT(text_reaches_its_reader), UNIT(a_stalled_reader_holds_nobody_up),
          UNIT(without_descriptors_it_does_not_block_either), UNIT(a_reader_that_is_gone_is_an_error),
          UNIT(lost_lines_are_counted_and_told))

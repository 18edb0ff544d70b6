#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "devices/chario.h"

#define ONE_SECOND_NS 1000000000ull
#define CTRL_A        "\001"

/* A guest's device: takes as much as it was given room for. */
struct guest {
    size_t room, len;
    unsigned ready_calls;
    char got[1024];
};

static size_t guest_room(void *arg)
{
    return ((struct guest *)arg)->room;
}
static void guest_input(void *arg, const uint8_t *bytes, size_t len)
{
    struct guest *g = arg;
    assert_true(len <= g->room && g->len + len < sizeof(g->got));
    memcpy(g->got + g->len, bytes, len);
    g->len += len;
    g->got[g->len] = '\0';
    g->room -= len;
}
static void guest_output_ready(void *arg)
{
    ((struct guest *)arg)->ready_calls++;
}

struct bench {
    struct chario *io;
    struct loop loop;
    struct guest guest[CHARIO_PORTS];
    unsigned quits;
};

static void on_quit(void *arg)
{
    ((struct bench *)arg)->quits++;
}

static void attach(struct bench *b, enum chario_port port)
{
    const struct chario_user user = {guest_room, guest_input, guest_output_ready, &b->guest[port]};
    chario_attach(b->io, port, &user);
}

static void bench_init(struct bench *b, struct chario_params params)
{
    *b = (struct bench){0};
    params.quit = on_quit;
    params.quit_arg = b;
    assert_int_equal(chario_create(&b->io, &params, NULL), 0);
    assert_int_equal(loop_init(&b->loop, NULL), 0);
    assert_int_equal(chario_start(b->io, &b->loop, NULL), 0);
    attach(b, CHARIO_SERIAL);
}

static void bench_fini(struct bench *b)
{
    chario_stop(b->io);
    chario_destroy(b->io);
    loop_fini(&b->loop);
}

static void stop(void *arg)
{
    loop_stop(arg);
}

static void turns(struct bench *b, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct loop_job job = {.fn = stop, .arg = &b->loop};
        loop_post(&b->loop, &job);
        loop_run(&b->loop);
    }
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * ONE_SECOND_NS + (uint64_t)t.tv_nsec;
}

static void output(struct bench *b, const char *text)
{
    chario_output(b->io, CHARIO_SERIAL, (const uint8_t *)text, strlen(text));
}

static struct chario_params fds(int in, int out)
{
    return (struct chario_params){.kind = CHARIO_FDS, .in_fd = in, .out_fd = out};
}

static void open_pipe(int end[2])
{
    assert_int_equal(pipe2(end, O_CLOEXEC), 0);
}

static void close_pipe(const int end[2])
{
    close(end[0]);
    close(end[1]);
}

/* ---- output ---- */

static void a_shared_pipe_stays_blocking(void **state)
{
    int in[2], out[2];
    struct bench b;
    char text[8] = "";
    (void)state;
    open_pipe(in);
    open_pipe(out);
    bench_init(&b, fds(in[0], out[1]));
    assert_false(fcntl(in[0], F_GETFL) & O_NONBLOCK);
    assert_false(fcntl(out[1], F_GETFL) & O_NONBLOCK);
    output(&b, "hello\n");
    assert_int_equal(read(out[0], text, sizeof(text) - 1), 6);
    assert_string_equal(text, "hello\n");
    bench_fini(&b);
    close_pipe(in);
    close_pipe(out);
}

/* The first output to a full pipe waits a second, later ones not at all; when the reader reads again, all is well. */
static void a_reader_that_stops_costs_one_second_and_what_it_missed(void **state)
{
    static char line[4096];
    int out[2];
    struct bench b;
    (void)state;
    memset(line, 'x', sizeof(line) - 1);
    line[sizeof(line) - 2] = '\n';
    open_pipe(out);
    bench_init(&b, fds(-1, out[1]));
    const uint64_t begin = now_ns();
    for (unsigned i = 0; i < 100; i++) output(&b, line);
    const uint64_t took = now_ns() - begin;
    assert_in_range(took, ONE_SECOND_NS, 3 * ONE_SECOND_NS);
    const uint64_t dropped = chario_dropped(b.io);
    assert_in_range(dropped, 100 * (sizeof(line) - 1) - 80000,
                    100 * (sizeof(line) - 1) - 50000); /* a pipe holds 64 KiB */

    assert_int_equal(fcntl(out[0], F_SETFL, O_NONBLOCK), 0);
    while (read(out[0], line, sizeof(line)) > 0) {
    }
    output(&b, "back\n");
    assert_int_equal(read(out[0], line, sizeof(line)), 5);
    assert_int_equal(chario_dropped(b.io), dropped);
    bench_fini(&b);
    close_pipe(out);
}

static void *read_slowly(void *arg)
{
    static char piece[20000];
    size_t total = 0;
    for (ssize_t n; (n = read(*(int *)arg, piece, sizeof(piece))) > 0; total += (size_t)n) usleep(20000);
    return (void *)total;
}

static void a_slow_reader_misses_nothing(void **state)
{
    static char line[4096];
    int out[2];
    struct bench b;
    pthread_t t;
    void *total;
    (void)state;
    memset(line, 'x', sizeof(line) - 1);
    open_pipe(out);
    bench_init(&b, fds(-1, out[1]));
    assert_int_equal(pthread_create(&t, NULL, read_slowly, &out[0]), 0);
    for (unsigned i = 0; i < 100; i++) output(&b, line);
    assert_int_equal(chario_dropped(b.io), 0);
    bench_fini(&b);
    close(out[1]);
    pthread_join(t, &total);
    assert_int_equal((size_t)total, 100 * (sizeof(line) - 1));
    close(out[0]);
}

/* SIGPIPE has its default action here: were it raised, this program would be gone. */
static void a_reader_that_is_gone_raises_no_signal(void **state)
{
    int out[2];
    struct bench b;
    sigset_t pending;
    (void)state;
    open_pipe(out);
    bench_init(&b, fds(-1, out[1]));
    close(out[0]);
    for (unsigned i = 0; i < 3; i++) output(&b, "nobody\n");
    assert_int_equal(chario_dropped(b.io), 21);
    sigpending(&pending);
    assert_false(sigismember(&pending, SIGPIPE));
    bench_fini(&b);
    close(out[1]);

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, out), 0);
    bench_init(&b, fds(-1, out[1]));
    close(out[0]);
    output(&b, "nobody\n");
    assert_int_equal(chario_dropped(b.io), 7);
    bench_fini(&b);
    close(out[1]);
}

static void a_pending_sigpipe_of_the_host_program_is_left_to_it(void **state)
{
    int out[2];
    struct bench b;
    sigset_t set, pending;
    (void)state;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    raise(SIGPIPE);
    open_pipe(out);
    bench_init(&b, fds(-1, out[1]));
    close(out[0]);
    output(&b, "nobody\n");
    sigpending(&pending);
    assert_true(sigismember(&pending, SIGPIPE));
    assert_int_equal(sigtimedwait(&set, NULL, &(struct timespec){0}), SIGPIPE);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    bench_fini(&b);
    close(out[1]);
}

static void a_long_line_is_not_held_back(void **state)
{
    static char text[3000], got[4000];
    int out[2];
    struct bench b;
    (void)state;
    memset(text, 'y', sizeof(text) - 1);
    open_pipe(out);
    bench_init(&b, fds(-1, out[1]));
    output(&b, text);
    assert_true(read(out[0], got, sizeof(got)) >= 2048);
    chario_flush(b.io, CHARIO_SERIAL);
    assert_true(read(out[0], got, sizeof(got)) > 0);
    bench_fini(&b);
    close_pipe(out);
}

static void lines_of_two_devices_are_not_mixed(void **state)
{
    int out[2];
    struct bench b;
    char got[32] = "";
    (void)state;
    open_pipe(out);
    bench_init(&b, fds(-1, out[1]));
    output(&b, "ser");
    chario_output(b.io, CHARIO_VIRTIO, (const uint8_t *)"virtio\n", 7);
    output(&b, "ial\n");
    assert_int_equal(read(out[0], got, sizeof(got) - 1), 14);
    assert_string_equal(got, "virtio\nserial\n");
    bench_fini(&b);
    close_pipe(out);
}

static void the_first_output_has_its_time_noted(void **state)
{
    struct bench b;
    (void)state;
    bench_init(&b, (struct chario_params){.kind = CHARIO_OFF});
    assert_int_equal(chario_first_output_ns(b.io), 0);
    const uint64_t before = now_ns();
    output(&b, "a");
    const uint64_t first = chario_first_output_ns(b.io);
    output(&b, "b");
    assert_in_range(first, before, now_ns());
    assert_int_equal(chario_first_output_ns(b.io), first);
    assert_int_equal(chario_dropped(b.io), 0); /* off is where it should go */
    bench_fini(&b);
}

static void try_output_never_waits_and_says_when_to_go_on(void **state)
{
    static uint8_t bulk[200000];
    int out[2];
    struct bench b;
    (void)state;
    open_pipe(out);
    bench_init(&b, fds(-1, out[1]));
    const size_t n = chario_try_output(b.io, CHARIO_SERIAL, bulk, sizeof(bulk));
    assert_in_range(n, 4096, sizeof(bulk) - 1);
    assert_int_equal(chario_try_output(b.io, CHARIO_SERIAL, bulk, 10), 0);
    usleep(20000);
    turns(&b, 1);
    assert_int_equal(b.guest[CHARIO_SERIAL].ready_calls, 1);
    assert_true(read(out[0], bulk, 65536) > 0);
    assert_int_equal(chario_try_output(b.io, CHARIO_SERIAL, bulk, 10), 10);
    usleep(20000);
    turns(&b, 1);
    assert_int_equal(b.guest[CHARIO_SERIAL].ready_calls, 1); /* all was taken */
    bench_fini(&b);
    close_pipe(out);
}

static void try_output_drops_after_a_second_without_a_reader(void **state)
{
    static uint8_t bulk[200000];
    int out[2];
    struct bench b;
    (void)state;
    open_pipe(out);
    bench_init(&b, fds(-1, out[1]));
    chario_try_output(b.io, CHARIO_SERIAL, bulk, sizeof(bulk));
    const uint64_t begin = now_ns();
    while (chario_try_output(b.io, CHARIO_SERIAL, bulk, 10) == 0 && now_ns() - begin < 5 * ONE_SECOND_NS) usleep(10000);
    assert_in_range(now_ns() - begin, ONE_SECOND_NS / 2, 3 * ONE_SECOND_NS);
    assert_int_equal(chario_dropped(b.io), 10);
    bench_fini(&b);
    close_pipe(out);
}

/* ---- files ---- */

static void file_is_created_or_truncated_and_every_refusal_is_a_sentence(void **state)
{
    char dir[] = "/tmp/vireo-chario-XXXXXX", path[64], fifo[64], got[16] = "";
    struct bench b;
    struct chario *io = NULL;
    struct err e = {0};
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/log", dir);
    snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
    for (unsigned i = 0; i < 2; i++) {
        bench_init(&b, (struct chario_params){.kind = CHARIO_FILE, .path = path});
        assert_false(chario_has_input(b.io));
        output(&b, "text");
        bench_fini(&b);
        const int fd = open(path, O_RDONLY);
        assert_int_equal(read(fd, got, sizeof(got)), 4);
        close(fd);
    }
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(chario_create(&io, &(struct chario_params){.kind = CHARIO_FILE, .path = fifo}, &e), -ENXIO);
    assert_contains(e.hint, "reader");
    assert_int_equal(chario_create(&io, &(struct chario_params){.kind = CHARIO_FILE, .path = dir}, &e), -EISDIR);
    assert_contains(e.text, dir);
    assert_null(io);
    unlink(path);
    unlink(fifo);
    rmdir(dir);
}

static void a_file_is_left_alone_until_the_start(void **state)
{
    char old[] = "/tmp/vireo-chario-XXXXXX";
    static const char *const missing[] = {"/tmp/vireo-chario-none", "/no/where"};
    struct chario *io = NULL;
    struct stat st;
    struct err e = {0};
    struct loop loop;
    (void)state;
    const int fd = mkstemp(old);
    assert_int_equal(write(fd, "old", 3), 3);
    assert_int_equal(chario_create(&io, &(struct chario_params){.kind = CHARIO_FILE, .path = old}, &e), 0);
    chario_destroy(io);
    assert_int_equal(lseek(fd, 0, SEEK_END), 3);
    for (unsigned i = 0; i < COUNT_OF(missing); i++) {
        assert_int_equal(chario_create(&io, &(struct chario_params){.kind = CHARIO_FILE, .path = missing[i]}, &e), 0);
        if (i == 1) { /* this one can't be made */
            assert_int_equal(loop_init(&loop, NULL), 0);
            assert_int_equal(chario_start(io, &loop, &e), -ENOENT);
            assert_contains(e.text, "open /no/where: ");
            loop_fini(&loop);
        }
        chario_destroy(io);
        assert_int_equal(stat(missing[i], &st), -1);
    }
    close(fd);
    unlink(old);
}

static void a_full_disk_drops_and_goes_on(void **state)
{
    struct bench b;
    (void)state;
    bench_init(&b, (struct chario_params){.kind = CHARIO_FILE, .path = "/dev/full"});
    output(&b, "a\n");
    output(&b, "b\n");
    assert_int_equal(chario_dropped(b.io), 4);
    bench_fini(&b);
}

/* ---- input ---- */

static void input_comes_in_order_as_there_is_room(void **state)
{
    static char text[901];
    int in[2];
    struct bench b;
    (void)state;
    for (unsigned i = 0; i < 900; i++) text[i] = (char)('a' + i % 26);
    open_pipe(in);
    bench_init(&b, fds(in[0], STDERR_FILENO));
    assert_int_equal(write(in[1], text, 900), 900);
    struct guest *g = &b.guest[CHARIO_SERIAL];
    turns(&b, 3);
    assert_int_equal(g->len, 0);
    for (unsigned i = 0; i < 300 && g->len < 900; i++) {
        g->room = 7;
        chario_input_ready(b.io, CHARIO_SERIAL);
        turns(&b, 2);
    }
    assert_string_equal(g->got, text);
    bench_fini(&b);
    close_pipe(in);
}

static void input_follows_the_port_that_wrote_last(void **state)
{
    int in[2];
    struct bench b;
    (void)state;
    open_pipe(in);
    bench_init(&b, fds(in[0], open("/dev/null", O_WRONLY)));
    attach(&b, CHARIO_VIRTIO);
    b.guest[CHARIO_VIRTIO].room = 100;
    assert_int_equal(write(in[1], "one", 3), 3);
    turns(&b, 2); /* the serial port has no room */
    assert_string_equal(b.guest[CHARIO_VIRTIO].got, "");
    chario_output(b.io, CHARIO_VIRTIO, (const uint8_t *)"login: ", 7);
    turns(&b, 2);
    assert_string_equal(b.guest[CHARIO_VIRTIO].got, "one");
    chario_attach(b.io, CHARIO_VIRTIO, NULL); /* its driver is gone: the other one gets it */
    b.guest[CHARIO_SERIAL].room = 100;
    assert_int_equal(write(in[1], "two", 3), 3);
    turns(&b, 2);
    assert_string_equal(b.guest[CHARIO_SERIAL].got, "two");
    bench_fini(&b);
    close_pipe(in);
}

static void end_of_input_ends_input_only(void **state)
{
    int in[2], out[2];
    struct bench b;
    char got[8] = "";
    (void)state;
    open_pipe(in);
    open_pipe(out);
    bench_init(&b, fds(in[0], out[1]));
    b.guest[CHARIO_SERIAL].room = 100;
    assert_int_equal(write(in[1], "bye", 3), 3);
    close(in[1]);
    turns(&b, 5);
    assert_string_equal(b.guest[CHARIO_SERIAL].got, "bye");
    output(&b, "on\n");
    assert_int_equal(read(out[0], got, sizeof(got)), 3);
    bench_fini(&b);
    close(in[0]);
    close_pipe(out);
}

/* epoll refuses them. */
static void regular_files_and_dev_null_are_input_too(void **state)
{
    static char text[901];
    char path[] = "/tmp/vireo-chario-XXXXXX";
    const int file = mkstemp(path), null = open("/dev/null", O_RDWR);
    struct bench b;
    (void)state;
    memset(text, 'z', 900);
    assert_int_equal(write(file, text, 900), 900);
    lseek(file, 0, SEEK_SET);
    bench_init(&b, fds(file, null));
    turns(&b, 5);
    b.guest[CHARIO_SERIAL].room = 10;
    chario_input_ready(b.io, CHARIO_SERIAL);
    turns(&b, 2);
    assert_int_equal(b.guest[CHARIO_SERIAL].len, 10);
    b.guest[CHARIO_SERIAL].room = 1000;
    chario_input_ready(b.io, CHARIO_SERIAL);
    turns(&b, 20);
    assert_string_equal(b.guest[CHARIO_SERIAL].got, text);
    bench_fini(&b);

    bench_init(&b, fds(null, null));
    b.guest[CHARIO_SERIAL].room = 10;
    turns(&b, 5);
    assert_int_equal(b.guest[CHARIO_SERIAL].len, 0);
    bench_fini(&b);
    close(file);
    close(null);
    unlink(path);
}

static void a_closed_input_is_none(void **state)
{
    struct bench b;
    (void)state;
    bench_init(&b, fds(-1, STDERR_FILENO));
    assert_false(chario_has_input(b.io));
    bench_fini(&b);
    bench_init(&b, fds(1000, STDERR_FILENO));
    assert_false(chario_has_input(b.io));
    bench_fini(&b);
    struct chario *io = NULL;
    struct err e = {0};
    const struct chario_params p = fds(-1, 1000);
    assert_int_equal(chario_create(&io, &p, &e), -EBADF);
    assert_contains(e.text, "output (descriptor 1000): ");
}

static void escapes_are_taken_out_of_the_input(void **state)
{
    static const struct {
        const char *typed, *got;
        unsigned quits;
        bool has_escape;
    } cases[] = {
        {"plain", "plain", 0, true},
        {"a" CTRL_A "xb", "ab", 1, true},
        {"a" CTRL_A CTRL_A "b", "a" CTRL_A "b", 0, true},
        {CTRL_A CTRL_A CTRL_A CTRL_A, CTRL_A CTRL_A, 0, true},
        {CTRL_A "qb", "b", 0, true},
        {CTRL_A CTRL_A "x", CTRL_A "x", 0, true},
        {"a" CTRL_A "x", "a" CTRL_A "x", 0, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (unsigned at_once = 0; at_once < 2; at_once++) {
            int in[2];
            struct bench b;
            open_pipe(in);
            struct chario_params p = fds(in[0], open("/dev/null", O_WRONLY));
            p.has_escape = cases[i].has_escape;
            bench_init(&b, p);
            b.guest[CHARIO_SERIAL].room = 100;
            const size_t len = strlen(cases[i].typed), piece = at_once ? len : 1;
            for (size_t done = 0; done < len; done += piece) {
                assert_int_equal(write(in[1], cases[i].typed + done, piece), piece);
                turns(&b, 2);
            }
            assert_string_equal(b.guest[CHARIO_SERIAL].got, cases[i].got);
            assert_int_equal(b.quits, cases[i].quits);
            bench_fini(&b);
            close(p.out_fd);
            close_pipe(in);
        }
    }
}

static void the_escape_works_when_the_guest_reads_nothing(void **state)
{
    static char text[1000];
    int in[2];
    struct bench b;
    (void)state;
    memset(text, 'x', sizeof(text));
    open_pipe(in);
    struct chario_params p = fds(in[0], STDERR_FILENO);
    p.has_escape = true;
    bench_init(&b, p);
    assert_int_equal(write(in[1], text, sizeof(text)), sizeof(text));
    turns(&b, 10);
    assert_int_equal(write(in[1], CTRL_A "x", 2), 2);
    turns(&b, 10);
    assert_int_equal(b.quits, 1);
    bench_fini(&b);
    close_pipe(in);
}

/* ---- pseudo-terminal ---- */

static void peers_of_the_pty_come_and_go(void **state)
{
    struct bench b;
    (void)state;
    bench_init(&b, (struct chario_params){.kind = CHARIO_PTY});
    assert_true(chario_has_input(b.io));
    assert_non_null(strstr(chario_pty_name(b.io), "/dev/pts/"));
    b.guest[CHARIO_SERIAL].room = 100;
    output(&b, "before anyone came\n");
    for (unsigned i = 0; i < 3; i++) {
        char got[64] = "";
        const int peer = open(chario_pty_name(b.io), O_RDWR | O_NOCTTY);
        assert_true(peer >= 0);
        output(&b, "hello\n");
        assert_true(read(peer, got, sizeof(got) - 1) > 0);
        assert_contains(got, i == 0 ? "before anyone came\n" : "hello\n");
        assert_int_equal(write(peer, "typed", 5), 5);
        const size_t want = 5 * (i + 1); /* the kernel hands it from one end to the other in its own time */
        for (unsigned ms = 0; ms < 2000 && b.guest[CHARIO_SERIAL].len < want; ms++) {
            turns(&b, 1);
            usleep(1000);
        }
        close(peer);
        turns(&b, 2);
    }
    assert_string_equal(b.guest[CHARIO_SERIAL].got, "typedtypedtyped"); /* and nothing echoed */
    bench_fini(&b);
}

static void a_pty_that_nobody_reads_costs_one_second(void **state)
{
    static char line[1000];
    struct bench b;
    (void)state;
    memset(line, 'x', sizeof(line) - 1);
    bench_init(&b, (struct chario_params){.kind = CHARIO_PTY});
    const uint64_t begin = now_ns();
    for (unsigned i = 0; i < 300; i++) output(&b, line);
    assert_in_range(now_ns() - begin, ONE_SECOND_NS, 3 * ONE_SECOND_NS);
    assert_true(chario_dropped(b.io) > 0);
    bench_fini(&b);
}

/* ---- threads ---- */

struct writer {
    struct bench *b;
    enum chario_port port;
};

static void *write_lines(void *arg)
{
    const struct writer *w = arg;
    const char *line = w->port == CHARIO_SERIAL ? "serial serial\n" : "virtio virtio\n";
    for (unsigned i = 0; i < 500; i++)
        for (const char *s = line; *s; s++) chario_output(w->b->io, w->port, (const uint8_t *)s, 1);
    return NULL;
}

static void threads_lose_no_line(void **state)
{
    int out[2];
    struct bench b;
    pthread_t t[2];
    char line[32];
    unsigned seen[2] = {0};
    (void)state;
    open_pipe(out);
    fcntl(out[1], F_SETPIPE_SZ, 1 << 20);
    bench_init(&b, fds(-1, out[1]));
    struct writer w[2] = {{&b, CHARIO_SERIAL}, {&b, CHARIO_VIRTIO}};
    for (unsigned i = 0; i < 2; i++) assert_int_equal(pthread_create(&t[i], NULL, write_lines, &w[i]), 0);
    for (unsigned i = 0; i < 2; i++) pthread_join(t[i], NULL);
    bench_fini(&b);
    close(out[1]);
    FILE *f = fdopen(out[0], "r");
    while (fgets(line, sizeof(line), f)) {
        seen[0] += strcmp(line, "serial serial\n") == 0;
        seen[1] += strcmp(line, "virtio virtio\n") == 0;
    }
    assert_int_equal(seen[0], 500);
    assert_int_equal(seen[1], 500);
    fclose(f);
}

/* Room made on another thread is never overlooked. */
static _Atomic size_t shared_room, shared_got;
static size_t shared_user_room(void *arg)
{
    (void)arg;
    return shared_room;
}
static void shared_user_input(void *arg, const uint8_t *bytes, size_t len)
{
    struct loop *l = arg;
    (void)bytes;
    shared_room -= len;
    if (atomic_fetch_add(&shared_got, len) + len == 20000) loop_stop(l);
}
static void *make_room(void *arg)
{
    struct bench *b = arg;
    for (size_t made = 0; made < 20000; made++) {
        shared_room++;
        chario_input_ready(b->io, CHARIO_SERIAL);
        while (shared_room > 0) {
        }
    }
    return NULL;
}

static void room_made_by_a_vcpu_is_never_overlooked(void **state)
{
    static char text[20000];
    int in[2];
    struct bench b;
    pthread_t t;
    (void)state;
    open_pipe(in);
    shared_room = shared_got = 0;
    bench_init(&b, fds(in[0], STDERR_FILENO));
    const struct chario_user user = {.room = shared_user_room, .input = shared_user_input, .arg = &b.loop};
    chario_attach(b.io, CHARIO_SERIAL, &user);
    assert_int_equal(write(in[1], text, sizeof(text)), sizeof(text));
    assert_int_equal(pthread_create(&t, NULL, make_room, &b), 0);
    loop_run(&b.loop); /* stays here for good if one is */
    pthread_join(t, NULL);
    assert_int_equal(shared_got, 20000);
    bench_fini(&b);
    close_pipe(in);
}

UNIT_MAIN(UNIT(a_shared_pipe_stays_blocking), UNIT(a_reader_that_stops_costs_one_second_and_what_it_missed),
          UNIT(a_slow_reader_misses_nothing), UNIT(a_reader_that_is_gone_raises_no_signal),
          UNIT(a_pending_sigpipe_of_the_host_program_is_left_to_it), UNIT(a_long_line_is_not_held_back),
          UNIT(lines_of_two_devices_are_not_mixed), UNIT(the_first_output_has_its_time_noted),
          UNIT(try_output_never_waits_and_says_when_to_go_on), UNIT(try_output_drops_after_a_second_without_a_reader),
          UNIT(file_is_created_or_truncated_and_every_refusal_is_a_sentence),
          UNIT(a_file_is_left_alone_until_the_start), UNIT(a_full_disk_drops_and_goes_on),
          UNIT(input_comes_in_order_as_there_is_room), UNIT(input_follows_the_port_that_wrote_last),
          UNIT(end_of_input_ends_input_only), UNIT(regular_files_and_dev_null_are_input_too),
          UNIT(a_closed_input_is_none), UNIT(escapes_are_taken_out_of_the_input),
          UNIT(the_escape_works_when_the_guest_reads_nothing), UNIT(peers_of_the_pty_come_and_go),
          UNIT(a_pty_that_nobody_reads_costs_one_second), UNIT(threads_lose_no_line),
          UNIT(room_made_by_a_vcpu_is_never_overlooked))

/* What guests print: nothing is lost that somebody reads, and nobody who does not read holds a guest up. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "tests/unit/backend/chario_rig.h"
#include "vmm/base/clock.h"

#define ONE_SECOND_NS 1000000000ull

/* ---- output ---- */

static void a_shared_pipe_stays_blocking(void **state)
{
    int in[2], out[2];
    struct chario_rig b;
    char text[8] = "";
    (void)state;
    open_pipe(in);
    open_pipe(out);
    chario_rig_init(&b, fds(in[0], out[1]));
    assert_false(fcntl(in[0], F_GETFL) & O_NONBLOCK);
    assert_false(fcntl(out[1], F_GETFL) & O_NONBLOCK);
    output(&b, "hello\n");
    assert_int_equal(read(out[0], text, sizeof(text) - 1), 6);
    assert_string_equal(text, "hello\n");
    chario_rig_fini(&b);
    close_pipe(in);
    close_pipe(out);
}

/* The first output to a full pipe waits a second, later ones not at all; when the reader reads again, all is well. */
static void a_reader_that_stops_costs_one_second_and_what_it_missed(void **state)
{
    static char line[4096];
    int out[2];
    struct chario_rig b;
    (void)state;
    memset(line, 'x', sizeof(line) - 1);
    line[sizeof(line) - 2] = '\n';
    open_pipe(out);
    chario_rig_init(&b, fds(-1, out[1]));
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
    chario_rig_fini(&b);
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
    struct chario_rig b;
    pthread_t t;
    void *total;
    (void)state;
    memset(line, 'x', sizeof(line) - 1);
    open_pipe(out);
    chario_rig_init(&b, fds(-1, out[1]));
    assert_int_equal(pthread_create(&t, NULL, read_slowly, &out[0]), 0);
    for (unsigned i = 0; i < 100; i++) output(&b, line);
    assert_int_equal(chario_dropped(b.io), 0);
    chario_rig_fini(&b);
    close(out[1]);
    pthread_join(t, &total);
    assert_int_equal((size_t)total, 100 * (sizeof(line) - 1));
    close(out[0]);
}

/* SIGPIPE has its default action here: were it raised, this program would be gone. */
static void a_reader_that_is_gone_raises_no_signal(void **state)
{
    int out[2];
    struct chario_rig b;
    sigset_t pending;
    (void)state;
    open_pipe(out);
    chario_rig_init(&b, fds(-1, out[1]));
    close(out[0]);
    for (unsigned i = 0; i < 3; i++) output(&b, "nobody\n");
    assert_int_equal(chario_dropped(b.io), 21);
    sigpending(&pending);
    assert_false(sigismember(&pending, SIGPIPE));
    chario_rig_fini(&b);
    close(out[1]);

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, out), 0);
    chario_rig_init(&b, fds(-1, out[1]));
    close(out[0]);
    output(&b, "nobody\n");
    assert_int_equal(chario_dropped(b.io), 7);
    chario_rig_fini(&b);
    close(out[1]);
}

static void a_pending_sigpipe_of_the_host_program_is_left_to_it(void **state)
{
    int out[2];
    struct chario_rig b;
    sigset_t set, pending;
    (void)state;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    raise(SIGPIPE);
    open_pipe(out);
    chario_rig_init(&b, fds(-1, out[1]));
    close(out[0]);
    output(&b, "nobody\n");
    sigpending(&pending);
    assert_true(sigismember(&pending, SIGPIPE));
    assert_int_equal(sigtimedwait(&set, NULL, &(struct timespec){0}), SIGPIPE);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    chario_rig_fini(&b);
    close(out[1]);
}

static void a_long_line_is_not_held_back(void **state)
{
    static char text[3000], got[4000];
    int out[2];
    struct chario_rig b;
    (void)state;
    memset(text, 'y', sizeof(text) - 1);
    open_pipe(out);
    chario_rig_init(&b, fds(-1, out[1]));
    output(&b, text);
    assert_true(read(out[0], got, sizeof(got)) >= 2048);
    chario_flush(b.io, CHARIO_SERIAL);
    assert_true(read(out[0], got, sizeof(got)) > 0);
    chario_rig_fini(&b);
    close_pipe(out);
}

static void lines_of_two_devices_are_not_mixed(void **state)
{
    int out[2];
    struct chario_rig b;
    char got[32] = "";
    (void)state;
    open_pipe(out);
    chario_rig_init(&b, fds(-1, out[1]));
    output(&b, "ser");
    chario_output(b.io, CHARIO_VIRTIO, (const uint8_t *)"virtio\n", 7);
    output(&b, "ial\n");
    assert_int_equal(read(out[0], got, sizeof(got) - 1), 14);
    assert_string_equal(got, "virtio\nserial\n");
    chario_rig_fini(&b);
    close_pipe(out);
}

static void the_first_output_has_its_time_noted(void **state)
{
    struct chario_rig b;
    (void)state;
    chario_rig_init(&b, (struct chario_params){.kind = CHARIO_OFF});
    assert_int_equal(chario_first_output_ns(b.io), 0);
    const uint64_t before = now_ns();
    output(&b, "a");
    const uint64_t first = chario_first_output_ns(b.io);
    output(&b, "b");
    assert_in_range(first, before, now_ns());
    assert_int_equal(chario_first_output_ns(b.io), first);
    assert_int_equal(chario_dropped(b.io), 0); /* off is where it should go */
    chario_rig_fini(&b);
}

static void try_output_never_waits_and_says_when_to_go_on(void **state)
{
    static uint8_t bulk[200000];
    int out[2];
    struct chario_rig b;
    (void)state;
    open_pipe(out);
    chario_rig_init(&b, fds(-1, out[1]));
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
    chario_rig_fini(&b);
    close_pipe(out);
}

static void try_output_drops_after_a_second_without_a_reader(void **state)
{
    static uint8_t bulk[200000];
    int out[2];
    struct chario_rig b;
    (void)state;
    open_pipe(out);
    chario_rig_init(&b, fds(-1, out[1]));
    chario_try_output(b.io, CHARIO_SERIAL, bulk, sizeof(bulk));
    const uint64_t begin = now_ns();
    while (chario_try_output(b.io, CHARIO_SERIAL, bulk, 10) == 0 && now_ns() - begin < 20 * ONE_SECOND_NS)
        usleep(10000);
    assert_in_range(now_ns() - begin, ONE_SECOND_NS / 2, 10 * ONE_SECOND_NS);
    assert_int_equal(chario_dropped(b.io), 10);
    chario_rig_fini(&b);
    close_pipe(out);
}

/* ---- readers that drip ---- */

/* A socket so small that each byte taken makes room for one. */
static void open_drip(int end[2])
{
    const int small = 1;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, end), 0);
    assert_int_equal(setsockopt(end[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
}

struct drip {
    int fd;
    atomic_bool is_over;
};

static void *drip(void *arg)
{
    struct drip *d = arg;
    char byte;
    for (unsigned i = 1; !d->is_over; i++) {
        usleep(10000);
        if (i % 50 == 0) (void)!recv(d->fd, &byte, 1, MSG_DONTWAIT);
    }
    return NULL;
}

static void *say_newline(void *arg)
{
    output(arg, "\n");
    return NULL;
}

/* A byte each half second: without an end each output would wait for that. */
static void a_reader_that_drips_is_waited_for_a_second_in_all(void **state)
{
    int end[2];
    struct chario_rig b;
    pthread_t t;
    (void)state;
    open_drip(end);
    chario_rig_init(&b, fds(-1, end[1]));
    struct drip d = {.fd = end[0]};
    assert_int_equal(pthread_create(&t, NULL, drip, &d), 0);
    const uint64_t begin = now_ns();
    for (unsigned i = 0; i < 10000 && now_ns() - begin < 30 * ONE_SECOND_NS; i++) output(&b, "\n");
    assert_in_range(now_ns() - begin, ONE_SECOND_NS, 10 * ONE_SECOND_NS);
    assert_true(chario_dropped(b.io) > 0);
    d.is_over = true;
    pthread_join(t, NULL);
    chario_rig_fini(&b);
    close_pipe(end);
}

/* Each waits a second without it, so that all eight are far from where the line is drawn. */
static void nobody_waits_once_the_machine_ends(void **state)
{
    char page[4096];
    int end[2];
    (void)state;
    memset(page, 'x', sizeof(page));
    const uint64_t begin = now_ns();
    for (unsigned i = 0; i < 8; i++) {
        struct chario_rig b;
        pthread_t t;
        open_pipe(end);
        assert_int_equal(fcntl(end[1], F_SETPIPE_SZ, sizeof(page)), sizeof(page));
        assert_int_equal(write(end[1], page, sizeof(page)), sizeof(page));
        chario_rig_init(&b, fds(-1, end[1]));
        assert_int_equal(pthread_create(&t, NULL, say_newline, &b), 0);
        usleep(20000);
        chario_hurry(b.io); /* as it waits, or before */
        pthread_join(t, NULL);
        assert_int_equal(chario_dropped(b.io), 1);
        assert_int_equal(read(end[0], page, sizeof(page)), sizeof(page));
        output(&b, "last"); /* no newline: the stop writes it, and it may wait */
        chario_rig_fini(&b);
        assert_int_equal(read(end[0], page, sizeof(page)), 4);
        close_pipe(end);
        memset(page, 'x', sizeof(page));
    }
    assert_in_range(now_ns() - begin, 0, 5 * ONE_SECOND_NS);
}

/* ---- files ---- */

static void file_is_created_or_truncated_and_every_refusal_is_a_sentence(void **state)
{
    char dir[] = "/tmp/vireo-chario-XXXXXX", path[64], fifo[64], got[16] = "";
    struct chario_rig b;
    struct chario *io = NULL;
    struct err e = {0};
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/log", dir);
    snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
    for (unsigned i = 0; i < 2; i++) {
        chario_rig_init(&b, (struct chario_params){.kind = CHARIO_FILE, .path = path});
        assert_false(chario_has_input(b.io));
        output(&b, "text");
        chario_rig_fini(&b);
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
    static const char missing[] = "/tmp/vireo-chario-none";
    struct chario *io = NULL;
    struct stat st;
    struct err e = {0};
    (void)state;
    const int fd = mkstemp(old);
    assert_int_equal(write(fd, "old", 3), 3);
    assert_int_equal(chario_create(&io, &(struct chario_params){.kind = CHARIO_FILE, .path = old}, &e), 0);
    chario_destroy(io);
    assert_int_equal(lseek(fd, 0, SEEK_END), 3);
    assert_int_equal(chario_create(&io, &(struct chario_params){.kind = CHARIO_FILE, .path = missing}, &e), 0);
    assert_int_equal(stat(missing, &st), 0);
    chario_destroy(io);
    assert_int_equal(stat(missing, &st), -1);
    io = NULL;
    assert_int_equal(chario_create(&io, &(struct chario_params){.kind = CHARIO_FILE, .path = "/no/where"}, &e),
                     -ENOENT);
    assert_contains(e.text, "open /no/where: ");
    assert_null(io);
    close(fd);
    unlink(old);
}

/* Another VM may not make it its disk between our creation and our start, which empties it. */
static void a_file_is_nobody_elses_from_the_creation_on(void **state)
{
    char path[] = "/tmp/vireo-chario-XXXXXX";
    const struct chario_params p = {.kind = CHARIO_FILE, .path = path};
    struct chario *first = NULL, *second = NULL;
    struct err e = {0};
    const int fd = mkstemp(path);
    (void)state;
    assert_int_equal(chario_create(&first, &p, &e), 0);
    struct flock disk = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &disk), -1);
    assert_int_equal(chario_create(&second, &p, &e), -EBUSY);
    assert_contains(e.text, "has locked that file");
    chario_destroy(first);
    disk.l_pid = 0;
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &disk), 0);
    assert_int_equal(chario_create(&second, &p, &e), -EBUSY);
    close(fd);

    const struct file_name others[] = {{"disk 0", path, false}};
    const struct chario_params same = {.kind = CHARIO_FILE, .path = path, .others = others, .other_count = 1};
    assert_int_equal(chario_create(&second, &same, &e), -EEXIST);
    assert_contains(e.text, "that is the file of disk 0");
    assert_null(second);
    unlink(path);
}

/* The next descriptor would be beyond the limit. */
static void no_descriptors(const struct rlimit *usual)
{
    const int next = dup(STDERR_FILENO);
    assert_true(next >= 0);
    close(next);
    const struct rlimit none = {.rlim_cur = (rlim_t)next, .rlim_max = usual->rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
}

static void a_start_takes_no_descriptor(void **state)
{
    char path[] = "/tmp/vireo-chario-XXXXXX", typed[] = "/tmp/vireo-chario-XXXXXX";
    const int out = mkstemp(path), in = mkstemp(typed);
    struct chario_params rows[] = {
        fds(in, out), fds(-1, out), {.kind = CHARIO_FILE, .path = path}, {.kind = CHARIO_PTY}};
    struct rlimit usual;
    struct chario_rig b = {0};
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct err e = {0};
        rows[i].has_escape = true;
        rows[i].quit = on_quit;
        assert_int_equal(loop_init(&b.loop, NULL), 0);
        assert_int_equal(chario_create(&b.io, &rows[i], NULL), 0);
        no_descriptors(&usual);
        const int rc = chario_start(b.io, &b.loop, &e);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
        if (rc) fail_msg("%s", e.text);
        chario_rig_fini(&b);
    }
    close(in);
    close(out);
    unlink(path);
    unlink(typed);
}

static void a_full_disk_drops_and_goes_on(void **state)
{
    struct chario_rig b;
    (void)state;
    chario_rig_init(&b, (struct chario_params){.kind = CHARIO_FILE, .path = "/dev/full"});
    output(&b, "a\n");
    output(&b, "b\n");
    assert_int_equal(chario_dropped(b.io), 4);
    chario_rig_fini(&b);
}

/* ---- a pseudo-terminal ---- */

static void a_pty_that_nobody_reads_costs_one_second(void **state)
{
    static char line[1000];
    struct chario_rig b;
    (void)state;
    memset(line, 'x', sizeof(line) - 1);
    chario_rig_init(&b, (struct chario_params){.kind = CHARIO_PTY});
    const uint64_t begin = now_ns();
    for (unsigned i = 0; i < 300; i++) output(&b, line);
    assert_in_range(now_ns() - begin, ONE_SECOND_NS, 3 * ONE_SECOND_NS);
    assert_true(chario_dropped(b.io) > 0);
    chario_rig_fini(&b);
}

/* ---- threads ---- */

struct writer {
    struct chario_rig *b;
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
    struct chario_rig b;
    pthread_t t[2];
    char line[32];
    unsigned seen[2] = {0};
    (void)state;
    open_pipe(out);
    fcntl(out[1], F_SETPIPE_SZ, 1 << 20);
    chario_rig_init(&b, fds(-1, out[1]));
    struct writer w[2] = {{&b, CHARIO_SERIAL}, {&b, CHARIO_VIRTIO}};
    for (unsigned i = 0; i < 2; i++) assert_int_equal(pthread_create(&t[i], NULL, write_lines, &w[i]), 0);
    for (unsigned i = 0; i < 2; i++) pthread_join(t[i], NULL);
    chario_rig_fini(&b);
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

UNIT_MAIN(UNIT(a_shared_pipe_stays_blocking), UNIT(a_reader_that_stops_costs_one_second_and_what_it_missed),
          UNIT(a_slow_reader_misses_nothing), UNIT(a_reader_that_is_gone_raises_no_signal),
          UNIT(a_pending_sigpipe_of_the_host_program_is_left_to_it), UNIT(a_long_line_is_not_held_back),
          UNIT(lines_of_two_devices_are_not_mixed), UNIT(the_first_output_has_its_time_noted),
          UNIT(try_output_never_waits_and_says_when_to_go_on), UNIT(try_output_drops_after_a_second_without_a_reader),
          UNIT(a_reader_that_drips_is_waited_for_a_second_in_all), UNIT(nobody_waits_once_the_machine_ends),
          UNIT(file_is_created_or_truncated_and_every_refusal_is_a_sentence),
          UNIT(a_file_is_left_alone_until_the_start), UNIT(a_file_is_nobody_elses_from_the_creation_on),
          UNIT(a_start_takes_no_descriptor), UNIT(a_full_disk_drops_and_goes_on),
          UNIT(a_pty_that_nobody_reads_costs_one_second), UNIT(threads_lose_no_line))

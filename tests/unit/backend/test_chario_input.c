/* What is typed for guests: it goes to the device that asked, in order, as there is room; escapes are the host's. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "tests/unit/backend/chario_rig.h"
#include "vmm/base/clock.h"

#define CTRL_A "\001"

/* ---- input ---- */

static void input_comes_in_order_as_there_is_room(void **state)
{
    static char text[901];
    int in[2];
    struct chario_rig b;
    (void)state;
    for (unsigned i = 0; i < 900; i++) text[i] = (char)('a' + i % 26);
    open_pipe(in);
    chario_rig_init(&b, fds(in[0], STDERR_FILENO));
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
    chario_rig_fini(&b);
    close_pipe(in);
}

static void input_follows_the_port_that_wrote_last(void **state)
{
    int in[2];
    struct chario_rig b;
    (void)state;
    open_pipe(in);
    chario_rig_init(&b, fds(in[0], open("/dev/null", O_WRONLY)));
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
    chario_rig_fini(&b);
    close_pipe(in);
}

static void end_of_input_ends_input_only(void **state)
{
    int in[2], out[2];
    struct chario_rig b;
    char got[8] = "";
    (void)state;
    open_pipe(in);
    open_pipe(out);
    chario_rig_init(&b, fds(in[0], out[1]));
    b.guest[CHARIO_SERIAL].room = 100;
    assert_int_equal(write(in[1], "bye", 3), 3);
    close(in[1]);
    turns(&b, 5);
    assert_string_equal(b.guest[CHARIO_SERIAL].got, "bye");
    output(&b, "on\n");
    assert_int_equal(read(out[0], got, sizeof(got)), 3);
    chario_rig_fini(&b);
    close(in[0]);
    close_pipe(out);
}

/* A file's reads come from another thread, in its own time. */
static void turns_until(struct chario_rig *b, size_t len)
{
    for (unsigned ms = 0; ms < 20000 && b->guest[CHARIO_SERIAL].len < len; ms++) {
        turns(b, 2);
        usleep(1000);
    }
}

/* epoll refuses them. */
static void regular_files_and_dev_null_are_input_too(void **state)
{
    static char text[901];
    char path[] = "/tmp/vireo-chario-XXXXXX";
    const int file = mkstemp(path), null = open("/dev/null", O_RDWR);
    struct chario_rig b;
    (void)state;
    memset(text, 'z', 900);
    assert_int_equal(write(file, text, 900), 900);
    lseek(file, 0, SEEK_SET);
    chario_rig_init(&b, fds(file, null));
    turns(&b, 5);
    b.guest[CHARIO_SERIAL].room = 10;
    chario_input_ready(b.io, CHARIO_SERIAL);
    turns_until(&b, 10);
    assert_int_equal(b.guest[CHARIO_SERIAL].len, 10);
    b.guest[CHARIO_SERIAL].room = 1000;
    chario_input_ready(b.io, CHARIO_SERIAL);
    turns_until(&b, 900);
    assert_string_equal(b.guest[CHARIO_SERIAL].got, text);
    chario_rig_fini(&b);

    chario_rig_init(&b, fds(null, null));
    b.guest[CHARIO_SERIAL].room = 10;
    turns(&b, 5);
    assert_int_equal(b.guest[CHARIO_SERIAL].len, 0);
    chario_rig_fini(&b);
    close(file);
    close(null);
    unlink(path);
}

/* Whoever else reads the same takes it between the loop's look and our read. */
static void on_first(void *arg, uint32_t events)
{
    const struct loop_source *s = arg;
    struct pollfd ready = {.fd = s->fd, .events = POLLIN};
    char taken[8];
    (void)events;
    if (poll(&ready, 1, 0) == 1) assert_int_equal(read(s->fd, taken, sizeof(taken)), 1);
}

/* A socket and a pty's master can't be opened anew, and keep the mode their owner gave them. */
static void a_read_never_waits_for_what_another_took(void **state)
{
    int pair[2];
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    const int master = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    const int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    assert_true(slave >= 0);
    const int rows[][2] = {{pair[0], pair[1]}, {master, slave}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct chario_rig b = {0};
        const int ours = dup(rows[i][0]);
        struct loop_source first = {.fd = ours, .fn = on_first, .arg = &first};
        const struct chario_params p = fds(rows[i][0], STDERR_FILENO);
        assert_int_equal(chario_create(&b.io, &p, NULL), 0);
        assert_int_equal(loop_init(&b.loop, NULL), 0);
        assert_int_equal(chario_start(b.io, &b.loop, NULL), 0);
        assert_int_equal(loop_add(&b.loop, &first, EPOLLIN), 0); /* who waits last is woken first */
        attach(&b, CHARIO_SERIAL);
        b.guest[CHARIO_SERIAL].room = 100;
        assert_int_equal(write(rows[i][1], "a", 1), 1);
        usleep(100000); /* the kernel hands it from one end of a pty to the other in its own time */
        turns(&b, 3);   /* stays here for good if a read waits */
        assert_int_equal(b.guest[CHARIO_SERIAL].len, 0);
        loop_remove(&b.loop, &first);
        assert_int_equal(write(rows[i][1], "b", 1), 1);
        turns_until(&b, 1);
        assert_int_equal(b.guest[CHARIO_SERIAL].got[0], 'b');
        assert_false(fcntl(rows[i][0], F_GETFL) & O_NONBLOCK);
        chario_rig_fini(&b);
        close(ours);
    }
    close_pipe(pair);
    close(master);
    close(slave);
}

static void a_closed_input_is_none(void **state)
{
    struct chario_rig b;
    (void)state;
    chario_rig_init(&b, fds(-1, STDERR_FILENO));
    assert_false(chario_has_input(b.io));
    chario_rig_fini(&b);
    chario_rig_init(&b, fds(1000, STDERR_FILENO));
    assert_false(chario_has_input(b.io));
    chario_rig_fini(&b);
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
            struct chario_rig b;
            open_pipe(in);
            struct chario_params p = fds(in[0], open("/dev/null", O_WRONLY));
            p.has_escape = cases[i].has_escape;
            chario_rig_init(&b, p);
            b.guest[CHARIO_SERIAL].room = 100;
            const size_t len = strlen(cases[i].typed), piece = at_once ? len : 1;
            for (size_t done = 0; done < len; done += piece) {
                assert_int_equal(write(in[1], cases[i].typed + done, piece), piece);
                turns(&b, 2);
            }
            assert_string_equal(b.guest[CHARIO_SERIAL].got, cases[i].got);
            assert_int_equal(b.quits, cases[i].quits);
            chario_rig_fini(&b);
            close(p.out_fd);
            close_pipe(in);
        }
    }
}

static void the_escape_works_when_the_guest_reads_nothing(void **state)
{
    static char text[1000];
    int in[2];
    struct chario_rig b;
    (void)state;
    memset(text, 'x', sizeof(text));
    open_pipe(in);
    struct chario_params p = fds(in[0], STDERR_FILENO);
    p.has_escape = true;
    chario_rig_init(&b, p);
    assert_int_equal(write(in[1], text, sizeof(text)), sizeof(text));
    turns(&b, 10);
    assert_int_equal(write(in[1], CTRL_A "x", 2), 2);
    turns(&b, 10);
    assert_int_equal(b.quits, 1);
    chario_rig_fini(&b);
    close_pipe(in);
}

/* ---- what is pasted ---- */

/* A guest that checks what it gets, and has room for so much each time it is asked to make some. */
struct reader {
    size_t room, got;
    unsigned wrong;
};

static char nth_byte(size_t i)
{
    return (char)('a' + i % 23);
}
static size_t reader_room(void *arg)
{
    return ((struct reader *)arg)->room;
}
static void reader_input(void *arg, const uint8_t *bytes, size_t len)
{
    struct reader *r = arg;
    for (size_t i = 0; i < len; i++) r->wrong += bytes[i] != (uint8_t)nth_byte(r->got + i);
    r->got += len;
    r->room -= len;
}

struct paste {
    int fd;
    size_t len;
    atomic_bool is_done;
};

static void *paste(void *arg)
{
    struct paste *p = arg;
    char buf[1000];
    for (size_t done = 0; done < p->len;) {
        const size_t n = p->len - done < sizeof(buf) ? p->len - done : sizeof(buf);
        for (size_t i = 0; i < n; i++) buf[i] = nth_byte(done + i);
        const ssize_t written = write(p->fd, buf, n);
        if (written < 0) return arg;
        done += (size_t)written;
    }
    p->is_done = true;
    return NULL;
}

/* The last is more than is kept: the terminal must hold the rest back. */
static void what_is_pasted_arrives_whole_however_slowly_the_guest_reads(void **state)
{
    static const struct {
        size_t len, room;
    } rows[] = {{2000, 16}, {100000, 100}, {1500000, 4096}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int in[2];
        struct chario_rig b;
        pthread_t t;
        void *failed;
        struct reader r = {0};
        open_pipe(in);
        struct chario_params p = fds(in[0], STDERR_FILENO);
        p.has_escape = true;
        chario_rig_init(&b, p);
        chario_attach(b.io, CHARIO_SERIAL,
                      &(struct chario_user){.room = reader_room, .input = reader_input, .arg = &r});
        struct paste what = {.fd = in[1], .len = rows[i].len};
        assert_int_equal(pthread_create(&t, NULL, paste, &what), 0);
        for (unsigned k = 0; k < 50; k++) turns(&b, 1); /* nobody listens yet */
        const uint64_t end = now_ns() + 60000000000u;
        while (r.got < rows[i].len && now_ns() < end) {
            r.room = rows[i].room;
            chario_input_ready(b.io, CHARIO_SERIAL);
            turns(&b, 2);
        }
        assert_int_equal(r.got, rows[i].len);
        assert_int_equal(r.wrong, 0);
        assert_int_equal(chario_unheard(b.io), 0);
        pthread_join(t, &failed);
        assert_null(failed);
        chario_rig_fini(&b);
        close_pipe(in);
    }
}

static void the_escape_works_behind_more_than_is_kept(void **state)
{
    int in[2];
    struct chario_rig b;
    pthread_t t;
    (void)state;
    open_pipe(in);
    struct chario_params p = fds(in[0], STDERR_FILENO);
    p.has_escape = true;
    chario_rig_init(&b, p);
    struct paste what = {.fd = in[1], .len = 1500000};
    assert_int_equal(pthread_create(&t, NULL, paste, &what), 0);
    while (!what.is_done) turns(&b, 1); /* however seldom that thread runs: nobody else empties the pipe */
    pthread_join(t, NULL);
    assert_int_equal(write(in[1], CTRL_A "x", 2), 2);
    for (unsigned k = 0; k < 1000 && b.quits == 0; k++) turns(&b, 1);
    assert_true(chario_unheard(b.io) > 0);
    assert_int_equal(b.quits, 1);
    chario_rig_fini(&b);
    close_pipe(in);
}

/* ---- a pseudo-terminal ---- */

static void peers_of_the_pty_come_and_go(void **state)
{
    struct chario_rig b;
    (void)state;
    chario_rig_init(&b, (struct chario_params){.kind = CHARIO_PTY});
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
    chario_rig_fini(&b);
}

/* ---- threads ---- */

/* Room made on another thread is never overlooked. */
#define SHARED_BYTES 5000
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
    if (atomic_fetch_add(&shared_got, len) + len == SHARED_BYTES) loop_stop(l);
}
static void *make_room(void *arg)
{
    struct chario_rig *b = arg;
    for (size_t made = 0; made < SHARED_BYTES; made++) {
        shared_room++;
        chario_input_ready(b->io, CHARIO_SERIAL);
        while (shared_room > 0) sched_yield(); /* the loop's thread may have no other processor */
    }
    return NULL;
}

static void room_made_by_a_vcpu_is_never_overlooked(void **state)
{
    static char text[SHARED_BYTES];
    int in[2];
    struct chario_rig b;
    pthread_t t;
    (void)state;
    open_pipe(in);
    shared_room = shared_got = 0;
    chario_rig_init(&b, fds(in[0], STDERR_FILENO));
    const struct chario_user user = {.room = shared_user_room, .input = shared_user_input, .arg = &b.loop};
    chario_attach(b.io, CHARIO_SERIAL, &user);
    assert_int_equal(write(in[1], text, sizeof(text)), sizeof(text));
    assert_int_equal(pthread_create(&t, NULL, make_room, &b), 0);
    loop_run(&b.loop); /* stays here for good if one is */
    pthread_join(t, NULL);
    assert_int_equal(shared_got, SHARED_BYTES);
    chario_rig_fini(&b);
    close_pipe(in);
}

UNIT_MAIN(UNIT(input_comes_in_order_as_there_is_room), UNIT(input_follows_the_port_that_wrote_last),
          UNIT(end_of_input_ends_input_only), UNIT(regular_files_and_dev_null_are_input_too),
          UNIT(a_read_never_waits_for_what_another_took), UNIT(a_closed_input_is_none),
          UNIT(escapes_are_taken_out_of_the_input), UNIT(the_escape_works_when_the_guest_reads_nothing),
          UNIT(peers_of_the_pty_come_and_go), UNIT(what_is_pasted_arrives_whole_however_slowly_the_guest_reads),
          UNIT(the_escape_works_behind_more_than_is_kept), UNIT(room_made_by_a_vcpu_is_never_overlooked))

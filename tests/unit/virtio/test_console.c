#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "devices/devices.h"
#include "tests/unit/virtio/ring.h"
#include "vmm/base/endian.h"

enum { RX = 0, TX = 1 };

struct console_rig {
    struct rig r;
    struct chario *io;
    int in[2], out[2];
};

static void console_init(struct console_rig *c, uint64_t features)
{
    struct virtio_dev *d = NULL;
    assert_int_equal(pipe(c->in), 0);
    assert_int_equal(pipe2(c->out, O_NONBLOCK), 0);
    const struct chario_params p = {.kind = CHARIO_FDS, .in_fd = c->in[0], .out_fd = c->out[1]};
    assert_int_equal(chario_create(&c->io, &p, NULL), 0);
    assert_int_equal(virtio_console_create(&d, c->io, NULL), 0);
    rig_init(&c->r, d, features);
    assert_int_equal(chario_start(c->io, &c->r.loop, NULL), 0);
    rig_activate(&c->r);
}

static void console_fini(struct console_rig *c)
{
    rig_reset(&c->r);
    chario_stop(c->io);
    rig_fini(&c->r);
    chario_destroy(c->io);
    for (unsigned i = 0; i < 2; i++) {
        close(c->in[i]);
        close(c->out[i]);
    }
}

static struct ring_seg text_seg(struct console_rig *c, const char *text)
{
    const struct ring_seg seg = {rig_alloc(&c->r, strlen(text)), (uint32_t)strlen(text), false};
    memcpy(rig_host(&c->r, seg.gpa), text, seg.len);
    return seg;
}

static const char *at_host(struct console_rig *c)
{
    static char text[4096];
    const ssize_t n = read(c->out[0], text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void what_the_guest_sends_is_at_the_host_at_once(void **state)
{
    struct console_rig c;
    (void)state;
    console_init(&c, 0);
    const struct ring_seg seg[] = {text_seg(&c, "log"), text_seg(&c, "in: ")};
    ring_add(&c.r.ring[TX], seg, 2);
    rig_notify(&c.r, TX);
    assert_string_equal(at_host(&c), "login: ");
    assert_int_equal(ring_used_count(&c.r.ring[TX]), 1);
    assert_int_equal(c.r.interrupts, 1);
    console_fini(&c);
}

static void empty_buffers_are_given_back(void **state)
{
    struct console_rig c;
    struct ring_used used;
    (void)state;
    console_init(&c, 0);
    const struct ring_seg none = {rig_alloc(&c.r, 1), 0, false}, none_in = {none.gpa, 0, true};
    const struct ring_seg some_in = {rig_alloc(&c.r, 8), 8, true}, text = text_seg(&c, "x");
    ring_add(&c.r.ring[TX], &none, 1);
    ring_add(&c.r.ring[TX], &text, 1);
    rig_notify(&c.r, TX);
    assert_int_equal(ring_used_count(&c.r.ring[TX]), 2);
    assert_string_equal(at_host(&c), "x");
    ring_add(&c.r.ring[RX], &none_in, 1);
    ring_add(&c.r.ring[RX], &some_in, 1);
    rig_notify(&c.r, RX);
    assert_int_equal(write(c.in[1], "y", 1), 1);
    rig_run(&c.r, 5);
    assert_true(ring_take_used(&c.r.ring[RX], &used));
    assert_int_equal(used.len, 0);
    assert_true(ring_take_used(&c.r.ring[RX], &used));
    assert_int_equal(used.len, 1);
    console_fini(&c);
}

static void input_waits_for_buffers_and_comes_in_order(void **state)
{
    struct console_rig c;
    struct ring_used used;
    (void)state;
    console_init(&c, 0);
    assert_int_equal(write(c.in[1], "hello world", 11), 11);
    rig_run(&c.r, 5);
    assert_int_equal(ring_used_count(&c.r.ring[RX]), 0);

    const uint64_t a = rig_alloc(&c.r, 16), b = rig_alloc(&c.r, 16);
    const struct ring_seg first[] = {{a, 3, true}, {a + 3, 3, true}}, second = {b, 16, true};
    ring_add(&c.r.ring[RX], first, 2);
    rig_notify(&c.r, RX);
    rig_wait_used(&c.r, RX);
    assert_true(ring_take_used(&c.r.ring[RX], &used));
    assert_int_equal(used.len, 6);
    assert_memory_equal(rig_host(&c.r, a), "hello ", 6);

    ring_add(&c.r.ring[RX], &second, 1);
    rig_notify(&c.r, RX);
    rig_wait_used(&c.r, RX);
    assert_true(ring_take_used(&c.r.ring[RX], &used));
    assert_int_equal(used.len, 5);
    assert_memory_equal(rig_host(&c.r, b), "world", 5);
    console_fini(&c);
}

/* A reader that stops holds up the console alone: the loop goes on, and so does the output when the reader does. */
static void a_full_host_is_waited_for_without_blocking_the_loop(void **state)
{
    struct console_rig c;
    static char sink[65536];
    (void)state;
    console_init(&c, 0);
    const uint32_t len = 100000; /* more than a pipe holds */
    const struct ring_seg seg = {rig_alloc(&c.r, len), len, false};
    ring_add(&c.r.ring[TX], &seg, 1);
    rig_notify(&c.r, TX);
    rig_run(&c.r, 20);
    assert_int_equal(ring_used_count(&c.r.ring[TX]), 0);
    size_t total = 0;
    for (unsigned i = 0; i < 1000 && total < len; i++) {
        const ssize_t n = read(c.out[0], sink, sizeof(sink));
        total += n > 0 ? (size_t)n : 0;
        rig_run(&c.r, 1);
    }
    assert_int_equal(total, len);
    assert_int_equal(ring_used_count(&c.r.ring[TX]), 1);
    assert_int_equal(chario_dropped(c.io), 0);
    console_fini(&c);
}

/* Overlapping descriptors can stand for far more than memory holds. */
static void one_drain_is_bounded_whatever_a_chain_stands_for(void **state)
{
    struct console_rig c;
    struct ring_seg seg[64];
    (void)state;
    console_init(&c, 0);
    const int null = open("/dev/null", O_WRONLY);
    assert_int_equal(dup2(null, c.out[1]), c.out[1]); /* takes no end of characters */
    const uint64_t gpa = rig_alloc(&c.r, 1 << 20);
    for (unsigned i = 0; i < 64; i++) seg[i] = (struct ring_seg){gpa, 1 << 20, false};
    ring_add(&c.r.ring[TX], seg, 64);
    c.r.dev->ops->notify(c.r.dev, TX);
    assert_int_equal(ring_used_count(&c.r.ring[TX]), 0);
    close(null);
    console_fini(&c);
}

static void reset_in_the_middle_of_a_write_forgets_it(void **state)
{
    struct console_rig c;
    (void)state;
    console_init(&c, 0);
    const struct ring_seg big = {rig_alloc(&c.r, 200000), 200000, false};
    memset(rig_host(&c.r, big.gpa), 'x', big.len);
    ring_add(&c.r.ring[TX], &big, 1);
    rig_notify(&c.r, TX);
    rig_reset(&c.r);
    rig_run(&c.r, 20);
    while (*at_host(&c)) {
    }
    rig_activate(&c.r);
    const struct ring_seg text = text_seg(&c, "anew");
    ring_add(&c.r.ring[TX], &text, 1);
    rig_notify(&c.r, TX);
    assert_string_equal(at_host(&c), "anew");
    console_fini(&c);
}

static void broken_rings_are_faults_and_input_goes_on_waiting(void **state)
{
    struct console_rig c;
    (void)state;
    console_init(&c, 0);
    ring_set_avail_idx(&c.r.ring[TX], 1000);
    rig_notify(&c.r, TX);
    assert_int_equal(c.r.faults, 1);
    ring_set_avail_idx(&c.r.ring[RX], 1000);
    rig_notify(&c.r, RX);
    assert_int_equal(c.r.faults, 2);
    assert_int_equal(write(c.in[1], "x", 1), 1);
    rig_run(&c.r, 5);
    console_fini(&c);
}

static void with_event_idx_the_driver_is_asked_to_ring_again(void **state)
{
    struct console_rig c;
    (void)state;
    console_init(&c, VIRTIO_F_EVENT_IDX);
    const struct ring_seg text = text_seg(&c, "x"), in = {rig_alloc(&c.r, 8), 8, true};
    ring_add(&c.r.ring[TX], &text, 1);
    rig_notify(&c.r, TX);
    assert_int_equal(ring_avail_event(&c.r.ring[TX]), 1);
    ring_add(&c.r.ring[RX], &in, 1);
    rig_notify(&c.r, RX);
    assert_int_equal(write(c.in[1], "ab", 2), 2);
    rig_run(&c.r, 5);
    assert_int_equal(write(c.in[1], "c", 1), 1);
    rig_run(&c.r, 5);
    assert_int_equal(ring_used_count(&c.r.ring[RX]), 1);
    assert_int_equal(ring_avail_event(&c.r.ring[RX]), 1);
    console_fini(&c);
}

/* A terminal tells its size; a pipe has none. */
static void size_is_offered_for_a_terminal_only(void **state)
{
    struct virtio_dev *d = NULL;
    struct chario *io = NULL;
    uint8_t config[12];
    const int master = posix_openpt(O_RDWR | O_NOCTTY), null = open("/dev/null", O_WRONLY);
    const struct winsize w = {.ws_col = 132, .ws_row = 43};
    (void)state;
    assert_int_equal(grantpt(master) | unlockpt(master), 0);
    const int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    assert_int_equal(ioctl(slave, TIOCSWINSZ, &w), 0);
    for (unsigned i = 0; i < 2; i++) {
        const struct chario_params p = {.kind = CHARIO_FDS, .in_fd = -1, .out_fd = i == 0 ? slave : null};
        assert_int_equal(chario_create(&io, &p, NULL), 0);
        assert_int_equal(virtio_console_create(&d, io, NULL), 0);
        assert_int_equal(d->ops->features(d), i == 0 ? 1 : 0);
        d->ops->config_read(d, 0, config, sizeof(config));
        assert_int_equal(le16_read(config), i == 0 ? 132 : 0);
        assert_int_equal(le16_read(config + 2), i == 0 ? 43 : 0);
        assert_int_equal(le32_read(config + 4), 1);
        d->ops->destroy(d);
        chario_destroy(io);
    }
    close(slave);
    close(master);
    close(null);
}

UNIT_MAIN(UNIT(what_the_guest_sends_is_at_the_host_at_once), UNIT(empty_buffers_are_given_back),
          UNIT(input_waits_for_buffers_and_comes_in_order), UNIT(a_full_host_is_waited_for_without_blocking_the_loop),
          UNIT(one_drain_is_bounded_whatever_a_chain_stands_for), UNIT(reset_in_the_middle_of_a_write_forgets_it),
          UNIT(broken_rings_are_faults_and_input_goes_on_waiting),
          UNIT(with_event_idx_the_driver_is_asked_to_ring_again), UNIT(size_is_offered_for_a_terminal_only))

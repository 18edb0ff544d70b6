/* A terminal that is resized: what the guest sees of it through its virtio-mmio window. */
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "devices/devices.h"
#include "devices/virtio/virtio_mmio.h"
#include "tests/unit/unit.h"
#include "tests/unit/virtio/mmio_registers.h"
#include "tests/unit/virtio/ring.h"

enum { F_SIZE = 1, INT_CONFIG = 2 };

struct window {
    struct ring_mem mem;
    struct loop loop;
    struct irq irq;
    struct chario *io;
    struct virtio_mmio *t;
};

static uint32_t rd(struct window *w, uint64_t reg, unsigned size)
{
    return (uint32_t)virtio_mmio_bus_ops.read(w->t, reg, size);
}

static void wr(struct window *w, uint64_t reg, uint32_t value)
{
    virtio_mmio_bus_ops.write(w->t, reg, 4, value);
}

static void stop(void *arg)
{
    loop_stop(arg);
}

static void turn(struct window *w)
{
    for (unsigned i = 0; i < 2; i++) {
        struct loop_job job = {.fn = stop, .arg = &w->loop};
        loop_post(&w->loop, &job);
        loop_run(&w->loop);
    }
}

static void window_init(struct window *w, const struct chario_params *p, uint32_t features)
{
    struct virtio_dev *d = NULL;
    *w = (struct window){0};
    ring_mem_init(&w->mem);
    assert_int_equal(loop_init(&w->loop, NULL), 0);
    assert_int_equal(irq_init(&w->irq, NULL), 0);
    assert_int_equal(chario_create(&w->io, p, NULL), 0);
    assert_int_equal(chario_start(w->io, &w->loop, NULL), 0);
    assert_int_equal(virtio_console_create(&d, w->io, NULL), 0);
    const struct virtio_mmio_params m = {
        .dev = d, .mem = &w->mem.gmem, .loop = &w->loop, .irq = w->irq, .label = "console 0"};
    assert_int_equal(virtio_mmio_create(&w->t, &m, NULL), 0);
    wr(w, STATUS, ACK);
    wr(w, STATUS, ACK | DRIVER);
    wr(w, DRIVER_FEATURES_SEL, 0);
    wr(w, DRIVER_FEATURES, features);
    wr(w, DRIVER_FEATURES_SEL, 1);
    wr(w, DRIVER_FEATURES, (uint32_t)(VIRTIO_F_VERSION_1 >> 32));
    wr(w, STATUS, ACK | DRIVER | FEATURES_OK);
    wr(w, STATUS, ACK | DRIVER | FEATURES_OK | DRIVER_OK);
    turn(w);
}

static void window_fini(struct window *w)
{
    virtio_mmio_destroy(w->t);
    chario_stop(w->io);
    chario_destroy(w->io);
    loop_fini(&w->loop);
    irq_fini(&w->irq);
    ring_mem_fini(&w->mem);
}

static void must_be(struct window *w, uint32_t cols, uint32_t rows)
{
    assert_int_equal(rd(w, CONFIG, 2), cols);
    assert_int_equal(rd(w, CONFIG + 2, 2), rows);
}

static void a_resized_terminal_is_a_configuration_change(void **state)
{
    const struct winsize size = {.ws_col = 132, .ws_row = 43};
    int master, slave;
    struct window w;
    (void)state;
    assert_int_equal(openpty(&master, &slave, NULL, NULL, &size), 0);
    window_init(&w, &(struct chario_params){.kind = CHARIO_FDS, .in_fd = slave, .out_fd = slave}, F_SIZE);
    must_be(&w, 132, 43);
    const uint32_t generation = rd(&w, CONFIG_GENERATION, 4);
    assert_int_equal(chario_resize(w.io, 132, 43), 0); /* as it was: nothing to tell */
    turn(&w);
    assert_int_equal(rd(&w, INTERRUPT_STATUS, 4) & INT_CONFIG, 0);
    assert_int_equal(chario_resize(w.io, 80, 25), 0);
    turn(&w);
    assert_int_equal(rd(&w, INTERRUPT_STATUS, 4) & INT_CONFIG, INT_CONFIG);
    assert_int_not_equal(rd(&w, CONFIG_GENERATION, 4), generation);
    must_be(&w, 80, 25);
    window_fini(&w);

    window_init(&w, &(struct chario_params){.kind = CHARIO_FDS, .in_fd = slave, .out_fd = slave}, 0);
    assert_int_equal(chario_resize(w.io, 81, 26), 0);
    turn(&w);
    assert_int_equal(rd(&w, INTERRUPT_STATUS, 4) & INT_CONFIG, 0); /* this driver did not ask for it */
    window_fini(&w);
    close(master);
    close(slave);
}

static void a_pty_has_the_size_that_its_peer_gives_it(void **state)
{
    const struct winsize size = {.ws_col = 100, .ws_row = 50};
    struct winsize seen;
    struct window w;
    (void)state;
    window_init(&w, &(struct chario_params){.kind = CHARIO_PTY}, F_SIZE);
    must_be(&w, 0, 0);
    const int peer = open(chario_pty_name(w.io), O_RDWR | O_NOCTTY);
    assert_int_equal(ioctl(peer, TIOCSWINSZ, &size), 0);
    assert_int_equal(write(peer, "x", 1), 1);
    for (unsigned ms = 0; ms < 5000 && rd(&w, CONFIG, 2) == 0; ms++) {
        turn(&w);
        usleep(1000);
    }
    turn(&w);
    must_be(&w, 100, 50);
    assert_int_equal(rd(&w, INTERRUPT_STATUS, 4) & INT_CONFIG, INT_CONFIG);
    assert_int_equal(chario_resize(w.io, 90, 30), 0); /* and the other way */
    assert_int_equal(ioctl(peer, TIOCGWINSZ, &seen), 0);
    assert_int_equal(seen.ws_col, 90);
    assert_int_equal(seen.ws_row, 30);
    close(peer);
    window_fini(&w);
}

static void what_is_no_terminal_has_no_size(void **state)
{
    struct chario *io = NULL;
    const int null = open("/dev/null", O_WRONLY);
    const struct chario_params p = {.kind = CHARIO_FDS, .in_fd = -1, .out_fd = null};
    (void)state;
    assert_int_equal(chario_create(&io, &p, NULL), 0);
    assert_int_equal(chario_resize(io, 80, 25), -ENOTTY);
    chario_destroy(io);
    close(null);
}

UNIT_MAIN(UNIT(a_resized_terminal_is_a_configuration_change), UNIT(a_pty_has_the_size_that_its_peer_gives_it),
          UNIT(what_is_no_terminal_has_no_size))

#include "tests/unit/unit.h"

#include <sys/socket.h>
#include <unistd.h>

#include "devices/platform/platform.h"

/* The port with a packet socket as its host: one packet per write that reaches the host. */
struct port {
    struct chario *io;
    struct serial *serial;
    struct irq irq;
    struct loop loop;
    int host, far; /* the two ends */
    bool has_loop;
};

static void port_init(struct port *p, bool has_loop)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
    p->host = pair[0];
    p->far = pair[1];
    p->has_loop = has_loop;
    const struct chario_params params = {.kind = CHARIO_FDS, .in_fd = pair[1], .out_fd = pair[1]};
    assert_int_equal(chario_create(&p->io, &params, NULL), 0);
    assert_int_equal(irq_init(&p->irq, NULL), 0);
    assert_int_equal(serial_create(&p->serial, p->io, p->irq, NULL), 0);
    assert_int_equal(loop_init(&p->loop, NULL), 0);
    if (has_loop) assert_int_equal(chario_start(p->io, &p->loop, NULL), 0);
}

static void port_fini(struct port *p)
{
    serial_destroy(p->serial);
    chario_stop(p->io);
    chario_destroy(p->io);
    irq_fini(&p->irq);
    loop_fini(&p->loop);
    close(p->host);
    close(p->far);
}

static void stop(void *arg)
{
    loop_stop(arg);
}

/* One turn of the loop: what is there now is dealt with, then it stops. */
static void turn(struct port *p)
{
    struct loop_job job = {.fn = stop, .arg = &p->loop};
    loop_post(&p->loop, &job);
    loop_run(&p->loop);
}

static uint8_t in(struct port *p, unsigned reg)
{
    return (uint8_t)serial_bus_ops.read(p->serial, reg, 1);
}
static void out(struct port *p, unsigned reg, uint8_t value)
{
    serial_bus_ops.write(p->serial, reg, 1, value);
}

static uint64_t interrupts(struct port *p)
{
    uint64_t n = 0;
    return read(p->irq.fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static const char *at_host(struct port *p)
{
    static char text[2048];
    const ssize_t n = recv(p->host, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void from_host(struct port *p, const char *text)
{
    assert_int_equal(send(p->host, text, strlen(text), 0), strlen(text));
    turn(p);
    turn(p);
}

/* ---- register scripts ---- */

struct step {
    char op; /* 'w' write, 'r' read and compare */
    uint8_t reg, value;
};

static void play(struct port *p, const struct step *s, size_t steps)
{
    for (size_t i = 0; i < steps; i++) {
        if (s[i].op == 'w') {
            out(p, s[i].reg, s[i].value);
            continue;
        }
        const uint8_t got = in(p, s[i].reg);
        if (got != s[i].value) fail_msg("step %zu: register %u reads %#x, not %#x", i, s[i].reg, got, s[i].value);
    }
}

/* What Linux 6.x does to find out that this is a 16550A and no relative of it (8250_port.c, autoconfig). */
static void is_found_by_linux_as_a_16550A(void **state)
{
    static const struct step script[] = {
        {'w', 1, 0x00}, {'r', 1, 0x00}, {'w', 1, 0x0f}, {'r', 1, 0x0f}, {'w', 1, 0x00}, /* is there an IER */
        {'w', 4, 0x1a}, {'r', 6, 0x92}, {'w', 4, 0x00}, /* loop-back: RTS is CTS, OUT2 is DCD; DSR went */
        {'w', 3, 0xbf}, {'w', 2, 0x00}, {'w', 3, 0x00}, {'w', 2, 0x01}, {'r', 2, 0xc1}, /* FIFO: bits 6 and 7 */
        {'w', 3, 0x80}, {'r', 2, 0xc1}, {'w', 3, 0xbf}, {'r', 2, 0xc1}, {'w', 3, 0x00}, /* no EFR: not a 16650 */
        {'w', 2, 0x01}, {'w', 3, 0x80}, {'w', 2, 0x21}, {'r', 2, 0xc1}, {'w', 3, 0x00}, /* no 64 byte mode */
        {'w', 1, 0x40}, {'r', 1, 0x00},                                                 /* no UUE: not an XScale */
        {'w', 7, 0x5a}, {'r', 7, 0x5a}, {'w', 7, 0xa5}, {'r', 7, 0xa5},                 /* scratch */
    };
    struct port p;
    (void)state;
    port_init(&p, false);
    play(&p, script, COUNT_OF(script));
    assert_string_equal(at_host(&p), "");
    port_fini(&p);
}

/* serial8250_do_startup: the interrupt of an empty transmitter comes again each time it is enabled. */
static void start_up_finds_a_transmit_interrupt_each_time_it_is_enabled(void **state)
{
    static const struct step script[] = {
        {'w', 2, 0x01}, {'w', 2, 0x07}, {'w', 2, 0x00}, {'r', 5, 0x60}, {'r', 0, 0x00}, {'r', 2, 0x01}, {'r', 6, 0xb0},
        {'w', 3, 0x03}, {'w', 1, 0x02}, {'r', 2, 0x02}, {'r', 2, 0x01}, {'w', 1, 0x00}, {'w', 1, 0x02}, {'r', 2, 0x02},
        {'w', 1, 0x00}, {'w', 2, 0x01}, {'w', 1, 0x02}, {'r', 5, 0x60}, {'r', 2, 0xc2}, {'w', 1, 0x00},
    };
    struct port p;
    (void)state;
    port_init(&p, false);
    play(&p, script, COUNT_OF(script));
    assert_int_equal(interrupts(&p), 3); /* one each time */
    port_fini(&p);
}

static void divisor_latch_hides_data_and_enable(void **state)
{
    static const struct step script[] = {
        {'w', 3, 0x83}, {'r', 0, 0x0c}, {'w', 0, 0x01}, {'w', 1, 0x02}, {'r', 0, 0x01},
        {'r', 1, 0x02}, {'w', 3, 0x03}, {'r', 1, 0x00}, {'r', 0, 0x00}, {'r', 3, 0x03},
    };
    struct port p;
    (void)state;
    port_init(&p, false);
    play(&p, script, COUNT_OF(script));
    assert_string_equal(at_host(&p), "");
    port_fini(&p);
}

static void modem_lines_report_changes_once(void **state)
{
    static const struct step script[] = {
        {'w', 4, 0x0b}, {'r', 6, 0xb0},                 /* outputs alone change nothing */
        {'w', 4, 0x1b}, {'r', 6, 0xb0},                 /* DTR, RTS, OUT2 come back as what was up before */
        {'w', 4, 0x1f}, {'r', 6, 0xf0},                 /* ring begins: not told */
        {'w', 4, 0x1b}, {'r', 6, 0xb4}, {'r', 6, 0xb0}, /* ring ends: told once */
        {'w', 4, 0x10}, {'r', 6, 0x0b}, {'r', 6, 0x00},
    };
    struct port p;
    (void)state;
    port_init(&p, false);
    out(&p, 1, 0x08);
    play(&p, script, COUNT_OF(script));
    assert_int_equal(interrupts(&p), 2);
    port_fini(&p);
}

static void wide_access_is_one_byte_per_register(void **state)
{
    struct port p;
    (void)state;
    port_init(&p, false);
    serial_bus_ops.write(p.serial, 3, 2, 0x0a03);
    assert_int_equal(in(&p, 3), 0x03);
    assert_int_equal(in(&p, 4), 0x0a);
    assert_int_equal(serial_bus_ops.read(p.serial, 6, 4), 0xffff00b0); /* nothing is beyond register 7 */
    port_fini(&p);
}

/* ---- sending ---- */

static void a_byte_is_at_the_host_at_once_without_a_loop(void **state)
{
    struct port p;
    (void)state;
    port_init(&p, false);
    out(&p, 0, '#');
    assert_string_equal(at_host(&p), "#");
    port_fini(&p);
}

static void a_line_is_one_write(void **state)
{
    struct port p;
    (void)state;
    port_init(&p, true);
    for (const char *s = "hello\n"; *s; s++) {
        assert_string_equal(at_host(&p), "");
        assert_int_equal(in(&p, 5), 0x60);
        out(&p, 0, (uint8_t)*s);
    }
    assert_string_equal(at_host(&p), "hello\n");
    port_fini(&p);
}

static void a_prompt_is_seen_when_the_guest_polls_or_changes_interrupts(void **state)
{
    struct port p;
    (void)state;
    port_init(&p, true);
    out(&p, 0, '#');
    in(&p, 5);
    assert_string_equal(at_host(&p), "");
    in(&p, 5);
    assert_string_equal(at_host(&p), "#");
    out(&p, 0, '$');
    out(&p, 1, 0x01);
    assert_string_equal(at_host(&p), "$");
    port_fini(&p);
}

static void a_prompt_of_a_guest_that_spins_is_seen_in_a_moment(void **state)
{
    struct port p;
    char c;
    (void)state;
    port_init(&p, true);
    out(&p, 0, '#');
    for (int i = 0; i < 1000 && recv(p.host, &c, 1, MSG_PEEK) < 0; i++) {
        usleep(1000);
        turn(&p);
    }
    assert_string_equal(at_host(&p), "#");
    port_fini(&p);
}

static void nothing_written_is_lost_at_the_end(void **state)
{
    struct port p;
    (void)state;
    port_init(&p, true);
    out(&p, 0, 'x');
    serial_destroy(p.serial);
    p.serial = NULL;
    assert_string_equal(at_host(&p), "x");
    port_fini(&p);
}

/* Linux writes a FIFO's worth per interrupt and looks at IIR before: one edge for it all. */
static void a_burst_after_iir_was_read_is_one_edge(void **state)
{
    struct port p;
    (void)state;
    port_init(&p, false);
    out(&p, 2, 0x01);
    out(&p, 1, 0x02);
    assert_int_equal(in(&p, 2), 0xc2);
    assert_int_equal(interrupts(&p), 1);
    for (int i = 0; i < 16; i++) out(&p, 0, 'a');
    assert_int_equal(interrupts(&p), 1);
    assert_int_equal(in(&p, 2), 0xc2);
    assert_int_equal(in(&p, 2), 0xc1);
    port_fini(&p);
}

static void a_driver_that_never_reads_iir_gets_an_edge_per_byte(void **state)
{
    struct port p;
    (void)state;
    port_init(&p, false);
    out(&p, 1, 0x02);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(interrupts(&p), 1);
        out(&p, 0, 'a');
    }
    port_fini(&p);
}

/* ---- receiving ---- */

static void input_waits_until_the_guest_listens(void **state)
{
    struct port p;
    (void)state;
    port_init(&p, true);
    from_host(&p, "early");
    assert_int_equal(in(&p, 5), 0x60);
    out(&p, 2, 0x07); /* the driver empties the FIFO as it opens the port */
    out(&p, 1, 0x01);
    turn(&p);
    assert_int_equal(interrupts(&p), 1);
    for (const char *s = "early"; *s; s++) {
        assert_int_equal(in(&p, 5), 0x61);
        assert_int_equal(in(&p, 0), *s);
    }
    assert_int_equal(in(&p, 5), 0x60);
    assert_int_equal(in(&p, 0), 0);
    port_fini(&p);
}

static void a_guest_that_polls_is_a_listener(void **state)
{
    struct port p;
    (void)state;
    port_init(&p, true);
    from_host(&p, "x");
    unsigned polls = 0;
    while (in(&p, 5) == 0x60 && ++polls < 100) turn(&p);
    assert_in_range(polls, 4, 32); /* a driver that only sends looks once or twice */
    assert_int_equal(in(&p, 0), 'x');
    assert_int_equal(interrupts(&p), 0);
    port_fini(&p);
}

static void more_than_the_fifo_holds_comes_as_room_is_made(void **state)
{
    static const char text[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    struct port p;
    char got[sizeof(text)] = "";
    size_t n = 0;
    (void)state;
    port_init(&p, true);
    out(&p, 2, 0x01);
    out(&p, 1, 0x01);
    from_host(&p, text);
    for (unsigned turns = 0; turns < 100 && n < sizeof(text) - 1; turns++) {
        if (interrupts(&p) == 0) fail_msg("no interrupt for what came after %zu bytes", n);
        while ((in(&p, 2) & 0x0f) != 1) got[n++] = (char)in(&p, 0);
        turn(&p);
    }
    assert_string_equal(got, text);
    port_fini(&p);
}

static void iir_tells_the_level_from_the_time_out(void **state)
{
    struct port p;
    (void)state;
    port_init(&p, true);
    out(&p, 2, 0x81); /* 8 bytes */
    out(&p, 1, 0x01);
    from_host(&p, "0123456");
    assert_int_equal(in(&p, 2), 0xcc);
    from_host(&p, "7");
    assert_int_equal(in(&p, 2), 0xc4);
    in(&p, 0);
    assert_int_equal(in(&p, 2), 0xcc);
    port_fini(&p);
}

static void without_fifo_there_is_room_for_one(void **state)
{
    struct port p;
    (void)state;
    port_init(&p, true);
    out(&p, 1, 0x01);
    from_host(&p, "ab");
    assert_int_equal(in(&p, 2), 0x04);
    assert_int_equal(interrupts(&p), 1);
    assert_int_equal(in(&p, 0), 'a');
    turn(&p);
    assert_int_equal(interrupts(&p), 1);
    assert_int_equal(in(&p, 0), 'b');
    port_fini(&p);
}

static void loop_back_overruns_at_sixteen_and_says_so_once(void **state)
{
    struct port p;
    (void)state;
    port_init(&p, true);
    out(&p, 2, 0x01);
    out(&p, 1, 0x04);
    out(&p, 4, 0x10);
    for (unsigned i = 0; i < 256; i++) out(&p, 0, (uint8_t)i);
    assert_int_equal(in(&p, 2), 0xc6);
    assert_int_equal(in(&p, 5), 0x63);
    assert_int_equal(in(&p, 5), 0x61);
    for (unsigned i = 0; i < 16; i++) assert_int_equal(in(&p, 0), i);
    assert_int_equal(in(&p, 5), 0x60);
    assert_int_equal(interrupts(&p), 1);
    assert_string_equal(at_host(&p), "");
    port_fini(&p);
}

static void fifo_reset_drops_what_came_and_makes_room(void **state)
{
    struct port p;
    (void)state;
    port_init(&p, true);
    out(&p, 2, 0x01);
    out(&p, 1, 0x01);
    from_host(&p, "0123456789abcdefXY");
    out(&p, 2, 0x03);
    assert_int_equal(in(&p, 5), 0x60);
    turn(&p);
    assert_int_equal(in(&p, 0), 'X');
    assert_int_equal(in(&p, 0), 'Y');
    port_fini(&p);
}

UNIT_MAIN(UNIT(is_found_by_linux_as_a_16550A), UNIT(start_up_finds_a_transmit_interrupt_each_time_it_is_enabled),
          UNIT(divisor_latch_hides_data_and_enable), UNIT(modem_lines_report_changes_once),
          UNIT(wide_access_is_one_byte_per_register), UNIT(a_byte_is_at_the_host_at_once_without_a_loop),
          UNIT(a_line_is_one_write), UNIT(a_prompt_is_seen_when_the_guest_polls_or_changes_interrupts),
          UNIT(a_prompt_of_a_guest_that_spins_is_seen_in_a_moment), UNIT(nothing_written_is_lost_at_the_end),
          UNIT(a_burst_after_iir_was_read_is_one_edge), UNIT(a_driver_that_never_reads_iir_gets_an_edge_per_byte),
          UNIT(input_waits_until_the_guest_listens), UNIT(a_guest_that_polls_is_a_listener),
          UNIT(more_than_the_fifo_holds_comes_as_room_is_made), UNIT(iir_tells_the_level_from_the_time_out),
          UNIT(without_fifo_there_is_room_for_one), UNIT(loop_back_overruns_at_sixteen_and_says_so_once),
          UNIT(fifo_reset_drops_what_came_and_makes_room))

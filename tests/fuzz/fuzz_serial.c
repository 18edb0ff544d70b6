/* The serial port under a script of register accesses, of input, and of turns of the loop. What must always hold: every
 * byte written to the transmitter reaches the host in order, unless it was looped back, and input that comes to a
 * driver that listens raises the interrupt. */
#include <sys/socket.h>
#include <unistd.h>

#include "devices/platform/platform.h"
#include "tests/fuzz/fuzz.h"

#define OPS_MAX 2048u

enum { IER = 1, IIR = 2, LCR = 3, MCR = 4, DLAB = 0x80, LOOP = 0x10 };

struct port {
    struct chario *io;
    struct serial *serial;
    struct irq irq;
    struct loop loop;
    int host;
    uint8_t sent[OPS_MAX * 8];
    size_t sent_len;
};

static uint8_t in(struct port *p, unsigned reg)
{
    return (uint8_t)serial_bus_ops.read(p->serial, reg, 1);
}

static void out(struct port *p, unsigned reg, uint8_t value)
{
    if (reg == 0 && !((in(p, LCR) & DLAB) || (in(p, MCR) & LOOP))) p->sent[p->sent_len++] = value;
    serial_bus_ops.write(p->serial, reg, 1, value);
}

static bool has_interrupt(const struct port *p)
{
    uint64_t n;
    return read(p->irq.fd, &n, sizeof(n)) > 0;
}

static void stop(void *arg)
{
    loop_stop(arg);
}
/* Twice, since the stop may come before the input in one turn. */
static void turn(struct port *p)
{
    for (unsigned i = 0; i < 2; i++) {
        struct loop_job job = {.fn = stop, .arg = &p->loop};
        loop_post(&p->loop, &job);
        loop_run(&p->loop);
    }
}

/* Whatever went before: a driver that sets the port up and empties it is interrupted by what comes then. */
static void input_interrupts(struct port *p)
{
    const uint8_t byte = 'x';
    out(p, LCR, 3);
    out(p, MCR, 0x0b);
    out(p, IIR, 7); /* FIFO on and empty */
    out(p, IER, 1);
    for (turn(p); in(p, 5) & 1; turn(p)) in(p, 0); /* ends with what was typed before */
    in(p, IIR);
    has_interrupt(p);
    MUST(send(p->host, &byte, 1, MSG_DONTWAIT) == 1);
    turn(p);
    MUST(has_interrupt(p));
    MUST((in(p, IIR) & 0x0f) == 0x04 && (in(p, 5) & 1));
    in(p, 0);
}

static void drain_host(struct port *p)
{
    uint8_t got[4096];
    chario_flush(p->io, CHARIO_SERIAL);
    for (ssize_t n; (n = recv(p->host, got, sizeof(got), MSG_DONTWAIT)) > 0;) {
        MUST((size_t)n <= p->sent_len && memcmp(got, p->sent, (size_t)n) == 0);
        p->sent_len -= (size_t)n;
        memmove(p->sent, p->sent + n, p->sent_len);
    }
    MUST(p->sent_len == 0);
}

static void step(struct port *p, uint8_t what, uint8_t value)
{
    switch (what >> 4) {
    case 0: input_interrupts(p); break;
    case 1: MUST(send(p->host, &value, 1, MSG_DONTWAIT) == 1); break;
    case 2: turn(p); break;
    case 3: drain_host(p); break;
    case 4: serial_bus_ops.read(p->serial, what & 15, 1u << (value & 3)); break;
    case 5: serial_bus_ops.write(p->serial, 1 + (what & 7), 1u << (value & 3), 0x0101010101010101u * value); break;
    case 6:
    case 7:
    case 8:
    case 9: in(p, what & 7); break;
    default: out(p, what & 7, value); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct port p;
    int pair[2];
    memset(&p, 0, sizeof(p));
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    p.host = pair[1];
    const struct chario_params params = {.kind = CHARIO_FDS, .in_fd = pair[0], .out_fd = pair[0]};
    MUST(chario_create(&p.io, &params, NULL) == 0 && irq_init(&p.irq, NULL) == 0 && loop_init(&p.loop, NULL) == 0);
    MUST(serial_create(&p.serial, p.io, p.irq, NULL) == 0 && chario_start(p.io, &p.loop, NULL) == 0);
    for (size_t i = 0; i + 1 < size && i / 2 < OPS_MAX; i += 2) step(&p, data[i], data[i + 1]);
    drain_host(&p);
    serial_destroy(p.serial);
    chario_stop(p.io);
    chario_destroy(p.io);
    irq_fini(&p.irq);
    loop_fini(&p.loop);
    close(pair[0]);
    close(pair[1]);
    return 0;
}

/* A 16550A UART (National Semiconductor PC16550D data sheet) as drivers know it, with a host instead of a wire.
 *
 * A byte written leaves at once, so the transmitter is always empty. A byte received stays until it is read; what finds
 * no room in the guest stays with the host.
 *
 * Interrupts. The line is the OR of the enabled causes, and what counts is an edge: we raise it whenever a cause comes
 * up that was not up before. A driver that handles one looks at IIR until it says that no cause is left (Linux 8250).
 * So a cause that came up meanwhile is seen there or makes a new edge, and nothing is lost. A driver that writes one
 * byte per interrupt and never reads IIR relies on the line going down and up again with each byte; it gets its edge
 * too.
 *
 * Input waits until the guest listens. A driver empties the FIFO when it opens the port, and what was piped into the
 * console before the guest booted would be lost. The guest listens when it has enabled the receive interrupt, or when
 * it looks at LSR again and again.
 *
 * Lock: everything in the struct. Never held while chario is called. */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "devices/platform/platform.h"

enum {
    RBR_THR = 0,
    IER = 1,
    IIR_FCR = 2,
    LCR = 3,
    MCR = 4,
    LSR = 5,
    MSR = 6,
    SCR = 7
}; /* 8.1; DLAB: 0, 1 are DLL, DLM */

enum { IER_RX = 1, IER_TX = 2, IER_LINE = 4, IER_MODEM = 8, IER_MASK = 15 };
enum { IIR_NONE = 1, IIR_MODEM = 0, IIR_TX = 2, IIR_RX = 4, IIR_LINE = 6, IIR_TIMEOUT = 12, IIR_FIFO = 0xc0 };
enum { FCR_ENABLE = 1, FCR_CLEAR_RX = 2, FCR_CLEAR_TX = 4 };
enum { LCR_DLAB = 0x80 };
enum { MCR_DTR = 1, MCR_RTS = 2, MCR_OUT1 = 4, MCR_OUT2 = 8, MCR_LOOP = 16, MCR_MASK = 31 };
enum { LSR_DATA = 1, LSR_OVERRUN = 2, LSR_THR_EMPTY = 0x20, LSR_IDLE = 0x40 };
enum { MSR_CTS = 0x10, MSR_DSR = 0x20, MSR_RI = 0x40, MSR_DCD = 0x80, MSR_DELTA = 15, MSR_RI_ENDED = 4 };

#define FIFO_SIZE 16
/* So many LSR reads in a row mean that a guest polls for input. A guest that only sends reads LSR once or twice per
 * byte, and a driver that sets the port up a few times more. */
#define POLLS_OF_A_LISTENER 16
#define POLLS_OF_A_FLUSH    2  /* the guest has stopped writing: show what it wrote */
#define DIVISOR_AT_RESET    12 /* 9600 baud */

struct serial {
    struct chario *io; /* borrowed */
    struct irq irq;    /* borrowed */
    pthread_mutex_t lock;
    uint8_t ier, fcr, lcr, mcr, scr, divisor[2];
    uint8_t modem_delta; /* MSR bits 0..3 */
    bool has_overrun;
    bool tx_pending;  /* "transmitter empty" not yet acknowledged */
    bool acks_by_iir; /* the driver has acknowledged one by reading IIR, and will again */
    uint8_t causes;   /* IER bits whose cause is up and enabled */
    uint8_t fifo[FIFO_SIZE];
    unsigned fifo_head, fifo_count;
    unsigned polls; /* LSR reads since the last byte sent */
};

static bool serial_is_valid(const struct serial *s)
{
    return s->fifo_head < FIFO_SIZE && s->fifo_count <= FIFO_SIZE && (s->ier & ~IER_MASK) == 0 &&
           (s->mcr & ~MCR_MASK) == 0 && (s->causes & ~s->ier) == 0;
}

/* ---- interrupt ---- */

static void update_irq(struct serial *s)
{
    uint8_t up = 0;
    if (s->fifo_count > 0) up |= IER_RX;
    if (s->tx_pending) up |= IER_TX;
    if (s->has_overrun) up |= IER_LINE;
    if (s->modem_delta) up |= IER_MODEM;
    up &= s->ier;
    const bool is_new = (up & ~s->causes) != 0;
    s->causes = up;
    if (is_new) irq_raise(&s->irq);
}

/* The receive time-out counts as passed as soon as there is a byte: the next one may never come. */
static uint8_t read_iir(struct serial *s)
{
    static const uint8_t trigger[4] = {1, 4, 8, 14};
    const uint8_t fifo = s->fcr & FCR_ENABLE ? IIR_FIFO : 0;
    if (s->causes & IER_LINE) return fifo | IIR_LINE;
    if (s->causes & IER_RX) {
        const unsigned level = s->fcr & FCR_ENABLE ? trigger[s->fcr >> 6] : 1;
        return fifo | (s->fifo_count >= level ? IIR_RX : IIR_TIMEOUT);
    }
    if (s->causes & IER_TX) { /* reading it is its acknowledgement */
        s->tx_pending = false;
        s->acks_by_iir = true;
        update_irq(s);
        return fifo | IIR_TX;
    }
    return fifo | (s->causes & IER_MODEM ? IIR_MODEM : IIR_NONE);
}

/* ---- receiver ---- */

static unsigned fifo_capacity(const struct serial *s)
{
    return s->fcr & FCR_ENABLE ? FIFO_SIZE : 1;
}

static void receive(struct serial *s, uint8_t byte)
{
    if (s->fifo_count >= fifo_capacity(s)) {
        s->has_overrun = true;
        return;
    }
    s->fifo[(s->fifo_head + s->fifo_count++) % FIFO_SIZE] = byte;
}

static uint8_t read_rbr(struct serial *s)
{
    if (s->fifo_count == 0) return 0;
    const uint8_t byte = s->fifo[s->fifo_head];
    s->fifo_head = (s->fifo_head + 1) % FIFO_SIZE;
    s->fifo_count--;
    update_irq(s);
    return byte;
}

static bool is_listening(const struct serial *s)
{
    return ((s->ier & IER_RX) || s->polls >= POLLS_OF_A_LISTENER) && !(s->mcr & MCR_LOOP);
}

static size_t free_room(const struct serial *s)
{
    return is_listening(s) && s->fifo_count < fifo_capacity(s) ? fifo_capacity(s) - s->fifo_count : 0;
}

/* ---- modem lines: CTS, DSR and DCD are up, or what loop-back makes of the outputs (8.4.7) ---- */

static uint8_t modem_lines(uint8_t mcr)
{
    if (!(mcr & MCR_LOOP)) return MSR_CTS | MSR_DSR | MSR_DCD;
    return (uint8_t)((mcr & MCR_RTS ? MSR_CTS : 0) | (mcr & MCR_DTR ? MSR_DSR : 0) | (mcr & MCR_OUT1 ? MSR_RI : 0) |
                     (mcr & MCR_OUT2 ? MSR_DCD : 0));
}

static void write_mcr(struct serial *s, uint8_t value)
{
    const uint8_t before = modem_lines(s->mcr);
    s->mcr = value & MCR_MASK;
    uint8_t changed = before ^ modem_lines(s->mcr);
    if ((changed & MSR_RI) && !(before & MSR_RI)) changed &= (uint8_t)~MSR_RI; /* only its end is told */
    s->modem_delta |= changed >> 4;
    update_irq(s);
}

/* ---- registers ---- */

static uint8_t read_lsr(struct serial *s)
{
    const uint8_t value =
        (uint8_t)(LSR_THR_EMPTY | LSR_IDLE | (s->fifo_count ? LSR_DATA : 0) | (s->has_overrun ? LSR_OVERRUN : 0));
    s->has_overrun = false;
    if (s->polls < POLLS_OF_A_LISTENER) s->polls++;
    update_irq(s);
    return value;
}

static uint8_t read_msr(struct serial *s)
{
    const uint8_t value = modem_lines(s->mcr) | s->modem_delta;
    s->modem_delta = 0;
    update_irq(s);
    return value;
}

static uint8_t read_register(struct serial *s, unsigned reg)
{
    const bool has_divisor = s->lcr & LCR_DLAB;
    switch (reg) {
    case RBR_THR: return has_divisor ? s->divisor[0] : read_rbr(s);
    case IER: return has_divisor ? s->divisor[1] : s->ier;
    case IIR_FCR: return read_iir(s);
    case LCR: return s->lcr;
    case MCR: return s->mcr;
    case LSR: return read_lsr(s);
    case MSR: return read_msr(s);
    default: return s->scr;
    }
}

static void write_thr(struct serial *s, uint8_t byte)
{
    if (s->mcr & MCR_LOOP) receive(s, byte);
    s->polls = 0;
    s->tx_pending = true;
    if (!s->acks_by_iir) s->causes &= (uint8_t)~IER_TX; /* the line goes down and up */
    update_irq(s);
}

/* Enabling the transmit interrupt finds the transmitter empty, and says so (8.2: drivers rely on it to begin). */
static void write_ier(struct serial *s, uint8_t value)
{
    if ((value & IER_TX) && !(s->ier & IER_TX)) {
        s->tx_pending = true;
        s->acks_by_iir = false;
    }
    s->ier = value & IER_MASK;
    update_irq(s);
}

static void write_fcr(struct serial *s, uint8_t value)
{
    const bool toggles = (value ^ s->fcr) & FCR_ENABLE; /* 8.6: clears both FIFOs */
    s->fcr = value & FCR_ENABLE ? value & (0xc0 | FCR_ENABLE) : 0;
    if (toggles || (value & FCR_CLEAR_RX)) s->fifo_head = s->fifo_count = 0;
    if (toggles || (value & FCR_CLEAR_TX)) s->tx_pending = true;
    update_irq(s);
}

static void write_register(struct serial *s, unsigned reg, uint8_t value)
{
    const bool has_divisor = s->lcr & LCR_DLAB;
    switch (reg) {
    case RBR_THR:
        if (has_divisor)
            s->divisor[0] = value;
        else
            write_thr(s, value);
        return;
    case IER:
        if (has_divisor)
            s->divisor[1] = value;
        else
            write_ier(s, value);
        return;
    case IIR_FCR: write_fcr(s, value); return;
    case LCR: s->lcr = value; return;
    case MCR: write_mcr(s, value); return;
    case SCR: s->scr = value; return;
    default: /* LSR and MSR are read-only here */ return;
    }
}

/* ---- bus side: byte-wide registers, so a wider access is that many bytes, as on an 8-bit bus ---- */

/* One register access and what follows from it for the host. Done with the lock held, told to chario without it. */
static uint8_t access_register(struct serial *s, unsigned reg, bool is_write, uint8_t value)
{
    pthread_mutex_lock(&s->lock);
    const bool was_listening = is_listening(s), was_empty = s->fifo_count == 0;
    const bool sends = is_write && reg == RBR_THR && !(s->lcr & LCR_DLAB) && !(s->mcr & MCR_LOOP);
    if (is_write)
        write_register(s, reg, value);
    else
        value = read_register(s, reg);
    /* chario is told when the FIFO is empty, not at each byte: to wake the loop costs more than the exit itself. A
     * driver that reads one byte reads all, as its interrupt comes only once. */
    const bool has_room = is_listening(s) && (!was_listening || (s->fifo_count == 0 && !was_empty));
    const bool is_pause = is_write ? reg == IER : reg == LSR && s->polls == POLLS_OF_A_FLUSH;
    pthread_mutex_unlock(&s->lock);

    if (sends) chario_output(s->io, CHARIO_SERIAL, &value, 1);
    if (is_pause) chario_flush(s->io, CHARIO_SERIAL);
    if (has_room) chario_input_ready(s->io, CHARIO_SERIAL);
    return value;
}

static uint64_t serial_read(void *dev, uint64_t offset, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++) {
        const uint64_t reg = offset + i;
        const uint8_t byte = reg < SERIAL_SIZE ? access_register(dev, (unsigned)reg, false, 0) : 0xff;
        value |= (uint64_t)byte << (8 * i);
    }
    return value;
}

static void serial_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size && offset + i < SERIAL_SIZE; i++)
        access_register(dev, (unsigned)(offset + i), true, (uint8_t)(value >> (8 * i)));
}

const struct bus_ops serial_bus_ops = {.read = serial_read, .write = serial_write};

/* ---- host side ---- */

static size_t user_room(void *arg)
{
    struct serial *s = arg;
    pthread_mutex_lock(&s->lock);
    const size_t n = free_room(s);
    pthread_mutex_unlock(&s->lock);
    return n;
}

static void user_input(void *arg, const uint8_t *bytes, size_t len)
{
    struct serial *s = arg;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < len; i++) receive(s, bytes[i]);
    update_irq(s);
    assert(serial_is_valid(s));
    pthread_mutex_unlock(&s->lock);
}

int serial_create(struct serial **out, struct chario *io, struct irq irq, struct err *e)
{
    struct serial *s = calloc(1, sizeof(*s));
    if (!s) return err_set(e, -ENOMEM, "serial port: out of memory");
    *s = (struct serial){.io = io, .irq = irq, .divisor = {DIVISOR_AT_RESET}};
    pthread_mutex_init(&s->lock, NULL);
    chario_attach(io, CHARIO_SERIAL, &(struct chario_user){.room = user_room, .input = user_input, .arg = s});
    *out = s;
    return 0;
}

void serial_destroy(struct serial *s)
{
    if (!s) return;
    chario_attach(s->io, CHARIO_SERIAL, NULL);
    chario_flush(s->io, CHARIO_SERIAL);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

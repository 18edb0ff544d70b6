/* virtio-console between a script of a driver and a script of someone who types. As long as the driver keeps the rules,
 * what it sends is what the host reads, and what is typed is what it gets. */
#include <sys/socket.h>
#include <unistd.h>

#include "devices/devices.h"
#include "tests/fuzz/script.h"

enum { RX = 0, TX = 1, SLOT = 1024, TYPED_LIMIT = 4096 };

struct console_guest {
    struct script_guest g;
    struct chario *io;
    int user;
    uint8_t next_typed, next_got; /* what is typed counts up */
    unsigned on_the_way;
};

static uint64_t slot(const struct ring *r, unsigned queue)
{
    return RING_MEM_GPA + SCRIPT_AREA + (queue * SCRIPT_RING_SIZE + (uint64_t)r->free_head) * SLOT;
}

static void send_good(struct console_guest *c, struct script *in)
{
    struct ring *r = &c->g.ring[TX];
    const uint32_t len = take(in, 2) % (SLOT + 1), cut = len > 0 ? take(in, 1) % len : 0;
    static uint8_t got[SLOT + 1];
    struct ring_used used;
    size_t total = 0;
    if (c->g.is_raw || r->free_count < 2) return;
    const uint64_t gpa = slot(r, TX);
    uint8_t *p = ring_host(&c->g.mem, gpa);
    for (uint32_t i = 0; i < len; i++) p[i] = (uint8_t)(cut + i);
    ring_add(r, (struct ring_seg[]){{gpa, cut, false}, {gpa + cut, len - cut, false}}, 2);
    script_notify(&c->g, TX);
    MUST(ring_take_used(r, &used) && used.len == 0);
    for (ssize_t n; (n = recv(c->user, got + total, sizeof(got) - total, 0)) > 0;) total += (size_t)n;
    MUST(total == len && memcmp(got, p, len) == 0);
}

static void type(struct console_guest *c, struct script *in)
{
    uint8_t text[256];
    const uint32_t len = 1 + take(in, 1);
    if (c->on_the_way + len > TYPED_LIMIT) return;
    for (uint32_t i = 0; i < len; i++) text[i] = c->next_typed++;
    MUST(send(c->user, text, len, 0) == (ssize_t)len);
    c->on_the_way += len;
}

static void offer_buffer(struct console_guest *c, struct script *in)
{
    struct ring *r = &c->g.ring[RX];
    const uint32_t len = take(in, 2) % (SLOT + 1);
    if (c->g.is_raw || r->free_count == 0) return;
    const struct ring_seg seg = {slot(r, RX), len, true};
    ring_add(r, &seg, 1);
    script_notify(&c->g, RX);
}

static void take_typed(struct console_guest *c)
{
    struct ring *r = &c->g.ring[RX];
    struct ring_used used;
    while (!c->g.is_raw && ring_take_used(r, &used)) {
        const uint8_t *p = ring_host(&c->g.mem, RING_MEM_GPA + SCRIPT_AREA + (uint64_t)used.id * SLOT);
        MUST(used.len <= c->on_the_way);
        for (uint32_t i = 0; i < used.len; i++) MUST(p[i] == c->next_got++);
        c->on_the_way -= used.len;
    }
}

static void reset(struct console_guest *c, struct script *in)
{
    const bool was_raw = c->g.is_raw;
    static uint8_t sink[4096];
    c->g.dev->ops->deactivate(c->g.dev);
    script_activate(&c->g, (uint64_t)take(in, 1) << 28);
    while (recv(c->user, sink, sizeof(sink), 0) > 0) {
    }
    c->g.is_raw = was_raw; /* some of what was typed may have gone into a buffer nobody knows of */
}

static void step(struct console_guest *c, struct script *in)
{
    static uint8_t sink[4096];
    uint8_t config[12];
    switch (take(in, 1) % 12) {
    case 0: script_raw(&c->g, in); break;
    case 1: script_notify(&c->g, take(in, 1) & 1); break;
    case 2: reset(c, in); break;
    case 3: c->g.dev->ops->config_read(c->g.dev, take(in, 1) % 12, config, 1); break;
    case 4:
        chario_output(c->io, CHARIO_SERIAL, (const uint8_t *)"\n", 1); /* input moves to the other port */
        MUST(recv(c->user, sink, sizeof(sink), 0) > 0 || c->g.is_raw);
        break;
    case 5:
    case 6: type(c, in); break;
    case 7:
    case 8: send_good(c, in); break;
    case 9: script_turn(&c->g); break;
    default: offer_buffer(c, in); break;
    }
    while (c->g.is_raw && recv(c->user, sink, sizeof(sink), 0) > 0) {
    }
    take_typed(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script in = {data, size};
    struct console_guest c = {0};
    struct virtio_dev *d = NULL;
    int pair[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    c.user = pair[1];
    script_begin(&c.g);
    const struct chario_params p = {.kind = CHARIO_FDS, .in_fd = pair[0], .out_fd = pair[0]};
    MUST(chario_create(&c.io, &p, NULL) == 0);
    MUST(chario_start(c.io, &c.g.loop, NULL) == 0);
    MUST(virtio_console_create(&d, c.io, NULL) == 0);
    script_set_device(&c.g, d);
    script_activate(&c.g, UINT64_MAX);
    for (unsigned i = 0; i < SCRIPT_OPS_MAX && in.left > 0; i++) step(&c, &in);
    MUST(c.g.host_failures == 0);
    d->ops->deactivate(d);
    d->ops->destroy(d);
    close(c.user); /* so that nothing is waited for */
    chario_stop(c.io);
    chario_destroy(c.io);
    close(pair[0]);
    script_end(&c.g);
    return 0;
}

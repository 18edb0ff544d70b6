/* virtio-net between a script of a driver and a script of a network. As long as the driver keeps the rules, each frame
 * must cross whole and in order; when it does not, nothing outside guest memory may be touched. */
#include "devices/devices.h"
#include "tests/fuzz/script.h"
#include "tests/unit/virtio/wire.h"
#include "vmm/base/endian.h"

enum { RX = 0, TX = 1, HDR = 12, FRAME_MIN = 14, FRAME_LIMIT = 4000, SLOT = 2048 };
enum { BUFFER_MIN = (FRAME_LIMIT + HDR) / SCRIPT_RING_SIZE + 1 }; /* a full queue holds every frame */
#define F_MRG_RXBUF (1ull << 15)
#define EXPECT_MAX  64

struct net_guest {
    struct script_guest g;
    struct wire wire;
    /* Frames the network sent and the guest has not got: their lengths; the first byte of each is its number. */
    uint16_t expect[EXPECT_MAX];
    unsigned expect_first, expect_count;
};

static void fill(uint8_t *p, size_t len, unsigned number)
{
    for (size_t i = 0; i < len; i++) p[i] = (uint8_t)(number + 31 * i);
}

/* The driver sends a frame, in up to three segments, and it is on the wire. */
static void send_good(struct net_guest *n, struct script *in)
{
    struct ring *r = &n->g.ring[TX];
    const uint32_t len = FRAME_MIN + take(in, 2) % (SLOT - HDR - FRAME_MIN), cut = 1 + take(in, 1) % 40;
    const uint64_t gpa = RING_MEM_GPA + SCRIPT_AREA + (uint64_t)r->free_head * SLOT;
    static uint8_t got[HDR + FRAME_LIMIT + 1];
    struct ring_used used;
    if (n->g.is_raw || r->free_count < 3) return;
    uint8_t *p = ring_host(&n->g.mem, gpa);
    memset(p, 0, HDR);
    fill(p + HDR, len, cut);
    const struct ring_seg seg[] = {
        {gpa, cut, false}, {gpa + cut, 1, false}, {gpa + cut + 1, HDR + len - cut - 1, false}};
    ring_add(r, seg, HDR + len > cut + 1 ? 3 : 1);
    while (wire_take(&n->wire, got, sizeof(got)) > 0) continue;
    script_notify(&n->g, TX);
    MUST(ring_take_used(r, &used) && !ring_take_used(r, &used));
    if (HDR + len > cut + 1) MUST(wire_take(&n->wire, got, sizeof(got)) == HDR + len && memcmp(got, p, HDR + len) == 0);
}

/* The network sends a frame that any driver takes, or any header at all. */
static void wire_sends(struct net_guest *n, struct script *in, bool is_good)
{
    static uint8_t frame[HDR + 71000];
    const uint32_t a = take(in, 2);
    const size_t len = is_good ? FRAME_MIN + a % (FRAME_LIMIT - FRAME_MIN) : a + (a & 1) * 5000;
    if (n->expect_count == EXPECT_MAX) return;
    memset(frame, 0, HDR);
    for (unsigned i = 0; i < HDR && !is_good; i++) frame[i] = (uint8_t)take(in, 1);
    if (!is_good) n->g.is_raw = true;
    fill(frame + HDR, len, n->expect_first + n->expect_count);
    if (!wire_put(&n->wire, frame, HDR + len)) return;
    n->expect[(n->expect_first + n->expect_count++) % EXPECT_MAX] = (uint16_t)len;
}

static void offer_buffer(struct net_guest *n, struct script *in)
{
    struct ring *r = &n->g.ring[RX];
    const uint32_t len = BUFFER_MIN + take(in, 2) % (SLOT - BUFFER_MIN);
    if (n->g.is_raw || r->free_count == 0) return;
    const struct ring_seg seg = {RING_MEM_GPA + SCRIPT_AREA + (16 + (uint64_t)r->free_head) * SLOT, len, true};
    ring_add(r, &seg, 1);
    script_notify(&n->g, RX);
}

/* What the driver finds used must be the frames that were sent, each whole, none twice. */
static void take_frames(struct net_guest *n)
{
    static uint8_t got[HDR + FRAME_LIMIT + SLOT], want[FRAME_LIMIT];
    struct ring *r = &n->g.ring[RX];
    struct ring_used used;
    while (!n->g.is_raw && ring_take_used(r, &used)) {
        size_t len = 0;
        for (unsigned left = 1; left > 0; left--) {
            MUST(used.len <= SLOT && len + used.len <= sizeof(got));
            memcpy(got + len, ring_host(&n->g.mem, RING_MEM_GPA + SCRIPT_AREA + (16 + (uint64_t)used.id) * SLOT),
                   used.len);
            if (len == 0) left = le16_read(got + 10);
            len += used.len;
            if (left > 1) MUST(ring_take_used(r, &used)); /* all of a frame's buffers are used at once */
        }
        MUST(n->expect_count > 0 && len == HDR + (size_t)n->expect[n->expect_first % EXPECT_MAX]);
        fill(want, len - HDR, n->expect_first);
        MUST(memcmp(got + HDR, want, len - HDR) == 0);
        n->expect_first++;
        n->expect_count--;
    }
}

static void reset(struct net_guest *n, uint64_t features)
{
    static uint8_t byte;
    n->g.dev->ops->deactivate(n->g.dev);
    script_activate(&n->g, features | F_MRG_RXBUF);
    /* Frames that were on the way belong to nobody we keep account of. */
    n->g.is_raw = n->expect_count > 0;
    while (wire_take(&n->wire, &byte, 1) > 0) continue;
}

static void step(struct net_guest *n, struct script *in)
{
    uint8_t config[12];
    switch (take(in, 1) % 12) {
    case 0: script_raw(&n->g, in); break;
    case 1: script_notify(&n->g, take(in, 1) & 1); break;
    case 2: reset(n, (uint64_t)take(in, 3) | (uint64_t)take(in, 1) << 28); break;
    case 3: wire_sends(n, in, false); break;
    case 4: n->g.dev->ops->config_read(n->g.dev, take(in, 1) % 12, config, 1); break;
    case 5: script_turn(&n->g); break;
    case 6:
    case 7: send_good(n, in); break;
    case 8:
    case 9: wire_sends(n, in, true); break;
    default: offer_buffer(n, in); break;
    }
    take_frames(n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script in = {data, size};
    struct net_guest n = {0};
    struct virtio_dev *d = NULL;
    wire_init(&n.wire);
    script_begin(&n.g);
    MUST(virtio_net_create(&d, &n.wire.backend, NULL, 0, NULL) == 0);
    script_set_device(&n.g, d);
    script_activate(&n.g, UINT64_MAX);
    for (unsigned i = 0; i < SCRIPT_OPS_MAX && in.left > 0; i++) step(&n, &in);
    MUST(n.g.host_failures == 0); /* no guest and no frame can break the host's side */
    d->ops->deactivate(d);
    d->ops->destroy(d);
    script_end(&n.g);
    return 0;
}

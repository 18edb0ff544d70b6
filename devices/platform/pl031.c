/* A counter of seconds that the guest may set, and a match register. All registers are 32 bits wide at multiples of 4;
 * narrower accesses see the low part, other offsets read as zero. */
#include <time.h>

#include "devices/platform/platform.h"

enum { /* ARM DDI 0224, table 3-1 */
       REG_DATA = 0x00,
       REG_MATCH = 0x04,
       REG_LOAD = 0x08,
       REG_CONTROL = 0x0c,
       REG_MASK = 0x10,
       REG_RAW = 0x14,
       REG_MASKED = 0x18,
       REG_CLEAR = 0x1c,
       REG_ID = 0xfe0,
};

/* Part 0x031 by ARM, and the PrimeCell signature (3.3.9 to 3.3.16): how a bus driver knows the device. */
static const uint8_t id[] = {0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

static uint64_t host_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec;
}

void pl031_init(struct pl031 *r, uint64_t (*now)(void))
{
    *r = (struct pl031){.lock = PTHREAD_MUTEX_INITIALIZER, .now = now ? now : host_now};
}

static uint32_t guest_now(const struct pl031 *r)
{
    return (uint32_t)r->now() + r->offset;
}

/* Has the counter passed the match value since it was armed? Computed when somebody looks; nothing ticks in between. */
static uint32_t raw_status(struct pl031 *r)
{
    const uint32_t passed = guest_now(r) - r->armed_at;
    if (r->is_armed && passed >= r->match - r->armed_at) {
        r->has_fired = true;
        r->is_armed = false;
    }
    return r->has_fired;
}

static void arm(struct pl031 *r)
{
    r->armed_at = guest_now(r);
    r->is_armed = true;
}

static uint32_t read_register(struct pl031 *r, uint64_t offset)
{
    if (offset >= REG_ID && offset % 4 == 0) return id[(offset - REG_ID) / 4];
    switch (offset) {
    case REG_DATA: return guest_now(r);
    case REG_MATCH: return r->match;
    case REG_LOAD: return r->load;
    case REG_CONTROL: return 1; /* always running: only a reset stops it */
    case REG_MASK: return r->mask;
    case REG_RAW: return raw_status(r);
    case REG_MASKED: return raw_status(r) & r->mask;
    default: return 0;
    }
}

static uint64_t pl031_read(void *dev, uint64_t offset, unsigned size)
{
    struct pl031 *r = dev;
    (void)size;
    if (offset >= PL031_SIZE) return 0;
    pthread_mutex_lock(&r->lock);
    const uint32_t value = read_register(r, offset);
    pthread_mutex_unlock(&r->lock);
    return value;
}

static void pl031_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct pl031 *r = dev;
    const uint32_t word = (uint32_t)value;
    (void)size;
    pthread_mutex_lock(&r->lock);
    switch (offset) {
    case REG_MATCH:
        r->match = word;
        arm(r);
        break;
    case REG_LOAD:
        (void)raw_status(r); /* an alarm that the old time had reached has fired */
        r->load = word;
        r->offset = word - (uint32_t)r->now();
        if (r->is_armed) r->armed_at = word;
        break;
    case REG_MASK: r->mask = word & 1; break;
    case REG_CLEAR:
        if (word & 1) r->has_fired = false;
        break;
    default: break; /* identification and status can't be written; the counter runs already */
    }
    pthread_mutex_unlock(&r->lock);
}

const struct bus_ops pl031_bus_ops = {.read = pl031_read, .write = pl031_write, .width = 4};

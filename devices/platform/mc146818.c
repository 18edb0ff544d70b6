/* The clock of a PC (Motorola MC146818; PCs have it at two ports, an index and a data register), to be read: date and
 * time in UTC, as packed decimals and with 24 hours. There is no interrupt, no alarm and no memory, and what a guest
 * writes is dropped. It is for guests that want to know the time when they start. */
#include <time.h>

#include "devices/platform/platform.h"

enum { PORT_INDEX = 0, PORT_DATA = 1 };
enum { INDEX_MASK = 0x7f }; /* bit 7 is a PC's switch for NMIs */

enum { /* MC146818 data sheet, "Address Map" */
       REG_SECONDS = 0x00,
       REG_MINUTES = 0x02,
       REG_HOURS = 0x04,
       REG_WEEKDAY = 0x06, /* 1: Sunday */
       REG_DAY = 0x07,
       REG_MONTH = 0x08,
       REG_YEAR = 0x09,
       REG_A = 0x0a,
       REG_B = 0x0b,
       REG_D = 0x0d,
       REG_CENTURY = 0x32, /* by custom */
};
enum { A_UPDATES = 0x80, A_32768_HZ = 0x20, A_RATE = 0x06, B_24_HOURS = 0x02, D_VALID = 0x80 };

#define NS_PER_S UINT64_C(1000000000)
/* An update is announced this long before a second ends: a guest that saw no announcement has so much time to read. */
#define UPDATE_NS UINT64_C(244000)
#define DAY_S     UINT64_C(86400)

static uint64_t host_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

void mc146818_init(struct mc146818 *c, uint64_t (*now)(void))
{
    *c = (struct mc146818){.now = now ? now : host_now};
}

struct date {
    unsigned year, month, day; /* from 1 */
};

static bool is_leap(unsigned year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Not gmtime_r, which reads the file of the host's time zone. */
static struct date date_of(uint64_t days)
{
    static const uint8_t lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    struct date d = {.year = 1970, .month = 1};
    for (; days >= 365u + is_leap(d.year); d.year++) days -= 365u + is_leap(d.year);
    for (;; d.month++) {
        const unsigned length = lengths[d.month - 1] + (d.month == 2 && is_leap(d.year) ? 1u : 0u);
        if (days < length) break;
        days -= length;
    }
    d.day = (unsigned)days + 1;
    return d;
}

static uint8_t decimal(uint64_t n)
{
    return (uint8_t)(n / 10 % 10 << 4 | n % 10);
}

static uint8_t read_data(const struct mc146818 *c, uint8_t index)
{
    const uint64_t ns = c->now(), s = ns / NS_PER_S, days = s / DAY_S;
    switch (index) {
    case REG_SECONDS: return decimal(s % 60);
    case REG_MINUTES: return decimal(s / 60 % 60);
    case REG_HOURS: return decimal(s / 3600 % 24);
    case REG_WEEKDAY: return decimal((days + 4) % 7 + 1); /* 1 January 1970 was a Thursday */
    case REG_DAY: return decimal(date_of(days).day);
    case REG_MONTH: return decimal(date_of(days).month);
    case REG_YEAR: return decimal(date_of(days).year % 100);
    case REG_CENTURY: return decimal(date_of(days).year / 100);
    case REG_A: return A_32768_HZ | A_RATE | (ns % NS_PER_S >= NS_PER_S - UPDATE_NS ? A_UPDATES : 0);
    case REG_B: return B_24_HOURS;
    case REG_D: return D_VALID;
    default: return 0;
    }
}

static uint64_t mc146818_read(void *dev, uint64_t offset, unsigned size)
{
    const struct mc146818 *c = dev;
    const uint8_t index = atomic_load_explicit(&c->index, memory_order_relaxed);
    (void)size;
    return offset == PORT_DATA ? read_data(c, index) : index;
}

static void mc146818_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct mc146818 *c = dev;
    (void)size;
    if (offset == PORT_INDEX) atomic_store_explicit(&c->index, (uint8_t)value & INDEX_MASK, memory_order_relaxed);
}

const struct bus_ops mc146818_bus_ops = {.read = mc146818_read, .write = mc146818_write, .width = 1};

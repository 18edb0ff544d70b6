/* A hostile guest: it fills its disk's queue with as much zeroing as fits, rings once, and does so again whenever the
 * queue is empty; RESETS: it resets the disk in the middle of that instead, for ever. Linked by stall.t as
 * docs/guests.md shows. Register names are those of VIRTIO 1.2, 4.2.2. */
#include <vireo_guest.h>

#define REG(offset) (*(volatile uint32_t *)((uintptr_t)VIREO_X86_VIRTIO + (offset)))
enum { DEVICE_ID = 0x008, DRIVER_FEATURES = 0x020, DRIVER_FEATURES_SEL = 0x024, QUEUE_SEL = 0x030, QUEUE_NUM = 0x038 };
enum { QUEUE_READY = 0x044, QUEUE_NOTIFY = 0x050, STATUS = 0x070, QUEUE_DESC = 0x080, QUEUE_DRIVER = 0x090 };
enum { QUEUE_DEVICE = 0x0a0, CONFIG_CAPACITY = 0x100 };
enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8 };
enum { F_WRITE_ZEROES = 1 << 14, F_INDIRECT = 1 << 28, F_VERSION_1_HIGH = 1, NEXT = 1, WRITE = 2, INDIRECT = 4 };
#define QUEUE        128
#define RANGES       32 /* what a request may have by 5.2.6; the device may take fewer */
#define T_ZEROES     13
#define SECTORS_MAX  (1u << 21)
#define BLOCK_DEVICE 2

char stack[4096] __attribute__((aligned(16)));
__asm__(".globl _start\n"
        "_start:\n"
        "    lea stack + 4096(%rip), %rsp\n"
        "    call flood\n");

struct desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};
static struct desc table[QUEUE] __attribute__((aligned(4096))), chain[QUEUE][3] __attribute__((aligned(16)));
static struct {
    uint16_t flags, idx, ring[QUEUE];
} avail __attribute__((aligned(4096)));
static volatile struct {
    uint16_t flags, idx;
    struct {
        uint32_t id, len;
    } ring[QUEUE];
} used __attribute__((aligned(4096)));
static struct {
    uint32_t type, reserved;
    uint64_t sector;
} header = {T_ZEROES, 0, 0};
static struct {
    uint64_t sector;
    uint32_t sectors, flags;
} range[RANGES];
static uint8_t status[QUEUE];

static void describe(uint32_t where, const volatile void *at)
{
    REG(where) = (uint32_t)(uintptr_t)at;
    REG(where + 4) = 0;
}

static void begin(void)
{
    REG(STATUS) = 0;
    REG(STATUS) = ACKNOWLEDGE | DRIVER;
    REG(DRIVER_FEATURES_SEL) = 0;
    REG(DRIVER_FEATURES) = F_WRITE_ZEROES | F_INDIRECT;
    REG(DRIVER_FEATURES_SEL) = 1;
    REG(DRIVER_FEATURES) = F_VERSION_1_HIGH;
    REG(STATUS) = ACKNOWLEDGE | DRIVER | FEATURES_OK;
    REG(QUEUE_SEL) = 0;
    REG(QUEUE_NUM) = QUEUE;
    describe(QUEUE_DESC, table);
    describe(QUEUE_DRIVER, &avail);
    describe(QUEUE_DEVICE, &used);
    avail.idx = used.idx = 0;
    REG(QUEUE_READY) = 1;
    REG(STATUS) = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK;
}

/* ranges: of each request. */
static void fill(uint32_t ranges)
{
    for (uint16_t i = 0; i < QUEUE; i++) {
        chain[i][0] = (struct desc){(uintptr_t)&header, sizeof(header), NEXT, 1};
        chain[i][1] = (struct desc){(uintptr_t)range, ranges * (uint32_t)sizeof(range[0]), NEXT, 2};
        chain[i][2] = (struct desc){(uintptr_t)&status[i], 1, WRITE, 0};
        table[i] = (struct desc){(uintptr_t)chain[i], sizeof(chain[i]), INDIRECT, 0};
        avail.ring[(uint16_t)(avail.idx + i) % QUEUE] = i;
    }
    __asm__ volatile("" : : : "memory");
    avail.idx = (uint16_t)(avail.idx + QUEUE);
    REG(QUEUE_NOTIFY) = 0;
}

__attribute__((noreturn)) void flood(void);
void flood(void)
{
    uint32_t ranges = RANGES, sectors = SECTORS_MAX;
    if (REG(DEVICE_ID) != BLOCK_DEVICE) vireo_guest_exit(99);
    if (REG(CONFIG_CAPACITY) < sectors) sectors = REG(CONFIG_CAPACITY);
    vireo_guest_mark(1);
    for (;;) {
        for (unsigned i = 0; i < RANGES; i++) {
            range[i].sector = 0;
            range[i].sectors = sectors;
        }
        begin();
        fill(ranges);
#ifndef RESETS
        while (used.idx != avail.idx) continue;
#endif
        /* Refused as too much: ask for half, down to what the device takes. */
        if (status[0] != 0 && ranges > 1)
            ranges /= 2;
        else if (status[0] != 0 && sectors > 1)
            sectors /= 2;
    }
}

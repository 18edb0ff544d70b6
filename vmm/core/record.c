#include "vmm/core/record.h"

#include <stddef.h>
#include <sys/mman.h>

#include "vmm/base/pages.h"

#define HISTS ((size_t)RECORD_CLASSES * 2) /* KVM_RUN and handler of each class */

_Static_assert(RECORD_REGISTERS <= 1 + UINT8_MAX && RECORD_CLASSES <= 32, "places and classes fit");

/* The figures in front: what every exit writes stays on a few pages. Then the buckets, of which only the pages of
 * durations that were seen are ever touched. */
struct layout {
    struct record record;
    _Atomic uint64_t group[HISTS][HIST_GROUPS];
    _Atomic uint64_t bucket[HISTS][HIST_BUCKETS];
};

const char *record_class_name(enum record_class c)
{
    static const char *const names[RECORD_CLASSES] = {
        [RECORD_PORT_IN] = "port in",
        [RECORD_PORT_OUT] = "port out",
        [RECORD_MMIO_READ] = "mmio read",
        [RECORD_MMIO_WRITE] = "mmio write",
        [RECORD_HALT] = "halt",
        [RECORD_EOI] = "end of interrupt",
        [RECORD_WINDOW] = "interrupt window",
        [RECORD_STARTUP] = "start-up",
        [RECORD_KICK] = "kick",
        [RECORD_SYSTEM] = "system event",
        [RECORD_OTHER] = "other",
        [RECORD_CALL] = "system call",
        [RECORD_FAULT] = "fault",
        [RECORD_DIRTY_LOG] = "log of written pages",
    };
    return names[c];
}

struct record *record_create(void)
{
    struct layout *l = pages_map(sizeof(*l), MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
    if (!l) return NULL;
    (void)madvise(l, sizeof(*l), MADV_NOHUGEPAGE); /* a huge page would make a vCPU cost megabytes */
    for (unsigned i = 0; i < RECORD_CLASSES; i++) {
        struct record_class_stats *c = &l->record.of[i];
        hist_init(&c->run, l->bucket[2 * i], l->group[2 * i]);
        hist_init(&c->handler, l->bucket[2 * i + 1], l->group[2 * i + 1]);
    }
    l->record.latest = &l->record.reg[0];
    return &l->record;
}

void record_destroy(struct record *r)
{
    if (r) munmap((char *)r - offsetof(struct layout, record), sizeof(struct layout));
}

/* A counter that stepped back (a CPU's that was reset behind the kernel's back) makes one exit short, not 500 years. */
static uint64_t ticks(uint64_t from, uint64_t to)
{
    return to > from ? to - from : 0;
}

static void raise_to(_Atomic uint64_t *at, uint64_t value)
{
    if (value > atomic_load_explicit(at, memory_order_relaxed)) atomic_store_explicit(at, value, memory_order_relaxed);
}

/* The register's place, taken if it is new; NULL: all its places are others'. Multiplying by an odd number near 2^64
 * over the golden ratio spreads addresses that differ in few bits (Knuth, TAOCP vol. 3, 6.4). */
__attribute__((noinline)) static struct record_register *find(struct record *r, uint64_t key)
{
    const uint64_t hash = key * UINT64_C(0x9e3779b97f4a7c15) >> 32;
    for (unsigned i = 0; i < RECORD_PROBES; i++) {
        struct record_register *reg = &r->reg[(hash + i) % RECORD_REGISTERS];
        const uint64_t there = atomic_load_explicit(&reg->key, memory_order_relaxed);
        if (there == key) return reg;
        if (there != 0) continue;
        const uint16_t n = atomic_load_explicit(&r->registers, memory_order_relaxed);
        atomic_store_explicit(&reg->key, key, memory_order_relaxed);
        r->place[n] = (uint8_t)(reg - r->reg);
        atomic_store_explicit(&r->registers, (uint16_t)(n + 1), memory_order_release);
        return reg;
    }
    return NULL;
}

/* Most exits are of the same register as the one before. */
static void record_register(struct record *r, const struct record_exit *x, uint64_t run, uint64_t handler)
{
    const uint64_t key = x->addr * RECORD_CLASSES + (uint64_t)x->class + 1;
    struct record_register *reg = r->latest;
    if (atomic_load_explicit(&reg->key, memory_order_relaxed) != key) {
        reg = find(r, key);
        if (!reg) {
            hist_bump(&r->lost, 1);
            return;
        }
        r->latest = reg;
    }
    hist_bump(&reg->count, 1);
    hist_bump(&reg->run, run);
    hist_bump(&reg->handler, handler);
    raise_to(&reg->run_max, run);
    raise_to(&reg->handler_max, handler);
}

static void trace_exit(struct record_trace *t, const struct record_exit *x)
{
    const uint64_t n = atomic_load_explicit(&t->count, memory_order_relaxed);
    if (n >= t->capacity) return;
    t->exit[n] = *x;
    atomic_store_explicit(&t->count, n + 1, memory_order_release);
}

void record_exit(struct record *r, const struct record_exit *x)
{
    struct record_class_stats *c = &r->of[x->class];
    __asm__("" : "+r"(c)); /* else each figure's address is computed anew, from r and the class */
    const uint64_t run = ticks(x->from, x->left), handler = ticks(x->left, x->done);
    hist_record(&c->run, run);
    hist_record(&c->handler, handler);
    if (atomic_load_explicit(&c->first, memory_order_relaxed) == 0) {
        const uint32_t seen = atomic_load_explicit(&r->seen, memory_order_relaxed);
        atomic_store_explicit(&r->seen, seen | UINT32_C(1) << x->class, memory_order_relaxed);
        atomic_store_explicit(&c->first, x->left, memory_order_relaxed);
    }
    atomic_store_explicit(&c->last, x->left, memory_order_relaxed);
    if (x->has_addr) record_register(r, x, run, handler);
    if (r->trace) trace_exit(r->trace, x);
}

void record_add(struct record *to, const struct record *from)
{
    for (unsigned k = 0; k < RECORD_CLASSES; k++) {
        const struct record_class_stats *c = &from->of[k];
        struct record_class_stats *sum = &to->of[k];
        if (!record_has(from, (enum record_class)k)) continue;
        hist_add(&sum->run, &c->run);
        hist_add(&sum->handler, &c->handler);
        const uint64_t first = atomic_load_explicit(&c->first, memory_order_relaxed);
        const uint64_t had = atomic_load_explicit(&sum->first, memory_order_relaxed);
        if (!had || first < had) atomic_store_explicit(&sum->first, first, memory_order_relaxed);
        raise_to(&sum->last, atomic_load_explicit(&c->last, memory_order_relaxed));
        const uint32_t seen = atomic_load_explicit(&to->seen, memory_order_relaxed);
        atomic_store_explicit(&to->seen, seen | UINT32_C(1) << k, memory_order_relaxed);
    }
}

struct record_place record_place(const struct record_register *reg)
{
    const uint64_t key = atomic_load_explicit(&reg->key, memory_order_relaxed) - 1;
    return (struct record_place){.class = (enum record_class)(key % RECORD_CLASSES), .addr = key / RECORD_CLASSES};
}

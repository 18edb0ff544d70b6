/* The split virtqueue, device side. See virtq.h for what each function promises.
 *
 * The one rule: a number that lies in guest memory is read once into a local, checked, then used. The guest's other
 * vCPUs may rewrite it in between, so a second read would be a second, unchecked number.
 *
 * Memory order, with the driver as the other side (VIRTIO 1.2, 2.7.13 and 2.7.14):
 *   avail.idx  load-acquire: ring entries and descriptors written before it are seen.
 *   used.idx   store-release: used elements and the request's data are seen before it.
 *   Each suppression check is "store mine, then load theirs" on both sides. Neither acquire nor release orders a store
 *   before a later load, so both places have a full fence; without it each side could miss what the other just wrote,
 *   and the queue would sleep with work in it. */
#include "devices/virtio/virtq.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "devices/virtio/virtio.h" /* the feature bits */
#include "vmm/base/endian.h"

enum { DESC_F_NEXT = 1, DESC_F_WRITE = 2, DESC_F_INDIRECT = 4 }; /* 2.7.5 */
enum { AVAIL_F_NO_INTERRUPT = 1 };                               /* 2.7.6 */
enum { USED_F_NO_NOTIFY = 1 };                                   /* 2.7.8 */

/* used.len must be able to say how much was written; 2.7.5.2 allows a chain at most 2^32 bytes. */
#define CHAIN_MAX_BYTES UINT32_MAX

struct desc {
    struct le64 addr;
    struct le32 len;
    struct le16 flags, next;
};
struct used_elem {
    struct le32 id, len;
};

/* avail: flags, idx, ring[size], used_event. used: flags, idx, ring[size], avail_event. 2.7.6, 2.7.8 */
static struct le16 *avail_word(const struct virtq *q, unsigned index)
{
    return (struct le16 *)(void *)q->avail + index;
}
static struct le16 *avail_flags(const struct virtq *q)
{
    return avail_word(q, 0);
}
static struct le16 *avail_idx(const struct virtq *q)
{
    return avail_word(q, 1);
}
static struct le16 *avail_ring(const struct virtq *q, uint16_t position)
{
    return avail_word(q, 2 + (position & (q->size - 1u)));
}
static struct le16 *avail_used_event(const struct virtq *q)
{
    return avail_word(q, 2u + q->size);
}
static struct le16 *used_flags(const struct virtq *q)
{
    return (struct le16 *)(void *)q->used;
}
static struct le16 *used_idx(const struct virtq *q)
{
    return (struct le16 *)(void *)(q->used + 2);
}
static struct used_elem *used_ring(const struct virtq *q, uint16_t position)
{
    return (struct used_elem *)(void *)(q->used + 4) + (position & (q->size - 1u));
}
static struct le16 *used_avail_event(const struct virtq *q)
{
    return (struct le16 *)(void *)(q->used + 4 + sizeof(struct used_elem) * q->size);
}

static bool is_in_flight(const struct virtq *q, uint16_t head)
{
    return (q->in_flight_map[head / 64] >> (head % 64)) & 1;
}
static void set_in_flight(struct virtq *q, uint16_t head)
{
    q->in_flight_map[head / 64] |= 1ull << (head % 64);
    q->in_flight++;
}
static void clear_in_flight(struct virtq *q, uint16_t head)
{
    assert(head < q->size && is_in_flight(q, head));
    q->in_flight_map[head / 64] &= ~(1ull << (head % 64));
    q->in_flight--;
}

bool virtq_is_valid(const struct virtq *q)
{
    if (q->size == 0) return q->in_flight == 0;
    unsigned marked = 0;
    for (unsigned i = 0; i < VIRTQ_MAX_SIZE / 64; i++) marked += (unsigned)__builtin_popcountll(q->in_flight_map[i]);
    const uint16_t outstanding = (uint16_t)(q->next_avail - q->next_used); /* in flight, or staged and not published */
    return q->size <= VIRTQ_MAX_SIZE && (q->size & (q->size - 1)) == 0 && q->mem && q->desc && q->avail && q->used &&
           marked == q->in_flight && q->in_flight <= outstanding && outstanding <= q->size;
}

/* The pointer of one area [gpa, gpa+len); NULL when it is misaligned or outside memory. */
static void *area(const struct gmem *mem, uint64_t gpa, uint64_t len, unsigned align)
{
    uint8_t *host = gmem_slice(mem, gpa, len, GMEM_WRITE);
    /* The host address must be aligned too, for atomic accesses; tests may map memory at any alignment. */
    return ((gpa | (uintptr_t)host) & (align - 1)) == 0 ? host : NULL;
}

static bool overlaps(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
    return a < b ? b - a < a_len : a - b < b_len;
}

int virtq_init(struct virtq *q, const struct virtq_config *cfg, const struct gmem *mem, uint64_t features)
{
    const uint16_t size = cfg->size;
    if (size == 0 || size > VIRTQ_MAX_SIZE || (size & (size - 1)) != 0) return -EINVAL;
    /* 2.7. As in the table there, the event words at the ends count whether or not EVENT_IDX was negotiated. */
    const uint64_t desc_len = sizeof(struct desc) * size, avail_len = 6 + 2ull * size, used_len = 6 + 8ull * size;
    uint8_t *desc = area(mem, cfg->desc, desc_len, 16);
    uint8_t *avail = area(mem, cfg->avail, avail_len, 2);
    uint8_t *used = area(mem, cfg->used, used_len, 4);
    if (!desc || !avail || !used) return -EINVAL;
    if (overlaps(cfg->desc, desc_len, cfg->avail, avail_len) || overlaps(cfg->desc, desc_len, cfg->used, used_len) ||
        overlaps(cfg->avail, avail_len, cfg->used, used_len))
        return -EINVAL;
    *q = (struct virtq){
        .mem = mem,
        .desc = desc,
        .avail = avail,
        .used = used,
        .size = size,
        .has_event_idx = (features & VIRTIO_F_EVENT_IDX) != 0,
        .has_indirect = (features & VIRTIO_F_INDIRECT_DESC) != 0,
    };
    return 0;
}

static int broken(struct virtq *q, const char *why)
{
    q->is_broken = true;
    q->why = why;
    return -EPROTO;
}

static struct desc load_desc(const uint8_t *table, unsigned index)
{
    struct desc d;
    memcpy(&d, table + sizeof(d) * index, sizeof(d)); /* an indirect table may have any alignment */
    /* From here on the compiler must take memory as changed: it can't fetch a field from the table a second time. */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    return d;
}

static int add_segment(struct virtq *q, struct virtq_chain *c, const struct desc *d)
{
    const uint64_t gpa = le64_get(d->addr);
    const uint32_t len = le32_get(d->len);
    const bool is_in = (le16_get(d->flags) & DESC_F_WRITE) != 0;
    const unsigned n = (unsigned)c->out_count + c->in_count;

    if (n == q->size) return broken(q, "a descriptor chain loops or is longer than the queue");      /* 2.7.5.3.1 */
    if (!is_in && c->in_count > 0) return broken(q, "a readable descriptor follows a writable one"); /* 2.7.4.2 */
    uint8_t *base = gmem_slice(q->mem, gpa, len, is_in ? GMEM_WRITE : GMEM_READ);
    if (!base) return broken(q, "a buffer is not inside guest memory");
    if (len > CHAIN_MAX_BYTES - c->out_bytes - c->in_bytes) return broken(q, "a descriptor chain is 4 GiB or longer");

    c->seg[n] = (struct virtq_seg){.base = base, .len = len};
    if (is_in) {
        c->in_count++;
        c->in_bytes += len;
    } else {
        c->out_count++;
        c->out_bytes += len;
    }
    return 0;
}

/* The table that an INDIRECT descriptor names, with *entries entries (2.7.5.3.1). Its WRITE flag means nothing
 * (2.7.5.3.2). */
static const uint8_t *open_table(struct virtq *q, const struct desc *d, bool is_inside_table, unsigned *entries)
{
    const uint32_t len = le32_get(d->len);
    const char *why = NULL;
    const uint8_t *table = NULL;

    if (!q->has_indirect)
        why = "an indirect descriptor, which was not negotiated";
    else if (is_inside_table)
        why = "an indirect descriptor inside an indirect table";
    else if ((le16_get(d->flags) & DESC_F_NEXT) != 0)
        why = "an indirect descriptor that has a next one";
    else if (len == 0 || len % sizeof(struct desc) != 0)
        why = "an indirect table whose length is no multiple of 16, or 0";
    else if (table = gmem_slice(q->mem, le64_get(d->addr), len, GMEM_READ), !table)
        why = "an indirect table is not inside guest memory";
    if (why) (void)broken(q, why);
    *entries = len / (unsigned)sizeof(struct desc);
    return table;
}

/* Every turn but one adds a segment, and add_segment takes at most q->size of them, so a loop of descriptors ends
 * there. */
static int walk(struct virtq *q, uint16_t head, struct virtq_chain *c)
{
    const uint8_t *table = q->desc;
    unsigned entries = q->size, index = head;
    bool is_inside_table = false;

    for (;;) {
        const struct desc d = load_desc(table, index);
        const uint16_t flags = le16_get(d.flags);
        if ((flags & DESC_F_INDIRECT) != 0) {
            table = open_table(q, &d, is_inside_table, &entries);
            if (!table) return -EPROTO;
            is_inside_table = true;
            index = 0;
            continue;
        }
        const int rc = add_segment(q, c, &d);
        if (rc != 0) return rc;
        if ((flags & DESC_F_NEXT) == 0) return 0;
        index = le16_get(d.next);
        if (index >= entries) return broken(q, "a descriptor's next is beyond its table");
    }
}

int virtq_pop(struct virtq *q, struct virtq_chain *out)
{
    if (q->is_broken) return -EPROTO;
    if (q->size == 0) return 0;
    const uint16_t offered = (uint16_t)(le16_load_acquire(avail_idx(q)) - q->next_avail);
    if (offered == 0) return 0;
    if (offered > q->size) return broken(q, "avail.idx is more than a queue size ahead");
    const uint16_t head = le16_load(avail_ring(q, q->next_avail));
    if (head >= q->size) return broken(q, "an available head is beyond the descriptor table");
    if (is_in_flight(q, head)) return broken(q, "a head was made available while it is in flight");

    out->head = head; /* seg[] is filled as it is counted, so nothing else needs clearing */
    out->out_count = out->in_count = 0;
    out->out_bytes = out->in_bytes = 0;
    const int rc = walk(q, head, out);
    if (rc != 0) return rc;
    set_in_flight(q, head);
    q->next_avail++;
    return 1;
}

void virtq_unpop(struct virtq *q, const struct virtq_chain *chain)
{
    clear_in_flight(q, chain->head);
    q->next_avail--;
}

void virtq_stage(struct virtq *q, unsigned index, uint16_t head, uint32_t written)
{
    assert(index < q->size);
    clear_in_flight(q, head);
    struct used_elem *e = used_ring(q, (uint16_t)(q->next_used + index));
    le32_store(&e->id, head);
    le32_store(&e->len, written);
}

void virtq_publish(struct virtq *q, unsigned count)
{
    assert(count <= q->size);
    q->next_used = (uint16_t)(q->next_used + count);
    le16_store_release(used_idx(q), q->next_used);
}

void virtq_push(struct virtq *q, uint16_t head, uint32_t written)
{
    virtq_stage(q, 0, head, written);
    virtq_publish(q, 1);
}

bool virtq_asks_interrupt(const struct virtq *q)
{
    const uint16_t now = q->next_used, before = q->signalled_used;
    if (q->size == 0 || now == before) return false;
    /* used.idx is stored first, then we look whether the driver asks: it asks first, then looks at used.idx. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!q->has_event_idx) return (le16_load(avail_flags(q)) & AVAIL_F_NO_INTERRUPT) == 0;
    /* Is used_event among the elements [before, now) that were pushed since the last decision? Modulo 2^16. */
    const uint16_t event = le16_load(avail_used_event(q));
    return (uint16_t)(now - event - 1) < (uint16_t)(now - before);
}

bool virtq_wants_interrupt(struct virtq *q)
{
    const bool asks = virtq_asks_interrupt(q);
    q->signalled_used = q->next_used;
    return asks;
}

void virtq_disable_doorbell(struct virtq *q)
{
    /* With EVENT_IDX there is nothing to store: avail_event stays behind, so the driver does not ring until it is
     * moved, except at most once for the buffer that it points at (2.7.10.1). */
    if (q->size != 0 && !q->has_event_idx) le16_store(used_flags(q), USED_F_NO_NOTIFY);
}

bool virtq_enable_doorbell(struct virtq *q)
{
    if (q->size == 0 || q->is_broken) return false;
    if (q->has_event_idx)
        le16_store(used_avail_event(q), q->next_avail);
    else
        le16_store(used_flags(q), 0);
    /* Ask first, then look for what was offered before the driver could see that we ask. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return le16_load(avail_idx(q)) != q->next_avail;
}

/* Where a copy begins: the first of `count` segments that has a byte at *off. *off becomes the offset in it. */
static unsigned seek(const struct virtq_seg *seg, unsigned count, size_t *off)
{
    unsigned i = 0;
    while (i < count && *off >= seg[i].len) *off -= seg[i++].len;
    return i;
}

size_t virtq_copy_out(const struct virtq_chain *c, size_t off, void *buf, size_t len)
{
    const struct virtq_seg *seg = c->seg;
    size_t done = 0;
    for (unsigned i = seek(seg, c->out_count, &off); i < c->out_count && done < len; i++, off = 0) {
        const size_t room = seg[i].len - off, n = room < len - done ? room : len - done;
        memcpy((uint8_t *)buf + done, seg[i].base + off, n);
        done += n;
    }
    return done;
}

size_t virtq_copy_in(const struct virtq_chain *c, size_t off, const void *buf, size_t len)
{
    const struct virtq_seg *seg = c->seg + c->out_count;
    size_t done = 0;
    for (unsigned i = seek(seg, c->in_count, &off); i < c->in_count && done < len; i++, off = 0) {
        const size_t room = seg[i].len - off, n = room < len - done ? room : len - done;
        memcpy(seg[i].base + off, (const uint8_t *)buf + done, n);
        done += n;
    }
    return done;
}

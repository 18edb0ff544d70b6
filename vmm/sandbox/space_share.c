/* Memory of the host's that the program sees: memory slots behind slot 0, below the kernel's. */
#include <errno.h>

#include "vmm/base/checked.h"
#include "vmm/sandbox/struct_space.h"

/* The entries, where tables are made. */
static void put_entries(struct space *s, const struct share *h)
{
    const unsigned prot = USER_READ | (h->is_writable ? USER_WRITE : 0u);
    struct leaf leaf;
    for (uint64_t at = h->va; tables_next(s, &at, h->va + h->len, &leaf);) {
        tables_changed(s, &leaf);
        for (uint32_t i = 0; i < leaf.count; i++)
            leaf.entry[i] = user_page_entry(h->gpa + (leaf.va - h->va) + i * SPACE_PAGE, prot);
    }
}

static int map_one(struct space *s, const struct share *h)
{
    const struct area area = {.start = h->va,
                              .end = h->va + h->len,
                              .low = h->va,
                              .prot = USER_READ | (h->is_writable ? USER_WRITE : 0u),
                              .flags = SPACE_PINNED};
    if (tables_make(s, area.start, area.end)) return -ENOMEM;
    const int rc = range_add(s, &area);
    if (!rc) put_entries(s, h);
    return rc;
}

int shares_map(struct space *s)
{
    int rc = 0;
    for (unsigned i = 0; i < s->shares && rc == 0; i++)
        if (s->share[i].is_mapped) rc = map_one(s, &s->share[i]);
    return rc;
}

void shares_unmap(struct space *s)
{
    for (unsigned i = 0; i < s->shares; i++)
        if (s->share[i].is_mapped) range_forget(s, s->share[i].va, s->share[i].va + s->share[i].len);
}

static uint64_t next_gpa(const struct space *s)
{
    const struct share *last = s->shares ? &s->share[s->shares - 1] : NULL;
    return align_up(last ? last->gpa + last->len : s->pages * SPACE_PAGE, SPACE_CHUNK);
}

int64_t space_share(struct space *s, struct vm *vm, void *host, uint64_t len, bool is_writable, struct err *e)
{
    const uint64_t gpa = next_gpa(s);
    if (!len || len % SPACE_PAGE || (uintptr_t)host % SPACE_PAGE)
        return err_set(e, -EINVAL, "shared memory of %llu bytes: address and length must be whole pages of %llu",
                       (unsigned long long)len, SPACE_PAGE);
    if (s->shares == SPACE_SHARES_MAX)
        return err_set(e, -ENOSPC, "a sandbox takes %u pieces of shared memory", SPACE_SHARES_MAX);
    const uint64_t va =
        len <= USER_KERNEL_GPA - USER_KERNEL_MAX - gpa ? areas_gap(&s->ledger.areas, USER_MIN, s->ledger.top, len) : 0;
    if (!va)
        return err_set(e, -ENOMEM, "shared memory of %llu bytes: no room in the sandbox's addresses",
                       (unsigned long long)len);
    const struct share h = {.va = va, .gpa = gpa, .len = len, .host = host, .is_writable = is_writable};
    int rc = vm ? vm_map_ram(vm, gpa, len, host, !is_writable, e) : 0;
    if (rc) return rc;
    rc = map_one(s, &h);
    s->share[s->shares] = h;
    s->share[s->shares++].is_mapped = rc == 0; /* else the slot stays, and nothing leads to it */
    if (rc == 0) return (int64_t)va;
    return err_set(e, rc, "shared memory of %llu bytes: no room for its tables", (unsigned long long)len);
}

uint8_t *space_host(const struct space *s, uint64_t gpa)
{
    if (gpa_is_frame(s, gpa)) return s->base + gpa;
    for (unsigned i = 0; i < s->shares; i++)
        if (gpa - s->share[i].gpa < s->share[i].len) return s->share[i].host + (gpa - s->share[i].gpa);
    return NULL;
}

/* The mapping of RAM: the host address is congruent to the guest address modulo 2 MiB, so that one huge page of the
 * host can back one of the guest. The first 2 MiB of a region keep small pages: boot tables and small guests live
 * there, and a guest that touches four pages shall cost four pages, not a huge one. */
#include "vmm/core/gmem.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

#include "vmm/base/checked.h"
#include "vmm/base/pages.h"
#include "vmm/core/hugetlb.h"

#define HUGE_PAGE (UINT64_C(2) << 20) /* of x86-64 and of arm64 with 4 KiB pages */
#define MIB       (UINT64_C(1) << 20)

#define LOOK_PAGES 8192 /* asked about at once: 32 MiB a system call, from a stack of 256 KiB */

void gmem_init(struct gmem *m)
{
    *m = (struct gmem){0};
}

void gmem_fini(struct gmem *m)
{
    for (unsigned i = 0; i < m->count; i++) {
        if (m->region[i].is_owned) munmap(m->region[i].host, m->region[i].size);
    }
    gmem_init(m);
}

static int check_place(const struct gmem *m, uint64_t gpa, uint64_t size, struct err *e)
{
    assert(!m->is_frozen);
    if (size == 0) return err_set(e, -EINVAL, "guest memory at 0x%llx: the size is 0", (unsigned long long)gpa);
    if (size - 1 > UINT64_MAX - gpa) {
        return err_set(e, -EINVAL, "guest memory at 0x%llx: 0x%llx bytes reach beyond the address space",
                       (unsigned long long)gpa, (unsigned long long)size);
    }
    for (unsigned i = 0; i < m->count; i++) {
        const struct gmem_region *r = &m->region[i];
        const bool is_apart = gpa > r->gpa ? gpa - r->gpa >= r->size : r->gpa - gpa >= size;
        if (is_apart) continue;
        return err_set(e, -EEXIST, "guest memory at 0x%llx: overlaps the memory at 0x%llx", (unsigned long long)gpa,
                       (unsigned long long)r->gpa);
    }
    if (m->count == GMEM_MAX_REGIONS) {
        return err_set(e, -ENOSPC, "guest memory at 0x%llx: there are %d regions already", (unsigned long long)gpa,
                       GMEM_MAX_REGIONS);
    }
    return 0;
}

static void insert(struct gmem *m, const struct gmem_region *r)
{
    unsigned at = m->count++;
    for (; at > 0 && m->region[at - 1].gpa > r->gpa; at--) m->region[at] = m->region[at - 1];
    m->region[at] = *r;
}

/* Memory the host does not have can't be promised, though mmap would. */
static int check_host_has(const struct gmem *m, uint64_t size, struct err *e)
{
    struct sysinfo info;
    uint64_t wanted;
    if (sysinfo(&info) < 0) return err_errno(e, "sysinfo");
    const uint64_t host = (uint64_t)info.totalram * info.mem_unit;
    if (!checked_add(gmem_total(m), size, &wanted)) wanted = UINT64_MAX;
    if (wanted <= host) return 0;
    const int rc = err_set(e, -ENOMEM, "guest memory: %llu MiB are more than this host's %llu MiB",
                           (unsigned long long)(wanted / MIB), (unsigned long long)(host / MIB));
    err_hint(e, "give the guest at most %lluM of memory", (unsigned long long)(host / MIB));
    err_as(e, ERR_HOST);
    return rc;
}

/* Map size bytes at an address congruent to gpa modulo 2 MiB: map more, and give back what is before and after. */
static uint8_t *map_congruent(uint64_t gpa, uint64_t size)
{
    const uint64_t whole = size + HUGE_PAGE;
    uint8_t *base = pages_map(whole, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
    if (!base) return NULL;
    const uint64_t before = (gpa - (uintptr_t)base) % HUGE_PAGE;
    const uint64_t after = HUGE_PAGE - before;
    if (before > 0) munmap(base, before);
    munmap(base + before + size, after);
    return base + before;
}

static int map_small(uint8_t **out, uint64_t gpa, uint64_t size, struct err *e)
{
    *out = map_congruent(gpa, size);
    if (*out) return 0;
    const int rc = err_errno(e, "guest memory: map %llu MiB", (unsigned long long)(size / MIB));
    err_hint(e, "give the guest less memory, or look at ulimit -v and vm.overcommit_memory");
    err_as(e, ERR_HOST);
    return rc;
}

/* Advice only: a kernel without transparent huge pages refuses, and nothing is lost but speed. */
static void advise(const struct gmem_region *r, enum gmem_pages pages)
{
    const uint64_t first = HUGE_PAGE - r->gpa % HUGE_PAGE;
    const uint64_t small = pages == GMEM_PAGES_SMALL || first > r->size ? r->size : first;
    (void)madvise(r->host, small, MADV_NOHUGEPAGE);
    if (small < r->size) (void)madvise(r->host + small, r->size - small, MADV_HUGEPAGE);
}

int gmem_add_ram(struct gmem *m, uint64_t gpa, uint64_t size, struct err *e)
{
    const bool is_reserved = m->pages == GMEM_PAGES_2M || m->pages == GMEM_PAGES_1G;
    const uint64_t page = !is_reserved ? GMEM_PAGE : m->pages == GMEM_PAGES_1G ? HUGETLB_1G : HUGETLB_2M;
    struct gmem_region r = {.gpa = gpa, .size = size, .is_owned = true};
    int rc = check_place(m, gpa, size, e);
    if (rc == 0 && (gpa | size) % page != 0) {
        rc = err_set(e, -EINVAL, "guest memory at 0x%llx: 0x%llx bytes are not whole pages", (unsigned long long)gpa,
                     (unsigned long long)size);
    }
    if (rc == 0) rc = check_host_has(m, size, e);
    if (rc == 0)
        rc = is_reserved ? hugetlb_map(&r.host, page, size, gmem_total(m), e) : map_small(&r.host, gpa, size, e);
    if (rc != 0) return rc;
    (void)madvise(r.host, size, MADV_DONTDUMP);
    if (!is_reserved) advise(&r, m->pages);
    insert(m, &r);
    return 0;
}

int gmem_add_host(struct gmem *m, uint64_t gpa, uint64_t size, void *host, struct err *e)
{
    const int rc = check_place(m, gpa, size, e);
    if (rc == 0) insert(m, &(struct gmem_region){.gpa = gpa, .size = size, .host = host});
    return rc;
}

void gmem_freeze(struct gmem *m)
{
    m->is_frozen = true;
}

void *gmem_slice(const struct gmem *m, uint64_t gpa, uint64_t len, enum gmem_access access)
{
    (void)access; /* every region is RAM */
    for (unsigned i = 0; i < m->count; i++) {
        const struct gmem_region *r = &m->region[i];
        const uint64_t off = gpa - r->gpa; /* wraps to a huge number below the region */
        if (off < r->size) return len <= r->size - off ? r->host + off : NULL;
    }
    return NULL;
}

int gmem_read(const struct gmem *m, uint64_t gpa, void *buf, uint64_t len)
{
    const void *p = gmem_slice(m, gpa, len, GMEM_READ);
    if (!p) return -EFAULT;
    if (len > 0) memcpy(buf, p, len);
    return 0;
}

int gmem_write(const struct gmem *m, uint64_t gpa, const void *buf, uint64_t len)
{
    void *p = gmem_slice(m, gpa, len, GMEM_WRITE);
    if (!p) return -EFAULT;
    if (len > 0) memcpy(p, buf, len);
    return 0;
}

uint64_t gmem_total(const struct gmem *m)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < m->count; i++) total += m->region[i].size;
    return total;
}

/* Of one region: mincore(2) tells of each page whether it is there. */
static uint64_t resident_of(const struct gmem_region *r)
{
    unsigned char is_there[LOOK_PAGES];
    uint64_t pages = 0;
    for (uint64_t at = 0; at < r->size; at += (uint64_t)LOOK_PAGES * GMEM_PAGE) {
        const uint64_t rest = r->size - at, most = (uint64_t)LOOK_PAGES * GMEM_PAGE;
        const uint64_t len = rest < most ? rest : most;
        if (mincore(r->host + at, len, is_there) < 0) continue;
        for (uint64_t i = 0; i < len / GMEM_PAGE; i++) pages += is_there[i] & 1u;
    }
    return pages * GMEM_PAGE;
}

uint64_t gmem_resident(const struct gmem *m)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < m->count; i++) bytes += resident_of(&m->region[i]);
    return bytes;
}

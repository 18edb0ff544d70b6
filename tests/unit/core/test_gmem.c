#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

#include "tests/unit/core/reserve.h"
#include "vmm/core/gmem.h"

#define HUGE_PAGE (UINT64_C(2) << 20)

/* Random tables over a small address space, every address and length, against a map from byte to host address. */
#define SPACE 96

static void fill_at_random(struct gmem *m, uint64_t origin, uint8_t *arena, int host_of[SPACE])
{
    int used = 0;
    for (int i = 0; i < SPACE; i++) host_of[i] = -1;
    gmem_init(m);
    for (int tries = 0; tries < 12; tries++) {
        const int from = rand() % SPACE, len = 1 + rand() % 30;
        if (from + len > SPACE || m->count == GMEM_MAX_REGIONS) continue;
        bool is_free = true;
        for (int i = from; i < from + len; i++) is_free = is_free && host_of[i] < 0;
        const int rc = gmem_add_host(m, origin + (uint64_t)from, (uint64_t)len, arena + used, NULL);
        assert_int_equal(rc, is_free ? 0 : -EEXIST);
        if (rc != 0) continue;
        for (int i = 0; i < len; i++) host_of[from + i] = used + i;
        used += len + 1; /* a gap: neighbours in the guest are no neighbours in the host */
    }
    gmem_freeze(m);
}

static void slice_agrees_with_a_byte_map(void **state)
{
    (void)state;
    static uint8_t arena[GMEM_MAX_REGIONS * 64];
    const uint64_t origins[] = {0, 0x40000000, UINT64_MAX - SPACE + 1};
    srand(1);
    for (size_t round = 0; round < 60; round++) {
        struct gmem m;
        int host_of[SPACE];
        const uint64_t origin = origins[round % COUNT_OF(origins)];
        fill_at_random(&m, origin, arena, host_of);
        for (int at = 0; at < SPACE; at++) {
            bool is_inside = host_of[at] >= 0;
            for (int len = 0; len <= SPACE + 2; len++) {
                const int last = at + len - 1;
                if (len > 0) is_inside = is_inside && last < SPACE && host_of[last] == host_of[at] + len - 1;
                const uint8_t *want = is_inside ? arena + host_of[at] : NULL;
                assert_ptr_equal(gmem_slice(&m, origin + (uint64_t)at, (uint64_t)len, GMEM_READ), want);
                assert_ptr_equal(gmem_slice(&m, origin + (uint64_t)at, (uint64_t)len, GMEM_WRITE), want);
            }
        }
        gmem_fini(&m);
    }
}

static void slice_never_wraps(void **state)
{
    (void)state;
    static const struct {
        uint64_t gpa, len;
    } cases[] = {
        {0x1000, UINT64_MAX},
        {0x1000, UINT64_MAX - 0xfff},
        {0x1fff, UINT64_MAX},
        {0x1fff, 2},
        {0x1800, UINT64_C(1) << 63},
        {UINT64_MAX, 1},
        {UINT64_MAX, 0},
        {0x2000, 0},
        {UINT64_MAX - 0xfff, 0x3000},
        {0x0fff, 1},
        {0x0fff, 0x1001},
        {0, UINT64_MAX},
        {0x1000 + (UINT64_C(1) << 32), 1},
    };
    static uint8_t page[0x1000];
    struct gmem m;
    gmem_init(&m);
    assert_int_equal(gmem_add_host(&m, 0x1000, sizeof(page), page, NULL), 0);
    gmem_freeze(&m);
    for (size_t i = 0; i < COUNT_OF(cases); i++) assert_null(gmem_slice(&m, cases[i].gpa, cases[i].len, GMEM_READ));
    assert_ptr_equal(gmem_slice(&m, 0x1fff, 1, GMEM_READ), page + 0xfff);
}

static void slice_does_not_cross_adjacent_regions(void **state)
{
    (void)state;
    static uint8_t page[0x2000];
    struct gmem m;
    gmem_init(&m);
    assert_int_equal(gmem_add_host(&m, 0x2000, 0x1000, page + 0x1000, NULL), 0);
    assert_int_equal(gmem_add_host(&m, 0x1000, 0x1000, page, NULL), 0);
    assert_ptr_equal(gmem_slice(&m, 0x1fff, 1, GMEM_READ), page + 0xfff);
    assert_ptr_equal(gmem_slice(&m, 0x2000, 1, GMEM_READ), page + 0x1000);
    assert_null(gmem_slice(&m, 0x1fff, 2, GMEM_READ));
    assert_int_equal(gmem_total(&m), 0x2000);
}

static void copies_are_whole_or_not_at_all(void **state)
{
    (void)state;
    uint8_t page[64] = {0}, buf[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct gmem m;
    gmem_init(&m);
    assert_int_equal(gmem_add_host(&m, 100, sizeof(page), page, NULL), 0);
    gmem_freeze(&m);
    assert_int_equal(gmem_write(&m, 160, buf, sizeof(buf)), -EFAULT);
    for (size_t i = 0; i < sizeof(page); i++) assert_int_equal(page[i], 0);
    assert_int_equal(gmem_write(&m, 156, buf, sizeof(buf)), 0);
    assert_memory_equal(page + 56, buf, sizeof(buf));
    uint8_t back[8] = {0};
    assert_int_equal(gmem_read(&m, 157, back, sizeof(back)), -EFAULT);
    assert_int_equal(back[0], 0);
    assert_int_equal(gmem_read(&m, 156, back, sizeof(back)), 0);
    assert_memory_equal(back, buf, sizeof(buf));
    assert_int_equal(gmem_read(&m, 100, NULL, 0), 0);
}

static void add_refuses_what_cannot_be(void **state)
{
    (void)state;
    static const struct {
        uint64_t gpa, size;
        int rc;
    } cases[] = {
        /* with a page of RAM at 0x10000 */
        {0x10000, 0x1000, -EEXIST}, {0xf000, 0x2000, -EEXIST}, {0x20000, 0, -EINVAL},
        {0x20001, 0x1000, -EINVAL}, {0x20000, 0x800, -EINVAL}, {UINT64_MAX - 0xfff, 0x2000, -EINVAL},
        {0xf000, 0x1000, 0},        {0x11000, 0x1000, 0},      {UINT64_MAX - 0xfff, 0x1000, 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct gmem m;
        struct err e = {0};
        gmem_init(&m);
        assert_int_equal(gmem_add_ram(&m, 0x10000, 0x1000, NULL), 0);
        assert_int_equal(gmem_add_ram(&m, cases[i].gpa, cases[i].size, &e), cases[i].rc);
        assert_int_equal(m.count, cases[i].rc == 0 ? 2 : 1);
        if (cases[i].rc != 0) assert_contains(e.text, "guest memory at 0x");
        gmem_fini(&m);
    }
}

static void a_full_table_refuses_one_more(void **state)
{
    (void)state;
    struct gmem m;
    gmem_init(&m);
    for (uint64_t i = 0; i <= GMEM_MAX_REGIONS; i++) {
        assert_int_equal(gmem_add_ram(&m, i << 32, 0x1000, NULL), i < GMEM_MAX_REGIONS ? 0 : -ENOSPC);
    }
    gmem_fini(&m);
}

static void more_memory_than_the_host_has_is_refused(void **state)
{
    (void)state;
    struct sysinfo info;
    assert_int_equal(sysinfo(&info), 0);
    const uint64_t host = (uint64_t)info.totalram * info.mem_unit / GMEM_PAGE * GMEM_PAGE;
    const uint64_t sizes[] = {host + GMEM_PAGE, UINT64_C(1) << 62, UINT64_MAX - 0xfff};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct gmem m;
        struct err e = {0};
        gmem_init(&m);
        assert_int_equal(gmem_add_ram(&m, 0, sizes[i], &e), -ENOMEM);
        assert_int_equal(e.kind, ERR_HOST);
        assert_contains(e.text, "more than this host's");
        assert_contains(e.hint, "at most");
        assert_int_equal(m.count, 0);
        gmem_fini(&m);
    }
    /* Two regions count together. */
    struct gmem m;
    gmem_init(&m);
    assert_int_equal(gmem_add_ram(&m, 0, GMEM_PAGE, NULL), 0);
    assert_int_equal(gmem_add_ram(&m, GMEM_PAGE, host, NULL), -ENOMEM);
    gmem_fini(&m);
}

/* The linker sends the library's mmap here (tests/unit/base/base.mk): the host refuses while this is set. */
static bool mmap_fails;
/* Or it gives ordinary pages where huge ones are asked for. */
static bool mmap_is_generous;
/* What the cgroups of this process leave of huge pages: as they are, but for a test. */
static uint64_t huge_left;
uint64_t __real_groups_huge_left(const char *groups, const char *root, const char *page);
uint64_t __wrap_groups_huge_left(const char *groups, const char *root, const char *page);
uint64_t __wrap_groups_huge_left(const char *groups, const char *root, const char *page)
{
    return huge_left ? huge_left : __real_groups_huge_left(groups, root, page);
}

void *__real_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off)
{
    if (mmap_is_generous) flags &= ~MAP_HUGETLB;
    if (!mmap_fails) return __real_mmap(at, len, prot, flags, fd, off);
    errno = ENOMEM;
    return MAP_FAILED;
}

static void a_host_that_will_not_map_is_reported(void **state)
{
    (void)state;
    struct gmem m;
    struct err e = {0};
    gmem_init(&m);
    mmap_fails = true;
    const int rc = gmem_add_ram(&m, 0, 8 * HUGE_PAGE, &e);
    mmap_fails = false;
    assert_int_equal(rc, -ENOMEM);
    assert_int_equal(e.kind, ERR_HOST);
    assert_contains(e.text, "guest memory: map 16 MiB: ");
    assert_true(e.hint[0] != '\0');
    assert_int_equal(m.count, 0);
    gmem_fini(&m);
}

static void ram_is_zero_and_congruent_to_its_guest_address(void **state)
{
    (void)state;
    const uint64_t gpas[] = {0, 0x1000, HUGE_PAGE - 0x1000, HUGE_PAGE, 0x40000000, (UINT64_C(4) << 30) + 0x5000};
    for (size_t i = 0; i < COUNT_OF(gpas); i++) {
        struct gmem m;
        gmem_init(&m);
        const uint64_t size = 2 * HUGE_PAGE + 0x3000;
        assert_int_equal(gmem_add_ram(&m, gpas[i], size, NULL), 0);
        gmem_freeze(&m);
        uint8_t *p = gmem_slice(&m, gpas[i], size, GMEM_WRITE);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % HUGE_PAGE, gpas[i] % HUGE_PAGE);
        assert_int_equal(p[0] | p[size - 1], 0);
        p[0] = p[size - 1] = 1; /* both ends are mapped */
        gmem_fini(&m);
    }
}

static void flags_at(const void *p, char *out, size_t size)
{
    mapping_line(p, "VmFlags:", out, size);
}

static void ram_stays_out_of_core_dumps_and_has_huge_pages_above_2m(void **state)
{
    (void)state;
    char flags[512];
    struct gmem m;
    gmem_init(&m);
    assert_int_equal(gmem_add_ram(&m, 0, 4 * HUGE_PAGE, NULL), 0);
    uint8_t *p = gmem_slice(&m, 0, 1, GMEM_READ);
    flags_at(p, flags, sizeof(flags));
    assert_contains(flags, " dd");
    if (strstr(flags, " hg")) fail_msg("the first 2 MiB ask for huge pages");
    flags_at(p + HUGE_PAGE, flags, sizeof(flags));
    assert_contains(flags, " dd");
    assert_contains(flags, " hg");
    gmem_fini(&m);
}

static void small_pages_are_small_in_all_of_the_ram(void **state)
{
    (void)state;
    char flags[512];
    struct gmem m;
    gmem_init(&m);
    m.pages = GMEM_PAGES_SMALL;
    assert_int_equal(gmem_add_ram(&m, 0, 4 * HUGE_PAGE, NULL), 0);
    uint8_t *p = gmem_slice(&m, 0, 1, GMEM_READ);
    for (unsigned i = 0; i < 4; i++) {
        flags_at(p + i * HUGE_PAGE, flags, sizeof(flags));
        assert_contains(flags, " nh");
        assert_contains(flags, " dd");
    }
    p[3 * HUGE_PAGE] = 1;
    assert_int_equal(gmem_resident(&m), GMEM_PAGE);
    gmem_fini(&m);
}

static void reserved_pages_are_whole_pages(void **state)
{
    (void)state;
    static const struct {
        enum gmem_pages pages;
        uint64_t gpa, size;
    } rows[] = {{GMEM_PAGES_2M, 0, HUGE_PAGE + GMEM_PAGE},
                {GMEM_PAGES_2M, GMEM_PAGE, HUGE_PAGE},
                {GMEM_PAGES_1G, 0, HUGE_PAGE},
                {GMEM_PAGES_1G, HUGE_PAGE, 512 * HUGE_PAGE}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct gmem m;
        struct err e = {0};
        gmem_init(&m);
        m.pages = rows[i].pages;
        assert_int_equal(gmem_add_ram(&m, rows[i].gpa, rows[i].size, &e), -EINVAL);
        assert_contains(e.text, "not whole pages");
        assert_int_equal(m.count, 0);
        gmem_fini(&m);
    }
}

/* All of a host's memory is never set aside. */
static void too_few_reserved_pages_are_counted_and_the_way_out_told(void **state)
{
    (void)state;
    struct sysinfo info;
    struct gmem m;
    struct err e = {0};
    assert_int_equal(sysinfo(&info), 0);
    const uint64_t pages = (uint64_t)info.totalram * info.mem_unit / HUGE_PAGE;
    char part[64];
    (void)snprintf(part, sizeof(part), "takes %llu of the host's huge pages of 2 MiB", (unsigned long long)pages);
    gmem_init(&m);
    m.pages = GMEM_PAGES_2M;
    const int rc = gmem_add_ram(&m, 0, pages * HUGE_PAGE, &e);
    if (rc == -ENOTSUP) skip();
    assert_int_equal(rc, -ENOMEM);
    assert_int_equal(e.kind, ERR_HOST);
    assert_contains(e.text, part);
    assert_contains(e.text, " are free");
    assert_contains(e.hint, "nr_hugepages");
    assert_int_equal(m.count, 0);
    gmem_fini(&m);
}

static void a_host_with_reserved_pages_that_will_not_map_names_the_limits(void **state)
{
    (void)state;
    struct gmem m;
    struct err e = {0};
    reserve_pages(2);
    gmem_init(&m);
    m.pages = GMEM_PAGES_2M;
    mmap_fails = true;
    const int rc = gmem_add_ram(&m, 0, 2 * HUGE_PAGE, &e);
    mmap_fails = false;
    assert_int_equal(rc, -ENOMEM);
    assert_contains(e.text, "reserve 2 huge pages of 2 MiB: ");
    assert_contains(e.hint, "hugetlb.2MB.rsvd.max");
    gmem_fini(&m);
}

/* None of a guest's regions is touched yet when the next one is added, so the group doesn't count them. */
static void a_groups_limit_is_for_all_regions_of_a_guest(void **state)
{
    (void)state;
    struct gmem m;
    struct err e = {0};
    gmem_init(&m);
    m.pages = GMEM_PAGES_2M;
    huge_left = 4 * HUGE_PAGE;
    mmap_is_generous = true;
    const int first = gmem_add_ram(&m, 0, 3 * HUGE_PAGE, &e);
    const int second = gmem_add_ram(&m, 8 * HUGE_PAGE, 2 * HUGE_PAGE, &e);
    huge_left = 0;
    mmap_is_generous = false;
    assert_int_equal(first, 0);
    assert_int_equal(second, -ENOMEM);
    assert_contains(e.text, "allows 8 MiB more in pages of 2 MiB, and the guest is given 10 MiB");
    gmem_fini(&m);
}

static void reserved_pages_are_huge_and_given_back(void **state)
{
    (void)state;
    char line[512];
    struct gmem m;
    struct err e = {0};
    reserve_pages(2);
    const unsigned before = reserve_free();
    gmem_init(&m);
    m.pages = GMEM_PAGES_2M;
    if (gmem_add_ram(&m, 4 * HUGE_PAGE, 2 * HUGE_PAGE, &e)) fail_msg("%s", e.text);
    uint8_t *p = gmem_slice(&m, 4 * HUGE_PAGE, 2 * HUGE_PAGE, GMEM_WRITE);
    assert_int_equal(reserve_free(), before - 2); /* before any is touched */
    assert_int_equal((uintptr_t)p % HUGE_PAGE, 0);
    assert_int_equal(gmem_resident(&m), 0);
    p[HUGE_PAGE] = 1;
    assert_int_equal(gmem_resident(&m), HUGE_PAGE);
    mapping_line(p, "KernelPageSize:", line, sizeof(line));
    assert_contains(line, "2048 kB");
    flags_at(p, line, sizeof(line));
    assert_contains(line, " dd"); /* no core dump has it, no child of fork(2) */
    assert_contains(line, " dc");
    gmem_fini(&m);
    assert_int_equal(reserve_free(), before);
}

static void fini_unmaps_ram_and_only_ram(void **state)
{
    (void)state;
    char flags[512];
    static uint8_t page[0x1000];
    struct gmem m;
    gmem_init(&m);
    assert_int_equal(gmem_add_ram(&m, 0, 2 * HUGE_PAGE, NULL), 0);
    assert_int_equal(gmem_add_host(&m, UINT64_C(1) << 32, sizeof(page), page, NULL), 0);
    const uint8_t *ram = gmem_slice(&m, 0, 1, GMEM_READ);
    flags_at(ram, flags, sizeof(flags));
    assert_true(flags[0] != '\0');
    gmem_fini(&m);
    flags_at(ram, flags, sizeof(flags));
    assert_string_equal(flags, "");
    page[0] = 1;
    gmem_fini(&m);
    assert_int_equal(gmem_total(&m), 0);
}

UNIT_MAIN(UNIT(slice_agrees_with_a_byte_map), UNIT(slice_never_wraps), UNIT(slice_does_not_cross_adjacent_regions),
          UNIT(copies_are_whole_or_not_at_all), UNIT(add_refuses_what_cannot_be), UNIT(a_full_table_refuses_one_more),
          UNIT(more_memory_than_the_host_has_is_refused), UNIT(a_host_that_will_not_map_is_reported),
          UNIT(ram_is_zero_and_congruent_to_its_guest_address),
          UNIT(ram_stays_out_of_core_dumps_and_has_huge_pages_above_2m), UNIT(small_pages_are_small_in_all_of_the_ram),
          UNIT(reserved_pages_are_whole_pages), UNIT(too_few_reserved_pages_are_counted_and_the_way_out_told),
          UNIT(a_host_with_reserved_pages_that_will_not_map_names_the_limits),
          UNIT(a_groups_limit_is_for_all_regions_of_a_guest), UNIT(reserved_pages_are_huge_and_given_back),
          UNIT(fini_unmaps_ram_and_only_ram))

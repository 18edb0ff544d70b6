#include "vmm/core/hugetlb.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/base/groups.h"
#include "vmm/base/pages.h"

#define HUGE_SHIFT 26 /* MAP_HUGE_SHIFT of mmap(2): above it stands the logarithm of the page's size */

struct kind {
    const char *shown; /* to people */
    const char *group; /* in the names of a cgroup's files */
    const char *dir;   /* what the host says of them */
    int flags;         /* of mmap */
};

static const struct kind *kind_of(uint64_t page)
{
    static const struct kind kinds[] = {
        {"2 MiB", "2MB", "/sys/kernel/mm/hugepages/hugepages-2048kB", 21 << HUGE_SHIFT},
        {"1 GiB", "1GB", "/sys/kernel/mm/hugepages/hugepages-1048576kB", 30 << HUGE_SHIFT},
    };
    return &kinds[page == HUGETLB_1G];
}

/* 0: also where the file can't be read. */
static unsigned long long read_count(const struct kind *k, const char *file)
{
    char path[96], text[24] = "";
    (void)snprintf(path, sizeof(path), "%s/%s", k->dir, file);
    const int fd = fd_own(open(path, O_RDONLY | O_CLOEXEC));
    if (fd < 0) return 0;
    const ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    return n > 0 ? strtoull(text, NULL, 10) : 0;
}

/* Why mmap refused, by errno and by what the host says now. */
static int refused(const struct kind *k, unsigned long long wanted, struct err *e)
{
    const int error = errno;
    const unsigned long long all = read_count(k, "nr_hugepages"), idle = read_count(k, "free_hugepages"),
                             promised = read_count(k, "resv_hugepages");
    const unsigned long long left = idle > promised ? idle - promised : 0;
    int rc = -error;
    if (access(k->dir, F_OK) < 0 || error == EINVAL) {
        rc = err_set(e, -ENOTSUP, "guest memory: this host has no huge pages of %s", k->shown);
        err_hint(e, "use another size of huge-pages, or advise");
    } else if (error == ENOMEM && left < wanted) {
        rc = err_set(e, -ENOMEM, "guest memory: takes %llu of the host's huge pages of %s, and %llu are free", wanted,
                     k->shown, left);
        err_hint(e, "as root: echo %llu > %s/nr_hugepages; or use huge-pages advise", all + wanted - left, k->dir);
    } else {
        errno = error;
        err_errno(e, "guest memory: reserve %llu huge pages of %s", wanted, k->shown);
        err_hint(e, "look at ulimit -v, and at hugetlb.%s.rsvd.max of the cgroups of this process", k->group);
    }
    err_as(e, ERR_HOST);
    return rc;
}

/* The controller refuses a page when it is touched, not when it is reserved, and by then the guest runs. */
static int check_groups(const struct kind *k, uint64_t size, struct err *e)
{
    char groups[GROUPS_MAX];
    (void)groups_read(0, groups); /* absent: no cgroups, no limit */
    const uint64_t left = groups_huge_left(groups, GROUPS_ROOT, k->group);
    if (size <= left) return 0;
    const int rc = err_set(e, -ENOMEM,
                           "guest memory: a cgroup of this process allows %llu MiB more in pages of %s, "
                           "and the guest is given %llu MiB",
                           (unsigned long long)(left >> 20), k->shown, (unsigned long long)(size >> 20));
    err_hint(e, "raise hugetlb.%s.max there, or give the guest less memory", k->group);
    err_as(e, ERR_HOST);
    return rc;
}

int hugetlb_map(uint8_t **out, uint64_t page, uint64_t size, uint64_t before, struct err *e)
{
    const struct kind *k = kind_of(page);
    assert((page == HUGETLB_2M || page == HUGETLB_1G) && size > 0 && size % page == 0);
    const int rc = check_groups(k, before + size, e);
    if (rc) return rc;
    uint8_t *p = pages_map(size, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | k->flags, -1);
    if (!p) return refused(k, size / page, e);
    *out = p;
    return 0;
}

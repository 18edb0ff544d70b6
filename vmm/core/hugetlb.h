/* Memory of huge pages that the host has set aside (hugetlbfs; hugetlbpage.rst in the kernel's documentation).
 *
 * All pages of a mapping are reserved when it is made, so no later access can fail for want of one; the host clears
 * each when it is first touched. Nothing else can use them meanwhile, they are never swapped, and a memory cgroup does
 * not count them: the hugetlb controller does, when they are touched. Any thread. */
#ifndef VIREO_CORE_HUGETLB_H
#define VIREO_CORE_HUGETLB_H

#include <stdint.h>

#include "vmm/base/err.h"

#define HUGETLB_2M (UINT64_C(2) << 20)
#define HUGETLB_1G (UINT64_C(1) << 30)

/* Map size bytes of pages of one of these two sizes: a multiple of page, > 0. before: bytes that the same guest was
 * given already, and has not touched. *out is a multiple of page, not there in a child of fork(2), and the caller's to
 * munmap. ERR_HOST when the host hasn't so many: the sentence says how many it has, the hint how to set more aside. */
int hugetlb_map(uint8_t **out, uint64_t page, uint64_t size, uint64_t before, struct err *e);

#endif

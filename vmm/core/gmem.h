/* Guest memory: the one door from a guest physical address to a pointer.
 *
 * Regions are added while the machine is built, then frozen; from then on the table never changes, so every function
 * is a pure function of it and any thread may call it without a lock. Memory is anonymous, of pages that the host gives
 * as the guest touches them or of huge ones that are reserved up front, never executable, and not there in a child of
 * fork(2). */
#ifndef VIREO_CORE_GMEM_H
#define VIREO_CORE_GMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/err.h"

#define GMEM_MAX_REGIONS 8 /* RAM below and above the hole, a ROM or two, tests */
#define GMEM_PAGE        4096

/* What the host is asked to back RAM with. */
enum gmem_pages {
    GMEM_PAGES_ADVISE, /* small ones, and transparent huge ones above a region's first 2 MiB: faster, and coarser */
    GMEM_PAGES_SMALL,  /* none but small ones: a guest costs what it touches */
    GMEM_PAGES_2M, /* all of it from the host's reserve of huge pages (vmm/core/hugetlb.h): the guest can't run out */
    GMEM_PAGES_1G,
};

enum gmem_access { GMEM_READ, GMEM_WRITE };

struct gmem_region {
    uint64_t gpa;
    uint64_t size;
    uint8_t *host;
    bool is_owned; /* mapped by gmem_add_ram, unmapped by gmem_fini */
};

struct gmem {
    struct gmem_region region[GMEM_MAX_REGIONS]; /* sorted by gpa, not overlapping */
    unsigned count;
    bool is_frozen;
    enum gmem_pages pages; /* of the RAM that is added from now on; after gmem_init GMEM_PAGES_ADVISE */
};

void gmem_init(struct gmem *m);
void gmem_fini(struct gmem *m); /* legal when half built, and twice */

/* Map `size` bytes (> 0) of RAM at gpa, both multiples of the page that m->pages says, of GMEM_PAGE where that is none.
 * ERR_HOST when the host won't give it. */
int gmem_add_ram(struct gmem *m, uint64_t gpa, uint64_t size, struct err *e);
/* Use the caller's memory; it must outlive m. For tests and fuzzers: any alignment. */
int gmem_add_host(struct gmem *m, uint64_t gpa, uint64_t size, void *host, struct err *e);
void gmem_freeze(struct gmem *m);

/* [gpa, gpa+len) as a pointer, or NULL when it is not wholly inside one region. len 0 inside a region is legal.
 * The guest may change what is there at any time: copy out, check, then use. */
void *gmem_slice(const struct gmem *m, uint64_t gpa, uint64_t len, enum gmem_access access);

/* Copy out / in. 0 or -EFAULT (nothing copied). */
int gmem_read(const struct gmem *m, uint64_t gpa, void *buf, uint64_t len);
int gmem_write(const struct gmem *m, uint64_t gpa, const void *buf, uint64_t len);

uint64_t gmem_total(const struct gmem *m); /* bytes */
/* Bytes of it that the host has given pages for. Looks through all of it. */
uint64_t gmem_resident(const struct gmem *m);

#endif

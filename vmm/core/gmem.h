/* Guest memory: the one door from a guest physical address to a pointer.
 *
 * Regions are added while the machine is built, then frozen; from then on the table never changes, so every function
 * is a pure function of it and any thread may call it without a lock. Memory is anonymous, not reserved (the host
 * commits pages as the guest touches them), advised for transparent huge pages, never executable, and not there in a
 * child of fork(2). */
#ifndef VIREO_CORE_GMEM_H
#define VIREO_CORE_GMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/err.h"

#define GMEM_MAX_REGIONS 8 /* RAM below and above the hole, a ROM or two, tests */
#define GMEM_PAGE        4096

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
};

void gmem_init(struct gmem *m);
void gmem_fini(struct gmem *m); /* legal when half built, and twice */

/* Map `size` bytes (page multiple, > 0) of RAM at gpa (page aligned). ERR_HOST when the host won't give it. */
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

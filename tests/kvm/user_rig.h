/* A program of a few instructions in a sandbox's vCPU, for tests of arch/user.h: one VM, page tables of the rig's own,
 * code at RIG_CODE, data at RIG_DATA, a stack below RIG_STACK. Neutral to the architecture. */
#ifndef VIREO_TESTS_USER_RIG_H
#define VIREO_TESTS_USER_RIG_H

#include "arch/user.h"

#define RIG_CODE        0x400000ull /* a page, readable and executable */
#define RIG_DATA        0x600000ull /* four pages, writable */
#define RIG_DATA_PAGES  4u
#define RIG_STACK       0x7ffe00000000ull /* top of sixteen pages */
#define RIG_STACK_PAGES 16u

struct user_rig {
    struct vm vm;
    struct user *user;
    uint8_t *memory, *kernel;
    uint64_t next; /* free page of memory */
    uint64_t root;
};

/* Fails the test that calls it where something can't be made. */
void user_rig_open(struct user_rig *r, const void *code, size_t size);
void user_rig_close(struct user_rig *r);
void user_rig_map(struct user_rig *r, uint64_t va, uint64_t gpa, unsigned prot);
uint8_t *user_rig_at(struct user_rig *r, uint64_t va); /* host pointer to a mapped byte; NULL: not mapped */
struct user_mem user_rig_mem(struct user_rig *r);
enum user_event
user_rig_run(struct user_rig *r); /* kicks and a full ring are gone through; USER_BROKEN fails the test */

#endif

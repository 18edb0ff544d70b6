/* A file that is called a kernel, and the memory that it is to go to. The sentence of a refusal is part of the promise:
 * it names what is wrong. */
#ifndef VIREO_TESTS_X86_LOAD_RIG_H
#define VIREO_TESTS_X86_LOAD_RIG_H

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "arch/x86/layout.h"
#include "arch/x86/load.h"
#include "tests/unit/unit.h"
#include "vmm/base/endian.h"

#define MIB      (1u << 20)
#define RAM_SIZE (32u * MIB)
#define FILE_MAX 65536u

struct rig {
    uint8_t *ram;
    struct gmem mem;
    uint8_t file[FILE_MAX]; /* the image under test */
    size_t size;
    struct loaded loaded;
    struct err err;
};

static inline int setup(void **state)
{
    struct rig *r = calloc(1, sizeof(*r));
    assert_non_null(r);
    r->ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(r->ram, MAP_FAILED);
    gmem_init(&r->mem);
    assert_int_equal(gmem_add_host(&r->mem, 0, RAM_SIZE, r->ram, NULL), 0);
    gmem_freeze(&r->mem);
    *state = r;
    return 0;
}

static inline int teardown(void **state)
{
    struct rig *r = *state;
    gmem_fini(&r->mem);
    munmap(r->ram, RAM_SIZE);
    free(r);
    return 0;
}

/* From memory of exactly the file's size, so that a sanitizer sees a read past its end. */
static inline int load(struct rig *r)
{
    uint8_t *exact = malloc(r->size);
    assert_non_null(exact);
    memcpy(exact, r->file, r->size);
    const struct image img = {.fd = -1, .data = exact, .size = r->size};
    memset(&r->err, 0, sizeof(r->err));
    const int rc = load_kernel(&img, &r->mem, &r->loaded, &r->err);
    free(exact);
    return rc;
}

static inline void assert_loads(struct rig *r)
{
    const int rc = load(r);
    if (rc) fail_msg("refused: %s", r->err.text);
}

static inline void assert_refused(struct rig *r, const char *why)
{
    assert_int_equal(load(r), -ENOEXEC);
    assert_contains(r->err.text, why);
}

#define RIGGED(promise) cmocka_unit_test_setup_teardown(promise, setup, teardown)

#endif

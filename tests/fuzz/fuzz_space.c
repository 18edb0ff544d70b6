/* A sandboxed program's memory: any sequence of what a program may ask of it, in a space of its own or in a clone that
 * is put back in between. Every rule is looked at in the end and after each reset. */
#include "tests/fuzz/fuzz.h"
#include "vmm/sandbox/struct_space.h"

#define BASE 0x3fff0000ull /* below 1 GiB, where tables of two levels end */
#define TOP  0x7ffe00000000ull

/* Mostly near others, sometimes anything. */
static uint64_t take_va(struct script *in)
{
    const uint32_t how = take(in, 1);
    if (how < 200) return BASE + how % 128 * SPACE_PAGE;
    if (how < 240) return TOP - take(in, 2) * 512ull;
    return (uint64_t)take(in, 4) << 32 | take(in, 4);
}

static uint64_t take_len(struct script *in)
{
    const uint32_t how = take(in, 1);
    if (how < 240) return how % 80 * SPACE_PAGE;
    return (uint64_t)take(in, 4) << (how % 16 * 4);
}

static void step(struct space *s, struct script *in)
{
    const uint32_t op = take(in, 1), prot = take(in, 1) % 8;
    const uint64_t va = take_va(in), len = take_len(in);
    uint8_t bytes[64] = {1, 2, 3};
    struct iovec iov[3];
    uint64_t done;
    switch (op % 12) {
    case 0:
    case 1: (void)space_map(s, va, len, prot, op >> 4); break;
    case 2: (void)space_unmap(s, va, len); break;
    case 3: (void)space_protect(s, va, len, prot); break;
    case 4: (void)space_remap(s, va, len, take_len(in), prot & 1, prot & 2 ? take_va(in) : 0); break;
    case 5: (void)space_forget(s, va, len); break;
    case 6: (void)space_brk(s, va); break;
    case 7: (void)space_grow(s, va); break;
    case 8: (void)space_write(s, va, bytes, len % sizeof(bytes)); break;
    case 9: (void)space_read_string(s, va, (char *)bytes, sizeof(bytes)); break;
    case 10:
        for (int n = space_pieces(s, va, len, prot & USER_WRITE, iov, 3, &done); n > 0; n--)
            if (prot & USER_WRITE) memset(iov[n - 1].iov_base, 7, iov[n - 1].iov_len);
        break;
    default: (void)space_is_mapped(s, va, len, prot); break;
    }
}

static void must_be_template(struct space *s, const struct space_template *t, uint64_t hash)
{
    struct vm none = VM_INIT;
    uint64_t pages;
    MUST(space_reset(s, &none, &pages) == 0);
    MUST(!space_is_broken(s));
    MUST(memcmp(s->base, t->base, t->file_pages * SPACE_PAGE) == 0);
    /* What leads to an empty table that the template has not may stay. */
    const uint64_t *now = table_at(s, 0), *then = (const uint64_t *)(const void *)t->tables;
    for (uint64_t i = 0; i < t->file_tables * (uint64_t)USER_TABLE_ENTRIES; i++)
        MUST(now[i] == then[i] || (!then[i] && tables_is_link(now[i])));
    MUST(space_template_hash(t) == hash);
    MUST(s->ledger.used == t->ledger.used && s->ledger.next == t->ledger.next);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script in = {data, size};
    struct space *s, *clone;
    struct space_template *t;
    if (size > 2000 || space_create(&s, SPACE_MEMORY_MIN, NULL)) return 0;
    space_set_stack(s, TOP, 256 * SPACE_PAGE);
    (void)space_map(s, TOP - 4 * SPACE_PAGE, 4 * SPACE_PAGE, USER_READ | USER_WRITE,
                    SPACE_NO_REPLACE | SPACE_GROWS_DOWN);
    space_set_brk(s, BASE + 100 * SPACE_PAGE);
    for (size_t stop = size / 2; in.left > stop;) step(s, &in);
    MUST(!space_is_broken(s));
    if (space_template_create(&t, s, NULL) == 0) {
        const uint64_t hash = space_template_hash(t);
        if (space_create_from(&clone, t, NULL) == 0) {
            for (unsigned n = 1; in.left; n++) {
                step(clone, &in);
                if (n % 16 == 0) must_be_template(clone, t, hash);
            }
            MUST(!space_is_broken(clone));
            must_be_template(clone, t, hash);
            space_destroy(clone);
        }
        space_template_destroy(t);
    }
    space_destroy(s);
    return 0;
}

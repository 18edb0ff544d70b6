/* A program put in place, as execve(2) would: its segments, and the stack that it begins with (System V ABI, AMD64
 * supplement 3.4.1; the same on arm64). */
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "vmm/sandbox/elf.h"

#define STACK_TOP   0x7ffe00000000ull
#define STACK_BEGIN (128ull << 10) /* mapped at once; it grows */
#define BIAS        0x555555554000ull
#define WORDS_MAX   4096u
/* Bytes of arguments and environment: a 64th of what the stack may have. Linux takes a quarter. */
#define BYTES_MAX   (128ull << 10)
#define CLOCK_TICKS 100u

/* A place is chosen among so many pages, less one: 1 TiB, 16 GiB and 32 MiB, as Linux has them or fewer. */
#define BIAS_PAGES  0xfffffffull
#define STACK_PAGES 0x3fffffull
#define BREAK_PAGES 0x1fffull

/* Where things are that could be elsewhere. A hostile program learns it; one that is fed with hostile data may not tell
 * it, and then its gadgets can't be found. So it comes from bytes that the program never sees. */
struct places {
    uint64_t bias, stack_top, brk_gap;
};

static uint64_t page_down(uint64_t va)
{
    return va & ~(SPACE_PAGE - 1);
}

static uint64_t page_up(uint64_t va)
{
    return page_down(va + SPACE_PAGE - 1);
}

static int out_of_memory(struct err *e, const char *what)
{
    err_set(e, -ENOMEM, "sandbox: the program's %s does not fit into its memory", what);
    err_hint(e, "give it more by --memory");
    err_as(e, ERR_KERNEL);
    return -ENOMEM;
}

/* Two segments of equal rights may share a page: then it is there. */
static int load_segment(const struct elf *elf, const struct elf_segment *seg, uint64_t bias, struct space *s,
                        struct err *e)
{
    uint64_t start = page_down(seg->va + bias);
    const uint64_t end = page_up(seg->va + bias + seg->size);
    if (space_is_mapped(s, start, SPACE_PAGE, 0)) start += SPACE_PAGE;
    if (start < USER_MIN) {
        err_set(e, -ENOEXEC, "sandbox: the program wants address 0x%llx, and the lowest is 0x10000",
                (unsigned long long)start);
        err_as(e, ERR_KERNEL);
        return -ENOEXEC;
    }
    if (start < end &&
        space_map(s, start, end - start, seg->prot ? seg->prot : USER_READ, SPACE_FIXED | SPACE_NO_REPLACE) < 0)
        return out_of_memory(e, "image");
    return space_write_any(s, seg->va + bias, elf->file + seg->file_at, seg->file_size) ? out_of_memory(e, "image") : 0;
}

/* ---- the stack ---- */

struct stack {
    struct space *space;
    uint64_t sp;
    bool is_full;
};

static uint64_t push(struct stack *k, const void *bytes, uint64_t len)
{
    k->sp -= len;
    if (space_write(k->space, k->sp, bytes, len)) k->is_full = true;
    return k->sp;
}

/* Strings first, their addresses into out. How many, or -E2BIG. */
static int push_strings(struct stack *k, const char *const *words, uint64_t *out, uint64_t *bytes)
{
    unsigned n = 0;
    for (; words && words[n]; n++) {
        const uint64_t len = strlen(words[n]) + 1;
        *bytes += len;
        if (n == WORDS_MAX || *bytes > BYTES_MAX) return -E2BIG;
        out[n] = push(k, words[n], len);
    }
    return (int)n;
}

/* The words at the bottom of the stack, and the addresses that go into them. */
struct vector {
    uint64_t arg[WORDS_MAX + 1], env[WORDS_MAX + 1];
    uint64_t word[2 * WORDS_MAX + 64];
    unsigned count;
};

static void add(struct vector *v, uint64_t word)
{
    v->word[v->count++] = word;
}

static void add_aux(struct vector *v, const struct elf *elf, const struct elf_image *image, uint64_t random,
                    uint64_t platform, uint64_t name)
{
    const uint64_t aux[][2] = {
        {AT_PHDR, elf->headers_va ? elf->headers_va + image->bias : 0},
        {AT_PHENT, sizeof(Elf64_Phdr)},
        {AT_PHNUM, elf->headers},
        {AT_PAGESZ, SPACE_PAGE},
        {AT_BASE, 0},
        {AT_FLAGS, 0},
        {AT_ENTRY, image->entry},
        {AT_UID, 0},
        {AT_EUID, 0},
        {AT_GID, 0},
        {AT_EGID, 0},
        {AT_SECURE, 0},
        {AT_HWCAP, user_hwcap(AT_HWCAP)},
        {AT_HWCAP2, user_hwcap(AT_HWCAP2)},
        {AT_CLKTCK, CLOCK_TICKS},
        {AT_RANDOM, random},
        {AT_PLATFORM, platform},
        {AT_EXECFN, name},
        {AT_MINSIGSTKSZ, user_signal_size()},
        {AT_NULL, 0},
    };
    for (unsigned i = 0; i < sizeof(aux) / sizeof(aux[0]); i++) {
        add(v, aux[i][0]);
        add(v, aux[i][1]);
    }
}

static int fill_stack(const struct elf *elf, struct space *s, const struct elf_start *start, struct vector *v,
                      struct elf_image *image, struct err *e)
{
    const struct user_machine *own = user_machine();
    struct stack k = {.space = s, .sp = image->sp};
    uint64_t bytes = 0;
    const int args = push_strings(&k, start->argv, v->arg, &bytes);
    const int envs = args < 0 ? args : push_strings(&k, start->envp, v->env, &bytes);
    if (envs < 0) {
        err_set(e, -E2BIG, "sandbox: the program's arguments and environment are more than 128 KiB or 4096 words");
        return -E2BIG;
    }
    const uint64_t random = push(&k, start->random, 16);
    const uint64_t platform = push(&k, own->name, strlen(own->name) + 1);
    v->count = 0;
    add(v, (uint64_t)args);
    for (int i = 0; i < args; i++) add(v, v->arg[i]);
    add(v, 0);
    for (int i = 0; i < envs; i++) add(v, v->env[i]);
    add(v, 0);
    add_aux(v, elf, image, random, platform, args ? v->arg[0] : platform);
    k.sp = ((k.sp - v->count * sizeof(uint64_t)) & ~15ull) + v->count * sizeof(uint64_t);
    image->sp = push(&k, v->word, v->count * sizeof(uint64_t));
    return k.is_full ? out_of_memory(e, "stack") : 0;
}

static int map_stack(struct space *s, uint64_t top, uint64_t size, bool is_executable, struct err *e)
{
    const uint64_t begin = size < STACK_BEGIN + BYTES_MAX ? page_up(size) : STACK_BEGIN + BYTES_MAX;
    const unsigned prot = USER_READ | USER_WRITE | (is_executable ? USER_EXEC : 0u);
    space_set_stack(s, top, page_up(size));
    return space_map(s, top - begin, begin, prot, SPACE_NO_REPLACE | SPACE_GROWS_DOWN) < 0 ? out_of_memory(e, "stack")
                                                                                           : 0;
}

static int choose_places(struct places *p, bool is_random, struct err *e)
{
    uint64_t random[3] = {0};
    if (is_random && getrandom(random, sizeof(random), 0) != sizeof(random)) {
        const int rc = err_errno(e, "sandbox: random bytes of the host's");
        err_as(e, ERR_HOST);
        return rc;
    }
    p->bias = BIAS + (random[0] & BIAS_PAGES) * SPACE_PAGE;
    p->stack_top = STACK_TOP - (random[1] & STACK_PAGES) * SPACE_PAGE;
    p->brk_gap = (random[2] & BREAK_PAGES) * SPACE_PAGE;
    return 0;
}

static int load_segments(const struct elf *elf, struct space *s, struct elf_image *image, struct err *e)
{
    int rc = 0;
    for (unsigned i = 0; !rc && i < elf->segments; i++) {
        const struct elf_segment *seg = &elf->segment[i];
        if (seg->va + seg->size > USER_END - image->bias) return out_of_memory(e, "image");
        rc = load_segment(elf, seg, image->bias, s, e);
        image->end = page_up(seg->va + image->bias + seg->size); /* they are in order */
    }
    return rc;
}

int elf_load(const struct elf *elf, struct space *s, const struct elf_start *start, struct elf_image *out,
             struct err *e)
{
    struct places places = {0};
    struct elf_image image = {0};
    int rc = choose_places(&places, start->is_placed_randomly, e);
    if (rc) return rc;
    image.bias = elf->is_position_independent ? places.bias : 0;
    image.entry = elf->entry + image.bias;
    image.sp = places.stack_top;
    rc = load_segments(elf, s, &image, e);
    if (!rc) rc = map_stack(s, places.stack_top, start->stack_size, elf->has_executable_stack, e);
    if (rc) return rc;
    struct vector *v = calloc(1, sizeof(*v));
    rc = v ? fill_stack(elf, s, start, v, &image, e) : err_set(e, -ENOMEM, "sandbox: no memory");
    free(v);
    if (rc) return rc;
    space_set_brk(s, image.end + places.brk_gap);
    *out = image;
    return 0;
}

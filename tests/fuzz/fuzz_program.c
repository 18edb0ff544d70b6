/* ELF programs for the sandbox: a good one, changed at the places that the input names, then read, searched and put
 * into a small space. */
#include "tests/fuzz/fuzz.h"
#include "tests/unit/sandbox/elf_rig.h"
#include "vmm/sandbox/elf.h"
#include "vmm/sandbox/struct_space.h"

/* Eight bytes somewhere in the headers, mostly to a number that is near something. */
static void change(struct elf_rig *r, struct script *in)
{
    static const uint64_t odd[] = {0,
                                   1,
                                   8,
                                   4095,
                                   4096,
                                   USER_MIN,
                                   USER_END - 4096,
                                   USER_END,
                                   1ull << 47,
                                   UINT64_MAX,
                                   UINT64_MAX - 4095,
                                   0x400000,
                                   0x1000000};
    const size_t at = take(in, 2) % offsetof(struct elf_rig, text);
    const uint32_t how = take(in, 1), size = 1u << how % 4;
    uint64_t value;
    if (how >= 128)
        value = odd[how / 4 % (sizeof(odd) / sizeof(odd[0]))] + take(in, 1);
    else
        value = (uint64_t)take(in, 4) << (how / 4 % 33);
    memcpy((uint8_t *)r + at, &value, size);
}

static void search(const struct elf *elf, struct script *in)
{
    struct elf_symbol symbol;
    for (uint64_t i = 0; i < 64 && elf_symbol(elf, i, &symbol); i++) MUST(strlen(symbol.name) < sizeof(struct elf_rig));
    (void)elf_find(elf, "decode", &symbol);
    (void)elf_find_address(elf, take(in, 4), &symbol);
    (void)elf_find_address(elf, elf->entry, &symbol);
}

static void put_in_place(const struct elf *elf, bool is_random)
{
    static const char *const argv[] = {"prog", "arg", NULL}, *const envp[] = {"A=1", NULL};
    static const uint8_t bytes[16];
    const struct elf_start start = {
        .argv = argv, .envp = envp, .stack_size = 1 << 20, .random = bytes, .is_placed_randomly = is_random};
    struct elf_image image;
    struct space *s;
    if (space_create(&s, 4 * SPACE_MEMORY_MIN, NULL)) return;
    if (elf_load(elf, s, &start, &image, NULL) == 0) {
        MUST(space_is_mapped(s, image.sp, 8, USER_READ | USER_WRITE));
        MUST(space_is_mapped(s, image.entry, 1, USER_EXEC));
        MUST(image.sp % 16 == 0);
    }
    MUST(!space_is_broken(s));
    space_destroy(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script in = {data, size};
    struct elf_rig *r = malloc(sizeof(*r));
    struct elf elf;
    struct err e;
    if (!r) return 0;
    const uint32_t how = take(&in, 1);
    elf_rig_init(r, how & 1 ? RIG_BASE : 0);
    while (in.left) change(r, &in);
    const size_t length = how & 2 ? sizeof(*r) : sizeof(*r) - how * 16;
    uint8_t *file = malloc(length); /* exactly as long, so that a read past its end is seen */
    if (file) memcpy(file, r, length);
    if (file && elf_read(&elf, file, length, "prog", how & 4, &e) == 0) {
        in = (struct script){data, size};
        search(&elf, &in);
        put_in_place(&elf, how & 8);
    }
    free(file);
    free(r);
    return 0;
}

/* ELF programs: what is refused and in which words, and what a program finds when it begins. */
#include "tests/unit/sandbox/elf_rig.h"
#include "tests/unit/sandbox/space_rig.h"

#include "vmm/sandbox/elf.h"

static const uint8_t random_bytes[16] = "0123456789abcde";

static int read_rig(const struct elf_rig *r, bool allow_wx, struct elf *out, struct err *e)
{
    return elf_read(out, r, sizeof(*r), "prog", allow_wx, e);
}

static void a_good_program_is_read(void **state)
{
    (void)state;
    struct elf_rig r;
    struct elf elf;
    elf_rig_init(&r, RIG_BASE);
    assert_int_equal(read_rig(&r, false, &elf, NULL), 0);
    assert_int_equal(elf.segments, 2);
    assert_int_equal(elf.entry, RIG_ENTRY);
    assert_int_equal(elf.headers_va, RIG_BASE + offsetof(struct elf_rig, p));
    assert_int_equal(elf.headers, RIG_HEADERS);
    assert_false(elf.is_position_independent);
}

/* ---- one change each ---- */

static void change_magic(struct elf_rig *r)
{
    r->h.e_ident[1] = 'e';
}
static void change_class(struct elf_rig *r)
{
    r->h.e_ident[EI_CLASS] = ELFCLASS32;
}
static void change_machine(struct elf_rig *r)
{
    r->h.e_machine = EM_S390;
}
static void change_endian(struct elf_rig *r)
{
    r->h.e_ident[EI_DATA] = ELFDATA2MSB;
}
static void change_type(struct elf_rig *r)
{
    r->h.e_type = ET_REL;
}
static void no_headers(struct elf_rig *r)
{
    r->h.e_phnum = 0;
}
static void odd_headers(struct elf_rig *r)
{
    r->h.e_phentsize = 1;
}
static void headers_outside(struct elf_rig *r)
{
    r->h.e_phoff = sizeof(*r) - 8;
}
static void headers_wrap(struct elf_rig *r)
{
    r->h.e_phoff = UINT64_MAX - 8;
}
static void nothing_to_load(struct elf_rig *r)
{
    r->p[0].p_type = r->p[1].p_type = PT_NOTE;
}
static void segment_outside(struct elf_rig *r)
{
    r->p[1].p_filesz = r->p[1].p_memsz = 4097;
}
static void segment_wraps(struct elf_rig *r)
{
    r->p[1].p_offset = UINT64_MAX - 4095;
}
static void file_above_memory(struct elf_rig *r)
{
    r->p[1].p_memsz = 100;
}
static void segment_high(struct elf_rig *r)
{
    r->p[1].p_vaddr = USER_KERNEL_VA;
}
static void segment_huge(struct elf_rig *r)
{
    r->p[1].p_memsz = UINT64_MAX - 100;
}
static void segment_askew(struct elf_rig *r)
{
    r->p[1].p_vaddr += 1;
}
static void segments_overlap(struct elf_rig *r)
{
    r->p[1].p_vaddr = RIG_BASE;
}
static void segments_backwards(struct elf_rig *r)
{
    r->p[1].p_vaddr = RIG_BASE - 0x10000;
}
static void segments_share_a_page(struct elf_rig *r)
{
    r->p[0].p_memsz = 0x2800;
}
static void segment_wx(struct elf_rig *r)
{
    r->p[1].p_flags |= PF_X;
}
static void stack_x(struct elf_rig *r)
{
    r->p[RIG_STACK].p_flags |= PF_X;
}
static void entry_in_data(struct elf_rig *r)
{
    r->h.e_entry = RIG_BASE + 0x2000;
}
static void entry_outside(struct elf_rig *r)
{
    r->h.e_entry = 8;
}
static void wants_a_linker(struct elf_rig *r)
{
    r->p[RIG_EXTRA] = (Elf64_Phdr){.p_type = PT_INTERP, .p_offset = offsetof(struct elf_rig, data), .p_filesz = 16};
    memcpy(r->data, "/lib64/ld-odd.so", 17);
}
static void linker_outside(struct elf_rig *r)
{
    r->p[RIG_EXTRA] = (Elf64_Phdr){.p_type = PT_INTERP, .p_offset = UINT64_MAX - 3, .p_filesz = 16};
}

static const struct {
    void (*change)(struct elf_rig *r);
    const char *says;
} bad[] = {
    {change_magic, "no ELF"},
    {change_class, "32-bit"},
    {change_machine, "another architecture"},
    {change_endian, "another architecture"},
    {change_type, "no executable"},
    {no_headers, "program headers"},
    {odd_headers, "program headers"},
    {headers_outside, "cut short"},
    {headers_wrap, "cut short"},
    {nothing_to_load, "nothing to load"},
    {segment_outside, "outside of the file"},
    {segment_wraps, "outside of the file"},
    {file_above_memory, "outside of the file"},
    {segment_high, "outside of a program's addresses"},
    {segment_huge, "outside of a program's addresses"},
    {segment_askew, "no page can hold"},
    {segments_overlap, "overlap"},
    {segments_backwards, "overlap"},
    {segments_share_a_page, "share a page"},
    {segment_wx, "writable and executable"},
    {stack_x, "stack that can be executed"},
    {entry_in_data, "entry"},
    {entry_outside, "entry"},
    {wants_a_linker, "needs /lib64/ld-odd.so"},
    {linker_outside, "needs a dynamic linker"},
};

static void each_fault_has_its_sentence(void **state)
{
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(bad); i++) {
        struct elf_rig r;
        struct elf elf;
        struct err e = {0};
        elf_rig_init(&r, RIG_BASE);
        bad[i].change(&r);
        assert_true(read_rig(&r, false, &elf, &e) < 0);
        assert_int_equal(e.kind, ERR_KERNEL);
        assert_contains(e.text, "prog");
        assert_contains(e.text, bad[i].says);
    }
}

static void every_shorter_file_is_refused(void **state)
{
    (void)state;
    struct elf_rig r;
    struct elf elf;
    elf_rig_init(&r, RIG_BASE);
    for (size_t size = 0; size < sizeof(r); size++) {
        uint8_t *part = malloc(size + 1);
        assert_non_null(part);
        memcpy(part, &r, size);
        assert_true(elf_read(&elf, part, size, "prog", false, NULL) < 0);
        free(part);
    }
}

static void writable_code_is_a_matter_of_permission(void **state)
{
    (void)state;
    struct elf_rig r;
    struct elf elf;
    elf_rig_init(&r, RIG_BASE);
    segment_wx(&r);
    stack_x(&r);
    assert_int_equal(read_rig(&r, true, &elf, NULL), 0);
    assert_true(elf.has_executable_stack);
}

static void symbols_are_found_global_ones_first(void **state)
{
    (void)state;
    struct elf_rig r;
    struct elf elf;
    struct elf_symbol s;
    elf_rig_init(&r, RIG_BASE);
    assert_int_equal(read_rig(&r, false, &elf, NULL), 0);
    assert_true(elf_find(&elf, "decode", &s));
    assert_int_equal(s.va, RIG_BASE + 0xa00);
    assert_true(elf_find(&elf, "table", &s));
    assert_false(s.is_function);
    assert_false(elf_find(&elf, "", &s));
    assert_false(elf_find(&elf, "decod", &s));
    assert_true(elf_find_address(&elf, RIG_BASE + 0x91f, &s));
    assert_string_equal(s.name, "decode");
    assert_false(elf_find_address(&elf, RIG_BASE + 0x920, &s));
    assert_false(elf_find_address(&elf, RIG_BASE + 0x2000, &s)); /* data */
}

static void broken_symbols_are_no_symbols(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 7; i++) {
        struct elf_rig r;
        struct elf elf;
        struct elf_symbol s;
        elf_rig_init(&r, RIG_BASE);
        switch (i) {
        case 0: r.s[1].sh_size = UINT64_MAX; break;
        case 1: r.s[1].sh_offset = UINT64_MAX; break;
        case 2: r.s[1].sh_link = 77; break;
        case 3: r.names[63] = 'x'; break; /* no end */
        case 4: r.h.e_shoff = UINT64_MAX - 10; break;
        case 5: r.s[1].sh_entsize = 1; break;
        default: r.s[2].sh_size = 0; break;
        }
        assert_int_equal(read_rig(&r, false, &elf, NULL), 0);
        assert_false(elf_find(&elf, "decode", &s));
    }
}

/* ---- put in place ---- */

static uint64_t word_at(const struct space *s, uint64_t va)
{
    uint64_t word;
    assert_int_equal(space_read(s, va, &word, sizeof(word)), 0);
    return word;
}

static void assert_text(const struct space *s, uint64_t va, const char *want)
{
    char text[64];
    assert_true(space_read_string(s, va, text, sizeof(text)) >= 0);
    assert_string_equal(text, want);
}

/* *at: behind the environment. */
static uint64_t aux(const struct space *s, uint64_t at, uint64_t type)
{
    for (; word_at(s, at) != AT_NULL; at += 16)
        if (word_at(s, at) == type) return word_at(s, at + 8);
    fail_msg("no auxiliary value %llu", (unsigned long long)type);
    return 0;
}

static struct elf_image load(struct space *s, struct elf_rig *r, bool is_random)
{
    static const char *const argv[] = {"prog", "-x", NULL}, *const envp[] = {"A=1", NULL};
    const struct elf_start start = {
        .argv = argv, .envp = envp, .stack_size = 8 * MiB, .random = random_bytes, .is_placed_randomly = is_random};
    struct elf elf;
    struct elf_image image;
    assert_int_equal(read_rig(r, false, &elf, NULL), 0);
    assert_int_equal(elf_load(&elf, s, &start, &image, NULL), 0);
    assert_whole(s);
    return image;
}

static void a_program_finds_itself_and_its_arguments(void **state)
{
    (void)state;
    struct elf_rig r;
    struct space *s = space_of(4 * MiB);
    uint8_t data[4096];
    elf_rig_init(&r, RIG_BASE);
    const struct elf_image image = load(s, &r, false);
    assert_int_equal(image.bias, 0);
    assert_int_equal(image.entry, RIG_ENTRY);
    assert_int_equal(image.sp % 16, 0);
    assert_int_equal(space_read(s, RIG_BASE + 0x2000, data, sizeof(data)), 0);
    assert_memory_equal(data, r.data, sizeof(data));
    assert_int_equal(byte_at(s, RIG_BASE + 0x3000), 0);
    assert_true(space_is_mapped(s, RIG_BASE + 0x5fff, 1, RW));
    assert_int_equal(space_write(s, RIG_BASE, "x", 1), -EFAULT); /* code */
    assert_int_equal(space_brk(s, 0), RIG_BASE + 0x6000);
    assert_int_equal(word_at(s, image.sp), 2);
    assert_text(s, word_at(s, image.sp + 8), "prog");
    assert_text(s, word_at(s, image.sp + 16), "-x");
    assert_int_equal(word_at(s, image.sp + 24), 0);
    assert_text(s, word_at(s, image.sp + 32), "A=1");
    assert_int_equal(word_at(s, image.sp + 40), 0);
    const uint64_t at = image.sp + 48;
    assert_int_equal(aux(s, at, AT_PHDR), RIG_BASE + offsetof(struct elf_rig, p));
    assert_int_equal(aux(s, at, AT_PHNUM), RIG_HEADERS);
    assert_int_equal(aux(s, at, AT_ENTRY), RIG_ENTRY);
    assert_int_equal(aux(s, at, AT_PAGESZ), SPACE_PAGE);
    assert_int_equal(aux(s, at, AT_SECURE), 0);
    assert_text(s, aux(s, at, AT_EXECFN), "prog");
    assert_text(s, aux(s, at, AT_RANDOM), "0123456789abcde");
    assert_true(space_grow(s, image.sp - 2 * MiB));
    space_destroy(s);
}

static void a_movable_program_lies_elsewhere_only_if_asked(void **state)
{
    (void)state;
    struct elf_rig r;
    uint64_t bias[4], sp[4], brk[4];
    elf_rig_init(&r, 0);
    for (unsigned i = 0; i < 4; i++) {
        struct space *s = space_of(4 * MiB);
        const struct elf_image image = load(s, &r, i >= 2);
        bias[i] = image.bias;
        sp[i] = image.sp;
        brk[i] = space_brk(s, 0) - image.bias;
        assert_int_equal(image.entry, image.bias + offsetof(struct elf_rig, text));
        assert_int_equal(image.bias % SPACE_PAGE, 0);
        space_destroy(s);
    }
    assert_true(bias[0] && bias[0] == bias[1] && sp[0] == sp[1] && brk[0] == brk[1]);
    /* All three alike by chance: 2^-63. */
    assert_false(bias[2] == bias[3] && sp[2] == sp[3] && brk[2] == brk[3]);
}

static void what_does_not_fit_is_said(void **state)
{
    (void)state;
    static const char *many[5000], *const none[] = {NULL};
    for (unsigned i = 0; i < 4999; i++) many[i] = "x";
    static char long_text[200000];
    memset(long_text, 'x', sizeof(long_text) - 1);
    const char *const longs[] = {long_text, NULL};
    const struct {
        const char *const *argv;
        uint64_t bss, low;
        const char *says;
    } rows[] = {{many, 0, 0, "arguments"},
                {longs, 0, 0, "arguments"},
                {none, 64 * MiB, 0, "memory"},
                {none, 0, 0x1000, "lowest"}};
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        struct elf_rig r;
        struct elf elf;
        struct elf_image image;
        struct err e = {0};
        struct space *s = space_of(4 * MiB);
        const struct elf_start start = {.argv = rows[i].argv, .envp = none, .stack_size = MiB, .random = random_bytes};
        elf_rig_init(&r, rows[i].low ? rows[i].low : RIG_BASE);
        r.p[RIG_DATA].p_memsz += rows[i].bss;
        assert_int_equal(read_rig(&r, false, &elf, NULL), 0);
        assert_true(elf_load(&elf, s, &start, &image, &e) < 0);
        assert_contains(e.text, rows[i].says);
        assert_whole(s);
        space_destroy(s);
    }
}

UNIT_MAIN(UNIT(a_good_program_is_read), UNIT(each_fault_has_its_sentence), UNIT(every_shorter_file_is_refused),
          UNIT(writable_code_is_a_matter_of_permission), UNIT(symbols_are_found_global_ones_first),
          UNIT(broken_symbols_are_no_symbols), UNIT(a_program_finds_itself_and_its_arguments),
          UNIT(a_movable_program_lies_elsewhere_only_if_asked), UNIT(what_does_not_fit_is_said))

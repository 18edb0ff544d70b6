/* ELF files read and checked (gABI chapters 4 and 5): nothing here is believed before it was compared with the file's
 * size. */
#include "vmm/sandbox/elf.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#define HEADERS_MAX 1024u /* program headers and section headers that are looked at */

static int refuse(struct err *e, const char *name, const char *why, const char *hint)
{
    err_set(e, -ENOEXEC, "%s: %s", name, why);
    if (hint) err_hint(e, "%s", hint);
    err_as(e, ERR_KERNEL);
    return -ENOEXEC;
}

static bool is_inside(uint64_t at, uint64_t len, uint64_t size)
{
    return at <= size && len <= size - at;
}

static int check_header(const Elf64_Ehdr *h, const char *name, struct err *e)
{
    const struct user_machine *own = user_machine();
    if (memcmp(h->e_ident, ELFMAG, SELFMAG) != 0) return refuse(e, name, "is no ELF program", NULL);
    if (h->e_ident[EI_CLASS] != ELFCLASS64) return refuse(e, name, "is a 32-bit program", "build it for 64 bits");
    if (h->e_ident[EI_DATA] != ELFDATA2LSB || h->e_machine != own->number) {
        err_set(e, -ENOEXEC, "%s: is for another architecture (ELF machine %u), and this host's is %s (%u)", name,
                h->e_machine, own->name, own->number);
        err_hint(e, "build it for %s", own->name);
        err_as(e, ERR_KERNEL);
        return -ENOEXEC;
    }
    if (h->e_type != ET_EXEC && h->e_type != ET_DYN)
        return refuse(e, name, "is no executable (an object file or a core dump)", "link it with -static");
    if (h->e_phentsize != sizeof(Elf64_Phdr) || h->e_phnum == 0 || h->e_phnum > HEADERS_MAX)
        return refuse(e, name, "has no program headers that can be read", NULL);
    return 0;
}

static int refuse_interpreter(const struct elf *elf, const Elf64_Phdr *p, const char *name, struct err *e)
{
    char needs[256] = "a dynamic linker";
    if (p->p_filesz && p->p_filesz < sizeof(needs) && is_inside(p->p_offset, p->p_filesz, elf->size)) {
        memcpy(needs, elf->file + p->p_offset, p->p_filesz);
        needs[p->p_filesz] = 0;
    }
    err_set(e, -ENOEXEC, "%s: needs %s", name, needs);
    err_hint(e, "link it with -static");
    err_as(e, ERR_KERNEL);
    return -ENOEXEC;
}

static int add_segment(struct elf *elf, const Elf64_Phdr *p, const char *name, bool allow_wx, struct err *e)
{
    const struct elf_segment *last = elf->segments ? &elf->segment[elf->segments - 1] : NULL;
    const unsigned prot = (p->p_flags & PF_R ? USER_READ : 0u) | (p->p_flags & PF_W ? USER_WRITE : 0u) |
                          (p->p_flags & PF_X ? USER_EXEC : 0u);
    if (p->p_memsz == 0) return 0;
    if (elf->segments == ELF_SEGMENTS_MAX) return refuse(e, name, "has more than 64 segments", NULL);
    if (p->p_filesz > p->p_memsz || !is_inside(p->p_offset, p->p_filesz, elf->size))
        return refuse(e, name, "has a segment that lies outside of the file: it was cut short", NULL);
    if ((p->p_vaddr - p->p_offset) % SPACE_PAGE) return refuse(e, name, "has a segment that no page can hold", NULL);
    if (p->p_vaddr > USER_END || p->p_memsz > USER_END - p->p_vaddr)
        return refuse(e, name, "has a segment that lies outside of a program's addresses", NULL);
    if (last && p->p_vaddr < ((last->va + last->size + SPACE_PAGE - 1) & ~(SPACE_PAGE - 1)) &&
        (p->p_vaddr < last->va + last->size || prot != last->prot))
        return refuse(e, name, "has segments that overlap, or that share a page", "link it with -z separate-code");
    if ((prot & USER_WRITE) && (prot & USER_EXEC) && !allow_wx)
        return refuse(e, name, "has a segment that is writable and executable at once", "--allow-wx permits that");
    elf->segment[elf->segments++] = (struct elf_segment){
        .va = p->p_vaddr, .file_at = p->p_offset, .file_size = p->p_filesz, .size = p->p_memsz, .prot = prot};
    return 0;
}

static int read_segments(struct elf *elf, const Elf64_Ehdr *h, const char *name, bool allow_wx, struct err *e)
{
    for (unsigned i = 0; i < h->e_phnum; i++) {
        Elf64_Phdr p;
        memcpy(&p, elf->file + h->e_phoff + i * sizeof(p), sizeof(p));
        int rc = 0;
        if (p.p_type == PT_INTERP) rc = refuse_interpreter(elf, &p, name, e);
        if (p.p_type == PT_LOAD) rc = add_segment(elf, &p, name, allow_wx, e);
        if (p.p_type == PT_GNU_STACK) elf->has_executable_stack = p.p_flags & PF_X;
        if (rc) return rc;
    }
    if (elf->has_executable_stack && !allow_wx)
        return refuse(e, name, "wants a stack that can be executed", "link it with -z noexecstack, or give --allow-wx");
    return elf->segments ? 0 : refuse(e, name, "has nothing to load", NULL);
}

/* Where the program headers are once loaded, and whether the entry is code. */
static int find_places(struct elf *elf, const Elf64_Ehdr *h, const char *name, struct err *e)
{
    const uint64_t headers_size = h->e_phnum * sizeof(Elf64_Phdr);
    bool has_entry = false;
    for (unsigned i = 0; i < elf->segments; i++) {
        const struct elf_segment *s = &elf->segment[i];
        has_entry |= (s->prot & USER_EXEC) && h->e_entry - s->va < s->size;
        if (h->e_phoff >= s->file_at && is_inside(h->e_phoff - s->file_at, headers_size, s->file_size))
            elf->headers_va = s->va + (h->e_phoff - s->file_at);
    }
    if (!has_entry) return refuse(e, name, "begins outside of its code (its entry is in no executable segment)", NULL);
    elf->entry = h->e_entry;
    return 0;
}

/* The symbols are a help: what is wrong with them is no reason to refuse the program. */
static void find_symbols(struct elf *elf, const Elf64_Ehdr *h)
{
    Elf64_Shdr best = {0}, strings;
    if (h->e_shentsize != sizeof(Elf64_Shdr) || h->e_shnum > HEADERS_MAX ||
        !is_inside(h->e_shoff, h->e_shnum * sizeof(Elf64_Shdr), elf->size))
        return;
    for (unsigned i = 0; i < h->e_shnum; i++) {
        Elf64_Shdr s;
        memcpy(&s, elf->file + h->e_shoff + i * sizeof(s), sizeof(s));
        const bool is_better = s.sh_type == SHT_SYMTAB || (s.sh_type == SHT_DYNSYM && best.sh_type != SHT_SYMTAB);
        if (is_better && s.sh_entsize == sizeof(Elf64_Sym) && is_inside(s.sh_offset, s.sh_size, elf->size) &&
            s.sh_link < h->e_shnum)
            best = s;
    }
    if (!best.sh_type) return;
    memcpy(&strings, elf->file + h->e_shoff + best.sh_link * sizeof(strings), sizeof(strings));
    if (strings.sh_size == 0 || !is_inside(strings.sh_offset, strings.sh_size, elf->size) ||
        elf->file[strings.sh_offset + strings.sh_size - 1] != 0)
        return;
    elf->symbols_at = best.sh_offset;
    elf->symbols = best.sh_size / sizeof(Elf64_Sym);
    elf->strings_at = strings.sh_offset;
    elf->strings_size = strings.sh_size;
}

int elf_read(struct elf *out, const void *file, uint64_t size, const char *name, bool allow_wx, struct err *e)
{
    Elf64_Ehdr h;
    struct elf elf = {.file = file, .size = size};
    if (size >= 4 && memcmp(file, "\0asm", 4) == 0)
        return refuse(e, name, "is a WebAssembly module", "make a program of it: vireo wasm MODULE.wasm -o PROGRAM");
    if (size < sizeof(h)) return refuse(e, name, "is no ELF program", NULL);
    memcpy(&h, file, sizeof(h));
    int rc = check_header(&h, name, e);
    if (!rc && !is_inside(h.e_phoff, h.e_phnum * sizeof(Elf64_Phdr), size))
        rc = refuse(e, name, "has program headers outside of the file: it was cut short", NULL);
    if (!rc) rc = read_segments(&elf, &h, name, allow_wx, e);
    if (!rc) rc = find_places(&elf, &h, name, e);
    if (rc) return rc;
    elf.headers = h.e_phnum;
    elf.is_position_independent = h.e_type == ET_DYN;
    find_symbols(&elf, &h);
    *out = elf;
    return 0;
}

bool elf_symbol(const struct elf *elf, uint64_t index, struct elf_symbol *out)
{
    Elf64_Sym s;
    if (index >= elf->symbols) return false;
    memcpy(&s, elf->file + elf->symbols_at + index * sizeof(s), sizeof(s));
    const bool has_name = s.st_name < elf->strings_size && s.st_shndx != SHN_UNDEF;
    *out = (struct elf_symbol){.name = has_name ? (const char *)elf->file + elf->strings_at + s.st_name : "",
                               .va = s.st_value,
                               .size = s.st_size,
                               .is_function =
                                   ELF64_ST_TYPE(s.st_info) == STT_FUNC || ELF64_ST_TYPE(s.st_info) == STT_GNU_IFUNC,
                               .is_global = ELF64_ST_BIND(s.st_info) != STB_LOCAL};
    return true;
}

bool elf_find(const struct elf *elf, const char *name, struct elf_symbol *out)
{
    struct elf_symbol s;
    bool is_found = false;
    for (uint64_t i = 0; elf_symbol(elf, i, &s); i++) {
        if (!s.name[0] || strcmp(s.name, name) != 0 || (is_found && !s.is_global)) continue;
        *out = s;
        is_found = true;
        if (s.is_global) break;
    }
    return is_found;
}

bool elf_find_address(const struct elf *elf, uint64_t va, struct elf_symbol *out)
{
    struct elf_symbol s;
    for (uint64_t i = 0; elf_symbol(elf, i, &s); i++) {
        if (!s.is_function || !s.name[0] || va - s.va >= (s.size ? s.size : 1)) continue;
        *out = s;
        return true;
    }
    return false;
}

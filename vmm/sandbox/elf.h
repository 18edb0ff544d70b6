/* ELF programs for the sandbox: read, checked, and put in a space with their stack.
 *
 * Statically linked ELF64 executables of this architecture, at fixed addresses or position-independent (ET_DYN without
 * an interpreter), as the System V ABI (gABI chapters 4 and 5) and the processor supplements have them. The file is
 * hostile: every offset and size is checked against the file, every address against the space. */
#ifndef VIREO_SANDBOX_ELF_H
#define VIREO_SANDBOX_ELF_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/err.h"
#include "vmm/sandbox/space.h"

#define ELF_SEGMENTS_MAX 64

struct elf_segment {
    uint64_t va, file_at, file_size, size; /* va: with no bias */
    unsigned prot;
};
struct elf {
    const uint8_t *file; /* the caller's, in place while the elf is used */
    uint64_t size;
    uint64_t entry, headers_va; /* with no bias; headers_va 0: they are not loaded */
    uint16_t headers;           /* program headers: AT_PHNUM */
    bool is_position_independent, has_executable_stack;
    struct elf_segment segment[ELF_SEGMENTS_MAX];
    unsigned segments;
    uint64_t symbols_at, symbols, strings_at, strings_size; /* .symtab, or else .dynsym; 0: none */
};

/* One sentence for each thing that can be wrong, naming `name` (the file): no ELF, 32 bits, another machine's, dynamic
 * ("needs /lib64/ld-linux-x86-64.so.2: link it with -static"), segments that overlap, lie outside or are both writable
 * and executable (unless allow_wx), an entry that is in no executable segment. kind: ERR_KERNEL, "not loadable". */
int elf_read(struct elf *out, const void *file, uint64_t size, const char *name, bool allow_wx, struct err *e);

struct elf_symbol {
    const char *name;  /* in the file, ended by a zero */
    uint64_t va, size; /* va: with no bias */
    bool is_function, is_global;
};
/* By name; global before local. false: none. */
bool elf_find(const struct elf *elf, const char *name, struct elf_symbol *out);
bool elf_find_address(const struct elf *elf, uint64_t va, struct elf_symbol *out); /* the function that va is in */
bool elf_symbol(const struct elf *elf, uint64_t index, struct elf_symbol *out);    /* false past the end */

struct elf_image {
    uint64_t bias, entry, sp; /* entry and sp as the program begins */
    uint64_t end;             /* where the break begins */
};
/* Map the segments, the stack (of stack_size, growing down, a guard below it) with arguments, environment and the
 * auxiliary vector (AT_PHDR, AT_ENTRY, AT_RANDOM, AT_PAGESZ, AT_HWCAP, AT_SECURE 0, ids, AT_EXECFN, AT_CLKTCK ...).
 * argv, envp end with NULL. random: 16 bytes of the host's. ERR_KERNEL; -E2BIG, -ENOMEM said as such. */
struct elf_start {
    const char *const *argv, *const *envp;
    uint64_t stack_size;
    const uint8_t *random;
    /* Stack, mappings, break and a position-independent program lie somewhere else each time; else always at the same
     * addresses, for runs that shall be repeated. Copies of one program lie where it lay. */
    bool is_placed_randomly;
};
int elf_load(const struct elf *elf, struct space *s, const struct elf_start *start, struct elf_image *out,
             struct err *e);

#endif

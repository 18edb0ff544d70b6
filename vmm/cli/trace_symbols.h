/* Names of a guest kernel's addresses: from an ELF file's symbol table (vmlinux), or from a list of "address type name"
 * as System.map and /proc/kallsyms have it. A kernel that was placed at random (KASLR) runs elsewhere than its file
 * says; then its addresses find no name, or a list from the guest itself has them. One thread. */
#ifndef VIREO_CLI_TRACE_SYMBOLS_H
#define VIREO_CLI_TRACE_SYMBOLS_H

#include <vireo.h>

struct trace_symbol {
    uint64_t address, size; /* size 0: up to the next one */
    const char *name;
};
struct trace_symbols {
    char *file; /* all of it; names point into it */
    struct trace_symbol *symbol;
    size_t count;
};

/* -errno with *e filled: it can't be read, or has no symbols. */
int trace_symbols_read(struct trace_symbols *out, const char *path, struct vireo_error *e);
/* The same of bytes, which are taken in any case, with a NUL behind them: false: no symbols are in it. */
bool trace_symbols_parse(struct trace_symbols *out, char *file, size_t size);
void trace_symbols_fini(struct trace_symbols *s);
/* The function that an address lies in; NULL: none. *offset: from its beginning. */
const char *trace_symbol(const struct trace_symbols *s, uint64_t address, uint64_t *offset);

#endif

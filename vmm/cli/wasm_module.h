/* A WebAssembly module as its bytes: what it imports and exports, checked; and the same module without any text of its
 * author's, for wasm2c.
 *
 * wasm2c writes names of imports and exports into comments of the C code that it makes, as they are. A name that ends
 * the comment would be C of the module's own: out of the WebAssembly sandbox, and able to include the host's files.
 * So an import must be a function of WASI preview 1 with WASI's type, exports are renamed "e0", "e1" ..., custom
 * sections (where names of functions stand) are left out. All else, the code above all, is wasm2c's to check.
 *
 * WebAssembly 1.0, chapter 5, and the multi-value and reference types of 2.0. Any thread. */
#ifndef VIREO_CLI_WASM_MODULE_H
#define VIREO_CLI_WASM_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "vmm/base/err.h"

#define WASM_MODULE_MAX  (64u << 20) /* bytes; C code and a compiler's memory are twenty and more times that */
#define WASM_LIST_MAX    1000000u    /* types, functions: as the JavaScript interface of WebAssembly has it */
#define WASM_EXPORTS_MAX 100000u     /* the same */
#define WASM_NAME_MAX    1024u       /* bytes of an export's name */

/* A value's type, as its byte. */
enum wasm_value { WASM_I32 = 0x7f, WASM_I64 = 0x7e, WASM_F32 = 0x7d, WASM_F64 = 0x7c };

struct wasm_type { /* of a function; the lists are bytes of the module */
    const uint8_t *param, *result;
    uint32_t params, results;
};
enum wasm_kind { WASM_FUNCTION, WASM_TABLE, WASM_MEMORY, WASM_GLOBAL };
struct wasm_export {
    const uint8_t *name; /* bytes of the module */
    uint32_t name_len;
    enum wasm_kind kind;
    uint32_t index;
    const struct wasm_type *type; /* of a function; else NULL */
};
struct wasm_module {
    const uint8_t *bytes; /* the caller's, in place as long as the module */
    size_t size;
    struct wasm_type *type;
    const struct wasm_type **function; /* imported ones first */
    struct wasm_export *export;
    uint32_t types, functions, imports, exports;
};

/* Errors name `name` (the file): no module, another version, cut short, not a list of what it should be, an import that
 * is not WASI's or not of WASI's type, a name twice. Not to be finished after an error. */
int wasm_module_read(struct wasm_module *m, const void *bytes, size_t size, const char *name, struct err *e);
void wasm_module_fini(struct wasm_module *m);

/* The module for wasm2c: *out is the caller's to free. 0 or -ENOMEM. */
int wasm_module_rewrite(const struct wasm_module *m, uint8_t **out, size_t *size);

/* The export that is called so; NULL: none. */
const struct wasm_export *wasm_module_find(const struct wasm_module *m, enum wasm_kind kind, const char *name);

/* An exported function's symbol in the program: its name, in which every byte that is no letter, digit or '_' is '.'
 * and two hexadecimal digits, as is a digit in first place, and the first letter of a name of Vireo's own ("vireo_").
 * No two names have the same symbol. */
void wasm_export_symbol(const struct wasm_export *x, FILE *f);
/* Can it be called from C: at most one result, and only numbers? */
bool wasm_export_is_callable(const struct wasm_export *x);

/* The C code around what wasm2c makes of the module (guest/wasi/module.h), and the symbols of its functions for
 * objcopy --redefine-syms: "vireo_export_N SYMBOL" a line. Errors of f are the caller's to see. */
void wasm_glue_write(const struct wasm_module *m, FILE *f);
void wasm_symbols_write(const struct wasm_module *m, FILE *f);

#endif

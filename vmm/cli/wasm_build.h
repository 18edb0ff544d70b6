/* A WebAssembly module becomes a static Linux program: wasm2c (wabt) turns it into C, a C compiler makes a program of
 * that and of our WASI runtime (guest/wasi). The module is hostile: its text never becomes C or a word of a command
 * (wasm_module.h), and the programs it is given to have limits (wasm_job.h).
 *
 * Errors carry an exit status: 127 the module isn't there, 126 it can't be translated or a tool is missing (with how to
 * install it), 125 the output can't be written, 128 + n signal n came. One thread; signals as wasm_job.h has them. */
#ifndef VIREO_CLI_WASM_BUILD_H
#define VIREO_CLI_WASM_BUILD_H

#include <limits.h>
#include <stdbool.h>
#include <vireo.h>

struct wasm_params {
    const char *module; /* path */
    const char *cc;     /* the C compiler, a name or a path; NULL: gcc */
};

/* Does the file begin as a module does? false too where it can't be read. */
bool wasm_is_module(const char *path);

/* Write the program to `output`, which is replaced at once or not at all. */
int wasm_translate(const struct wasm_params *p, const char *output, struct vireo_error *e);

/* The module's program out of the cache, $XDG_CACHE_HOME/vireo or ~/.cache/vireo, translated first when it isn't
 * there. An entry holds the module's bytes and says which compiler, wasm2c and runtime made it: one that doesn't match,
 * or is damaged, is made anew. Two processes that want the same wait for each other. The folder must be the user's own,
 * with no rights for others. Whoever adds a program removes others until all have 512 MiB at most and each was used in
 * the last 30 days: those first that were used least recently.
 * *path: the program, which stays as long as the descriptor *used, the caller's to close, is open. */
int wasm_program(const struct wasm_params *p, char path[PATH_MAX], int *used, struct vireo_error *e);

struct wasm_removed {
    unsigned programs;
    uint64_t bytes;
};
/* Remove every program of the cache that is not in use. */
int wasm_clear_cache(struct wasm_removed *out, struct vireo_error *e);

#endif

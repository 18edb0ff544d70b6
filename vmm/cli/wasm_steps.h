/* The steps of a translation, between wasm_build.c and wasm_cache.c. */
#ifndef VIREO_CLI_WASM_STEPS_H
#define VIREO_CLI_WASM_STEPS_H

#include "vmm/cli/wasm_build.h"
#include "vmm/cli/wasm_job.h"

enum { STATUS_NOT_RUNNABLE = 126, STATUS_NOT_FOUND = 127 };

struct wasm_build {
    const struct wasm_params *params;
    struct vireo_error *e;
    uint8_t *bytes; /* the module */
    size_t size;
    char wasm2c[PATH_MAX], cc[PATH_MAX], runtime[PATH_MAX]; /* programs; the folder of the WASI runtime */
};

/* The module is read and the tools are found. Always followed by fini. */
int wasm_build_init(struct wasm_build *b, const struct wasm_params *p, struct vireo_error *e);
void wasm_build_fini(struct wasm_build *b);
/* The program, as the file "program" of the job's folder. */
int wasm_build_run(struct wasm_build *b, struct wasm_job *j);
/* *b->e with that status: one sentence that begins with the module's path. Returns its code. */
int wasm_fail(struct wasm_build *b, int status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Copy a whole file to an open one: 0 or -errno. */
int wasm_copy(const char *from, int to_fd);

#endif

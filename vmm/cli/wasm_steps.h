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

/* ---- the cache's folder: wasm_folder.c ---- */

#define WASM_ENTRY_NAME 32 /* bytes of an entry's name, with its end */

/* An open folder that is nobody else's, made where it isn't there; its path. Else an error. */
int wasm_folder_open(char dir[PATH_MAX], struct vireo_error *e);
/* The lock of an entry that is made or removed: its descriptor, or -errno. waits: for whoever has it; else
 * -EWOULDBLOCK. */
int wasm_folder_lock(int dir, const char *name, bool waits);
void wasm_folder_unlock(int dir, const char *name, int lock);
/* The entry's file, to read: as long as it is open, nobody removes the entry. -ENOENT: it is none, or gone. */
int wasm_entry_use(int dir, const char *name);
/* Remove entries, those that were used least recently first, until they have no more than bytes_max together and none
 * was last used longer than that ago; and what killed processes left. What is in use stays, as do other files. */
void wasm_folder_tidy(int dir, uint64_t bytes_max, int64_t age_max_s, struct wasm_removed *out);

/* Copy a whole file to an open one: 0 or -errno. */
int wasm_copy(const char *from, int to_fd);

#endif

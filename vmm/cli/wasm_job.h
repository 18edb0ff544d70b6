/* Other programs at work for us: a folder of their own that is removed however it ends, and signals that end them too.
 *
 * Between begin and end the signals that end a process are held back: one that comes ends the program that runs, and
 * wasm_job_run says so. What a job leaves behind when this process is killed (SIGKILL) is its folder. One thread. */
#ifndef VIREO_CLI_WASM_JOB_H
#define VIREO_CLI_WASM_JOB_H

#include <limits.h>
#include <vireo.h>

#include "vmm/cli/cli.h"

struct wasm_job {
    char dir[PATH_MAX]; /* mode 0700; "": none */
    int signal_fd;
    sigset_t before; /* the signals that were blocked before */
};

/* Statuses as wasm_build.h has them. After a failure there is nothing to end. */
int wasm_job_begin(struct wasm_job *j, struct vireo_error *e);
void wasm_job_end(struct wasm_job *j);

/* A file of the folder: its path, of PATH_MAX bytes. */
void wasm_job_path(const struct wasm_job *j, const char *file, char *path);

/* Run argv[0] (a path) in the folder, without standard input; what it prints goes to the folder's file "log". It may
 * use an hour of CPU time and 8 GiB of address space. 0: it ended well. -ECHILD: it did not, which is the caller's to
 * tell; *e is empty. -EINTR, with an exit status of 128 + the signal: a signal came. Another -errno with *e filled. */
int wasm_job_run(struct wasm_job *j, const char *const *argv, struct vireo_error *e);
/* The first line of "log" that has `word`, or else its first line: "" when there is none. */
void wasm_job_said(const struct wasm_job *j, const char *word, char *line, size_t size);

#endif

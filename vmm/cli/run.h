/* Pieces of `vireo run`: run.c tells the story, these do the work. */
#ifndef VIREO_CLI_RUN_H
#define VIREO_CLI_RUN_H

#include <stdio.h>

#include "vmm/cli/cli.h"

struct run {
    const char *config_path;       /* NULL: none */
    const char *json_path;         /* NULL: standard output */
    const char *stats_path;        /* NULL: only on SIGUSR1, "-": standard error */
    FILE *stats;                   /* where they go once the VM is made */
    struct vireo_control *control; /* of a VM with a name; NULL: none */
    bool has_json, is_verbose, has_boot_times;
    uint64_t started_ns, configured_ns;
};

/* ---- wait.c ---- */
struct run_signals {
    int fd;                    /* signalfd; -1: none */
    void (*report)(void *arg); /* on SIGUSR1, in run_wait; NULL: that signal is left alone */
    void *arg;
};
/* From here on SIGINT, SIGTERM, SIGHUP, SIGQUIT and, with a report, SIGUSR1 (those not ignored) and, with a raw
 * terminal, SIGTSTP, SIGCONT and SIGWINCH, come by the fd: blocked in this thread and in those it starts. 0 or -errno.
 */
int run_catch_signals(struct run_signals *s, bool has_terminal);
/* Until the VM has ended, serving the control socket (may be NULL). The signal that ended it, or 0. A second one while
 * it ends leaves at once: exits. */
int run_wait(const struct run_signals *s, struct vireo_vm *vm, struct vireo_control *control);

/* ---- run_report.c ---- */
/* What is known of how it went. One of vm and error may be NULL. */
struct run_report {
    const struct run *run;
    struct vireo_vm *vm;
    struct vireo_end end; /* reason 0: it never started */
    const struct vireo_error *error;
    FILE *json; /* of json_path: opened before the VM is built; NULL: none, or it can't be */
    int signal, status;
};
void report_boot_times(const struct run_report *r); /* table on standard error */
int report_json(const struct run_report *r);        /* exit status */

/* ---- stats.c ---- */
/* Open what --stats names, now that the VM is made and before it starts. 0; or *e filled. */
int stats_open(struct run *run, struct vireo_vm *vm, struct vireo_error *e);
/* Write the table there, or one JSON object with --json, over what was written before. Errors are said. */
void stats_report(const struct run_report *r);
int stats_close(struct run *run, int status); /* status, or STATUS_BAD_COMMAND after saying what went wrong */

#endif

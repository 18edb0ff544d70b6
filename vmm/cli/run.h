/* Pieces of `vireo run`: run.c tells the story, these do the work. */
#ifndef VIREO_CLI_RUN_H
#define VIREO_CLI_RUN_H

#include <stdio.h>

#include "vmm/cli/cli.h"

struct run {
    const char *config_path;       /* NULL: none */
    const char *json;              /* as given: "" without a file */
    const char *json_path;         /* NULL: standard output */
    const char *stats_path;        /* NULL: only on SIGUSR1, "-": standard error */
    struct outputs files;          /* what is read and written */
    int stats_fd;                  /* where they go, emptied once the VM is made */
    int stats_error;               /* -errno: the latest could not be written */
    struct vireo_control *control; /* of a VM with a name; NULL: none */
    bool has_json, is_verbose, has_boot_times;
    uint64_t started_ns, configured_ns;
};

/* ---- wait.c ---- */
struct run_signals {
    int fd;                    /* signalfd; -1: none */
    sigset_t set;              /* what comes by it */
    void (*report)(void *arg); /* on SIGUSR1, in run_wait; NULL: that signal is left alone */
    void *arg;
};
/* From here on SIGUSR1, with a report only, and, with a raw terminal, SIGTSTP, SIGCONT and SIGWINCH come by the fd:
 * blocked in this thread and in those it starts. 0 or -errno. */
int run_catch_signals(struct run_signals *s, bool has_terminal);
void run_release_signals(struct run_signals *s); /* legal twice */
/* Until the VM has ended, serving the control socket (may be NULL). The signal that asked for its end, or 0. From here
 * on leave.c watches the vm. */
int run_wait(const struct run_signals *s, struct vireo_vm *vm, struct vireo_control *control);

/* ---- leave.c: no way out leaves anything behind, and nothing keeps us. Main thread ---- */
/* Timeout(1) sends its signal twice, systemd SIGTERM and SIGHUP: nobody asks again so soon. */
#define ECHO_NS 500000000ull
/* From here on a thread hears the signals that end a process, those that are ignored excepted: the first is noted and
 * ends the VM, or is followed by two seconds of patience where none runs; a second one leaves at once. SIGUSR1 waits
 * for run_wait. Faults end the process as they do, after the cleaning up. 0 or -errno. */
int leave_guard(void);
/* What a way out does first, from here on until it is called again. fd -1: the report is written, or none is wanted. */
void leave_owes_json(int fd, bool starts_line);
void leave_owes_socket(const char *path); /* as it is there now; NULL: it is gone */
/* name: the VM's, borrowed, or NULL. reason: how it ended, static, or NULL. status -1: still unknown. */
void leave_knows(const char *name, const char *reason, int status);
int leave_asked(void);                   /* the signal that was noted; 0: none */
void leave_hurry(void);                  /* what follows takes two seconds at most: then we leave */
void leave_relax(void);                  /* ... or may take its time again, unless a signal has asked */
void leave_writes(const char *output);   /* "stats": what follows may hang in that file; NULL: no longer */
void leave_watches(struct vireo_vm *vm); /* it runs: a signal stops it. NULL: no longer */
/* It has ended, which is leave_hurry. While an output is written, and once a signal has asked, that is seen without
 * this call. */
void leave_sees_end(void);
/* ---- inherited.c ---- */
/* Once all that the user named is open: close what the program was started with, but for standard files. */
void run_close_inherited(void);

/* ---- run_report.c ---- */
/* What is known of how it went. One of vm and error may be NULL. */
struct run_report {
    struct run *run;
    struct vireo_vm *vm;
    struct vireo_end end; /* reason 0: it never started */
    const struct vireo_error *error;
    int json_fd;       /* of json_path: opened before the VM is built; -1: none, or it can't or mustn't be written */
    bool is_json_kept; /* it isn't written, as nobody knows what it holds */
    int signal, status;
};
int report_boot_times(const struct run_report *r); /* table on standard error; exit status */
int report_json(const struct run_report *r);       /* exit status */

/* ---- run_stats.c ---- */
/* Open what --stats names, before the VM is made. 0; or *e filled. */
int run_stats_open(struct run *run, struct vireo_error *e);
/* Empty it, now that the VM is made and before it starts. 0; or *e filled: this VM has none. */
int run_stats_begin(struct run *run, struct vireo_vm *vm, struct vireo_error *e);
/* Write the table there, or one JSON object with --json, over what was written before. Errors are said. */
void run_stats_report(const struct run_report *r);
int run_stats_close(struct run *run, int status); /* status, or STATUS_BAD_COMMAND after saying what went wrong */

#endif

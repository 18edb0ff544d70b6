/* Pieces of `vireo run`: run.c tells the story, these do the work. */
#ifndef VIREO_CLI_RUN_H
#define VIREO_CLI_RUN_H

#include <stdio.h>

#include "vmm/cli/cli.h"

struct run {
    const char *config_path;       /* NULL: none */
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
/* From here on what leave_guard guards against, SIGUSR1 with a report only, and, with a raw terminal, SIGTSTP,
 * SIGCONT and SIGWINCH, come by the fd: blocked in this thread and in those it starts. 0 or -errno. */
int run_catch_signals(struct run_signals *s, bool has_terminal);
void run_release_signals(struct run_signals *s); /* and from here on by the handlers again; legal twice */
/* Until the VM has ended, serving the control socket (may be NULL). The signal that ended it, or 0. A second one leaves
 * at once (leave_now). */
int run_wait(const struct run_signals *s, struct vireo_vm *vm, struct vireo_control *control);

/* ---- leave.c: no way out leaves anything behind. Main thread ---- */
#define ECHO_NS                                                                                                        \
    500000000ull /* timeout(1) sends its signal twice, to the process and to its group: nobody asks again so soon */
/* From here on signals that end a process, those that are ignored excepted, are noted when they come for the first
 * time, and then have two seconds of patience; the second leaves at once. SIGUSR1 waits for run_wait. Faults end the
 * process as they do, after the cleaning up. */
void leave_guard(void);
const sigset_t *leave_guarded(void);
/* What a way out does first, from here on until it is called again. fd -1: the report is written, or none is wanted. */
void leave_owes_json(int fd, bool starts_line);
void leave_owes_socket(const char *path);          /* copied; NULL: it is gone */
void leave_knows(const char *name, int status);    /* name: the VM's, borrowed, or NULL. status -1: still unknown */
int leave_asked(void);                             /* the signal that was noted; 0: none */
bool leave_is_second(int sig);                     /* false: noted now, or an echo of that */
void leave_hurry(void);                            /* what follows takes two seconds at most: then we leave */
void leave_relax(void);                            /* ... or what follows may take its time again */
__attribute__((noreturn)) void leave_now(int sig); /* with the status that is known, or 128+sig */
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

/* ---- stats.c ---- */
/* Open what --stats names, before the VM is made. 0; or *e filled. */
int stats_open(struct run *run, struct vireo_error *e);
/* Empty it, now that the VM is made and before it starts. 0; or *e filled: this VM has none. */
int stats_begin(struct run *run, struct vireo_vm *vm, struct vireo_error *e);
/* Write the table there, or one JSON object with --json, over what was written before. Errors are said. */
void stats_report(const struct run_report *r);
int stats_close(struct run *run, int status); /* status, or STATUS_BAD_COMMAND after saying what went wrong */

#endif

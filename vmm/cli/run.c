/* `vireo run`: from words to a VM, and from its end to an exit status. */
#include "vmm/cli/run.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/cli/term.h"

static const struct setting options[] = {
    {"config", "FILE", "read keys from a JSON file first; options here add to it or override it",
     CLI_TEXT(struct run, config_path)},
    {"json", "[FILE|-]", "say how it ended as one JSON line, last on standard output or in FILE",
     CLI_TEXT(struct run, json)},
    {"verbose", NULL, "say what is going on, on standard error", CLI_SWITCH(struct run, is_verbose)},
    {"boot-times", NULL, "at the end print when each phase was reached (in the object with --json)",
     CLI_SWITCH(struct run, has_boot_times)},
    {"stats", "FILE|-",
     "at the end and on SIGUSR1, where the time went, exit by exit (JSON with --json); - is standard error",
     CLI_TEXT(struct run, stats_path)},
    {0},
};

/* Library threads call this as well. */
static void on_log(void *arg, enum vireo_log_level level, const char *line)
{
    (void)arg;
    (void)level;
    say("%s", line);
}

/* The terminal's escape first, then the file, then the options, each overriding what came before. */
static int configure(struct run *r, const struct command *self, char **words, struct vireo_config *c,
                     struct vireo_error *e)
{
    int rc = args_parse(self, ARGS_OWN, words, r, e);
    r->has_json = r->json != NULL; /* what went wrong is said there too */
    r->json_path = r->json && *r->json && strcmp(r->json, "-") != 0 ? r->json : NULL;
    if (!rc && term_is_console()) rc = vireo_config_set(c, "escape", "true", e);
    if (!rc && r->config_path) rc = vireo_config_load_file(c, r->config_path, e);
    if (!rc) rc = args_parse(self, ARGS_KEYS, words, c, e);
    r->configured_ns = now_ns();
    return rc;
}

/* A file that does not answer holds up the next reports, and the end for no longer than WRITE_S of leave.c. */
static void on_usr1(void *arg)
{
    leave_writes("stats");
    run_stats_report(arg);
    leave_writes(NULL);
}

/* Only a living VM of the same name is a reason not to run; without a socket only `vireo stat` is missing. */
static int open_control(struct run *r, struct vireo_vm *vm, struct vireo_error *e)
{
    if (!vireo_vm_name(vm)[0]) return 0;
    const int rc = vireo_control_create(&r->control, vm, NULL, e);
    if (rc == -EADDRINUSE) return rc;
    char dir[PATH_MAX];
    const bool has_place = vireo_control_dir(dir, sizeof(dir)) != -ENOENT;
    if (rc && (has_place || r->is_verbose)) {
        say("%s: vireo stat will not find this VM", e->text);
        if (e->hint[0]) say("%s", e->hint);
    }
    if (r->control) leave_owes_socket(vireo_control_path(r->control));
    return 0;
}

/* A signal that came while the VM was made ends it now. */
static int begin(struct run *r, struct vireo_vm *vm, bool has_terminal, struct vireo_error *e)
{
    if (leave_asked()) {
        vireo_vm_stop(vm);
        return 0;
    }
    const char *pty = vireo_vm_console_pty(vm);
    if (pty) say("console on %s", pty);
    if (r->is_verbose) say("starting");
    if (has_terminal) term_enter();
    run_close_inherited();
    return vireo_vm_start(vm, e);
}

/* Start it and stay until it has ended. 0, or -errno with *e filled. */
static int live(struct run *r, struct run_report *out, struct vireo_error *e)
{
    const bool has_terminal = vireo_vm_uses_stdio(out->vm) && term_is_console();
    struct run_signals signals = {.report = on_usr1, .arg = out};
    int rc = run_catch_signals(&signals, has_terminal);
    if (rc) return bad_call(e, -rc, "catch signals");
    rc = run_stats_begin(r, out->vm, e);
    if (!rc) rc = open_control(r, out->vm, e);
    if (!rc) rc = begin(r, out->vm, has_terminal, e);
    if (!rc) out->signal = run_wait(&signals, out->vm, r->control);
    run_release_signals(&signals);
    if (!rc) (void)vireo_vm_wait(out->vm, -1, &out->end);
    term_leave();
    return rc;
}

static void conclude(struct run_report *out)
{
    out->status = out->end.status;
    if (out->signal && out->end.reason == VIREO_END_STOPPED) {
        out->status = STATUS_SIGNAL + out->signal;
        (void)snprintf(out->end.detail, sizeof(out->end.detail), "ended by signal %d (%s)", out->signal,
                       strsignal(out->signal));
    }
    const bool is_plain = out->end.reason == VIREO_END_POWEROFF || out->end.reason == VIREO_END_RESET ||
                          (out->end.reason == VIREO_END_GUEST_STATUS && out->status == 0);
    const char *name = out->vm ? vireo_vm_name(out->vm) : "";
    leave_knows(name, out->end.name, out->status);
    if (!is_plain || out->run->is_verbose) say("%s%s%s", name, name[0] ? ": " : "", out->end.detail);
}

#define REPORT_BEGINS "{\"reason\": " /* as run_report.c writes it */

/* Was the file made for this report, or does it hold an earlier one? Then nothing is lost in it. */
static bool is_a_report(const char *path, int fd)
{
    struct stat st;
    char begins[sizeof(REPORT_BEGINS) - 1];
    if (fstat(fd, &st) == 0 && (!S_ISREG(st.st_mode) || st.st_size == 0)) return true; /* or no file: nothing stays */
    const int again = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    const bool is_read = again >= 0 && read(again, begins, sizeof(begins)) == (ssize_t)sizeof(begins);
    if (again >= 0) close(again);
    return is_read && memcmp(begins, REPORT_BEGINS, sizeof(begins)) == 0;
}

/* Before anything runs: a long run should not end with its report lost to a slip in a path. Nothing is written or
 * emptied before all outputs have been held against all files that are read. rc: what is wrong already, which is
 * reported too and stays the result. It may have left a disk or kernel unread, so the report is then kept off what
 * might be one. */
static int open_outputs(struct run_report *out, struct run *r, const struct vireo_config *c, int rc,
                        struct vireo_error *e)
{
    struct vireo_error inner = {.code = 0};
    struct vireo_error *first = rc ? &inner : e;
    outputs_beside(&r->files, "config", r->config_path);
    outputs_beside_config(&r->files, c);
    if (r->json_path) out->json_fd = output_open_fd(&r->files, "json", r->json_path, first);
    if (r->json_path && out->json_fd < 0 && !rc) return e->code;
    if (!rc) rc = run_stats_open(r, e);
    if (!r->json_path || out->json_fd < 0) return rc;
    leave_hurry();
    leave_writes("json");
    out->is_json_kept = rc && !is_a_report(r->json_path, out->json_fd);
    if (!out->is_json_kept) output_empty(out->json_fd);
    leave_writes(NULL);
    leave_relax();
    if (!out->is_json_kept) {
        leave_owes_json(out->json_fd, false);
        return rc;
    }
    close(out->json_fd);
    out->json_fd = -1;
    return rc;
}

/* A VM that was not made, since a signal asked for the end, has ended by that signal. */
static int excuse(struct run_report *out, int rc)
{
    if (!rc || out->vm || !leave_asked()) return rc;
    out->signal = leave_asked();
    out->end = (struct vireo_end){.reason = VIREO_END_STOPPED, .vcpu = -1, .name = "stopped"};
    return 0;
}

/* All of it before the VM is taken apart: that may take its time, and then nothing is lost. The object comes last,
 * since its status is the exit status, which the others may change. */
static void report(struct run *r, struct run_report *out)
{
    const bool has_ended = out->vm && !out->error && out->end.reason;
    leave_writes("stats");
    if (has_ended && r->stats_path) run_stats_report(out);
    out->status = run_stats_close(r, out->status);
    leave_writes("boot-times");
    if (r->has_boot_times && !r->has_json) out->status = report_boot_times(out);
    leave_writes("json");
    leave_owes_json(-1, false);
    if (r->has_json) out->status = report_json(out);
    leave_writes(NULL);
    vireo_control_destroy(r->control);
    leave_owes_socket(NULL);
    leave_watches(NULL);
    leave_knows(NULL, NULL, out->status);
}

static int run_vm(const struct command *self, char **words, uint64_t started_ns)
{
    struct run r = {.started_ns = started_ns};
    struct run_report out = {.run = &r, .json_fd = -1};
    struct vireo_error e;
    struct vireo_config *c = vireo_config_create();
    if (!c) {
        say("out of memory");
        return STATUS_BAD_HOST;
    }
    int rc = leave_guard();
    if (rc)
        (void)bad_call(&e, -rc, "hear signals");
    else
        rc = configure(&r, self, words, c, &e);
    rc = open_outputs(&out, &r, c, rc, &e);
    if (r.has_json && !r.json_path) leave_owes_json(STDOUT_FILENO, true);
    const struct vireo_log log = {.fn = on_log, .level = r.is_verbose ? VIREO_LOG_INFO : VIREO_LOG_WARN};
    if (!rc) rc = vireo_vm_create(&out.vm, c, &log, &e);
    if (out.vm) leave_knows(vireo_vm_name(out.vm), NULL, -1);
    if (!rc) rc = live(&r, &out, &e);
    leave_hurry();
    rc = excuse(&out, rc);
    if (rc) {
        out.error = &e;
        out.status = say_error(&e);
        if (out.is_json_kept) say("json %s: holds no earlier report and stays as it is", r.json_path);
    } else {
        conclude(&out);
    }
    report(&r, &out);
    leave_hurry();
    vireo_vm_destroy(out.vm);
    vireo_config_destroy(c);
    return out.status;
}

static bool nth_key(const struct command *self, unsigned index, struct setting *out)
{
    struct vireo_key k;
    (void)self;
    if (!vireo_config_key(index, &k)) return false;
    *out = (struct setting){.name = k.name, .arg = k.arg, .help = k.help};
    return true;
}

static void print_statuses(FILE *f)
{
    fputc('\n', f);
    help_print_text(f, 0, 0,
                    "Exit status: 0 the guest powered off or rebooted, 1-119 the guest's own, 120 it crashed, 121 KVM "
                    "could not run it, 122 a device failed, 124 time limit, 125 bad command line, 126 this host can't, "
                    "127 kernel or initrd not loadable, 128+n ended by signal n. More: vireo-run(1).");
}

const struct command command_run = {
    .name = "run",
    .args = "[--kernel FILE] [OPTION...]",
    .help = "Boot a microVM and stay until it ends",
    .options = options,
    .key = nth_key,
    .keys_title = "The machine (the same keys, without dashes, in a --config file)",
    .more = print_statuses,
    .run = run_vm,
};

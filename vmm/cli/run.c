/* `vireo run`: from words to a VM, and from its end to an exit status. */
#include "vmm/cli/run.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/cli/term.h"

#define CONFIG_FILE_MAX (1u << 20) /* as the library takes; a larger file is not a configuration */

ARGS_TEXT(struct run, config_path)
ARGS_TEXT(struct run, stats_path)
ARGS_SWITCH(struct run, is_verbose)
ARGS_SWITCH(struct run, has_boot_times)

static void set_json(void *ctx, const char *value)
{
    struct run *r = ctx;
    r->has_json = true;
    r->json_path = value;
}

static const struct cli_option options[] = {
    {"config", "FILE", "read keys from a JSON file first; options here add to it or override it", set_config_path},
    {"json", "[FILE]", "say how it ended as one JSON line, last on standard output or in FILE", set_json},
    {"verbose", NULL, "say what is going on, on standard error", set_is_verbose},
    {"boot-times", NULL, "at the end print when each phase was reached (in the object with --json)",
     set_has_boot_times},
    {"stats", "FILE|-", "at the end and on SIGUSR1, where the time went, exit by exit (JSON with --json)",
     set_stats_path},
    {0},
};

/* Library threads call this as well; say() is one write. */
static void on_log(void *arg, enum vireo_log_level level, const char *line)
{
    (void)arg;
    (void)level;
    say("%s", line);
}

static int load_config(struct vireo_config *c, const char *path, struct vireo_error *e)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return bad_command(e, "config %.400s: %s", path, strerror(errno));
    char *text = malloc(CONFIG_FILE_MAX);
    size_t used = 0;
    ssize_t n = text ? 1 : -1;
    while (n > 0 && used < CONFIG_FILE_MAX) {
        n = read(fd, text + used, CONFIG_FILE_MAX - used);
        if (n > 0) used += (size_t)n;
    }
    int rc;
    if (n < 0)
        rc = bad_command(e, "config %.400s: %s", path, strerror(errno));
    else if (n > 0)
        rc = bad_command(e, "config %.400s: more than 1 MiB, which no configuration needs", path);
    else
        rc = vireo_config_load_json(c, text, used, e);
    if (rc && n == 0) {
        const struct vireo_error inner = *e;
        bad_command(e, "config %.400s: %s", path, inner.text);
        memcpy(e->hint, inner.hint, sizeof(e->hint));
    }
    free(text);
    close(fd);
    return rc;
}

/* The terminal's escape first, then the file, then the options, each overriding what came before. */
static int configure(struct run *r, const struct command *self, char **words, struct vireo_config *c,
                     struct vireo_error *e)
{
    int rc = args_parse(self, ARGS_OWN, words, r, e);
    if (!rc && term_is_console()) rc = vireo_config_set(c, "escape", "true", e);
    if (!rc && r->config_path) rc = load_config(c, r->config_path, e);
    if (!rc) rc = args_parse(self, ARGS_KEYS, words, c, e);
    r->configured_ns = now_ns();
    return rc;
}

static void on_usr1(void *arg)
{
    stats_report(arg);
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
    return 0;
}

/* Start it and stay until it has ended. 0, or -errno with *e filled. */
static int live(struct run *r, struct run_report *out, struct vireo_error *e)
{
    int rc = stats_open(r, out->vm, e);
    if (!rc) rc = open_control(r, out->vm, e);
    if (rc) return rc;
    const bool has_terminal = vireo_vm_uses_stdio(out->vm) && term_is_console();
    struct run_signals signals = {.report = on_usr1, .arg = out};
    rc = run_catch_signals(&signals, has_terminal);
    if (rc) return bad_command(e, "catch signals: %s", strerror(-rc));
    const char *pty = vireo_vm_console_pty(out->vm);
    if (pty) say("console on %s", pty);
    if (r->is_verbose) say("starting");
    if (has_terminal) term_enter();
    run_close_inherited();
    rc = vireo_vm_start(out->vm, e);
    if (!rc) {
        out->signal = run_wait(&signals, out->vm, r->control);
        (void)vireo_vm_wait(out->vm, -1, &out->end);
        if (r->stats_path) stats_report(out);
    }
    term_leave();
    close(signals.fd);
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
    const char *name = vireo_vm_name(out->vm);
    if (!is_plain || out->run->is_verbose) say("%s%s%s", name, name[0] ? ": " : "", out->end.detail);
}

/* Before anything runs: a long run should not end with its report lost to a slip in a path. rc: what is wrong already,
 * which is reported too and stays the result. */
static int open_report(struct run_report *out, int rc, struct vireo_error *e)
{
    const char *path = out->run->json_path;
    if (!path) return rc;
    struct vireo_error inner;
    out->json = output_open("json", path, O_TRUNC, rc ? &inner : e);
    return out->json || rc ? rc : e->code;
}

static int run_vm(const struct command *self, char **words, uint64_t started_ns)
{
    struct run r = {.started_ns = started_ns};
    struct run_report out = {.run = &r};
    struct vireo_error e;
    struct vireo_config *c = vireo_config_create();
    if (!c) {
        say("out of memory");
        return STATUS_BAD_HOST;
    }
    int rc = configure(&r, self, words, c, &e);
    rc = open_report(&out, rc, &e);
    const struct vireo_log log = {.fn = on_log, .level = r.is_verbose ? VIREO_LOG_INFO : VIREO_LOG_WARN};
    if (!rc) rc = vireo_vm_create(&out.vm, c, &log, &e);
    if (!rc) rc = live(&r, &out, &e);
    if (rc) {
        out.error = &e;
        out.status = say_error(&e);
    } else {
        conclude(&out);
    }
    if (r.has_boot_times && !r.has_json) report_boot_times(&out);
    if (r.has_json) out.status = report_json(&out);
    out.status = stats_close(&r, out.status);
    vireo_control_destroy(r.control);
    vireo_vm_destroy(out.vm);
    vireo_config_destroy(c);
    return out.status;
}

static bool nth_key(const struct command *self, unsigned index, struct vireo_key *out)
{
    (void)self;
    return vireo_config_key(index, out);
}

static void print_statuses(FILE *f)
{
    fprintf(f, "\nExit status: 0 the guest powered off or rebooted, 1-119 the guest's own, 120 it crashed, 121 KVM\n"
               "could not run it, 122 a device failed, 124 time limit, 125 bad command line, 126 this host can't,\n"
               "127 kernel or initrd not loadable, 128+n ended by signal n. More: vireo-run(1).\n");
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

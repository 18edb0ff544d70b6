/* `vireo exec`: a static Linux program in a microVM of its own, and its exit status back. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include <vireo_sandbox.h>

#include "vmm/base/json_out.h"
#include "vmm/cli/cli.h"
#include "vmm/cli/confine.h"
#include "vmm/cli/wasm_build.h"

#define KVM            "/dev/kvm"
#define EXEC_PATHS_MAX 33 /* as many directories as a policy has, and one */

struct exec {
    const char *json, *stats, *trace, *input; /* as the options say; NULL: not given */
    int trace_fd, json_fd, stats_fd;
    struct vireo_sandbox *sandbox;
    bool has_failed_trace;
    const char *confined, *required; /* --confine, --require */
    unsigned layers;                 /* that are in force */
    /* What the program was given by name, and /dev/kvm. */
    struct confine_path path[EXEC_PATHS_MAX];
    unsigned paths;
    char *copy[EXEC_PATHS_MAX]; /* of the names, ours */
};

/* Whom a key of the library is for: the configuration, and of directories the list above. */
struct exec_keys {
    struct exec *exec;
    struct vireo_sandbox_config *config;
};

static const struct setting options[] = {
    {"stdin", "none|inherit", "what it has as standard input (default inherit)", CLI_TEXT(struct exec, input)},
    {"trace", "[FILE|-]", "each system call in a line, as strace(1) has it; - is standard error",
     CLI_TEXT(struct exec, trace)},
    {"stats", "FILE|-", "at the end, where the time went; - is standard error", CLI_TEXT(struct exec, stats)},
    {"confine", "on|off", "take rights from this process that it does not need (default on)",
     CLI_TEXT(struct exec, confined)},
    {"require", "LAYER,...", "refuse to run where one of these can not be taken, or all",
     CLI_TEXT(struct exec, required)},
    {"json", "[FILE|-]", "say how it ended as one JSON line, last on standard output or in FILE",
     CLI_TEXT(struct exec, json)},
    {0},
};

static bool nth_key(const struct command *self, unsigned index, struct setting *out)
{
    struct vireo_key k;
    (void)self;
    /* "call" is for programs that call functions, which a command line does not. */
    if (!vireo_sandbox_config_key(index, &k) || strcmp(k.name, "call") == 0) return false;
    *out =
        (struct setting){.name = k.name, .arg = k.arg, .help = k.help, .flags = k.is_repeated ? SETTING_REPEATED : 0};
    return true;
}

static int add_path(struct exec *x, const char *path, size_t len, bool is_writable, struct vireo_error *e)
{
    if (x->paths == EXEC_PATHS_MAX) return bad_command(e, "more directories than a program can be shown");
    char *copy = strndup(path, len);
    if (!copy) return bad_call(e, ENOMEM, "a directory's name");
    x->copy[x->paths] = copy;
    x->path[x->paths++] = (struct confine_path){copy, is_writable};
    return 0;
}

static int set_key(void *ctx, const char *key, const char *value, struct vireo_error *e)
{
    const struct exec_keys *k = ctx;
    const int rc = vireo_sandbox_config_set(k->config, key, value, e);
    const bool is_writable = strcmp(key, "write") == 0;
    if (rc || (!is_writable && strcmp(key, "read") != 0)) return rc;
    const char *as = strrchr(value, '=');
    return add_path(k->exec, value, as ? (size_t)(as - value) : strlen(value), is_writable, e);
}

/* ---- signals: they end the program, and leave the terminal as it was ---- */

static struct vireo_sandbox *_Atomic running;
static volatile sig_atomic_t caught;

static void on_signal(int signo)
{
    struct vireo_sandbox *s = running;
    caught = signo;
    if (s) vireo_sandbox_stop(s);
}

static void catch_signals(void)
{
    static const int list[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    const struct sigaction act = {.sa_handler = on_signal};
    struct sigaction old;
    for (unsigned i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        if (sigaction(list[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) (void)sigaction(list[i], &act, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

/* ---- where things are written ---- */

static void on_trace(void *arg, const char *line)
{
    struct exec *x = arg;
    char text[600];
    const int n = snprintf(text, sizeof(text), "%s\n", line);
    if (n > 0 && put_text(x->trace_fd, text, (size_t)n) == -EPIPE) x->has_failed_trace = true;
}

static void on_log(void *arg, const char *line)
{
    (void)arg;
    say("the program says: %s", line);
}

/* "-" and "" are the standard stream; else a file of the user's. */
static int open_output(struct outputs *files, const char *what, const char *path, int standard, int *fd,
                       struct vireo_error *e)
{
    *fd = standard;
    if (!path || !*path || strcmp(path, "-") == 0) return 0;
    *fd = output_open_fd(files, what, path, e);
    if (*fd < 0) return *fd;
    output_empty(*fd);
    return 0;
}

static int open_outputs(struct exec *x, struct vireo_error *e)
{
    struct outputs files = {.count = 0};
    int rc = open_output(&files, "trace", x->trace, STDERR_FILENO, &x->trace_fd, e);
    if (!rc) rc = open_output(&files, "stats", x->stats, STDERR_FILENO, &x->stats_fd, e);
    if (!rc) rc = open_output(&files, "json", x->json, STDOUT_FILENO, &x->json_fd, e);
    return rc;
}

/* ---- what is told at the end ---- */

static void put_ms(FILE *f, const char *what, uint64_t ns)
{
    fprintf(f, "%-22s %12.3f ms\n", what, (double)ns / 1e6);
}

static const char *count_name(const struct vireo_sandbox_count *c, char room[32])
{
    if (c->name) return c->name;
    (void)snprintf(room, 32, c->number < 0 ? "others" : "call_%ld", c->number);
    return room;
}

static double us(uint64_t ns)
{
    return (double)ns / 1e3;
}

static void put_exits(const struct exec *x, FILE *f)
{
    struct vireo_sandbox_exits e;
    fprintf(f, "\n%-22s %8s %10s %10s %10s %10s %10s %10s\n", "exits of the VM, us", "count", "run total", "p50", "p99",
            "ours total", "p50", "p99");
    for (unsigned i = 0; vireo_sandbox_exits(x->sandbox, i, &e); i++)
        if (e.count)
            fprintf(f, "%-22s %8llu %10.1f %10.2f %10.2f %10.1f %10.2f %10.2f\n", e.name, (unsigned long long)e.count,
                    us(e.run.total), us(e.run.p50), us(e.run.p99), us(e.handler.total), us(e.handler.p50),
                    us(e.handler.p99));
}

static void json_put_times(struct json_out *j, const char *name, const struct vireo_times *t)
{
    json_put_object(j, name);
    json_put_uint(j, "total_ns", t->total);
    json_put_uint(j, "min_ns", t->min);
    json_put_uint(j, "p50_ns", t->p50);
    json_put_uint(j, "p90_ns", t->p90);
    json_put_uint(j, "p99_ns", t->p99);
    json_put_uint(j, "max_ns", t->max);
    json_put_end(j);
}

static void json_put_exits(struct json_out *j, const struct exec *x)
{
    struct vireo_sandbox_exits e;
    json_put_array(j, "exit_classes");
    for (unsigned i = 0; vireo_sandbox_exits(x->sandbox, i, &e); i++) {
        if (!e.count) continue;
        json_put_object(j, NULL);
        json_put_string(j, "name", e.name);
        json_put_uint(j, "count", e.count);
        json_put_times(j, "run", &e.run);
        json_put_times(j, "handler", &e.handler);
        json_put_end(j);
    }
    json_put_end(j);
}

/* After all that is named on the command line is open, and before the program's first instruction. */
static int confine_exec(struct exec *x, struct vireo_error *e)
{
    if (x->confined && strcmp(x->confined, "off") == 0) return 0;
    const int rc = add_path(x, KVM, strlen(KVM), true, e); /* each process of a program has a VM of its own */
    const struct confine_wish w = {.path = x->path, .paths = x->paths, .required = x->required};
    return rc ? rc : confine(&w, &x->layers, e);
}

static void put_stats(struct exec *x)
{
    char *text = NULL, room[32];
    size_t len = 0;
    struct vireo_sandbox_usage u;
    struct vireo_sandbox_count c;
    FILE *f = open_memstream(&text, &len);
    if (!f) return;
    vireo_sandbox_usage(x->sandbox, &u);
    put_ms(f, "making and loading", u.load_ns);
    put_ms(f, "in the VM", u.guest_ns);
    put_ms(f, "answering calls", u.call_ns);
    put_ms(f, "CPU time", u.cpu_ns);
    fprintf(f, "%-22s %12llu\n", "exits", (unsigned long long)u.exits);
    fprintf(f, "%-22s %12.2f MiB, at most %.2f\n", "memory", (double)u.memory / 1048576,
            (double)u.memory_peak / 1048576);
    put_exits(x, f);
    fprintf(f, "\n%-20s %10s %10s %10s %12s\n", "system call", "made", "refused", "failed", "us");
    for (unsigned i = 0; vireo_sandbox_count(x->sandbox, i, &c); i++)
        fprintf(f, "%-20s %10llu %10llu %10llu %12.1f\n", count_name(&c, room), (unsigned long long)c.made,
                (unsigned long long)c.refused, (unsigned long long)c.failed, (double)c.ns / 1e3);
    if (fclose(f) == 0) (void)put_text(x->stats_fd, text, len);
    free(text);
}

static void put_json(struct exec *x, const struct vireo_sandbox_end *end)
{
    char *text = NULL, room[32];
    size_t len = 0;
    struct vireo_sandbox_usage u;
    struct vireo_sandbox_count c;
    FILE *f = open_memstream(&text, &len);
    if (!f) return;
    struct json_out j = {.write = json_to_file, .arg = f};
    vireo_sandbox_usage(x->sandbox, &u);
    json_put_object(&j, NULL);
    json_put_string(&j, "reason", end->name);
    json_put_uint(&j, "status", (uint64_t)end->status);
    json_put_string(&j, "detail", end->detail);
    if (end->reason == VIREO_SANDBOX_SIGNAL) {
        json_put_uint(&j, "signal", (uint64_t)end->value);
        json_put_uint(&j, "address", end->address);
        json_put_uint(&j, "pc", end->pc);
    }
    json_put_uint(&j, "load_ns", u.load_ns);
    json_put_uint(&j, "guest_ns", u.guest_ns);
    json_put_uint(&j, "call_ns", u.call_ns);
    json_put_uint(&j, "cpu_ns", u.cpu_ns);
    json_put_uint(&j, "exits", u.exits);
    json_put_uint(&j, "memory_peak", u.memory_peak);
    json_put_array(&j, "confined");
    for (unsigned i = 0; confine_layer(i); i++)
        if (x->layers >> i & 1) json_put_string(&j, NULL, confine_layer(i));
    json_put_end(&j);
    json_put_exits(&j, x);
    json_put_array(&j, "calls");
    for (unsigned i = 0; vireo_sandbox_count(x->sandbox, i, &c); i++) {
        json_put_object(&j, NULL);
        json_put_string(&j, "name", count_name(&c, room));
        json_put_uint(&j, "made", c.made);
        json_put_uint(&j, "refused", c.refused);
        json_put_uint(&j, "failed", c.failed);
        json_put_uint(&j, "ns", c.ns);
        json_put_end(&j);
    }
    json_put_end(&j);
    json_put_end(&j);
    fputc('\n', f);
    if (fclose(f) == 0) (void)put_text(x->json_fd, text, len);
    free(text);
}

/* ---- the command ---- */

static int configure(struct exec *x, const struct command *self, char **words, struct vireo_sandbox_config *c,
                     struct vireo_error *e)
{
    int rc = args_parse(self, ARGS_OWN, words, x, e);
    struct exec_keys keys = {x, c};
    if (!rc) rc = args_parse(self, ARGS_KEYS, words, &keys, e);
    if (!rc && x->confined && strcmp(x->confined, "on") != 0 && strcmp(x->confined, "off") != 0)
        rc = bad_command(e, "confine %.100s: give on or off", x->confined);
    if (!rc && x->required && x->confined && strcmp(x->confined, "off") == 0)
        rc = bad_command(e, "require %.100s: not with --confine off", x->required);
    if (!rc && x->input && strcmp(x->input, "none") != 0 && strcmp(x->input, "inherit") != 0)
        rc = bad_command(e, "--stdin %.100s: give none or inherit", x->input);
    if (!rc && !*args_rest(self, words)) {
        rc = bad_command(e, "no program named; write `vireo exec PROGRAM [ARGUMENT...]`");
    }
    if (!rc) rc = open_outputs(x, e);
    if (rc) return rc;
    for (int fd = 0; fd < 3; fd++)
        (void)vireo_sandbox_config_set_fd(c, fd, fd == 0 && x->input && strcmp(x->input, "none") == 0 ? -1 : fd, e);
    if (x->trace) vireo_sandbox_config_set_trace(c, on_trace, x);
    if (x->stats || x->json) vireo_sandbox_config_time_calls(c);
    vireo_sandbox_config_set_log(c, on_log, NULL);
    return 0;
}

static int run_program(struct exec *x, struct vireo_sandbox_end *end)
{
    struct termios before;
    const bool has_terminal = tcgetattr(STDIN_FILENO, &before) == 0;
    running = x->sandbox;
    catch_signals();
    (void)vireo_sandbox_run(x->sandbox, end);
    running = NULL;
    if (has_terminal) (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
    if (end->reason != VIREO_SANDBOX_EXITED && !caught) say("%s", end->detail);
    return caught ? STATUS_SIGNAL + caught : end->status;
}

/* A WebAssembly module is run as the program that it was made into. 0, and *path: what is to be loaded, which stays as
 * long as *used is open (-1: the caller's own file). */
static int find_program(const char *named, char made[PATH_MAX], const char **path, int *used, struct vireo_error *e)
{
    const struct wasm_params p = {.module = named};
    *path = named;
    if (!wasm_is_module(named)) return 0;
    *path = made;
    return wasm_program(&p, made, used, e);
}

static int run_exec(const struct command *self, char **words, uint64_t started_ns)
{
    struct exec x = {.trace_fd = -1};
    struct vireo_error e = {0};
    struct vireo_sandbox_end end;
    (void)started_ns;
    struct vireo_sandbox_config *c = vireo_sandbox_config_create();
    if (!c) {
        (void)bad_call(&e, ENOMEM, "a configuration");
        return say_error(&e);
    }
    int status, used = -1;
    char **program = args_rest(self, words), made[PATH_MAX];
    const char *path;
    if (configure(&x, self, words, c, &e) || find_program(program[0], made, &path, &used, &e) ||
        vireo_sandbox_create(&x.sandbox, c, path, (const char *const *)program, &e) || confine_exec(&x, &e)) {
        status = say_error(&e);
    } else {
        status = run_program(&x, &end);
        if (x.stats) put_stats(&x);
        if (x.json) put_json(&x, &end);
    }
    vireo_sandbox_destroy(x.sandbox);
    vireo_sandbox_config_destroy(c);
    for (unsigned i = 0; i < x.paths; i++) free(x.copy[i]);
    if (used >= 0) close(used);
    return status;
}

static void more(FILE *f)
{
    fputs("\nExit status: the program's own; 124 a limit was reached; 125 Vireo failed, or a bad command;\n"
          "126 the program or this host can't run it; 127 it isn't there; 128+N it died by signal N.\n",
          f);
}

const struct command command_exec = {
    .name = "exec",
    .args = "[OPTION...] [--] PROGRAM [ARGUMENT...]",
    .help = "Run a static Linux program in a microVM of its own, with nothing it was not given",
    .options = options,
    .key = nth_key,
    .keys_title = "What it may have",
    .set_key = set_key,
    .ends_at_word = true,
    .more = more,
    .run = run_exec,
};

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/file.h"
#include "vmm/cli/wasm_module.h"
#include "vmm/cli/wasm_steps.h"

/* What wasm2c writes is no stable interface: guest/wasi/wasm-rt.h and the names in wasm_glue.c are this version's. */
#define WASM2C_VERSION "1.0.32"
#define RUNTIME_LIB    "libvireo_wasi.a"
#define LINE_BYTES     400
#define SILENT         "it ended without a word"

int wasm_fail(struct wasm_build *b, int status, const char *fmt, ...)
{
    char text[sizeof(b->e->text)];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    bad_command(b->e, "%.300s: %s", b->params->module, text);
    b->e->exit_status = status;
    return b->e->code;
}

/* ---- what there must be ---- */

/* A program by its name in PATH, or by its path. */
static bool find_program(const char *name, char path[PATH_MAX])
{
    const char *at = getenv("PATH");
    if (strchr(name, '/')) return realpath(name, path) != NULL && access(path, X_OK) == 0;
    for (at = at ? at : "/usr/bin:/bin"; *at;) {
        const size_t len = strcspn(at, ":");
        const int n = snprintf(path, PATH_MAX, "%.*s/%s", (int)len, at, name);
        if (len > 0 && at[0] == '/' && n < PATH_MAX && access(path, X_OK) == 0) return true;
        at += len + (at[len] == ':');
    }
    return false;
}

static int find_tool(struct wasm_build *b, const char *name, const char *package, char path[PATH_MAX])
{
    if (find_program(name, path)) return 0;
    wasm_fail(b, STATUS_NOT_RUNNABLE, "translating it needs %.100s, which is not installed", name);
    (void)snprintf(b->e->hint, sizeof(b->e->hint), "apt-get install %s", package);
    return b->e->code;
}

/* Beside the program where it was built, or under the prefix where it is installed. */
static int find_runtime(struct wasm_build *b)
{
    static const char *const places[] = {"wasi", "../share/vireo/wasi"};
    char exe[PATH_MAX], file[PATH_MAX + 64];
    const ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    char *slash = n > 0 ? memrchr(exe, '/', (size_t)n) : NULL;
    for (unsigned i = 0; slash && i < 2; i++) {
        *slash = '\0';
        const int len = snprintf(b->runtime, sizeof(b->runtime), "%s/%s", exe, places[i]);
        (void)snprintf(file, sizeof(file), "%s/%s", b->runtime, RUNTIME_LIB);
        if (len < (int)sizeof(b->runtime) && access(file, R_OK) == 0) return 0;
    }
    return wasm_fail(b, STATUS_NOT_RUNNABLE,
                     "the WASI runtime is neither in wasi/ beside this program nor in ../share/vireo/wasi; "
                     "`make install` puts it there");
}

static int read_module(struct wasm_build *b)
{
    struct err err = {0};
    char *text;
    const int rc = file_read(&text, &b->size, b->params->module, WASM_MODULE_MAX, &err);
    b->bytes = (uint8_t *)text;
    if (rc == 0) return 0;
    b->bytes = NULL;
    return wasm_fail(b, rc == -ENOENT || rc == -ENOTDIR ? STATUS_NOT_FOUND : STATUS_NOT_RUNNABLE, "%s", err.text);
}

int wasm_build_init(struct wasm_build *b, const struct wasm_params *p, struct vireo_error *e)
{
    *b = (struct wasm_build){.params = p, .e = e};
    int rc = read_module(b);
    if (rc == 0) rc = find_tool(b, "wasm2c", "wabt", b->wasm2c);
    if (rc == 0) rc = find_tool(b, p->cc ? p->cc : "gcc", "gcc libc6-dev", b->cc);
    return rc ? rc : find_runtime(b);
}

void wasm_build_fini(struct wasm_build *b)
{
    free(b->bytes);
}

bool wasm_is_module(const char *path)
{
    char head[4];
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    const ssize_t n = fd < 0 ? -1 : read(fd, head, sizeof(head));
    if (fd >= 0) close(fd);
    return n == (ssize_t)sizeof(head) && memcmp(head, "\0asm", sizeof(head)) == 0;
}

/* ---- files of the folder ---- */

static int put_file(struct wasm_build *b, const struct wasm_job *j, const char *name, const void *bytes, size_t size)
{
    char path[PATH_MAX];
    wasm_job_path(j, name, path);
    FILE *f = fopen(path, "we");
    const bool is_good = f && fwrite(bytes, 1, size, f) == size;
    if ((f && fclose(f) != 0) || !is_good) return bad_call(b->e, errno, "%.300s", path);
    return 0;
}

typedef void write_fn(const struct wasm_module *m, FILE *f);
static int put_made(struct wasm_build *b, const struct wasm_job *j, const struct wasm_module *m, const char *name,
                    write_fn *write_to)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (f) write_to(m, f);
    const int rc = f && fclose(f) == 0 ? put_file(b, j, name, text, size) : bad_call(b->e, ENOMEM, "%s", name);
    free(text);
    return rc;
}

/* The module without its texts, and what is around it. */
static int put_sources(struct wasm_build *b, const struct wasm_job *j)
{
    struct wasm_module m;
    struct err err = {0};
    uint8_t *bare = NULL;
    size_t size = 0;
    int rc = wasm_module_read(&m, b->bytes, b->size, b->params->module, &err);
    if (rc) {
        bad_command(b->e, "%s", err.text);
        memcpy(b->e->hint, err.hint, sizeof(b->e->hint));
        b->e->exit_status = STATUS_NOT_RUNNABLE;
        return b->e->code;
    }
    rc = wasm_module_rewrite(&m, &bare, &size);
    if (rc) rc = bad_call(b->e, -rc, "%.300s", b->params->module);
    if (rc == 0) rc = put_file(b, j, "m.wasm", bare, size);
    if (rc == 0) rc = put_made(b, j, &m, "glue.c", wasm_glue_write);
    if (rc == 0) rc = put_made(b, j, &m, "symbols", wasm_symbols_write);
    free(bare);
    wasm_module_fini(&m);
    return rc;
}

/* ---- the programs that do it ---- */

static int run_tool(struct wasm_build *b, struct wasm_job *j, const char *const *argv, const char *what)
{
    char line[LINE_BYTES];
    const int rc = wasm_job_run(j, argv, b->e);
    if (rc != -ECHILD) return rc;
    wasm_job_said(j, "error", line, sizeof(line));
    return wasm_fail(b, STATUS_NOT_RUNNABLE, "%s: %s", what, line[0] ? line : SILENT);
}

static int check_wasm2c(struct wasm_build *b, struct wasm_job *j)
{
    const char *const argv[] = {b->wasm2c, "--version", NULL};
    char line[LINE_BYTES];
    const int rc = run_tool(b, j, argv, b->wasm2c);
    if (rc) return rc;
    wasm_job_said(j, "", line, sizeof(line));
    if (strcmp(line, WASM2C_VERSION) == 0) return 0;
    return wasm_fail(b, STATUS_NOT_RUNNABLE, "%.200s is of wabt %.60s; this program knows what %s writes (Debian 12)",
                     b->wasm2c, line, WASM2C_VERSION);
}

/* What wasm2c says of what it doesn't know, and how the module is built without it. */
static const struct {
    const char *said, *hint;
} beyond[] = {
    {"memory64 not allowed", "memories of 64 bits are beyond wasm2c: build it for wasm32"},
    {"threads not allowed", "threads are beyond wasm2c: build it without -pthread and -matomics"},
    {"opcode: 0xfe", "threads are beyond wasm2c: build it without -pthread and -matomics"},
    {"opcode: 0x12", "tail calls are beyond wasm2c: build it without -mtail-call"},
    {"opcode: 0x13", "tail calls are beyond wasm2c: build it without -mtail-call"},
    {"opcode: 0x6", "exceptions are beyond wasm2c: build it with -fno-exceptions"},
    {"opcode: 0x8", "exceptions are beyond wasm2c: build it with -fno-exceptions"},
    /* It aborts at instructions that it can't write. */
    {SILENT, "vector instructions do that to wasm2c: build it without -msimd128"},
};

static int to_c(struct wasm_build *b, struct wasm_job *j)
{
    const char *const argv[] = {b->wasm2c, "--no-debug-names", "-n", "m", "m.wasm", "-o", "m.c", NULL};
    const int rc = run_tool(b, j, argv, "wasm2c refuses it");
    for (unsigned i = 0; rc && i < sizeof(beyond) / sizeof(beyond[0]); i++)
        if (strstr(b->e->text, beyond[i].said)) (void)snprintf(b->e->hint, sizeof(b->e->hint), "%s", beyond[i].hint);
    return rc;
}

static int compile(struct wasm_build *b, struct wasm_job *j)
{
    char library[PATH_MAX + 64];
    (void)snprintf(library, sizeof(library), "%s/%s", b->runtime, RUNTIME_LIB);
    const char *const argv[] = {
        b->cc, "-std=gnu17", "-O2", "-w", "-DNDEBUG", "-I", b->runtime,
        /* WebAssembly's arithmetic: numbers wrap, reals are rounded one by one, NaNs stay quiet or signalling. */
        "-fwrapv", "-fno-strict-aliasing", "-ffp-contract=off", "-frounding-math", "-fsignaling-nans",
        /* An endless recursion ends at the stack's guard page, which no frame can step over. */
        "-fno-optimize-sibling-calls", "-fstack-clash-protection",
        /* The same module gives the same program. */
        "-fno-ident", "-fno-asynchronous-unwind-tables", "-Wl,--build-id=none", "-Wl,-z,noexecstack", "-static", "m.c",
        "glue.c", library, "-lm", "-o", "linked", NULL};
    const int rc = run_tool(b, j, argv, "the C compiler failed");
    if (rc && strstr(b->e->text, "cannot find -l"))
        (void)snprintf(b->e->hint, sizeof(b->e->hint), "apt-get install libc6-dev");
    return rc;
}

/* The module's functions get their names when all is linked, and libc's lose theirs: a module may call one "malloc". */
static int name_functions(struct wasm_build *b, struct wasm_job *j)
{
    const char *const ask[] = {b->cc, "-print-prog-name=objcopy", NULL};
    char name[LINE_BYTES], objcopy[PATH_MAX];
    int rc = run_tool(b, j, ask, b->cc);
    if (rc) return rc;
    wasm_job_said(j, "", name, sizeof(name));
    rc = find_tool(b, name, "binutils", objcopy);
    const char *const hide[] = {
        objcopy,  "--wildcard", "--keep-global-symbol=vireo_export_*", "--keep-global-symbol=vireo_wasm_*", "linked",
        "hidden", NULL};
    const char *const rename_all[] = {objcopy, "--redefine-syms=symbols", "hidden", "program", NULL};
    if (rc == 0) rc = run_tool(b, j, hide, "objcopy");
    return rc ? rc : run_tool(b, j, rename_all, "objcopy");
}

int wasm_build_run(struct wasm_build *b, struct wasm_job *j)
{
    int rc = put_sources(b, j);
    if (rc == 0) rc = check_wasm2c(b, j);
    if (rc == 0) rc = to_c(b, j);
    if (rc == 0) rc = compile(b, j);
    return rc ? rc : name_functions(b, j);
}

/* ---- to a file ---- */

int wasm_copy(const char *from, int to_fd)
{
    struct stat st;
    const int fd = open(from, O_RDONLY | O_CLOEXEC);
    int rc = fd < 0 || fstat(fd, &st) < 0 ? -errno : 0;
    for (off_t at = 0; rc == 0 && at < st.st_size;) {
        const ssize_t n = sendfile(to_fd, fd, &at, (size_t)(st.st_size - at));
        if (n <= 0) rc = n < 0 ? -errno : -EIO;
    }
    if (fd >= 0) close(fd);
    return rc;
}

/* What is there already must be a file, and not the module. */
static int check_output(struct wasm_build *b, const char *output)
{
    struct stat out, module;
    if (stat(output, &out) < 0) return 0;
    if (!S_ISREG(out.st_mode)) return bad_command(b->e, "output %.300s: it is there, and no file", output);
    if (stat(b->params->module, &module) == 0 && out.st_dev == module.st_dev && out.st_ino == module.st_ino)
        return bad_command(b->e, "output %.300s: that is the module itself; name another file", output);
    return 0;
}

static int put_output(struct wasm_build *b, const struct wasm_job *j, const char *output)
{
    char made[PATH_MAX], from[PATH_MAX];
    wasm_job_path(j, "program", from);
    if (snprintf(made, sizeof(made), "%s.XXXXXX", output) >= (int)sizeof(made))
        return bad_call(b->e, ENAMETOOLONG, "output %.300s", output);
    const int fd = mkostemp(made, O_CLOEXEC);
    if (fd < 0) return bad_call(b->e, errno, "output %.300s", output);
    int rc = wasm_copy(from, fd);
    if (rc == 0 && fchmod(fd, 0755) < 0) rc = -errno;
    if (close(fd) < 0 && rc == 0) rc = -errno;
    if (rc == 0 && rename(made, output) < 0) rc = -errno;
    if (rc == 0) return 0;
    (void)unlink(made);
    return bad_call(b->e, -rc, "output %.300s", output);
}

int wasm_translate(const struct wasm_params *p, const char *output, struct vireo_error *e)
{
    struct wasm_build b;
    struct wasm_job j;
    int rc = wasm_build_init(&b, p, e);
    if (rc == 0) rc = check_output(&b, output);
    if (rc == 0 && (rc = wasm_job_begin(&j, e)) == 0) {
        rc = wasm_build_run(&b, &j);
        if (rc == 0) rc = put_output(&b, &j, output);
        wasm_job_end(&j);
    }
    wasm_build_fini(&b);
    return rc;
}

/* Calls of WASI by a hostile module: its memory is a heap block, so that a sanitizer sees each byte beyond it, and the
 * system below is a temporary folder with links and files outside of it, which must stay as they were. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/wasi/wasi.h"
#include "tests/fuzz/fuzz.h"

#define MEMORY_BYTES 4096u
#define CALLS_MAX    64u
#define POLL         "iiii*"

typedef uint32_t call_fn(struct wasi *w, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                         uint64_t);
#define CALL(name, params)                                                                                             \
    {                                                                                                                  \
        (call_fn *)(void (*)(void))WASI_CALL(name), params                                                             \
    }
/* Their own types do not matter: each argument is in a register or a slot of 64 bits, of which it takes what it needs.
 */
#define DECLARE(name) uint32_t WASI_CALL(name)(void)
DECLARE(args_get);
DECLARE(args_sizes_get);
DECLARE(environ_get);
DECLARE(environ_sizes_get);
DECLARE(clock_res_get);
DECLARE(clock_time_get);
DECLARE(fd_advise);
DECLARE(fd_allocate);
DECLARE(fd_close);
DECLARE(fd_datasync);
DECLARE(fd_fdstat_get);
DECLARE(fd_fdstat_set_flags);
DECLARE(fd_fdstat_set_rights);
DECLARE(fd_filestat_get);
DECLARE(fd_filestat_set_size);
DECLARE(fd_filestat_set_times);
DECLARE(fd_pread);
DECLARE(fd_prestat_dir_name);
DECLARE(fd_prestat_get);
DECLARE(fd_pwrite);
DECLARE(fd_read);
DECLARE(fd_readdir);
DECLARE(fd_renumber);
DECLARE(fd_seek);
DECLARE(fd_sync);
DECLARE(fd_tell);
DECLARE(fd_write);
DECLARE(path_create_directory);
DECLARE(path_filestat_get);
DECLARE(path_filestat_set_times);
DECLARE(path_link);
DECLARE(path_open);
DECLARE(path_readlink);
DECLARE(path_remove_directory);
DECLARE(path_rename);
DECLARE(path_symlink);
DECLARE(path_unlink_file);
DECLARE(poll_oneoff);
DECLARE(proc_raise);
DECLARE(random_get);
DECLARE(sched_yield);
DECLARE(sock_accept);
DECLARE(sock_recv);
DECLARE(sock_send);
DECLARE(sock_shutdown);

/* All but proc_exit. i: 32 bits, I: 64; p and n: a path's address and length; f: a descriptor. */
static const struct {
    call_fn *call;
    const char *params;
} calls[] = {
    CALL(args_get, "ii"),
    CALL(args_sizes_get, "ii"),
    CALL(environ_get, "ii"),
    CALL(environ_sizes_get, "ii"),
    CALL(clock_res_get, "ii"),
    CALL(clock_time_get, "iIi"),
    CALL(fd_advise, "fIIi"),
    CALL(fd_allocate, "fII"),
    CALL(fd_close, "f"),
    CALL(fd_datasync, "f"),
    CALL(fd_fdstat_get, "fi"),
    CALL(fd_fdstat_set_flags, "fi"),
    CALL(fd_fdstat_set_rights, "fII"),
    CALL(fd_filestat_get, "fi"),
    CALL(fd_filestat_set_size, "fI"),
    CALL(fd_filestat_set_times, "fIIi"),
    CALL(fd_pread, "fiiIi"),
    CALL(fd_prestat_dir_name, "fii"),
    CALL(fd_prestat_get, "fi"),
    CALL(fd_pwrite, "fiiIi"),
    CALL(fd_read, "fiii"),
    CALL(fd_readdir, "fiiIi"),
    CALL(fd_renumber, "ff"),
    CALL(fd_seek, "fIii"),
    CALL(fd_sync, "f"),
    CALL(fd_tell, "fi"),
    CALL(fd_write, "fiii"),
    CALL(path_create_directory, "fpn"),
    CALL(path_filestat_get, "fipni"),
    CALL(path_filestat_set_times, "fipnIIi"),
    CALL(path_link, "fipnfpn"),
    CALL(path_open, "fipniRRii"),
    CALL(path_readlink, "fpniii"),
    CALL(path_remove_directory, "fpn"),
    CALL(path_rename, "fpnfpn"),
    CALL(path_symlink, "pnfpn"),
    CALL(path_unlink_file, "fpn"),
    CALL(poll_oneoff, POLL),
    CALL(proc_raise, "i"),
    CALL(random_get, "ii"),
    CALL(sched_yield, ""),
    CALL(sock_accept, "fii"),
    CALL(sock_recv, "fiiiii"),
    CALL(sock_send, "fiiii"),
    CALL(sock_shutdown, "fi"),
};

/* ---- the folder: TOP/in is the module's, TOP/out and TOP/secret are not ---- */

static char top[] = "/dev/shm/fuzz_wasi.XXXXXX"; /* in memory: fsync is among the calls */
static int top_fd;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}
static void remove_top(void)
{
    (void)nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void put_tree(void)
{
    char in[64];
    snprintf(in, sizeof(in), "%s/in", top);
    (void)nftw(in, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    MUST(mkdirat(top_fd, "in", 0700) == 0 && mkdirat(top_fd, "in/a", 0700) == 0 &&
         mkdirat(top_fd, "in/a/b", 0700) == 0);
    const int fd = openat(top_fd, "in/f", O_CREAT | O_WRONLY, 0600);
    MUST(fd >= 0 && write(fd, "inside", 6) == 6 && close(fd) == 0);
    MUST(symlinkat("../secret", top_fd, "in/l") == 0 && symlinkat("/etc", top_fd, "in/e") == 0);
    MUST(symlinkat("../../../out", top_fd, "in/a/b/o") == 0 && symlinkat("a/b", top_fd, "in/s") == 0);
    MUST(symlinkat("k", top_fd, "in/k") == 0 && symlinkat("../f", top_fd, "in/a/g") == 0);
}

/* Nothing outside was made, removed, written or given another name. */
static void check_outside(void)
{
    struct stat st;
    MUST(fstatat(top_fd, "secret", &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size == 6 && st.st_nlink == 1);
    MUST(st.st_mtim.tv_sec == 1 && st.st_atim.tv_sec == 1); /* neither read, where the system keeps that, nor written */
    MUST(fstatat(top_fd, "out", &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_nlink == 2 && st.st_mtim.tv_sec == 1);
    MUST(fstatat(top_fd, ".", &st, 0) == 0 && st.st_nlink == 4);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    const struct rlimit small = {.rlim_cur = 1 << 20, .rlim_max = 1 << 20};
    (void)argc, (void)argv;
    MUST(mkdtemp(top));
    (void)atexit(remove_top);
    top_fd = open(top, O_RDONLY | O_DIRECTORY);
    MUST(mkdirat(top_fd, "in", 0700) == 0 && mkdirat(top_fd, "out", 0700) == 0);
    const int fd = openat(top_fd, "secret", O_CREAT | O_WRONLY, 0600);
    MUST(fd >= 0 && write(fd, "secret", 6) == 6 && futimens(fd, old) == 0 && close(fd) == 0);
    MUST(utimensat(top_fd, "out", old, 0) == 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    MUST(setrlimit(RLIMIT_FSIZE, &small) == 0);
    return 0;
}

/* ---- the calls ---- */

static const char *const paths[] = {"f",
                                    "a",
                                    "a/b",
                                    "l",
                                    "e",
                                    "a/b/o",
                                    "s",
                                    "k",
                                    "a/g",
                                    "../f",
                                    "a/../f",
                                    "a/../../f",
                                    "s/../b",
                                    "new",
                                    "a/new",
                                    "s/new/",
                                    ".",
                                    "..",
                                    "/",
                                    "../secret",
                                    "l/x",
                                    "e/shadow",
                                    "a/b/../../..",
                                    "a/b/o/x",
                                    "s/../../../secret",
                                    "a//./b/",
                                    "../in/f",
                                    ""};

static uint64_t argument(struct script *in, char kind, uint8_t *memory, uint32_t *path_len)
{
    const uint32_t v = take(in, 1);
    const char *path = paths[v % (sizeof(paths) / sizeof(paths[0]))];
    const uint32_t at = 1024 + (v & 3) * 64;
    switch (kind) {
    case 'f': return v & 0x40 ? take(in, 4) : v & 7;
    case 'R': return v & 1 ? RIGHTS_ALL : (uint64_t)take(in, 4);
    case 'p':
        *path_len = (uint32_t)strlen(path);
        if (v & 0x80) return take(in, 4);
        memcpy(memory + at, path, *path_len);
        return at;
    case 'n': return v & 0x80 ? take(in, 4) : *path_len;
    case 'I': return v & 1 ? (uint64_t)take(in, 4) << 32 | take(in, 4) : v;
    default:
        switch (v & 7) {
        case 0: return take(in, 4);
        case 1: return MEMORY_BYTES - (v >> 3);
        case 2: return UINT32_MAX - (v >> 3);
        case 3: return v >> 3;
        default: return take(in, 2) % MEMORY_BYTES;
        }
    }
}

static void one_call(struct wasi *w, struct script *in)
{
    uint64_t a[9] = {0};
    uint32_t path_len = 0;
    const uint32_t which = take(in, 1) % (sizeof(calls) / sizeof(calls[0]));
    const char *params = calls[which].params;
    for (unsigned i = 0; params[i] && params[i] != '*'; i++) a[i] = argument(in, params[i], w->memory->data, &path_len);
    if (strcmp(params, POLL) == 0) { /* one of the events is due at once, or the fuzzer would wait for long */
        uint8_t *first = wasi_slice(w, (uint32_t)a[0], 48);
        if (first) memset(first + 8, 0, 40);
    }
    MUST(calls[which].call(w, a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8]) <= WASI_NOTCAPABLE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)signal(SIGXFSZ, SIG_IGN); /* then EFBIG says so; libFuzzer has set its own handler by now */
    static struct wasi w;
    static char *argv[] = {"program", "argument", NULL}, *envp[] = {"NAME=value", NULL};
    struct script in = {.p = data, .left = size};
    char preopens[64];
    wasm_rt_memory_t memory = {.data = malloc(MEMORY_BYTES), .size = MEMORY_BYTES};
    MUST(memory.data);
    memset(memory.data, 0, MEMORY_BYTES);
    put_tree();
    snprintf(preopens, sizeof(preopens), "%s/in=/in", top);
    wasi_init(&w, argv, envp, preopens);
    for (unsigned i = 0; i < 3; i++) w.fd[i].host = -1; /* the fuzzer's own */
    w.memory = &memory;
    w.lacks_openat2 = take(&in, 1) & 1;
    for (unsigned i = 0; i < CALLS_MAX && in.left > 0; i++) one_call(&w, &in);
    wasi_fini(&w);
    free(memory.data);
    check_outside();
    return 0;
}

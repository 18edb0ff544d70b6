/* Programs of modules that were translated once. An entry is one file: the program, the module it was made of, what
 * made it, and a tail that tells their sizes and a sum of all. A program may have anything behind its end. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/cli/wasm_steps.h"

#define IDENTITY_MAX (4 * PATH_MAX)
/* The programs of some hundred modules: one is 0.9 MB of C library and a few times what its module has. */
#define CACHE_BYTES_MAX (512ull << 20)
#define CACHE_AGE_MAX_S (30 * 24 * 3600)             /* one that was not used for so long is made anew in seconds */
#define MAGIC           UINT64_C(0x316d736157657256) /* "VreWasm1" */

struct tail {
    uint64_t magic, program, module, identity, sum;
};

/* A sum that finds damage, and a name for a file; nobody else can write there, so it need not resist anybody. */
static uint64_t sum_of(uint64_t sum, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    uint64_t word;
    for (; size >= sizeof(word); at += sizeof(word), size -= sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        sum ^= sum >> 29;
    }
    for (; size > 0; at++, size--) sum = (sum ^ *at) * UINT64_C(0x100000001b3);
    return sum;
}

/* ---- what makes programs ---- */

/* A file as it is now. */
static size_t add_identity(char *text, size_t at, const char *path)
{
    struct stat st = {0};
    (void)stat(path, &st);
    const int n = snprintf(text + at, IDENTITY_MAX - at, "%s %lld %lld.%09ld\n", path, (long long)st.st_size,
                           (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    return n < 0 || (size_t)n >= IDENTITY_MAX - at ? at : at + (size_t)n;
}

static size_t identity_of(const struct wasm_build *b, char text[IDENTITY_MAX])
{
    char library[PATH_MAX + 64];
    (void)snprintf(library, sizeof(library), "%s/libvireo_wasi.a", b->runtime);
    size_t at = (size_t)snprintf(text, IDENTITY_MAX, "vireo %s\n", vireo_version());
    at = add_identity(text, at, b->wasm2c);
    at = add_identity(text, at, b->cc);
    return add_identity(text, at, library);
}

/* ---- an entry ---- */

struct key {
    char name[WASM_ENTRY_NAME];
    char identity[IDENTITY_MAX];
    size_t identity_len;
};

static void make_key(const struct wasm_build *b, struct key *k)
{
    k->identity_len = identity_of(b, k->identity);
    const uint64_t sum = sum_of(sum_of(b->size, b->bytes, b->size), k->identity, k->identity_len);
    (void)snprintf(k->name, sizeof(k->name), "%016llx", (unsigned long long)sum);
}

/* Is the file what its tail says, and made of this module by these tools? */
static bool is_ours(const struct wasm_build *b, const struct key *k, const uint8_t *file, size_t size)
{
    struct tail t;
    if (size < sizeof(t)) return false;
    const size_t body = size - sizeof(t);
    memcpy(&t, file + body, sizeof(t));
    if (t.magic != MAGIC || t.module != b->size || t.identity != k->identity_len || t.module > body ||
        t.identity > body - t.module || t.program != body - t.module - t.identity)
        return false;
    const uint8_t *module = file + t.program, *identity = module + t.module;
    return memcmp(module, b->bytes, b->size) == 0 && memcmp(identity, k->identity, k->identity_len) == 0 &&
           sum_of(MAGIC, file, body) == t.sum;
}

/* The entry, in use (wasm_entry_use), where it is there and good; else -1. */
static int open_entry(const struct wasm_build *b, int dir, const struct key *k)
{
    struct stat st;
    bool is_good = false;
    const int fd = wasm_entry_use(dir, k->name);
    if (fd < 0) return -1;
    if (fstat(fd, &st) == 0 && st.st_size > 0) {
        void *file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        is_good = file != MAP_FAILED && is_ours(b, k, file, (size_t)st.st_size);
        if (file != MAP_FAILED) (void)munmap(file, (size_t)st.st_size);
    }
    if (is_good) return fd;
    close(fd);
    return -1;
}

static bool write_all(int fd, const void *bytes, size_t size)
{
    return write(fd, bytes, size) == (ssize_t)size; /* less only when the disk is full */
}

/* Behind the program, which is in the file already. */
static int add_tail(const struct wasm_build *b, const struct key *k, int fd)
{
    struct tail t = {.magic = MAGIC, .module = b->size, .identity = k->identity_len};
    const off_t program = lseek(fd, 0, SEEK_END);
    if (program < 0) return -errno;
    t.program = (uint64_t)program;
    if (!write_all(fd, b->bytes, b->size) || !write_all(fd, k->identity, k->identity_len)) return -ENOSPC;
    const size_t body = (size_t)program + b->size + k->identity_len;
    void *file = mmap(NULL, body, PROT_READ, MAP_SHARED, fd, 0);
    if (file == MAP_FAILED) return -errno;
    t.sum = sum_of(MAGIC, file, body);
    (void)munmap(file, body);
    return write_all(fd, &t, sizeof(t)) ? 0 : -ENOSPC;
}

/* The new entry, in use. The caller has its lock. */
static int put_entry(struct wasm_build *b, const struct wasm_job *j, int dir, const struct key *k)
{
    char made[64], from[PATH_MAX];
    int used = -1;
    wasm_job_path(j, "program", from);
    (void)snprintf(made, sizeof(made), "%s.new", k->name); /* the lock makes it nobody else's */
    (void)unlinkat(dir, made, 0);
    const int fd = openat(dir, made, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
    int rc = fd < 0 ? -errno : wasm_copy(from, fd);
    if (rc == 0) rc = add_tail(b, k, fd);
    if (fd >= 0 && close(fd) < 0 && rc == 0) rc = -errno;
    if (rc == 0) rc = used = wasm_entry_use(dir, made); /* before others can find it */
    if (used >= 0 && renameat(dir, made, dir, k->name) == 0) return used;
    if (used >= 0) rc = -errno;
    if (used >= 0) close(used);
    (void)unlinkat(dir, made, 0);
    return bad_call(b->e, -rc, "keeping the program of %.300s", b->params->module);
}

static int translate_entry(struct wasm_build *b, int dir, const struct key *k)
{
    struct wasm_removed removed;
    struct wasm_job j;
    int fd = wasm_job_begin(&j, b->e);
    if (fd) return fd;
    if (isatty(STDERR_FILENO)) say("%s: translating it, once", b->params->module);
    fd = wasm_build_run(b, &j);
    if (fd == 0) fd = put_entry(b, &j, dir, k);
    wasm_job_end(&j);
    if (fd >= 0) wasm_folder_tidy(dir, CACHE_BYTES_MAX, CACHE_AGE_MAX_S, &removed);
    return fd;
}

static int make_entry(struct wasm_build *b, int dir, const struct key *k)
{
    const int lock = wasm_folder_lock(dir, k->name, true);
    if (lock < 0) return bad_call(b->e, -lock, "lock %s of the cache", k->name);
    int fd = open_entry(b, dir, k); /* somebody else may have made it meanwhile */
    if (fd < 0) fd = translate_entry(b, dir, k);
    wasm_folder_unlock(dir, k->name, lock);
    return fd;
}

int wasm_program(const struct wasm_params *p, char path[PATH_MAX], int *used, struct vireo_error *e)
{
    struct wasm_build b;
    char dir[PATH_MAX];
    struct key k;
    int folder = -1, fd = -1, rc = wasm_build_init(&b, p, e);
    if (rc == 0) rc = folder = wasm_folder_open(dir, e);
    if (folder >= 0) {
        make_key(&b, &k);
        fd = open_entry(&b, folder, &k);
        rc = fd = fd < 0 ? make_entry(&b, folder, &k) : fd;
        close(folder);
    }
    wasm_build_fini(&b);
    if (fd < 0) return rc;
    (void)snprintf(path, PATH_MAX, "%.*s/%s", PATH_MAX - 64, dir, k.name);
    *used = fd;
    return 0;
}

int wasm_clear_cache(struct wasm_removed *out, struct vireo_error *e)
{
    char dir[PATH_MAX];
    const int folder = wasm_folder_open(dir, e);
    if (folder < 0) return folder;
    wasm_folder_tidy(folder, 0, CACHE_AGE_MAX_S, out);
    close(folder);
    return 0;
}

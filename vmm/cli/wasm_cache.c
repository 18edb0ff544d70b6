/* Programs of modules that were translated once. An entry is one file: the program, the module it was made of, what
 * made it, and a tail that tells their sizes and a sum of all. A program may have anything behind its end. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/cli/wasm_steps.h"

#define IDENTITY_MAX (4 * PATH_MAX)
#define MAGIC        UINT64_C(0x316d736157657256) /* "VreWasm1" */

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

/* ---- the folder ---- */

static int cache_path(struct wasm_build *b, char dir[PATH_MAX])
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n;
    if (xdg && xdg[0] == '/') /* a relative one counts as none (XDG Base Directory Specification) */
        n = snprintf(dir, PATH_MAX, "%s", xdg);
    else if (home && home[0] == '/')
        n = snprintf(dir, PATH_MAX, "%s/.cache", home);
    else
        return wasm_fail(b, STATUS_NOT_RUNNABLE,
                         "no place for its program: set XDG_CACHE_HOME or HOME, or use vireo wasm");
    if (n > PATH_MAX - 64) return wasm_fail(b, STATUS_NOT_RUNNABLE, "the path of the cache is too long");
    (void)mkdir(dir, 0700);
    memcpy(dir + n, "/vireo", sizeof("/vireo"));
    return 0;
}

/* An open folder that is nobody else's. */
static int open_cache(struct wasm_build *b, char dir[PATH_MAX])
{
    struct stat st;
    int rc = cache_path(b, dir);
    if (rc) return rc;
    if (mkdir(dir, 0700) < 0 && errno != EEXIST) return bad_call(b->e, errno, "cache %.300s", dir);
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        rc = bad_call(b->e, errno, "cache %.300s", dir);
        if (fd >= 0) close(fd);
        return rc;
    }
    if (st.st_uid == geteuid() && !(st.st_mode & 077)) return fd;
    close(fd);
    bad_command(b->e, "cache %.300s: it is of user %u with mode %04o; programs are taken from a folder of one's own",
                dir, (unsigned)st.st_uid, (unsigned)st.st_mode & 07777);
    (void)snprintf(b->e->hint, sizeof(b->e->hint), "remove it, or set XDG_CACHE_HOME to a folder of yours");
    return b->e->code;
}

/* ---- an entry ---- */

struct key {
    char name[32], lock[40];
    char identity[IDENTITY_MAX];
    size_t identity_len;
};

static void make_key(const struct wasm_build *b, struct key *k)
{
    k->identity_len = identity_of(b, k->identity);
    const uint64_t sum = sum_of(sum_of(b->size, b->bytes, b->size), k->identity, k->identity_len);
    (void)snprintf(k->name, sizeof(k->name), "%016llx", (unsigned long long)sum);
    (void)snprintf(k->lock, sizeof(k->lock), "%s.lock", k->name);
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

static bool has_entry(const struct wasm_build *b, int dir, const struct key *k)
{
    struct stat st;
    bool is_good = false;
    const int fd = openat(dir, k->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return false;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && st.st_size > 0) {
        void *file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        is_good = file != MAP_FAILED && is_ours(b, k, file, (size_t)st.st_size);
        if (file != MAP_FAILED) (void)munmap(file, (size_t)st.st_size);
    }
    close(fd);
    return is_good;
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

static int put_entry(struct wasm_build *b, const struct wasm_job *j, int dir, const struct key *k)
{
    char made[64], from[PATH_MAX];
    wasm_job_path(j, "program", from);
    (void)snprintf(made, sizeof(made), "%s.new", k->name); /* the lock makes it nobody else's */
    (void)unlinkat(dir, made, 0);
    const int fd = openat(dir, made, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
    int rc = fd < 0 ? -errno : wasm_copy(from, fd);
    if (rc == 0) rc = add_tail(b, k, fd);
    if (fd >= 0 && close(fd) < 0 && rc == 0) rc = -errno;
    if (rc == 0 && renameat(dir, made, dir, k->name) < 0) rc = -errno;
    if (rc == 0) return 0;
    (void)unlinkat(dir, made, 0);
    return bad_call(b->e, -rc, "keeping the program of %.300s", b->params->module);
}

/* ---- one at a time ---- */

/* The lock's descriptor. Its file goes away with the one who had it: who gets a lock on a file that is gone tries anew.
 */
static int lock_entry(struct wasm_build *b, int dir, const struct key *k)
{
    for (;;) {
        struct stat st;
        const int fd = openat(dir, k->lock, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0) return bad_call(b->e, errno, "lock %s of the cache", k->lock);
        while (flock(fd, LOCK_EX) < 0)
            if (errno != EINTR) break;
        if (fstat(fd, &st) == 0 && st.st_nlink > 0) return fd;
        close(fd);
    }
}

static int make_entry(struct wasm_build *b, int dir, const struct key *k)
{
    struct wasm_job j;
    const int lock = lock_entry(b, dir, k);
    if (lock < 0) return lock;
    int rc = 0;
    if (!has_entry(b, dir, k) && (rc = wasm_job_begin(&j, b->e)) == 0) {
        if (isatty(STDERR_FILENO)) say("%s: translating it, once", b->params->module);
        rc = wasm_build_run(b, &j);
        if (rc == 0) rc = put_entry(b, &j, dir, k);
        wasm_job_end(&j);
    }
    (void)unlinkat(dir, k->lock, 0);
    close(lock);
    return rc;
}

int wasm_program(const struct wasm_params *p, char path[PATH_MAX], struct vireo_error *e)
{
    struct wasm_build b;
    char dir[PATH_MAX];
    struct key k;
    int fd = -1, rc = wasm_build_init(&b, p, e);
    if (rc == 0) rc = fd = open_cache(&b, dir);
    if (fd >= 0) {
        make_key(&b, &k);
        rc = has_entry(&b, fd, &k) ? 0 : make_entry(&b, fd, &k);
        close(fd);
    }
    if (rc == 0) (void)snprintf(path, PATH_MAX, "%.*s/%s", PATH_MAX - 64, dir, k.name);
    wasm_build_fini(&b);
    return rc;
}

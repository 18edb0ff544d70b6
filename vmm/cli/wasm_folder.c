/* The cache's folder: where it is, locks in it, and what is removed so that it stays small.
 *
 *   NAME        an entry, 16 hexadecimal digits. Whoever uses it has a shared lock on it: it is not removed then. Its
 *               time of access is set at each use, as file systems need not do.
 *   NAME.lock   whoever makes or removes NAME has a lock on it; it goes away with the lock.
 *   NAME.new    NAME while it is written.
 *
 * Any other file is not ours and stays. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "vmm/cli/wasm_steps.h"

#define NAME_DIGITS 16u

/* ---- the folder ---- */

static int cache_path(char dir[PATH_MAX], struct vireo_error *e)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n;
    if (xdg && xdg[0] == '/') /* a relative one counts as none (XDG Base Directory Specification) */
        n = snprintf(dir, PATH_MAX, "%s", xdg);
    else if (home && home[0] == '/')
        n = snprintf(dir, PATH_MAX, "%s/.cache", home);
    else
        return bad_command(e, "no place for programs of modules: set XDG_CACHE_HOME or HOME, or use vireo wasm -o");
    if (n > PATH_MAX - 64) return bad_command(e, "the path of the cache is too long");
    (void)mkdir(dir, 0700);
    memcpy(dir + n, "/vireo", sizeof("/vireo"));
    return 0;
}

int wasm_folder_open(char dir[PATH_MAX], struct vireo_error *e)
{
    struct stat st;
    int rc = cache_path(dir, e);
    if (rc) {
        e->exit_status = STATUS_NOT_RUNNABLE;
        return rc;
    }
    if (mkdir(dir, 0700) < 0 && errno != EEXIST) return bad_call(e, errno, "cache %.300s", dir);
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        rc = bad_call(e, errno, "cache %.300s", dir);
        if (fd >= 0) close(fd);
        return rc;
    }
    if (st.st_uid == geteuid() && !(st.st_mode & 077)) return fd;
    close(fd);
    bad_command(e, "cache %.300s: it is of user %u with mode %04o; programs are taken from a folder of one's own", dir,
                (unsigned)st.st_uid, (unsigned)st.st_mode & 07777);
    (void)snprintf(e->hint, sizeof(e->hint), "remove it, or set XDG_CACHE_HOME to a folder of yours");
    return e->code;
}

/* ---- locks ---- */

static int lock_file(int fd, int how)
{
    while (flock(fd, how) < 0)
        if (errno != EINTR) return -errno;
    return 0;
}

int wasm_folder_lock(int dir, const char *name, bool waits)
{
    char lock[WASM_ENTRY_NAME + 8];
    (void)snprintf(lock, sizeof(lock), "%s.lock", name);
    for (;;) {
        struct stat st;
        const int fd = openat(dir, lock, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0) return -errno;
        const int rc = lock_file(fd, waits ? LOCK_EX : LOCK_EX | LOCK_NB);
        /* Its file goes away with the one who had it: who gets a lock on a file that is gone tries anew. */
        if (rc == 0 && fstat(fd, &st) == 0 && st.st_nlink > 0) return fd;
        close(fd);
        if (rc) return rc;
    }
}

void wasm_folder_unlock(int dir, const char *name, int lock)
{
    char path[WASM_ENTRY_NAME + 8];
    (void)snprintf(path, sizeof(path), "%s.lock", name);
    (void)unlinkat(dir, path, 0);
    close(lock);
}

int wasm_entry_use(int dir, const char *name)
{
    static const struct timespec now[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}};
    struct stat st;
    const int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return -errno;
    if (lock_file(fd, LOCK_SH) == 0 && fstat(fd, &st) == 0 && st.st_nlink > 0 && S_ISREG(st.st_mode) &&
        st.st_uid == geteuid()) {
        (void)futimens(fd, now); /* where it fails, the entry counts as one that was not used */
        return fd;
    }
    close(fd);
    return -ENOENT;
}

/* ---- what is removed ---- */

struct entry {
    char name[WASM_ENTRY_NAME];
    struct timespec used;
    uint64_t size;
};

/* Is it a file of ours? *end: what follows the entry's name. */
static bool is_ours(const char *file, const char **end)
{
    const size_t digits = strspn(file, "0123456789abcdef");
    *end = file + digits;
    return digits == NAME_DIGITS && (**end == '\0' || strcmp(*end, ".lock") == 0 || strcmp(*end, ".new") == 0);
}

static bool is_before(const struct entry *a, const struct entry *b)
{
    if (a->used.tv_sec != b->used.tv_sec) return a->used.tv_sec < b->used.tv_sec;
    if (a->used.tv_nsec != b->used.tv_nsec) return a->used.tv_nsec < b->used.tv_nsec;
    return strcmp(a->name, b->name) < 0;
}

static bool look(int dir, const char *name, struct entry *out)
{
    struct stat st;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) return false;
    memcpy(out->name, name, NAME_DIGITS);
    out->name[NAME_DIGITS] = '\0';
    out->used = st.st_atim;
    out->size = (uint64_t)st.st_size;
    return true;
}

static DIR *list(int dir)
{
    const int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d && fd >= 0) close(fd);
    return d;
}

/* Of those that were used after `last`, the one that was used least recently. *total: the bytes of all entries. A list
 * of them all would need a bound: they are few, as none is smaller than a C library. */
static bool find_next(int dir, const struct entry *last, struct entry *out, uint64_t *total)
{
    const char *end;
    bool is_found = false;
    const struct dirent *one;
    struct entry e;
    DIR *d = list(dir);
    *total = 0;
    while (d && (one = readdir(d)) != NULL) {
        if (!is_ours(one->d_name, &end) || *end || !look(dir, one->d_name, &e)) continue;
        *total += e.size;
        if (!is_before(last, &e) || (is_found && !is_before(&e, out))) continue;
        *out = e;
        is_found = true;
    }
    if (d) (void)closedir(d);
    return is_found;
}

/* An entry that nobody uses, nor has used since *e was looked at. The caller has its lock. */
static bool remove_unused(int dir, const struct entry *e)
{
    struct entry now;
    bool is_gone = false;
    /* To write: NFS has no lock for itself alone on a file that is only read, and a program that runs is refused. */
    const int fd = openat(dir, e->name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno != ELOOP) return false;
    /* A link is no entry, and nobody uses one. */
    if ((fd < 0 || lock_file(fd, LOCK_EX | LOCK_NB) == 0) && look(dir, e->name, &now) && !is_before(e, &now))
        is_gone = unlinkat(dir, e->name, 0) == 0;
    if (fd >= 0) close(fd);
    return is_gone;
}

/* What is left where somebody was killed at making NAME: its lock, and what was written. */
static void remove_leftover(int dir, const char *name)
{
    char made[WASM_ENTRY_NAME + 8];
    const int lock = wasm_folder_lock(dir, name, false);
    if (lock < 0) return;
    (void)snprintf(made, sizeof(made), "%s.new", name);
    (void)unlinkat(dir, made, 0);
    wasm_folder_unlock(dir, name, lock);
}

static void remove_leftovers(int dir)
{
    const char *end;
    const struct dirent *one;
    char name[WASM_ENTRY_NAME];
    DIR *d = list(dir);
    while (d && (one = readdir(d)) != NULL) {
        if (!is_ours(one->d_name, &end) || !*end) continue;
        (void)snprintf(name, sizeof(name), "%.*s", (int)NAME_DIGITS, one->d_name);
        remove_leftover(dir, name);
    }
    if (d) (void)closedir(d);
}

void wasm_folder_tidy(int dir, uint64_t bytes_max, int64_t age_max_s, struct wasm_removed *out)
{
    struct entry e, last = {.used = {.tv_sec = INT64_MIN}};
    uint64_t total;
    const int64_t now_s = time(NULL);
    *out = (struct wasm_removed){0};
    remove_leftovers(dir);
    while (find_next(dir, &last, &e, &total)) {
        if (total <= bytes_max && e.used.tv_sec >= now_s - age_max_s) break;
        const int lock = wasm_folder_lock(dir, e.name, false);
        if (lock >= 0 && remove_unused(dir, &e)) {
            out->programs++;
            out->bytes += e.size;
        }
        if (lock >= 0) wasm_folder_unlock(dir, e.name, lock);
        last = e;
    }
}

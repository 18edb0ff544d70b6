/* WASI preview 1 for a translated module, on plain Linux system calls: what the module sees of the system.
 *
 * The module is hostile. Its addresses and lengths come in as numbers and pass wasi_slice, which checks them against
 * the memory's size; its descriptors are its own numbers, each with the rights that WASI gives it; its paths are
 * resolved below the descriptor they are relative to and never out of it. Whoever runs the program, `vireo exec` above
 * all, decides what the system calls below may do: nothing here is a policy.
 *
 * Names, numbers and layouts: WASI preview 1, phases/snapshot/docs.md and wasi_snapshot_preview1.witx. Every call
 * answers with an errno of WASI's. One thread. */
#ifndef VIREO_GUEST_WASI_H
#define VIREO_GUEST_WASI_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "guest/wasi/wasm-rt.h"

/* wasm2c's names for the import "wasi_snapshot_preview1" and for its functions. */
#define wasi            Z_wasi_snapshot_preview1_instance_t
#define WASI_CALL(name) Z_wasi_snapshot_preview1Z_##name

#define WASI_FDS_MAX  1024u /* open at once: what Linux gives a process by default */
#define WASI_IOVS_MAX 1024u /* of one read or write: Linux' IOV_MAX; more is a short one, as WASI allows */
#define WASI_PATH_MAX PATH_MAX

enum wasi_errno {
    WASI_OK = 0,
    WASI_2BIG = 1,
    WASI_BADF = 8,
    WASI_FAULT = 21,
    WASI_INVAL = 28,
    WASI_IO = 29,
    WASI_ISDIR = 31,
    WASI_LOOP = 32,
    WASI_MFILE = 33,
    WASI_NAMETOOLONG = 37,
    WASI_NOENT = 44,
    WASI_NOTDIR = 54,
    WASI_NOTSUP = 58,
    WASI_OVERFLOW = 61,
    WASI_NOTCAPABLE = 76,
};
uint32_t wasi_error(int error); /* of a host's errno */
uint32_t wasi_last(void);       /* of errno */

/* Rights by their bit. */
enum wasi_right {
    FD_DATASYNC,
    FD_READ,
    FD_SEEK,
    FD_FDSTAT_SET_FLAGS,
    FD_SYNC,
    FD_TELL,
    FD_WRITE,
    FD_ADVISE,
    FD_ALLOCATE,
    PATH_CREATE_DIRECTORY,
    PATH_CREATE_FILE,
    PATH_LINK_SOURCE,
    PATH_LINK_TARGET,
    PATH_OPEN,
    FD_READDIR,
    PATH_READLINK,
    PATH_RENAME_SOURCE,
    PATH_RENAME_TARGET,
    PATH_FILESTAT_GET,
    PATH_FILESTAT_SET_SIZE,
    PATH_FILESTAT_SET_TIMES,
    FD_FILESTAT_GET,
    FD_FILESTAT_SET_SIZE,
    FD_FILESTAT_SET_TIMES,
    PATH_SYMLINK,
    PATH_REMOVE_DIRECTORY,
    PATH_UNLINK_FILE,
    POLL_FD_READWRITE,
    SOCK_SHUTDOWN,
    SOCK_ACCEPT,
    RIGHTS_END
};
#define RIGHT(r)   (UINT64_C(1) << (r))
#define RIGHTS_ALL (RIGHT(RIGHTS_END) - 1)

struct wasi_fd {
    int host;     /* -1: not open; 0 to 2 for the standard files only */
    uint8_t type; /* WASI's filetype */
    uint64_t rights, inheriting;
    const char *preopen; /* the name the module finds it by; NULL: opened later */
};
struct wasi {
    wasm_rt_memory_t *memory; /* NULL: the module exports none, and every address is bad */
    char **argv, **envp;      /* each ends with NULL */
    struct wasi_fd fd[WASI_FDS_MAX];
    char *listed;       /* names of preopened directories */
    bool lacks_openat2; /* found out at the first use */
};

/* What the program starts with: the standard files that are open, and the directories that `preopens` names:
 * "DIR[=AS]:DIR[=AS]...", AS for the module. "": none. NULL: what any program would find where it runs, which in `vireo
 * exec` is what --read and --write give: "/", or with another working directory "." and the directories in "/". What
 * can't be opened is left out. The texts stay the caller's and in place. */
void wasi_init(struct wasi *w, char **argv, char **envp, const char *preopens);
void wasi_fini(struct wasi *w); /* closes all but the standard files */

/* The module's bytes [at, at + len), or NULL: some of them are not there. Valid until the module runs again. */
static inline void *wasi_slice(const struct wasi *w, uint32_t at, uint64_t len)
{
    const uint64_t size = w->memory ? w->memory->size : 0;
    return at <= size && len <= size - at && w->memory ? w->memory->data + at : NULL;
}
/* Store a value for the module: WASI_OK or WASI_FAULT. */
static inline uint32_t wasi_put(const struct wasi *w, uint32_t at, const void *value, uint32_t size)
{
    void *p = wasi_slice(w, at, size);
    if (!p) return WASI_FAULT;
    memcpy(p, value, size);
    return WASI_OK;
}

/* ---- descriptors: fds.c ---- */

/* The open descriptor `fd` that has all of `rights`. WASI_BADF, WASI_NOTCAPABLE. */
uint32_t wasi_fd_get(struct wasi *w, uint32_t fd, uint64_t rights, struct wasi_fd **out);
/* A number for f.host, from 3 on, as wasi-libc takes 0 to 2 for the standard files; type and the rights that the type
 * has not are seen to. f.host is closed on failure. */
uint32_t wasi_fd_add(struct wasi *w, struct wasi_fd f, uint32_t *fd);
uint8_t wasi_filetype(unsigned mode); /* of st_mode */
enum {
    FILETYPE_UNKNOWN,
    FILETYPE_BLOCK,
    FILETYPE_CHARACTER,
    FILETYPE_DIR,
    FILETYPE_FILE,
    FILETYPE_DATAGRAM,
    FILETYPE_STREAM,
    FILETYPE_LINK
};
/* O_APPEND and so on of WASI's flags, and back. */
int wasi_open_flags(uint32_t fdflags);
struct wasi_filestat {
    uint64_t dev, ino;
    uint8_t type;
    uint64_t links, size, atime_ns, mtime_ns, ctime_ns;
};
struct stat;
void wasi_filestat(const struct stat *st, struct wasi_filestat *out);
uint64_t wasi_ns(struct timespec t);
/* Times as utimensat takes them: [0] of access, [1] of modification. WASI_INVAL: a flag and its opposite. */
uint32_t wasi_times(uint64_t atime_ns, uint64_t mtime_ns, uint32_t flags, struct timespec out[2]);

/* ---- paths: resolve.c ---- */

/* A path below a descriptor: the directory that its last part is in, and that part. No ".." leads above the
 * descriptor, no link out of it; an absolute path or link is refused (WASI_NOTCAPABLE). `name` is "." where the path
 * is the directory itself, and never "..": it is safe to use with any *at() call that doesn't follow links. */
struct wasi_place {
    int fd;
    bool is_own; /* fd was opened for it */
    bool is_dir; /* the path ended with a slash */
    char name[WASI_PATH_MAX];
};
/* follow: also a link in last place, so that `name` is none. 0 or an errno of WASI's; then nothing is to be ended. */
uint32_t wasi_resolve(struct wasi *w, int dir, const char *path, bool follow, struct wasi_place *out);
void wasi_place_end(struct wasi_place *p);

/* ---- traps: trap.c ---- */

/* From here on an exhausted stack is a trap; name: the program's, for sentences. */
void trap_init(const char *name);

#endif

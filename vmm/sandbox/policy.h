/* What a sandboxed program may have, all of it by name: it begins with nothing but memory, its own standard streams,
 * clocks, random numbers and its own identity. Made before the program starts and not changed after. */
#ifndef VIREO_SANDBOX_POLICY_H
#define VIREO_SANDBOX_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/err.h"

#define POLICY_DIRS_MAX      32
#define POLICY_FILES_DEFAULT 256
#define POLICY_FILES_MAX     1024

/* What write-max counts for a name that is made: a block, as a file system takes for it sooner or later. */
#define POLICY_NAME_COST 4096u

struct policy_dir {
    int fd;   /* O_PATH | O_DIRECTORY; the policy's */
    char *at; /* where the program sees it: absolute, without "." and "..", no slash at its end but for "/" */
    bool is_writable;
};
struct policy {
    struct policy_dir dir[POLICY_DIRS_MAX];
    unsigned dirs;
    int std[3];          /* what the program has as 0, 1 and 2: descriptors that stay the caller's; -1: as /dev/null */
    char *cwd;           /* of the program; NULL: "/" */
    uint64_t output_max; /* bytes to 1 and 2 together; 0: no limit */
    uint64_t write_max;  /* bytes to files of its directories, and POLICY_NAME_COST a name; 0: no limit */
    unsigned files_max;  /* open files */
    bool is_timed;       /* how long answers take is counted */
    bool allow_wx;       /* mappings that are writable and executable at once */
    /* One line a call, as strace(1) has it; NULL: none. Called by the program's thread. */
    void (*trace)(void *arg, const char *line);
    void *trace_arg;
    /* Bytes for 1 and 2 go here instead, when set (the library's): what it took, or -errno. */
    int64_t (*output)(void *arg, int fd, const void *data, uint64_t len);
    void *output_arg;
};
void policy_init(struct policy *p);
void policy_fini(struct policy *p);
/* An absolute path without ".", ".." and double slashes, as text. 0; -EINVAL: not absolute; -ENAMETOOLONG. */
int policy_clean_path(const char *path, char *out, size_t size);
/* "DIR" or "DIR=AS". Errors: not there, no directory, a symbolic link (its target is named), twice the same AS. */
int policy_add_dir(struct policy *p, const char *text, bool is_writable, struct err *e);

#endif

/* What the program takes from itself before a sandboxed program runs in it, so that whoever breaks out of the VM finds
 * little: without any privilege, and for good. Each layer is one row of a table; a kernel that lacks one is told of.
 *
 *   core           no core dump, which would have the program's memory in it (RLIMIT_CORE)
 *   no-new-privs   no set-user-ID program or file capability gives it anything (prctl(2), PR_SET_NO_NEW_PRIVS)
 *   no-exec-gain   memory that was not executable never becomes it (PR_SET_MDWE, Linux 6.3)
 *   not-dumpable   others of the same user can't trace it or read its memory (PR_SET_DUMPABLE)
 *   landlock       the file system ends at what is named here; no TCP, and no signals to others or abstract sockets of
 *                  theirs where the kernel has that (Documentation/userspace-api/landlock.rst)
 *
 * Before any other thread is made that shall be confined: landlock is of the calling thread and those that it makes. */
#ifndef VIREO_CLI_CONFINE_H
#define VIREO_CLI_CONFINE_H

#include <stdbool.h>
#include <vireo.h>

#define CONFINE_LAYERS 5

struct confine_path {
    const char *path; /* a directory with all below it, or a file */
    bool is_writable;
};
struct confine_wish {
    const struct confine_path *path;
    unsigned paths;
    const char *required; /* layers, with commas between; "all"; NULL: none must be had */
};
/* *layers: a bit for each that is in force. -errno with *e filled: one that is required is not to be had; then those
 * before it are in force. */
int confine(const struct confine_wish *w, unsigned *layers, struct vireo_error *e);
const char *confine_layer(unsigned index); /* its name; NULL past the last */

#endif

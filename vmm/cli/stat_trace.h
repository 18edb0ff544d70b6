/* `vireo stat NAME --exits` and `--where`: all exits of a running VM for a while, those included that KVM handles
 * alone, from the kernel's tracepoints. */
#ifndef VIREO_CLI_STAT_TRACE_H
#define VIREO_CLI_STAT_TRACE_H

#include <stdbool.h>

struct stat_trace {
    const char *name;          /* of the VM */
    const char *exits, *where; /* how long, as given; "": the usual time; NULL: not asked for */
    const char *symbols;       /* a file; NULL: the VM's kernel, where that is one with symbols */
    bool has_json;
};
int stat_trace(const struct stat_trace *o); /* exit status */

#endif

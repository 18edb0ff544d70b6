/* The library's handles of sandboxes. */
#ifndef VIREO_LIB_SANDBOX_LIB_H
#define VIREO_LIB_SANDBOX_LIB_H

#include <vireo_sandbox.h>

#include "vmm/lib/lib.h"
#include "vmm/sandbox/sandbox.h"

struct vireo_sandbox_config {
    struct policy policy; /* without its directories, which are opened for each sandbox */
    struct sandbox_want want;
    struct sandbox_host host[SANDBOX_HOSTS_MAX];
    char **reads, **writes, **envp, *cwd;
    unsigned read_count, write_count, env_count;
};

/* Public and inner handles are the same objects under two names. */
static inline struct sandbox *lib_sandbox(struct vireo_sandbox *s)
{
    return (struct sandbox *)(void *)s;
}

#endif

/* The library's handles, and the way from the inner error to the public one. */
#ifndef VIREO_LIB_LIB_H
#define VIREO_LIB_LIB_H

#include <vireo.h>

#include "vmm/machine/machine.h"

struct vireo_config {
    struct config config;
};

struct vireo_vm {
    struct machine *machine;
    struct vireo_log user;
    struct log log; /* the machine's: calls user */
    bool uses_stdio;
    char name[CONFIG_ID_MAX + 1];
};

/* Pass rc on; when it is an error, *out (may be NULL) is filled from e. */
int lib_error(struct vireo_error *out, int rc, const struct err *e);

#endif

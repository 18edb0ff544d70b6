/* A control socket with any table of routes; the library's own is routes.h. */
#ifndef VIREO_LIB_CONTROL_CONTROL_H
#define VIREO_LIB_CONTROL_CONTROL_H

#include "vmm/base/http_server.h"

struct vireo_control;

struct control_params {
    const struct http_table *table; /* borrowed */
    void *owner;
    const char *dir, *name; /* as control_place_open takes them */
};
int control_create(struct vireo_control **out, const struct control_params *p, struct err *e);

#endif

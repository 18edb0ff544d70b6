/* What can be asked of a VM by its control socket: one row a method and path. */
#ifndef VIREO_LIB_CONTROL_ROUTES_H
#define VIREO_LIB_CONTROL_ROUTES_H

#include "vmm/lib/control/server.h"

#define CONTROL_WEIGHTS_MAX 256 /* all six figures with a number each are 150 */

extern const struct control_table control_routes; /* their owner is a struct vireo_vm */

/* What stands behind the question mark of a page of statistics. false: something that is not known there. */
struct control_view {
    bool has_steps;
    char weights[CONTROL_WEIGHTS_MAX]; /* "": none given */
};
bool control_view_parse(struct http_text query, struct control_view *out);

#endif

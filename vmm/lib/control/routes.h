/* What can be asked of a VM at its control socket. Each method and path has one row. */
#ifndef VIREO_LIB_CONTROL_ROUTES_H
#define VIREO_LIB_CONTROL_ROUTES_H

#include "vmm/base/http_server.h"

#define CONTROL_WEIGHTS_MAX 256 /* all six figures with a number each are 150 */

extern const struct http_table control_routes; /* their owner is a struct vireo_vm */

/* Read what follows the question mark in a request for statistics. false: it has something that is not known. */
struct control_view {
    bool has_steps;
    char weights[CONTROL_WEIGHTS_MAX]; /* "": none given */
};
bool control_view_parse(struct http_text query, struct control_view *out);

#endif

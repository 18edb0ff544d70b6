/* A VM's control socket: a place in a directory, and a server that listens there. */
#include <errno.h>
#include <stdlib.h>

#include "vmm/lib/control/control.h"
#include "vmm/lib/control/place.h"
#include "vmm/lib/control/routes.h"
#include "vmm/lib/lib.h"

struct vireo_control {
    struct control_place place;
    struct http_server *server;
};

static int create_steps(struct vireo_control *c, const struct control_params *p, struct err *e)
{
    if (!p->name[0]) return err_set(e, -EINVAL, "the VM has no name to call the socket after");
    const int rc = control_place_open(&c->place, p->dir, p->name, e);
    const struct http_server_params server = {.table = p->table, .owner = p->owner, .fd = c->place.fd};
    return rc ? rc : http_server_create(&c->server, &server, e);
}

int control_create(struct vireo_control **out, const struct control_params *p, struct err *e)
{
    struct vireo_control *c = calloc(1, sizeof(*c));
    if (!c) return err_set(e, -ENOMEM, "no memory for it");
    c->place.fd = c->place.dir_fd = -1;
    const int rc = create_steps(c, p, e);
    if (rc)
        vireo_control_destroy(c);
    else
        *out = c;
    return rc;
}

int vireo_control_create(struct vireo_control **out, struct vireo_vm *vm, const char *dir, struct vireo_error *e)
{
    struct err err = {0};
    const struct control_params p = {.table = &control_routes, .owner = vm, .dir = dir, .name = vm->name};
    return lib_error(e, err_wrap(&err, control_create(out, &p, &err), "control socket"), &err);
}

void vireo_control_destroy(struct vireo_control *c)
{
    if (!c) return;
    http_server_destroy(c->server);
    control_place_close(&c->place);
    free(c);
}

int vireo_control_fd(const struct vireo_control *c)
{
    return http_server_fd(c->server);
}

void vireo_control_serve(struct vireo_control *c)
{
    http_server_serve(c->server);
}

const char *vireo_control_path(const struct vireo_control *c)
{
    return c->place.path;
}

/* The host side of a console: when it starts and ends. See chario.h for what each function promises. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devices/backend/chario_state.h"
#include "vmm/base/fd.h"

static void close_if(int fd, bool is_ours)
{
    if (fd >= 0 && is_ours) close(fd);
}

/* The end of a pipe or pseudo-terminal is what its reader waits for. */
static void in_forked_child(void *arg)
{
    const struct chario *c = arg;
    close_if(c->in_fd, c->owns_in);
    close_if(c->out_fd, c->owns_out);
    close_if(c->pty_slave, true);
    if (c->file) slow_file_in_child(c->file);
}

int chario_create(struct chario **out, const struct chario_params *p, struct err *e)
{
    struct chario *c = calloc(1, sizeof(*c));
    if (!c) return err_set(e, -ENOMEM, "out of memory");
    pthread_mutex_init(&c->lock, NULL);
    c->in_fd = c->out_fd = c->pty_slave = -1;
    c->has_escape = p->has_escape && p->quit;
    c->quit = p->quit;
    c->quit_arg = p->quit_arg;
    c->log = p->log;
    c->max_bytes = p->max_bytes;
    int rc = chario_open(c, p, e);
    if (!rc) rc = chario_make_output(c, e);
    if (!rc) rc = chario_make_input(c, e);
    if (rc) {
        chario_destroy(c);
        return rc;
    }
    c->forked = (struct forked){.in_child = in_forked_child, .arg = c};
    forked_add(&c->forked);
    *out = c;
    return 0;
}

void chario_destroy(struct chario *c)
{
    if (!c) return;
    forked_remove(&c->forked);
    for (unsigned i = 0; i < CHARIO_PORTS; i++) chario_flush(c, i);
    slow_file_close(c->file, 0); /* something is there only when there was no start */
    slow_input_close(c->in_file);
    chario_unmake_file(c);
    close_if(c->in_fd, c->owns_in);
    close_if(c->out_fd, c->owns_out);
    close_if(c->pty_slave, true);
    pthread_mutex_destroy(&c->lock);
    free(c->typed);
    free(c->path);
    free(c);
}

const char *chario_pty_name(const struct chario *c)
{
    return c->pty_name[0] ? c->pty_name : NULL;
}

int chario_start(struct chario *c, struct loop *loop, struct err *e)
{
    c->loop = loop;
    c->is_started = true;
    int rc = chario_start_output(c, e);
    if (!rc) rc = chario_start_input(c, e);
    c->was_made = c->was_made && rc != 0;
    if (rc) chario_stop(c);
    return rc;
}

void chario_stop(struct chario *c)
{
    if (!c->is_started) return;
    c->is_started = false;
    chario_stop_input(c);
    chario_stop_output(c);
}

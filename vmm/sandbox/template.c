/* Sandboxes frozen, cloned and put back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/machine/runner.h"
#include "vmm/sandbox/struct_sandbox.h"

int sandbox_template_create(struct sandbox_template **out, struct sandbox *s, struct err *e)
{
    if (!s->main.is_ready) return err_set(e, -EBUSY, "%s: is not ready, so it can't become a template", s->setup->name);
    sandbox_end_children(s);
    struct sandbox_template *t = calloc(1, sizeof(*t));
    if (!t) return err_set(e, -ENOMEM, "a sandbox's template: no memory");
    t->setup = s->setup;
    atomic_fetch_add(&t->setup->users, 1);
    /* Every clone has room for its calls' bytes, without tables of its own. */
    (void)sandbox_need_area(s, 1);
    t->image = s->image;
    t->area = s->area;
    t->area_size = s->area_size;
    t->call_sp = s->call_sp;
    t->state = user_state_create(s->main.user);
    struct process_params params = task_params(&s->main);
    params.space = NULL;
    int rc =
        t->state ? user_state_save(s->main.user, t->state, e) : err_set(e, -ENOMEM, "a sandbox's template: no memory");
    if (!rc) rc = process_copy(&t->process, s->main.process, PROCESS_CLONE, &params, e);
    if (!rc) rc = space_template_create(&t->space, s->main.space, e);
    if (rc) {
        sandbox_template_destroy(t);
        return rc;
    }
    *out = t;
    return 0;
}

void sandbox_template_destroy(struct sandbox_template *t)
{
    if (!t) return;
    space_template_destroy(t->space);
    process_destroy(t->process);
    user_state_destroy(t->state);
    sandbox_setup_drop(t->setup);
    free(t);
}

static void stand_as(struct sandbox *s, const struct sandbox_template *t)
{
    s->image = t->image;
    s->area = t->area;
    s->area_size = t->area_size;
    s->call_sp = t->call_sp;
    s->main.is_ready = true;
    s->has_ended = s->is_in_call = false;
    atomic_store(&s->child_limit, 0);
}

int sandbox_clone(struct sandbox **out, struct sandbox_template *t, struct err *e)
{
    struct space *space = NULL;
    int rc = runner_mind_signal();
    if (rc) return err_set(e, rc, "sandbox: the signal that calls it out: %s", strerrordesc_np(-rc));
    struct sandbox *s = sandbox_make(t->setup, e);
    if (!s) return -ENOMEM;
    s->from = t;
    rc = space_create_from(&space, t->space, e);
    if (!rc) rc = task_open(&s->main, s, space, true, e);
    const struct process_params params = task_params(&s->main);
    if (!rc) rc = process_copy(&s->main.process, t->process, PROCESS_CLONE, &params, e);
    if (!rc) rc = user_state_load(s->main.user, t->state, e);
    if (rc) {
        sandbox_destroy(s);
        return rc;
    }
    stand_as(s, t);
    *out = s;
    return 0;
}

int sandbox_reset(struct sandbox *s, struct err *e)
{
    const struct sandbox_template *t = s->from;
    uint64_t pages = 0;
    if (!t)
        return err_set(e, -ENOTSUP, "%s: was not made from a template, so there is nothing to go back to",
                       s->setup->name);
    sandbox_end_children(s);
    int rc = space_reset(s->main.space, &s->main.vm, &pages);
    if (rc) return err_set(e, rc, "%s: its memory can't be put back: %s", s->setup->name, strerrordesc_np(-rc));
    rc = process_reset(s->main.process, t->process, e);
    if (!rc) rc = user_state_load(s->main.user, t->state, e);
    if (rc) return rc;
    sandbox_clear_stop(s);
    stand_as(s, t);
    s->generation++;
    s->reset_pages = pages;
    return 0;
}

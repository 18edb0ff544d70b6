/* Sandboxes of a template, ready: a thread of the pool's makes and resets them, so that those who take one need not. */
#include <errno.h>
#include <stdlib.h>

#include "vmm/base/thread.h"
#include "vmm/lib/sandbox_lib.h"

#define POOL_MAX 1024u

/* Kept: ready ones. Used: given back, to be reset. Both are stacks, so that the warmest is taken next. */
struct vireo_sandbox_pool {
    struct sandbox_template *template;
    unsigned size, ready_count, used_count, others; /* others: taken, or being made */
    bool ends;
    pthread_mutex_t lock;
    pthread_cond_t work;
    pthread_t thread;
    struct sandbox *ready[POOL_MAX], *used[POOL_MAX];
};

/* What the thread does next: reset one, or make one. false: nothing. */
static bool work_once(struct vireo_sandbox_pool *p)
{
    struct err e = {0};
    struct sandbox *s = p->used_count ? p->used[--p->used_count] : NULL;
    if (!s && p->ready_count + p->others >= p->size) return false;
    p->others++;
    (void)pthread_mutex_unlock(&p->lock);
    if (s && sandbox_reset(s, &e)) {
        sandbox_destroy(s);
        s = NULL;
    } else if (!s && sandbox_clone(&s, p->template, &e)) {
        s = NULL;
    }
    (void)pthread_mutex_lock(&p->lock);
    p->others--;
    if (s) p->ready[p->ready_count++] = s;
    return s;
}

static void *pool_main(void *arg)
{
    struct vireo_sandbox_pool *p = arg;
    (void)pthread_mutex_lock(&p->lock);
    while (!p->ends)
        if (!work_once(p)) (void)pthread_cond_wait(&p->work, &p->lock);
    (void)pthread_mutex_unlock(&p->lock);
    return NULL;
}

int vireo_sandbox_pool_create(struct vireo_sandbox_pool **out, struct vireo_sandbox_template *t, unsigned n,
                              struct vireo_error *error)
{
    struct err e = {0};
    if (n == 0 || n > POOL_MAX)
        return lib_error(error, err_set(&e, -EINVAL, "a pool of %u sandboxes: give 1 to %u", n, POOL_MAX), &e);
    struct vireo_sandbox_pool *p = calloc(1, sizeof(*p));
    if (!p) return lib_error(error, err_set(&e, -ENOMEM, "a pool of sandboxes: no memory"), &e);
    p->template = (struct sandbox_template *)(void *)t;
    p->size = n;
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_cond_init(&p->work, NULL);
    const struct thread_start start = {.name = "sandbox:pool", .fn = pool_main, .arg = p};
    const int rc = thread_make(&p->thread, &start);
    if (rc) {
        free(p);
        err_set(&e, rc, "a pool of sandboxes: no thread");
        return lib_error(error, err_thread(&e, rc), &e);
    }
    *out = p;
    return 0;
}

void vireo_sandbox_pool_destroy(struct vireo_sandbox_pool *p)
{
    if (!p) return;
    (void)pthread_mutex_lock(&p->lock);
    p->ends = true;
    (void)pthread_cond_signal(&p->work);
    (void)pthread_mutex_unlock(&p->lock);
    (void)pthread_join(p->thread, NULL);
    while (p->ready_count) sandbox_destroy(p->ready[--p->ready_count]);
    while (p->used_count) sandbox_destroy(p->used[--p->used_count]);
    (void)pthread_mutex_destroy(&p->lock);
    (void)pthread_cond_destroy(&p->work);
    free(p);
}

int vireo_sandbox_pool_take(struct vireo_sandbox_pool *p, struct vireo_sandbox **out, struct vireo_error *error)
{
    struct err e = {0};
    (void)pthread_mutex_lock(&p->lock);
    struct sandbox *s = p->ready_count ? p->ready[--p->ready_count] : NULL;
    struct sandbox *used = !s && p->used_count ? p->used[--p->used_count] : NULL;
    p->others++;
    (void)pthread_cond_signal(&p->work);
    (void)pthread_mutex_unlock(&p->lock);
    int rc = 0;
    if (used && sandbox_reset(used, &e) == 0)
        s = used;
    else if (used)
        sandbox_destroy(used);
    if (!s) rc = sandbox_clone(&s, p->template, &e);
    if (rc) {
        (void)pthread_mutex_lock(&p->lock);
        p->others--;
        (void)pthread_mutex_unlock(&p->lock);
        return lib_error(error, rc, &e);
    }
    *out = (struct vireo_sandbox *)(void *)s;
    return 0;
}

void vireo_sandbox_pool_give(struct vireo_sandbox_pool *p, struct vireo_sandbox *sandbox)
{
    struct sandbox *s = lib_sandbox(sandbox);
    if (!s) return;
    (void)pthread_mutex_lock(&p->lock);
    const bool is_kept = p->ready_count + p->used_count < p->size;
    p->others--;
    if (is_kept) p->used[p->used_count++] = s;
    (void)pthread_cond_signal(&p->work);
    (void)pthread_mutex_unlock(&p->lock);
    if (!is_kept) sandbox_destroy(s);
}

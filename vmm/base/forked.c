#include "vmm/base/forked.h"

#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct forked *first;

/* The lock is held over the fork, so that the child finds a whole list. */
static void before_fork(void)
{
    pthread_mutex_lock(&lock);
}

static void in_parent(void)
{
    pthread_mutex_unlock(&lock);
}

static void in_child(void)
{
    struct forked *next;
    for (struct forked *f = first; f; f = next) {
        next = f->next;
        f->back = NULL;
        f->in_child(f->arg);
    }
    first = NULL;
    pthread_mutex_unlock(&lock);
}

/* ENOMEM: then children keep copies, as without us. */
static void listen_to_forks(void)
{
    (void)pthread_atfork(before_fork, in_parent, in_child);
}

void forked_add(struct forked *f)
{
    pthread_once(&once, listen_to_forks);
    pthread_mutex_lock(&lock);
    f->next = first;
    f->back = &first;
    if (first) first->back = &f->next;
    first = f;
    pthread_mutex_unlock(&lock);
}

void forked_remove(struct forked *f)
{
    pthread_mutex_lock(&lock);
    if (f->back) {
        *f->back = f->next;
        if (f->next) f->next->back = f->back;
        f->back = NULL;
    }
    pthread_mutex_unlock(&lock);
}

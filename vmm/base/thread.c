#include "vmm/base/thread.h"

#include <signal.h>

int thread_make(pthread_t *out, const char *name, int but, void *(*fn)(void *arg), void *arg)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t mask, before;
    sigfillset(&mask);
    if (but) sigdelset(&mask, but);
    int rc = pthread_attr_init(&attr);
    if (rc) return -rc;
    pthread_sigmask(SIG_SETMASK, &mask, &before); /* inherited: no signal may come before a thread could block it */
    rc = pthread_attr_setstacksize(&attr, THREAD_STACK);
    if (!rc) rc = pthread_create(&thread, &attr, fn, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (rc) return -rc;
    if (name) (void)pthread_setname_np(thread, name); /* only tools look at it */
    *out = thread;
    return 0;
}

/* What must not live on in a child of fork(2).
 *
 * A child has copies of all descriptors, and what ends by the last close alone goes on there: a VM in KVM, a tap that
 * stays attached, the lock of a disk, a socket that still seems to be listened to. Close-on-exec helps against children
 * that exec. For those that don't, an owner of such a thing leaves a function here, which closes the copies in the
 * child, before fork(2) returns there.
 *
 * The list is one for the process, since fork(2) is. Children of vfork(2), clone(2) and _Fork(3) are not seen. Any
 * thread; the functions run in the child, alone. */
#ifndef VIREO_BASE_FORKED_H
#define VIREO_BASE_FORKED_H

struct forked {                  /* the owner's storage; zeroed: not on the list */
    void (*in_child)(void *arg); /* closes descriptors and nothing else (async-signal-safe) */
    void *arg;
    struct forked *next, **back;
};

/* Once all is open that in_child closes, since a fork may come at any time; and before the first of it is closed. */
void forked_add(struct forked *f);
void forked_remove(struct forked *f); /* legal when it is not on the list, and twice */

#endif

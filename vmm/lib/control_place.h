/* Where a control socket lies: DIR/NAME.sock, DIR the caller's or $XDG_RUNTIME_DIR/vireo, or /run/vireo for root. */
#ifndef VIREO_LIB_CONTROL_PLACE_H
#define VIREO_LIB_CONTROL_PLACE_H

#include <sys/stat.h>
#include <sys/un.h>

#include "vmm/base/err.h"
#include "vmm/base/forked.h"

#define CONTROL_BACKLOG 16 /* who waits to be accepted: a scraper or two and an impatient user */

struct control_place {
    struct sockaddr_un addr;
    char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
    int fd;    /* listens; -1: none */
    dev_t dev; /* of the socket's file, to know it by */
    ino_t ino;
    struct forked forked; /* a child of fork(2) does not listen */
};

/* Make the directory if it is missing (0700), and the socket (0600); dir NULL: the usual one. What a process that died
 * left there is replaced; a living VM of that name, a file that is no socket, and a directory that others can write to
 * are refused. Errors: one sentence. */
int control_place_open(struct control_place *p, const char *dir, const char *name, struct err *e);
void control_place_close(struct control_place *p); /* and unlink it, if it is still there; legal when not open */

#endif

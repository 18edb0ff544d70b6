/* Where a control socket lies: DIR/NAME.sock. DIR is the caller's, or $XDG_RUNTIME_DIR/vireo, or /run/vireo for root.
 *
 * DIR belongs to this user, and nobody else can write to it. In the directory above nobody else can put another one in
 * its place: that directory is this user's or root's, and it is not writable by others or is sticky as /tmp is. After
 * that check, all that is done to the socket's file is done by DIR's descriptor. So the owner of a directory further up
 * can only send us to another directory of our own. */
#ifndef VIREO_LIB_CONTROL_PLACE_H
#define VIREO_LIB_CONTROL_PLACE_H

#include <sys/stat.h>
#include <sys/un.h>

#include "vmm/base/err.h"
#include "vmm/base/forked.h"
#include "vmm/config/config.h"

#define CONTROL_BACKLOG  16 /* connections that wait: a scraper or two and an impatient user */
#define CONTROL_PATH_MAX sizeof(((struct sockaddr_un *)0)->sun_path)
#define CONTROL_FILE_MAX (CONFIG_ID_MAX + sizeof(".sock")) /* fits into a path behind /proc/self/fd/2147483647/ */

struct control_place {
    char path[CONTROL_PATH_MAX]; /* for people and for other programs */
    char file[CONTROL_FILE_MAX]; /* its last part */
    int fd;                      /* listens; -1: none */
    int dir_fd;                  /* where the file was put */
    dev_t dev;                   /* of the socket's file, to know it by */
    ino_t ino;                   /* 0: it was not made */
    struct forked forked;        /* a child of fork(2) does not listen */
};

/* Makes the directory (0700) if it is missing, and the socket (0600). dir NULL: the usual one. What a dead process left
 * there is replaced. A living VM of that name, a file that is no socket, and a directory that is not as above are
 * refused. Errors: one sentence. */
int control_place_open(struct control_place *p, const char *dir, const char *name, struct err *e);
void control_place_close(struct control_place *p); /* and remove it, if it is still there; legal when not open */

#endif

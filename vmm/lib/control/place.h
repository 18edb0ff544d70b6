/* Where a control socket lies: DIR/NAME.sock. DIR is the caller's, or $XDG_RUNTIME_DIR/vireo, or /run/vireo for root.
 *
 * DIR belongs to this user, and nobody else can write to it. Nor can anybody else replace DIR: the directory above
 * it belongs to this user or to root, and either others can't write to it or it is sticky, as /tmp is. All this is
 * checked first. Afterwards the socket's file is reached through DIR's descriptor only. So the owner of a directory
 * further up can do no more than lead us to another directory of our own. */
#ifndef VIREO_LIB_CONTROL_PLACE_H
#define VIREO_LIB_CONTROL_PLACE_H

#include <sys/stat.h>
#include <sys/un.h>

#include "vmm/base/err.h"
#include "vmm/base/forked.h"
#include "vmm/config/config.h"

#define CONTROL_BACKLOG  16 /* connections that wait to be accepted: a scraper or two and an impatient user */
#define CONTROL_PATH_MAX sizeof(((struct sockaddr_un *)0)->sun_path)
#define CONTROL_FILE_MAX (CONFIG_ID_MAX + sizeof(".sock")) /* fits into a path behind /proc/self/fd/2147483647/ */

struct control_place {
    char path[CONTROL_PATH_MAX]; /* for people and for other programs */
    char file[CONTROL_FILE_MAX]; /* its last part */
    int fd;                      /* the listening socket; -1: none */
    int dir_fd;                  /* the directory in which the file is */
    dev_t dev;                   /* dev and ino identify the socket's file */
    ino_t ino;                   /* 0: it was not made */
    struct forked forked;        /* a child of fork(2) does not listen */
};

/* Make the socket (0600), and its directory (0700) if it is missing. dir NULL: the usual directory. A socket that a
 * dead process left behind is replaced. Refused are a living VM of that name, a file that is no socket, and a directory
 * that is not as described above. 0, or -errno with *e set. */
int control_place_open(struct control_place *p, const char *dir, const char *name, struct err *e);
/* Close the socket, and remove its file if that is still ours. Legal when it is not open. */
void control_place_close(struct control_place *p);

#endif

#include "vmm/lib/control_place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <vireo.h>

#include "vmm/base/fd.h"

#define LOCK_TRIES   50 /* of 10 ms: whoever holds it makes or removes a socket, in microseconds */
#define LOCK_WAIT_NS 10000000

int vireo_control_dir(char *buf, size_t size)
{
    const char *base = secure_getenv("XDG_RUNTIME_DIR");
    int n;
    if (base && base[0] == '/')
        n = snprintf(buf, size, "%s/vireo", base);
    else if (geteuid() == 0)
        n = snprintf(buf, size, "/run/vireo");
    else
        return -ENOENT;
    return n > 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
}

/* A directory that is ours alone: whoever could write there could put a socket of their own in our name. */
static int open_dir(const char *dir, struct err *e)
{
    struct stat st;
    if (mkdir(dir, 0700) < 0 && errno != EEXIST) return err_errno(e, "make the directory %s", dir);
    const int fd = fd_own(open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (fd < 0) return err_errno(e, "open the directory %s", dir);
    if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0) return fd;
    close(fd);
    (void)err_set(e, -EPERM, "the directory %s belongs to another user, or others may write to it", dir);
    err_hint(e, "chmod 700 it, or remove it and have it made anew");
    return -EPERM;
}

/* One at a time in the directory, so that two which find a dead socket don't each replace the other's. */
static int lock_dir(int fd, const char *dir, struct err *e)
{
    const struct timespec wait = {.tv_nsec = LOCK_WAIT_NS};
    for (unsigned i = 0; i < LOCK_TRIES; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) return 0;
        if (errno != EWOULDBLOCK && errno != EINTR) return err_errno(e, "lock the directory %s", dir);
        (void)nanosleep(&wait, NULL);
    }
    return err_set(e, -EBUSY, "the directory %s is locked by another process", dir);
}

/* Does a process listen there? A full backlog is one as well. */
static bool is_alive(const struct sockaddr_un *addr)
{
    const int fd = fd_own(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (fd < 0) return true; /* not known: leave it alone */
    const bool is = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 ||
                    (errno != ECONNREFUSED && errno != ENOENT); /* only a refusal says that nobody listens */
    close(fd);
    return is;
}

/* Make room for the new socket. */
static int clear_place(const struct control_place *p, const char *name, struct err *e)
{
    struct stat st;
    const char *path = p->addr.sun_path;
    if (lstat(path, &st) < 0) return errno == ENOENT ? 0 : err_errno(e, "%s", path);
    if (!S_ISSOCK(st.st_mode)) {
        (void)err_set(e, -EEXIST, "%s is there and is no socket", path);
        err_hint(e, "remove it, or give the VM another name");
        return -EEXIST;
    }
    if (is_alive(&p->addr)) {
        (void)err_set(e, -EADDRINUSE, "name %s: a VM of this name runs already (%s)", name, path);
        err_hint(e, "give this one another name");
        return -EADDRINUSE;
    }
    return unlink(path) < 0 && errno != ENOENT ? err_errno(e, "remove %s", path) : 0;
}

/* bind(2) gives the file the socket's own mode less the umask: set first, nobody sees another one. */
static int make_socket(struct control_place *p, struct err *e)
{
    struct stat st;
    const char *path = p->addr.sun_path;
    p->fd = fd_own(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (p->fd < 0) return err_errno(e, "a socket for %s", path);
    if (fchmod(p->fd, 0600) < 0 || bind(p->fd, (const struct sockaddr *)&p->addr, sizeof(p->addr)) < 0)
        return err_errno(e, "bind %s", path);
    if (lstat(path, &st) < 0) return err_errno(e, "%s", path);
    p->dev = st.st_dev;
    p->ino = st.st_ino;
    return listen(p->fd, CONTROL_BACKLOG) < 0 ? err_errno(e, "listen on %s", path) : 0;
}

static int set_path(struct control_place *p, const char *dir, const char *name, struct err *e)
{
    char usual[sizeof(p->dir)];
    if (!dir) {
        const int rc = vireo_control_dir(usual, sizeof(usual));
        if (rc == -ENOENT) return err_set(e, rc, "XDG_RUNTIME_DIR is not set, so there is no place for it");
        if (rc) return err_set(e, rc, "the path in XDG_RUNTIME_DIR is too long for a socket");
        dir = usual;
    }
    p->addr.sun_family = AF_UNIX;
    const int n = snprintf(p->addr.sun_path, sizeof(p->addr.sun_path), "%s/%s.sock", dir, name);
    if (n < 0 || (size_t)n >= sizeof(p->addr.sun_path))
        return err_set(e, -ENAMETOOLONG, "%s/%s.sock: longer than the %zu bytes of a socket's path", dir, name,
                       sizeof(p->addr.sun_path) - 1);
    (void)snprintf(p->dir, sizeof(p->dir), "%s", dir);
    return 0;
}

static void in_forked_child(void *arg)
{
    const struct control_place *p = arg;
    close(p->fd);
}

int control_place_open(struct control_place *p, const char *dir, const char *name, struct err *e)
{
    *p = (struct control_place){.fd = -1};
    int rc = set_path(p, dir, name, e);
    if (rc) return rc;
    const int dir_fd = open_dir(p->dir, e);
    if (dir_fd < 0) return dir_fd;
    rc = lock_dir(dir_fd, p->dir, e);
    if (!rc) rc = clear_place(p, name, e);
    if (!rc) rc = make_socket(p, e);
    (void)flock(dir_fd, LOCK_UN); /* closing alone would leave it to a child that was forked just now */
    close(dir_fd);
    if (rc) {
        control_place_close(p);
    } else {
        p->forked = (struct forked){.in_child = in_forked_child, .arg = p};
        forked_add(&p->forked);
    }
    return rc;
}

/* The file may have become another VM's: removed by somebody, and its name given anew. */
void control_place_close(struct control_place *p)
{
    struct stat st;
    if (p->fd < 0) return;
    forked_remove(&p->forked);
    const bool is_ours = lstat(p->addr.sun_path, &st) == 0 && st.st_dev == p->dev && st.st_ino == p->ino;
    if (is_ours) (void)unlink(p->addr.sun_path);
    close(p->fd);
    p->fd = -1;
}

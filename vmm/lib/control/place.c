/* Once a directory is checked, everything in it is done through its descriptor. So somebody who puts another directory
 * in its place can't get the socket. bind(2) and connect(2) take only paths, so these lead through /proc/self/fd. */
#include "vmm/lib/control/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <vireo.h>

#include "vmm/base/fd.h"

#define LOCK_TRIES   50 /* of 10 ms each; the holder needs it for microseconds, to make or remove a socket */
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

/* ---- the directory ---- */

/* Can others rename what lies in the directory? Its owner and root can. So can whoever may write there, unless the
 * directory is sticky as /tmp is: then only a file's own owner can. */
static bool is_safe_parent(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || (st.st_uid != geteuid() && st.st_uid != 0)) return false;
    return (st.st_mode & (S_IWGRP | S_IWOTH)) == 0 || (st.st_mode & S_ISVTX) != 0;
}

/* Anybody else who could write there could put his own socket under our name. */
static bool is_ours_alone(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* Open the directory above dir, and find dir's own name in it. The descriptor, or -errno. */
static int open_parent(const char *dir, char name[CONTROL_PATH_MAX], struct err *e)
{
    char above[CONTROL_PATH_MAX];
    size_t len = strlen(dir);
    while (len > 1 && dir[len - 1] == '/') len--;
    const char *slash = memrchr(dir, '/', len);
    const size_t start = slash ? (size_t)(slash + 1 - dir) : 0;
    (void)snprintf(above, sizeof(above), "%.*s", start ? (int)start : 1, start ? dir : ".");
    (void)snprintf(name, CONTROL_PATH_MAX, "%.*s", start < len ? (int)(len - start) : 1,
                   start < len ? dir + start : ".");
    const int fd = fd_own(open(above, O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (fd < 0) return err_errno(e, "open the directory %s", above);
    if (is_safe_parent(fd)) return fd;
    close(fd);
    (void)err_set(e, -EPERM, "the directory %s: it lies in one where other users may put another in its place", dir);
    err_hint(e, "use a directory below one that is this user's or root's alone, as XDG_RUNTIME_DIR should be");
    return -EPERM;
}

/* Open a directory that is ours alone, in a parent where nobody else can replace it. is_made: make it (0700) if it is
 * missing. The descriptor, or -errno. */
static int open_dir(const char *dir, bool is_made, struct err *e)
{
    char name[CONTROL_PATH_MAX];
    const int parent = open_parent(dir, name, e);
    if (parent < 0) return parent;
    int rc = 0, fd = -1;
    if (is_made && mkdirat(parent, name, 0700) < 0 && errno != EEXIST) rc = err_errno(e, "make the directory %s", dir);
    if (!rc) fd = fd_own(openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!rc && fd < 0) rc = err_errno(e, "open the directory %s", dir);
    close(parent);
    if (rc || is_ours_alone(fd)) return rc ? rc : fd;
    close(fd);
    (void)err_set(e, -EPERM, "the directory %s belongs to another user, or others may write to it", dir);
    err_hint(e, "chmod 700 it, or remove it and have it made anew");
    return -EPERM;
}

/* One process at a time may work in the directory. Else two that find a dead socket would each replace the other's. */
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

/* ---- the socket ---- */

/* The file's path through the directory's descriptor. It stays right whatever lies at the directory's path by now. */
static struct sockaddr_un address_in(int dir_fd, const char *file)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/%s", dir_fd, file);
    return addr;
}

/* Does a process listen there? Yes, also when its backlog is full. */
static bool is_alive(int dir_fd, const char *file)
{
    const struct sockaddr_un addr = address_in(dir_fd, file);
    const int fd = fd_own(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (fd < 0) return true; /* not known: leave it alone */
    const bool is = connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0 ||
                    (errno != ECONNREFUSED && errno != ENOENT); /* only a refusal says that nobody listens */
    close(fd);
    return is;
}

/* Make room for the new socket. */
static int clear_place(const struct control_place *p, const char *name, struct err *e)
{
    struct stat st;
    if (fstatat(p->dir_fd, p->file, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_errno(e, "%s", p->path);
    if (!S_ISSOCK(st.st_mode)) {
        (void)err_set(e, -EEXIST, "%s is there and is no socket", p->path);
        err_hint(e, "remove it, or give the VM another name");
        return -EEXIST;
    }
    if (is_alive(p->dir_fd, p->file)) {
        (void)err_set(e, -EADDRINUSE, "name %s: a VM of this name runs already (%s)", name, p->path);
        err_hint(e, "give this one another name");
        return -EADDRINUSE;
    }
    return unlinkat(p->dir_fd, p->file, 0) < 0 && errno != ENOENT ? err_errno(e, "remove %s", p->path) : 0;
}

static int bind_failed(const struct control_place *p, struct err *e)
{
    const int rc = err_errno(e, "bind %s", p->path);
    if (rc == -ENOENT && access("/proc/self/fd", X_OK) < 0) err_hint(e, "mount /proc: the socket is made by way of it");
    return rc;
}

/* bind(2) gives the file the socket's own mode less the umask. It is set first, so nobody ever sees another one. */
static int make_socket(struct control_place *p, struct err *e)
{
    struct stat st;
    const struct sockaddr_un addr = address_in(p->dir_fd, p->file);
    p->fd = fd_own(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (p->fd < 0) return err_errno(e, "a socket for %s", p->path);
    if (fchmod(p->fd, 0600) < 0 || bind(p->fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
        return bind_failed(p, e);
    if (fstatat(p->dir_fd, p->file, &st, AT_SYMLINK_NOFOLLOW) < 0) return err_errno(e, "%s", p->path);
    p->dev = st.st_dev;
    p->ino = st.st_ino;
    return listen(p->fd, CONTROL_BACKLOG) < 0 ? err_errno(e, "listen on %s", p->path) : 0;
}

/* dir if it is given; else the usual directory, which is written to `usual`. NULL: there is none, and *e says why. */
static const char *which_dir(const char *dir, char usual[CONTROL_PATH_MAX], struct err *e)
{
    if (dir) return dir;
    const int rc = vireo_control_dir(usual, CONTROL_PATH_MAX);
    if (rc == -ENOENT) (void)err_set(e, rc, "XDG_RUNTIME_DIR is not set, so there is no place for it");
    if (rc == -ENAMETOOLONG) (void)err_set(e, rc, "the path in XDG_RUNTIME_DIR is too long for a socket");
    return rc ? NULL : usual;
}

/* Other programs find the socket by its path, so the path must fit into an address as well. */
static int set_path(struct control_place *p, const char *dir, const char *name, struct err *e)
{
    (void)snprintf(p->file, sizeof(p->file), "%s.sock", name);
    const int n = snprintf(p->path, sizeof(p->path), "%s/%s", dir, p->file);
    if (n > 0 && (size_t)n < sizeof(p->path)) return 0;
    return err_set(e, -ENAMETOOLONG, "%s/%s: longer than the %zu bytes of a socket's path", dir, p->file,
                   sizeof(p->path) - 1);
}

static int open_steps(struct control_place *p, const char *dir, const char *name, struct err *e)
{
    char usual[CONTROL_PATH_MAX];
    dir = which_dir(dir, usual, e);
    if (!dir) return e->code;
    int rc = set_path(p, dir, name, e);
    if (rc) return rc;
    p->dir_fd = open_dir(dir, true, e);
    if (p->dir_fd < 0) return p->dir_fd;
    rc = lock_dir(p->dir_fd, dir, e);
    if (rc) return rc;
    rc = clear_place(p, name, e);
    if (!rc) rc = make_socket(p, e);
    (void)flock(p->dir_fd, LOCK_UN); /* now: a child's copy of the descriptor would keep the lock */
    return rc;
}

static void in_forked_child(void *arg)
{
    const struct control_place *p = arg;
    close(p->fd);
    close(p->dir_fd);
}

int control_place_open(struct control_place *p, const char *dir, const char *name, struct err *e)
{
    *p = (struct control_place){.fd = -1, .dir_fd = -1};
    const int rc = open_steps(p, dir, name, e);
    if (rc) {
        control_place_close(p);
    } else {
        p->forked = (struct forked){.in_child = in_forked_child, .arg = p};
        forked_add(&p->forked);
    }
    return rc;
}

/* The file may belong to another VM by now, if somebody removed ours and the name was used again. A child of the
 * program may hold copies of our descriptors. So the socket is shut down too, and no client waits at the child's copy.
 */
void control_place_close(struct control_place *p)
{
    struct stat st;
    forked_remove(&p->forked);
    const bool is_ours = p->fd >= 0 && p->ino && fstatat(p->dir_fd, p->file, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                         st.st_dev == p->dev && st.st_ino == p->ino;
    if (is_ours) (void)unlinkat(p->dir_fd, p->file, 0);
    if (p->fd >= 0) (void)shutdown(p->fd, SHUT_RDWR);
    if (p->fd >= 0) close(p->fd);
    if (p->dir_fd >= 0) close(p->dir_fd);
    p->fd = p->dir_fd = -1;
}

/* ---- the other end ---- */

/* Is the listener ours or root's? Nobody else may run our VMs. The kernel remembers who called listen(2) (unix(7),
 * SO_PEERCRED). */
static int check_peer(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0) return -errno;
    return peer.uid == geteuid() || peer.uid == 0 ? 0 : -EPERM;
}

static int connect_in(int dir_fd, const char *file, int timeout_ms)
{
    const struct sockaddr_un addr = address_in(dir_fd, file);
    const struct timeval wait = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    const int fd = fd_own(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (fd < 0) return -errno;
    int rc = 0;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
    if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0)
        rc = check_peer(fd);
    else /* a socket's file that nobody listens at; a backlog that nobody empties */
        rc = errno == ECONNREFUSED ? -ENOENT : errno == EAGAIN ? -ETIMEDOUT : -errno;
    if (!rc) return fd;
    close(fd);
    return rc;
}

int vireo_control_connect(const char *dir, const char *name, int timeout_ms)
{
    struct err e = {0};
    char usual[CONTROL_PATH_MAX], file[CONTROL_FILE_MAX];
    dir = which_dir(dir, usual, &e);
    if (!dir) return e.code;
    if (strlen(dir) >= CONTROL_PATH_MAX) return -ENAMETOOLONG;
    const int n = snprintf(file, sizeof(file), "%s.sock", name);
    if (n < 0 || (size_t)n >= sizeof(file) || strchr(name, '/')) return -ENOENT; /* no VM's name */
    const int dir_fd = open_dir(dir, false, &e);
    if (dir_fd < 0) return dir_fd;
    const int fd = connect_in(dir_fd, file, timeout_ms);
    close(dir_fd);
    return fd;
}
